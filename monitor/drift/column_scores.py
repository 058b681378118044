"""Every watched column of a window, one after another: its quality and its drift from the same digest.

Of drift there is one Score a column, of features and of predictions, and the share of drifted columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import FeatureKind, Roles
from monitor.config.drift_methods import METHODS
from monitor.config.sections import ColumnDrift, DriftSection, QualitySection
from monitor.drift.count_tests import jensenshannon_of_counts, same_words
from monitor.drift.methods import UNCALIBRATED, Calibration, choose, work_out
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task, place
from monitor.performance.labelled_rows import guess_task, holds_scores
from monitor.private import quoted
from monitor.quality.column_checks import missing_score, outside_score
from monitor.records import Score, ScoreStatus
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest, digest_of

Threshold = float | Literal["calibrated", "evidently"]
_JUDGED = (ScoreStatus.OK, ScoreStatus.DRIFTED)
_NAMED = 5      # columns named in a reason; more are counted


class Side(Protocol):
    """Rows as digests of columns; each watched column is requested once, in order."""

    @property
    def rows(self) -> int: ...

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        """Return the digest of a column; None if there is none."""


class TableSide:
    """A side whose rows are in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._columns = dict(zip(table.column_names, table.columns, strict=True))   # a table looks names up slowly
        self.rows: int = table.num_rows

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        values = self._columns.get(name)
        return None if values is None else digest_of(values.chunks, self.rows, kind)


def column_scores(
    reference: Side,
    window: Side,
    features: Mapping[str, FeatureKind],
    predictions: Mapping[str, FeatureKind],
    drift: DriftSection,
    quality: QualitySection,
    min_rows: int,
    calibration: Calibration = UNCALIBRATED,
    texts: Sequence[Score] = (),
) -> list[Score]:
    """Score missing and unusual values and the drift of each feature, missing values and drift of predictions,
    and the share of drifted features.

    `texts`: Scores of the text columns, which have no digests.
    """
    found = [*_features(reference, window, features, drift, quality, min_rows, calibration), *texts]
    for name, kind in predictions.items():
        before, now = reference.column(name, kind), window.column(name, kind)
        missing = missing_score(name, before, now, window.rows, quality)
        if before is not None or now is not None:
            found.append(missing)
        outside = outside_score(name, kind, before, now, window.rows)
        drifted = drift_score("prediction_drift", name, kind, before, now, window.rows, drift, min_rows, calibration)
        found.append(with_missing_and_new(drifted, missing, outside, calibration))
    features_drift = [score for score in found if score.metric == "drift"]
    found.append(drifted_share(features_drift, drift, window.rows, calibration))
    return sorted(found, key=lambda score: place(score.metric))


def _features(
    reference: Side, window: Side, features: Mapping[str, FeatureKind], drift: DriftSection, quality: QualitySection,
    min_rows: int, calibration: Calibration,
) -> Iterator[Score]:
    for name, kind in features.items():
        before, now = reference.column(name, kind), window.column(name, kind)
        missing = missing_score(name, before, now, window.rows, quality)
        if before is not None or now is not None:
            yield missing
        if kind != "text":
            yield (outside := outside_score(name, kind, before, now, window.rows))
            found = drift_score("drift", name, kind, before, now, window.rows, drift, min_rows, calibration)
            yield with_missing_and_new(found, missing, outside, calibration)


def drift_score(
    metric: str, name: str, kind: FeatureKind, reference: Digest | None, window: Digest | None, rows: int,
    section: DriftSection, min_rows: int, calibration: Calibration,
) -> Score:
    """Compare one column of a window of `rows` rows with the reference's; None for a side without the column.

    A column that cannot be judged is one Score with its reason.
    """
    score = Score(metric=metric, column=name, status=ScoreStatus.INSUFFICIENT, n=rows)
    if rows < min_rows:
        return replace(score, reason=_too_few(rows, "rows", min_rows))
    for where, side in (("reference", reference), ("window", window)):
        if side is None:
            return replace(score, status=ScoreStatus.FAILED, reason=f"the {where} has no column {name}")
    assert reference is not None
    assert window is not None
    return _measure(score, reference, window, kind, section, min_rows, calibration)


