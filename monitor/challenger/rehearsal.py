"""The rehearsal: would a small model fitted just before a window have done better than the one in service?

A challenger of any kind is seeded, runs on one thread, and reads a matrix of features with NaN for missing values;
categories are integers, from 0 for the most frequent.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import Roles
from monitor.config.sections import ChallengerKind
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task, better_by
from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import Answers, answers, classes_of, word
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.columns import Features, Floats, Ints, features_of

FEWEST_ROWS = 200          # labelled rows to fit on, or ten per feature if that is more
FEWEST_SCORED = 30         # labelled rows of the window
MOST_CLASSES = 50          # one tree per class and round: with more a fit takes too long
TREES = 100                # of a forest …
TREE_ROWS = 10_000         # … each fitted on so many rows at the most, drawn with replacement
LEAF_ROWS = 5
STEPS = 200                # of a logistic regression
_LOSSES = {"mae": "absolute_error"}


@dataclass(frozen=True, slots=True)
class Challenger:
    """A fitted model with what it needs to read rows; without a model, `reason` says why."""

    model: Any = None
    classes: tuple[str, ...] = ()
    features: Features = field(default_factory=Features)
    rows: int = 0
    reason: str | None = None


def fit(
    past: pa.Table, roles: Roles, task: Task, metric: str, max_rows: int, kind: ChallengerKind = "gradient_boosting"
) -> Challenger:
    """Fit a challenger of the kind (fixed seed) on the newest `max_rows` labelled rows of `past`.

    `past` holds only labels that were known before the window to be scored began. If it is too little
    to fit on, the Challenger has no model and a reason.
    """
    try:
        return _fit(past, roles, task, metric, max_rows, kind)
    except CannotJudge as error:
        return Challenger(reason=str(error))


def gains(
    challenger: Challenger | None,
    earlier: Challenger | None,
    window: pa.Table,
    roles: Roles,
    task: Task,
    metric: str,
    provisional: bool = False,
) -> list[Score]:
    """Score the challenger against the model in service, and against an earlier challenger, on the same rows.

    `challenger_gain`: how much better it is than the model in service, in the metric's unit, positive where
    retraining would have helped. `challenger_placebo`: how much better it is than the previous window's challenger.
    """
    absent = Challenger(reason="there is no challenger of the previous window yet")
    current = challenger or Challenger(reason="there is no challenger")
    against = {"challenger_gain": None, "challenger_placebo": earlier or absent}
    return [
        _gain(name, current, other, window, roles, task, metric, provisional) for name, other in against.items()
    ]


def gap(of_age: Challenger, window: pa.Table, roles: Roles, task: Task, metric: str) -> Score:
    """Score a challenger as old as the model in service against it: `challenger_gap`.

    Both know the same past and age alike, so the difference is due to the kind of model and not to a retrain.
    """
    return _gain("challenger_gap", of_age, None, window, roles, task, metric, provisional=False)


def rehearse(
    past: pa.Table,
    earlier_past: pa.Table | None,
    window: pa.Table,
    roles: Roles,
    task: Task,
    metric: str,
    max_rows: int,
    kind: ChallengerKind = "gradient_boosting",
) -> list[Score]:
    """Fit on `past` and on `earlier_past`, and return the gains on the window."""
    earlier = None if earlier_past is None else fit(earlier_past, roles, task, metric, max_rows, kind)
    return gains(fit(past, roles, task, metric, max_rows, kind), earlier, window, roles, task, metric)


def _fit(
    past: pa.Table, roles: Roles, task: Task, metric: str, max_rows: int, kind: ChallengerKind
) -> Challenger:
    if roles.label is None or roles.label not in past.column_names:
        raise CannotJudge("there are no labels to fit on")
    rows = _newest_labelled(past, roles.label, roles.timestamp, max_rows)
    features = features_of(rows, roles)
    if not features.names:
        raise CannotJudge("there are no features to fit on")
    wanted = max(FEWEST_ROWS, 10 * len(features.names))
    if rows.num_rows < wanted:
        raise CannotJudge(f"{rows.num_rows} labelled rows before the window, a challenger needs {wanted}")
    classes, truth = _labels(rows[roles.label], task)
    model = learn(kind, task, metric, features.categorical, features.matrix(rows), truth)
    return Challenger(model, classes, features, rows.num_rows)


def _newest_labelled(past: pa.Table, label: str, timestamp: str, max_rows: int) -> pa.Table:
    known = past.filter(columns.is_present(past[label]))
    if known.num_rows <= max_rows:
        return known
    return known.take(pc.sort_indices(known, sort_keys=[(timestamp, "ascending")])[-max_rows:])


def _labels(label: pa.ChunkedArray, task: Task) -> tuple[tuple[str, ...], Floats | Ints]:
    if task == "regression":
        return (), columns.numeric(columns.counted(label))
    totals = columns.counts(label)
    classes = tuple(sorted({word(key) for key in totals}))
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise CannotJudge(f"{len(classes)} classes of labels before the window, expected 2 to {MOST_CLASSES}")
    return classes, columns.codes(label, {key: classes.index(word(key)) for key in totals})


def _gain(
    name: str,
    challenger: Challenger,
    other: Challenger | None,
    window: pa.Table,
    roles: Roles,
    task: Task,
    metric: str,
    provisional: bool,
) -> Score:
    score = Score(metric=name, method=metric, provisional=provisional)
    try:
        value, rows = _compared(challenger, other, window, roles, task, metric)
    except CannotJudge as error:
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason=str(error))
    return replace(score, value=value, n=rows)


def _compared(
    challenger: Challenger, other: Challenger | None, window: pa.Table, roles: Roles, task: Task, metric: str
) -> tuple[float, int]:
    """Return how much better the challenger is than `other` (None: the model in service), and the number of rows."""
    served = _served(window, roles, task, metric, challenger)
    ours = value_of(metric, _challenger_answers(challenger, window, served))
    theirs = value_of(metric, served if other is None else _challenger_answers(other, window, served))
    return better_by(metric, ours, theirs), len(served)


def _served(window: pa.Table, roles: Roles, task: Task, metric: str, fitted: Challenger) -> Answers:
    """Return the predictions of the model in service on the labelled rows. Raises CannotJudge if there are too few."""
    if fitted.model is None:
        raise CannotJudge(fitted.reason or "there is no challenger")
    return _rows(window, roles, task, metric, fitted.classes)


def _rows(window: pa.Table, roles: Roles, task: Task, metric: str, also: tuple[str, ...]) -> Answers:
    classes = classes_of([window], roles, task, also)
    served = usable(metric, answers(window, roles, task, classes))
    if len(served) < FEWEST_SCORED:
        raise CannotJudge(f"the window has {len(served)} labelled rows, a rehearsal needs {FEWEST_SCORED}")
    return served


def _challenger_answers(fitted: Challenger, window: pa.Table, served: Answers) -> Answers:
    """Return the challenger's answers on the rows that the model in service predicted."""
    if fitted.model is None:
        raise CannotJudge(fitted.reason or "there is no challenger")
    return _answered(fitted, served, _predicted(fitted, window.take(served.at)))


