"""The rehearsal: when a fresh model would have done better, and when nobody can say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.challenger import window_rehearsal
from monitor.challenger.rehearsal import fit, gains, gap, learn, rehearse
from monitor.challenger.window_rehearsal import nearest_kind
from monitor.config.column_roles import Roles
from monitor.records import Score

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS: Any = {"x": "numerical", "word": "categorical", "t": "text"}
ROLES = Roles("timestamp", None, "prediction", None, "label", None, None, KINDS)


def table(rows: int, slope: float = 2.0, seed: int = 0, start: int = 0) -> pa.Table:
    """Labels follow x by `slope`, and the word; the model in service says 2·x and knows no words."""
    generator = np.random.default_rng(seed)
    x, word = generator.normal(size=rows), generator.choice(["a", "b"], rows)
    label = slope * x + (word == "a") + generator.normal(0, 0.3, rows)
    times = [START + timedelta(minutes=start + i) for i in range(rows)]
    features = {"timestamp": times, "x": x, "word": word, "t": word}
    return pa.table({**features, "prediction": 2 * x + 0.5, "label": label})


def classes(rows: int, flip: bool, seed: int = 0) -> pa.Table:
    """Labels are yes where x is positive, or negative where flipped; the model in service knows the first."""
    found = table(rows, seed=seed)
    x = found["x"].to_numpy()
    label = np.where((x < 0) if flip else (x > 0), "yes", "no")
    found = found.set_column(5, "label", pa.array(label.tolist()))
    found = found.set_column(4, "prediction", pa.array((x > 0).astype(int)))
    return found.append_column("chance", pa.array(1 / (1 + np.exp(-x))))


def by_metric(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def test_a_changed_world_makes_retraining_pay() -> None:
    """When labels follow another rule than the model in service, the challenger gains in its unit."""
    rest: Any = (ROLES, "regression", "rmse", 5000)
    changed = by_metric(rehearse(table(3000, -2), table(2500, -2), table(500, -2, 1), *rest))
    same = by_metric(rehearse(table(3000), None, table(500, seed=1), *rest))
    assert changed["challenger_gain"].value == pytest.approx(4 - 0.35, abs=0.4)
    assert (changed["challenger_gain"].n, changed["challenger_gain"].method) == (500, "rmse")
    assert abs(changed["challenger_placebo"].value or 9) < 0.1
    assert 0 < (same["challenger_gain"].value or 9) < 0.4      # it only learns the word


def test_classifiers_are_compared_by_probability_or_class() -> None:
    """For a flipped rule the challenger is right where the model in service is wrong, by any metric."""
    roles = Roles("timestamp", None, "prediction", "chance", "label", None, None, {"x": "numerical"})
    for metric, gain in (("roc_auc", 1.0), ("accuracy", 1.0), ("balanced_accuracy", 1.0)):
        found = rehearse(classes(1000, True), None, classes(300, True, 1), roles, "binary", metric, 5000)
        assert by_metric(found)["challenger_gain"].value == pytest.approx(gain, abs=0.05)


def test_several_classes_are_rehearsed_too() -> None:
    """A multiclass challenger knows the words of its labels."""
    def words(rows: int, seed: int) -> pa.Table:
        found = table(rows, seed=seed)
        label = np.array(["low", "mid", "top"])[np.digitize(found["x"].to_numpy(), [-0.5, 0.5])]
        found = found.set_column(5, "label", pa.array(label))
        return found.set_column(4, "prediction", pa.array(["mid"] * rows))

    found = rehearse(words(1500, 0), None, words(400, 1), ROLES, "multiclass", "accuracy", 5000)
    assert by_metric(found)["challenger_gain"].value == pytest.approx(0.6, abs=0.1)


def test_the_same_rows_give_the_same_challenger() -> None:
    """Fitting is a function of the rows: the seed is fixed."""
    scores = [rehearse(table(1000), None, table(300, 1), ROLES, "regression", "mae", 5000) for _ in range(2)]
    assert scores[0] == scores[1]


def test_only_the_newest_rows_are_fitted_on() -> None:
    """With max_rows the challenger knows the newest labelled rows and not the older world before them."""
    past = pa.concat_tables([table(1000, -2, start=2000), table(1000, 2, start=0)])
    challenger = fit(past, ROLES, "regression", "rmse", max_rows=1000)
    assert challenger.rows == 1000
    gain = gains(challenger, None, table(300, -2, 1), ROLES, "regression", "rmse")[0]
    assert (gain.value or 0) > 2


def test_labels_that_are_no_numbers_are_not_fitted_on() -> None:
    """NaN and infinite labels count as missing, as everywhere."""
    label = table(500)["label"].to_numpy().copy()
    label[:100], label[100:110] = np.nan, np.inf
    past = table(500).set_column(5, "label", pa.array(label))
    assert fit(past, ROLES, "regression", "rmse", 5000).rows == 390


def test_a_category_never_seen_and_a_lost_column_are_missing_values() -> None:
    """The window may bring new categories or lose a column: the challenger still answers."""
    challenger = fit(table(1000), ROLES, "regression", "rmse", 5000)
    window = table(300, seed=1)
    new = window.set_column(2, "word", pa.array(["new"] * 300))
    for changed in (new, window.drop_columns(["word"])):
        assert gains(challenger, None, changed, ROLES, "regression", "rmse")[0].status == "ok"


@pytest.mark.parametrize(
    ("past", "window", "task", "metric", "reason"),
    [
        (table(150), table(300), "regression", "rmse",
         "150 labelled rows before the window, a challenger needs 200"),
        (table(500), table(20), "regression", "rmse",
         "the window has 20 labelled rows, a rehearsal needs 30"),
        (table(500).set_column(5, "label", pa.array(["no"] * 500)), classes(300, False), "binary", "accuracy",
         "1 classes of labels before the window, expected 2 to 50"),
        (classes(500, False), classes(300, False), "binary", "roc_auc", "roc_auc needs a probability column"),
        (table(500).drop_columns(["label"]), table(300), "regression", "rmse",
         "there are no labels to fit on"),
        (table(500), table(300).drop_columns(["label"]), "regression", "rmse",
         "there is no label column label"),
    ],
)
def test_what_cannot_be_rehearsed_says_why(
    past: Any, window: Any, task: Any, metric: str, reason: str
) -> None:
    """Too few labels, one class, no probability: insufficient, with a sentence and no number."""
    score = rehearse(past, None, window, ROLES, task, metric, 5000)[0]
    assert (score.metric, score.status, score.value) == ("challenger_gain", "insufficient", None)
    assert score.reason == reason


def test_the_first_window_has_no_placebo() -> None:
    """Without a challenger of the window before there is a gain and no noise yet."""
    found = by_metric(rehearse(table(500), None, table(100, seed=1), ROLES, "regression", "rmse", 5000))
    assert found["challenger_gain"].status == "ok"
    assert found["challenger_placebo"].reason == "there is no challenger of the previous window yet"


def test_the_gap_in_kind_is_what_a_challenger_as_old_as_the_model_gains() -> None:
    """The model in service knows no words and never will: no retrain would bring what a challenger gains by them."""
    found = gap(fit(table(3000, seed=1), ROLES, "regression", "rmse", 5000), table(1000), ROLES, "regression", "rmse")
    offset = np.sqrt(0.3**2 + 0.5**2)                  # the model says 2·x + 0.5, the word adds 0 or 1
    assert found.value == pytest.approx(offset - 0.31, abs=0.05)
    assert (found.metric, found.method, found.n) == ("challenger_gap", "rmse", 1000)


def test_models_of_one_kind_and_age_have_no_gap() -> None:
    """Where the model in service is a challenger fitted on other rows of the same time, neither does better."""
    rows, (one, twin) = table(2000), (fit(table(2000, seed=seed), ROLES, "regression", "rmse", 5000) for seed in (1, 2))
    matrix = np.column_stack([rows["x"].to_numpy(), np.zeros(2000)])
    places = (one.features.places or {})["word"]
    matrix[:, one.features.names.index("word")] = [places[word] for word in rows["word"].to_pylist()]
    served = rows.set_column(rows.column_names.index("prediction"), "prediction", pa.array(one.model.predict(matrix)))
    assert abs(gap(twin, served, ROLES, "regression", "rmse").value or 9) < 0.02


def test_a_past_with_few_labels_has_no_gap_and_says_why() -> None:
    """The score is insufficient, with its reason."""
    found = gap(fit(table(150), ROLES, "regression", "rmse", 5000), table(500), ROLES, "regression", "rmse")
    assert (found.value, found.reason) == (None, "150 labelled rows before the window, a challenger needs 200")


@pytest.mark.parametrize("kind", ["linear", "forest"])
def test_the_challenger_may_be_of_another_kind(kind: Any) -> None:
    """It learns a changed rule, in numbers and in classes, with values missing and categories never seen."""
    holes = np.where(np.arange(300) % 50 == 0, np.nan, table(300, -2, 1)["x"].to_numpy())
    window = table(300, -2, 1).set_column(1, "x", pa.array(holes)).set_column(2, "word", pa.array(["new"] * 300))
    numbers = by_metric(rehearse(table(2000, -2), None, window, ROLES, "regression", "rmse", 5000, kind))
    assert (numbers["challenger_gain"].value or 0) > 1
    roles = Roles("timestamp", None, "prediction", "chance", "label", None, None, {"x": "numerical"})
    found = rehearse(classes(1000, True), None, classes(300, True, 1), roles, "binary", "roc_auc", 5000, kind)
    assert by_metric(found)["challenger_gain"].value == pytest.approx(1.0, abs=0.05)


def test_a_model_without_columns_to_learn_from_is_not_rehearsed() -> None:
    """Text alone is no feature."""
    roles = Roles("timestamp", None, "prediction", None, "label", None, None, {"t": "text"})
    score = rehearse(table(500), None, table(300), roles, "regression", "rmse", 5000)[0]
    assert (score.status, score.reason) == ("insufficient", "there are no features to fit on")


LINE, STEPS = (lambda x: 2 * x), (lambda x: 3.0 * (np.abs(x) > 1))


@pytest.mark.parametrize(("says", "rows", "kind"), [
    (LINE, 1000, "linear"), (STEPS, 1000, "gradient_boosting"), (LINE, 60, "gradient_boosting"),
])
@pytest.mark.parametrize("told", ["number", "chance", "score", "class"])
def test_the_challenger_is_of_the_kind_that_imitates_the_model(says: Any, rows: int, kind: str, told: str) -> None:
    """A line is imitated by a line, steps by trees, whatever form the predictions have and whatever the labels say."""
    x = table(rows)["x"].to_numpy()
    odds = says(x) - says(x).mean()
    predicted = {"number": says(x), "score": odds}.get(told, odds > 0 if told == "class" else 1 / (1 + np.exp(-odds)))
    labels = np.random.default_rng(0).integers(0, 2, rows)
    reference = pa.table({
        "timestamp": table(rows)["timestamp"], "x": x, "label": labels, "prediction": predicted,
        "class": pa.array((odds > 0).astype(int)),
    })
    kinds = {"x": "numerical"}
    roles = Roles("timestamp", None, "prediction", None, "label", None, None, kinds)
    if told != "number":
        scored, scale = None if told == "class" else "prediction", "score" if told == "score" else None
        roles = Roles("timestamp", None, "class", scored, "label", None, None, kinds, scale=scale)
    assert nearest_kind(reference, roles, "regression" if told == "number" else "binary") == kind


@pytest.mark.parametrize("odd", ["infinite", "many classes", "one class"])
def test_what_cannot_be_imitated_is_no_reason_to_fail(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction of infinity is left out; with more classes than a challenger is fitted on, none is."""
    x = table(1000)["x"].to_numpy()
    said: Any = np.where(np.arange(1000) == 5, np.inf, 2 * x)
    if odd != "infinite":
        said = (np.arange(1000) % 400 if odd == "many classes" else np.zeros(1000, int)).astype(str)
    reference = pa.table({"timestamp": table(1000)["timestamp"], "x": x, "label": said, "prediction": said})
    roles = Roles("timestamp", None, "prediction", None, "label", None, None, {"x": "numerical"})
    fits: list[str] = []
    monkeypatch.setattr(window_rehearsal, "learn", lambda kind, *rest: fits.append(kind) or learn(kind, *rest))
    kind = nearest_kind(reference, roles, "regression" if odd == "infinite" else "multiclass")
    assert (kind, len(fits)) == (("linear", 2) if odd == "infinite" else ("gradient_boosting", 0))