def with_missing_and_new(score: Score, missing: Score, outside: Score, calibration: Calibration) -> Score:
    """Return a column's drift, which is also where calibrated limits of missing values or new categories are passed.

    `missing` and `outside` are the column's scores of the same window. The reason says which of them it is.
    """
    name = str(score.column)
    if score.status not in _JUDGED or score.uncalibrated or name not in calibration.missing:
        return score
    reasons = []
    if missing.value is not None and missing.reference not in (None, missing.value):
        before, now = (np.array([share, 1 - share]) for share in (missing.reference, missing.value))
        if jensenshannon_of_counts(before, now) >= calibration.missing[name].at(missing.n or 0):
            reasons.append(f"{missing.value:.1%} is missing, {missing.reference:.1%} in the reference")
    novelty, rows = calibration.new.get(name), outside.n or 0
    if novelty and outside.value and novelty.beyond(round(outside.value * rows), rows):
        reasons.append(f"{outside.value:.1%} is in categories that the reference never had")
    if not reasons:
        return score
    return replace(score, status=ScoreStatus.DRIFTED, reason="; ".join(filter(None, (score.reason, *reasons))))


def drifted_share(features: Sequence[Score], section: DriftSection, rows: int, calibration: Calibration) -> Score:
    """Return the share of drifted columns among those of `features` that could be judged.

    One column beyond its calibrated threshold is enough for drift, because calibrated thresholds hold the false-alarm
    rate over all columns together. With other thresholds the configured share is needed.
    """
    judged = [score for score in features if score.status in _JUDGED]
    score = Score(metric="drifted_share", threshold=section.share, n=rows)
    if not judged:
        reason = features[0].reason if features else "there are no feature columns"
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason=f"no column could be judged: {reason}")
    drifting = [score for score in judged if score.status == ScoreStatus.DRIFTED]
    calibrated = [score for score in judged if score.column in calibration.limits and not score.uncalibrated]
    beyond = any(score.status == ScoreStatus.DRIFTED for score in calibrated)
    drifted, value = [str(score.column) for score in drifting], len(drifting) / len(judged)
    threshold = 1 / len(judged) if beyond or (calibrated and not drifting) else section.share
    status = ScoreStatus.DRIFTED if value >= threshold else ScoreStatus.OK
    uncalibrated = not beyond and any(score.uncalibrated for score in drifting or judged)
    names = f": {', '.join(drifted[:_NAMED])}{', …' if len(drifted) > _NAMED else ''}" if drifted else ""
    left = f"; {len(features) - len(judged)} could not be judged" if len(judged) < len(features) else ""
    remark = "; one is enough, the thresholds are calibrated together" if beyond else ""
    remark = "; uncalibrated" if uncalibrated else remark
    reason = f"{len(drifted)} of {len(judged)} columns drifted{names}{left}{remark}"
    return replace(
        score, value=value, threshold=threshold, status=status, uncalibrated=uncalibrated, reason=reason
    )


def column_drift(
    reference: pa.ChunkedArray, window: pa.ChunkedArray, kind: FeatureKind, method: str = "auto"
) -> tuple[str, float]:
    """Return the method used and its number for one column. Raises CannotJudge, or what the method raises."""
    before, now = (digest_of(side.chunks, len(side), kind) for side in (reference, window))
    return _number_of(before, now, kind, method)


def prediction_kinds(reference: pa.Table, roles: Roles, task: Task | None) -> dict[str, FeatureKind]:
    """Return the kind of the prediction and probability columns; a task of None is guessed from the reference."""
    kinds: dict[str, FeatureKind] = {roles.prediction: "categorical"}
    if roles.probability is not None:
        kinds[roles.probability] = "numerical"
    predictions = reference[roles.prediction] if roles.prediction in reference.column_names else None
    found = task or _task(reference, roles)
    scored = found != "multiclass" and predictions is not None and holds_scores(predictions, roles)
    if found == "regression" or scored:
        kinds[roles.prediction] = "numerical"
    return kinds