def _predicted(fitted: Challenger, rows: pa.Table) -> Floats:
    """Return predicted quantities, or probabilities of shape rows × the challenger's classes."""
    matrix = fitted.features.matrix(rows)
    return np.asarray(fitted.model.predict(matrix) if not fitted.classes else fitted.model.predict_proba(matrix))


def _answered(fitted: Challenger, served: Answers, predicted: Floats) -> Answers:
    if served.task == "regression":
        return replace(served, predicted=predicted)
    places = np.array([served.classes.index(name) for name in fitted.classes])
    classes = places[predicted.argmax(axis=1)]
    probability = predicted[:, places == 1].sum(axis=1) if served.task == "binary" else None
    chances = None if served.chances is None else np.zeros_like(served.chances)
    if chances is not None:
        chances[:, places] = predicted
    return replace(served, predicted=classes, probability=probability, chances=chances)


def on_windows(
    challenger: Challenger | None, windows: Sequence[pa.Table], roles: Roles, task: Task, metric: str,
    metrics: Sequence[str],
) -> list[dict[str, float]]:
    """Score a challenger (None: the model in service) on the labelled rows of each window, as metric by name.

    Metrics that are not defined are absent. Rows are those on which the primary `metric` is defined; without any the
    dict is empty. All windows are predicted at once, because a thousand rows take about as long as a hundred.
    """
    served: dict[int, Answers] = {}
    for at, window in enumerate(windows):
        with suppress(CannotJudge):
            served[at] = _rows(window, roles, task, metric, challenger.classes if challenger else ())
    judged = served if challenger is None else _answers_on_all(challenger, windows, served)
    return [_values(judged[at], (metric, *metrics)) if at in judged else {} for at in range(len(windows))]


def _answers_on_all(fitted: Challenger, windows: Sequence[pa.Table], served: dict[int, Answers]) -> dict[int, Answers]:
    if fitted.model is None or not served:
        return {}
    names = [name for name in fitted.features.names if name in windows[0].column_names]
    rows = pa.concat_tables([windows[at].select(names).take(answer.at) for at, answer in served.items()])
    predicted = _predicted(fitted, rows)
    ends = np.cumsum([len(answer) for answer in served.values()])
    parts = np.split(predicted, ends[:-1])
    return {at: _answered(fitted, answer, part) for (at, answer), part in zip(served.items(), parts, strict=True)}


def _values(judged: Answers, metrics: Sequence[str]) -> dict[str, float]:
    values = {}
    for name in metrics:
        with suppress(CannotJudge):
            values[name] = value_of(name, judged)
    return values


def learn(
    kind: ChallengerKind, task: Task, metric: str, categorical: list[bool], matrix: Floats, truth: Floats | Ints
) -> Any:
    """Fit a model of the kind for the task, with `predict`, and `predict_proba` if labels are classes."""
    model = _KINDS[kind](task, metric, categorical, len(matrix))
    with warnings.catch_warnings():      # linear: a model converged to three digits is good enough
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        return model.fit(matrix, truth)


def _gradient_boosting(task: Task, metric: str, categorical: list[bool], rows: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {
        "random_state": 0, "early_stopping": False, "categorical_features": categorical,
    }
    if task == "regression":
        return HistGradientBoostingRegressor(loss=_LOSSES.get(metric, "squared_error"), **options)
    return HistGradientBoostingClassifier(**options)


def _linear(task: Task, metric: str, categorical: list[bool], rows: int) -> Any:
    """Ridge or logistic regression: numbers are scaled, missing ones are the median; each category is a column."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    read = ColumnTransformer([
        ("numbers", numbers, np.flatnonzero(~np.array(categorical))),
        ("words", OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(categorical)),
    ])
    return make_pipeline(read, Ridge(random_state=0) if task == "regression" else LogisticRegression(max_iter=STEPS))


def _forest(task: Task, metric: str, categorical: list[bool], rows: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    options = {
        "n_estimators": TREES, "min_samples_leaf": LEAF_ROWS, "max_samples": min(rows, TREE_ROWS), "random_state": 0,
    }
    if task == "regression":
        return RandomForestRegressor(max_features=1 / 3, **options)
    return RandomForestClassifier(**options)


_KINDS: dict[ChallengerKind, Callable[[Task, str, list[bool], int], Any]] = {
    "gradient_boosting": _gradient_boosting,
    "linear": _linear,
    "forest": _forest,
}
