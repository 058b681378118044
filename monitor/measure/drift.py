"""Drift of the features and of the predictions: one Score a column, and the share of drifted columns."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from monitor.config.model import ColumnDrift, DriftSection, Task
from monitor.config.roles import Roles
from monitor.errors import CannotJudge
from monitor.measure import columns, evidently, methods
from monitor.measure.answers import is_score
from monitor.measure.guess import guess_task
from monitor.measure.methods import METHODS, Kind, Values
from monitor.records import Score, ScoreStatus

_JUDGED = (ScoreStatus.OK, ScoreStatus.DRIFTED)
_HEAD = 100      # rows that usually show that a column has more than a few distinct values
_NAMED = 5      # columns named in a reason; more are counted


def drift_scores(
    reference: pa.Table,
    window: pa.Table,
    roles: Roles,
    section: DriftSection,
    min_rows: int,
    task: Task | None = None,
) -> list[Score]:
    """Compare the window's columns with the reference's: `drift`, `prediction_drift`, `drifted_share`.

    A column that cannot be judged is one Score with its reason. `task` (guessed where None) says whether
    predictions are numbers or classes.
    """

    def judged(metric: str, kinds: Mapping[str, str]) -> list[Score]:
        return [_judge(metric, *item, reference, window, section, min_rows) for item in kinds.items()]

    features = judged("drift", roles.features)
    predictions = judged("prediction_drift", _prediction_kinds(reference, roles, task))
    return [*features, *predictions, _share(features, section, window.num_rows)]


def column_drift(
    reference: pa.ChunkedArray, window: pa.ChunkedArray, kind: Kind, method: str = "auto"
) -> tuple[str, float]:
    """Return the method used and its number for one column. Raises CannotJudge, or what the method raises."""
    values = [_values(side, kind) for side in (reference, window)]
    for side, where in zip(values, ("reference", "window"), strict=True):
        if not len(side):
            raise CannotJudge(f"every value in the {where} is missing")
    before, now = _same_words(values[0], values[1])
    name = methods.choose(kind, _rows(before), _distinct(before, now)) if method == "auto" else method
    if name in methods.OWN:
        if kind == "numerical" and "numerical" not in METHODS[name].kinds:
            before, now = (methods.tallied(np.asarray(side)) for side in (before, now))
        return name, methods.OWN[name](before, now)
    rows = columns.present if kind == "numerical" else columns.categories
    return name, evidently.score(name, kind, rows(reference), rows(window))


def _judge(
    metric: str,
    name: str,
    kind: str,
    reference: pa.Table,
    window: pa.Table,
    section: DriftSection,
    min_rows: int,
) -> Score:
    score = Score(metric=metric, column=name, status=ScoreStatus.INSUFFICIENT, n=window.num_rows)
    if kind == "text":
        return replace(score, reason="text columns are not in this version")
    if window.num_rows < min_rows:
        return replace(score, reason=_too_few(window.num_rows, "rows", min_rows))
    absent = [where for where, table in _sides(reference, window) if name not in table.column_names]
    if absent:
        return replace(score, status=ScoreStatus.FAILED, reason=f"the {absent[0]} has no column {name}")
    score = replace(score, n=window.num_rows - columns.missing(window[name]))
    if score.n is not None and 0 < score.n < min_rows:
        return replace(score, reason=_too_few(score.n, "values", min_rows))
    measured: Kind = "numerical" if kind == "numerical" else "categorical"
    return _measure(score, reference[name], window[name], measured, section)


def _measure(
    score: Score, reference: pa.ChunkedArray, window: pa.ChunkedArray, kind: Kind, section: DriftSection
) -> Score:
    method, limit, note = _wanted(str(score.column), kind, section)
    failed = replace(score, method=None if method == "auto" else method, status=ScoreStatus.FAILED)
    if (wrong := _misuse(method, kind, score.column)) is not None:
        return replace(failed, reason=wrong)
    try:
        method, value = column_drift(reference, window, kind, method)
    except CannotJudge as error:
        return replace(failed, reason=str(error))
    except Exception as error:  # noqa: BLE001  a method may raise anything; one column must not cost the others
        return replace(failed, reason=f"{method} failed: {error}")
    threshold = METHODS[method].threshold if limit is None else limit
    status = ScoreStatus.DRIFTED if METHODS[method].drifted(value, threshold) else ScoreStatus.OK
    return replace(score, method=method, value=value, threshold=threshold, status=status, reason=note)


def _misuse(method: str, kind: Kind, name: str | None) -> str | None:
    if method == "auto":
        return None
    if method not in METHODS:
        return f'there is no drift method "{method}", expected auto or {", ".join(METHODS)}'
    return None if kind in METHODS[method].kinds else f"{method} is not for {kind} columns, and {name} is one"


def _wanted(name: str, kind: Kind, section: DriftSection) -> tuple[str, float | None, str | None]:
    """Return method, threshold (None: Evidently's) and a remark: what is said for the column, else for all.

    A method for all that cannot be used on this kind of column gives way to Evidently's choice there.
    """
    own = section.columns.get(name, ColumnDrift())
    limit = section.threshold if own.threshold is None else own.threshold
    if own.method is not None or section.method not in METHODS or kind in METHODS[section.method].kinds:
        return own.method or section.method, _number(limit), None
    return "auto", _number(own.threshold), f"{section.method} is not for {kind} columns: chosen as by auto"


def _number(limit: float | str | None) -> float | None:
    return limit if isinstance(limit, float) else None


def _share(features: list[Score], section: DriftSection, rows: int) -> Score:
    judged = [score for score in features if score.status in _JUDGED]
    score = Score(metric="drifted_share", threshold=section.share, n=rows)
    if not judged:
        reason = features[0].reason if features else "there are no feature columns"
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason=f"no column could be judged: {reason}")
    drifted = [str(score.column) for score in judged if score.status == ScoreStatus.DRIFTED]
    value = len(drifted) / len(judged)
    status = ScoreStatus.DRIFTED if value >= section.share else ScoreStatus.OK
    names = f": {', '.join(drifted[:_NAMED])}{', …' if len(drifted) > _NAMED else ''}" if drifted else ""
    left = f"; {len(features) - len(judged)} could not be judged" if len(judged) < len(features) else ""
    reason = f"{len(drifted)} of {len(judged)} columns drifted{names}{left}"
    return replace(score, value=value, status=status, reason=reason)


def _prediction_kinds(reference: pa.Table, roles: Roles, task: Task | None) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {roles.prediction: "categorical"}
    if roles.probability is not None:
        kinds[roles.probability] = "numerical"
    said = reference[roles.prediction] if roles.prediction in reference.column_names else None
    if (task or _task(reference, roles)) == "regression" or (said is not None and is_score(said)):
        kinds[roles.prediction] = "numerical"
    return kinds


def _task(reference: pa.Table, roles: Roles) -> Task | None:
    held = [name for name in (roles.label, roles.prediction) if name in reference.column_names]
    try:
        return guess_task(reference[held[0]], reference[held[-1]]) if held else None
    except CannotJudge:
        return None


def _values(column: pa.ChunkedArray, kind: Kind) -> Values:
    return columns.present(column) if kind == "numerical" else columns.counts(column)


def _same_words(reference: Values, window: Values) -> tuple[Values, Values]:
    """Write numbers as text where the other side's categories are text: 1 and "1" are one category."""
    if isinstance(reference, dict) and isinstance(window, dict):
        texts = [any(isinstance(key, str) for key in side) for side in (reference, window)]
        if texts[0] != texts[1]:
            return {str(k): v for k, v in reference.items()}, {str(k): v for k, v in window.items()}
    return reference, window


def _distinct(reference: Values, window: Values) -> int:
    """Return how many values both together have; for numbers no more exactly than the choice needs."""
    if isinstance(reference, dict) and isinstance(window, dict):
        return len(reference.keys() | window.keys())
    sides = [np.asarray(side) for side in (reference, window)]
    few = len(np.unique(np.concatenate([side[:_HEAD] for side in sides])))
    return few if few > _HEAD // 10 else len(np.unique(np.concatenate(sides)))


def _rows(values: Values) -> int:
    return sum(values.values()) if isinstance(values, dict) else len(values)


def _sides(reference: pa.Table, window: pa.Table) -> list[tuple[str, pa.Table]]:
    return [("reference", reference), ("window", window)]


def _too_few(found: int, what: str, wanted: int) -> str:
    return f"the window has {found} {what}, fewer than the {wanted} asked for"