def _measure(
    score: Score, reference: Digest, window: Digest, kind: FeatureKind, section: DriftSection, min_rows: int,
    calibration: Calibration,
) -> Score:
    method, limit, note = wanted(str(score.column), kind, section)
    failed = replace(score, method=None if method == "auto" else method, status=ScoreStatus.FAILED)
    try:
        if 0 < window.n < min_rows:
            return replace(score, n=window.n, reason=_too_few(window.n, "values", min_rows))
        if (wrong := _misuse(method, kind, score.column)) is not None:
            return replace(failed, n=window.n, reason=wrong)
        method, value = _number_of(reference, window, kind, method)
    except CannotJudge as error:
        return replace(failed, reason=str(error))
    except Exception as error:  # noqa: BLE001  a method may raise anything; one column must not cost the others
        return replace(failed, n=window.n, reason=f"{method} failed: {quoted(str(error))}")
    return held_against(replace(score, method=method, value=value, n=window.n, reason=note), limit, calibration)


def held_against(score: Score, limit: Threshold, calibration: Calibration) -> Score:
    """Return a score, which has its method and value, with threshold and status."""
    score = _limited(score, limit, calibration)
    assert score.value is not None
    assert score.threshold is not None
    beyond = METHODS[str(score.method)].drifted(score.value, score.threshold)
    return replace(score, status=ScoreStatus.DRIFTED if beyond else ScoreStatus.OK)


def _limited(score: Score, limit: Threshold, calibration: Calibration) -> Score:
    """Return the score with its threshold; without a calibrated one, Evidently's, and the reason says so."""
    if isinstance(limit, float):
        return replace(score, threshold=limit)
    found, usual = calibration.limits.get(str(score.column)), METHODS[str(score.method)].threshold
    if limit == "evidently":
        return replace(score, threshold=usual)
    if found is not None and found.method == score.method and score.n:
        return replace(score, threshold=found.at(score.n))
    other = f"the reference was judged by {found.method}" if found else "the reference was not divided"
    why = calibration.lack.get(str(score.column), other)
    words = "; ".join(filter(None, (score.reason, f"uncalibrated: {why}")))
    return replace(score, threshold=usual, uncalibrated=True, reason=words)


def _number_of(reference: Digest, window: Digest, kind: FeatureKind, method: str) -> tuple[str, float]:
    for side, where in ((reference, "reference"), (window, "window")):
        if not side.n:
            raise CannotJudge(f"every value in the {where} is missing")
    name = chosen(reference, window, kind) if method == "auto" else method
    return name, work_out(name, reference, window)


def chosen(reference: Digest, window: Digest, kind: FeatureKind) -> str:
    """Return Evidently's choice of method by the reference's rows and the distinct values of both."""
    if isinstance(reference, NumberDigest) and isinstance(window, NumberDigest):
        few = reference.few if reference.few is None else window.few
        distinct = len({*(reference.few or ()), *(few or ())}) if few is not None else reference.n + window.n
        return choose(kind, reference.n, distinct)
    assert isinstance(reference, CategoryDigest)
    assert isinstance(window, CategoryDigest)
    before, now = same_words(reference.counts, window.counts)
    return choose(kind, reference.n, len(before.keys() | now.keys()))


def _misuse(method: str, kind: FeatureKind, name: str | None) -> str | None:
    if method == "auto":
        return None
    if method not in METHODS:
        return f'there is no drift method "{method}", expected auto or {", ".join(METHODS)}'
    return None if kind in METHODS[method].kinds else f"{method} is not for {kind} columns, and {name} is one"


def wanted(name: str, kind: FeatureKind, section: DriftSection) -> tuple[str, Threshold, str | None]:
    """Return the configured method, threshold and a remark: the column's own, else those for all columns.

    A method for all columns that cannot be used on this kind of column is replaced by Evidently's choice.
    """
    own = section.columns.get(name, ColumnDrift())
    limit = section.threshold if own.threshold is None else own.threshold
    if own.method is not None or section.method not in METHODS or kind in METHODS[section.method].kinds:
        return own.method or section.method, limit, None
    if own.threshold is None and isinstance(limit, float):     # the number is a threshold of another method
        limit = "evidently"
    return "auto", limit, f"{section.method} is not for {kind} columns: chosen as by auto"


def _task(reference: pa.Table, roles: Roles) -> Task | None:
    held = [name for name in (roles.label, roles.prediction) if name in reference.column_names]
    try:
        return guess_task(reference[held[0]], reference[held[-1]]) if held else None
    except CannotJudge:
        return None


def _too_few(found: int, what: str, wanted: int) -> str:
    return f"the window has {found} {what}, fewer than the {wanted} required"
