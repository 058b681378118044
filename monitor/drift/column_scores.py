"""Every watched column of a window, one after another: its quality and its drift from the same digest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from monitor.config.column_roles import FeatureKind
from monitor.config.sections import DriftSection, QualitySection
from monitor.drift.methods import UNCALIBRATED, Calibration
from monitor.drift.scores import drift_score, drifted_share
from monitor.metric_catalogue import place
from monitor.quality.column_checks import missing_score, outside_score
from monitor.records import Score
from monitor.tables.digest import Digest, digest_of


class Side(Protocol):
    """Rows as digests of columns; each column is asked for once, in the order of the watched ones."""

    @property
    def rows(self) -> int: ...

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        """Return the digest of a column, None where there is none."""


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

    `texts`: Scores of the text columns, which are read as they are and not as digests.
    """
    found = [*_features(reference, window, features, drift, quality, min_rows, calibration), *texts]
    for name, kind in predictions.items():
        before, now = reference.column(name, kind), window.column(name, kind)
        if before is not None or now is not None:
            found.append(missing_score(name, before, now, window.rows, quality))
        found.append(
            drift_score("prediction_drift", name, kind, before, now, window.rows, drift, min_rows, calibration)
        )
    features_drift = [score for score in found if score.metric == "drift"]
    found.append(drifted_share(features_drift, drift, window.rows, calibration))
    return sorted(found, key=lambda score: place(score.metric))


def _features(
    reference: Side, window: Side, features: Mapping[str, FeatureKind], drift: DriftSection, quality: QualitySection,
    min_rows: int, calibration: Calibration,
) -> Iterator[Score]:
    for name, kind in features.items():
        before, now = reference.column(name, kind), window.column(name, kind)
        if before is not None or now is not None:
            yield missing_score(name, before, now, window.rows, quality)
        if kind != "text":
            yield outside_score(name, kind, before, now, window.rows)
            yield drift_score("drift", name, kind, before, now, window.rows, drift, min_rows, calibration)
