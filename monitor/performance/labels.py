"""When labels come, by the Kaplan–Meier estimator of the reference's delays, and whether known ones have changed.

A row without a label yet says only that its delay is longer than it is old: it is censored. Rows that never get a
label keep the curve from ever reaching 1; it ends in a plateau, the share of rows that get one at all (the "cured"
rest, after Maller and Zhou 1992), and a row counts as mature at the age by which nearly all of that share was known.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import Roles
from monitor.records import Counted
from monitor.tables import columns
from monitor.tables.columns import Floats, Numbers

NEARLY_ALL = 0.99    # of the labels that ever come
CORRECTED = "corrected: labels that were known before are others now"     # why a window is measured once more
Words = npt.NDArray[np.uint64]
_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)     # multipliers of splitmix64
_SHIFT = np.uint64(31)


@dataclass(frozen=True, slots=True, eq=False)
class Delays:
    """One entry a row: how long its label took, or how old the row was when last looked at; in seconds.

    Both are NaN for a row that has a label, but not the moment at which it came.
    """

    ages: Floats
    labelled: Numbers

    def __len__(self) -> int:
        return len(self.ages)


def delays_of(table: pa.Table, roles: Roles, known_until: datetime | None = None) -> Delays | None:
    """Read the delays; None where no label_timestamp is kept.

    `known_until` is when the labels were last looked at; None: at the newest moment in the table.
    """
    label, when = roles.label, roles.label_timestamp
    if label is None or when is None or not {label, when} <= set(table.column_names):
        return None
    asked, told = seconds(table[roles.timestamp]), seconds(table[when])
    labelled: Numbers = columns.is_present(table[label]).to_numpy()
    newest = np.nanmax(np.concatenate([asked, told]), initial=-np.inf)
    end = newest if known_until is None else known_until.timestamp()
    return Delays(np.maximum(0.0, np.where(labelled, told, end) - asked), labelled)


def kaplan_meier(delays: Delays) -> tuple[Floats, Floats]:
    """Return the distinct label delays, ascending, and the estimated share of rows labelled by each (Kaplan and Meier
    1958). A row censored at the very age at which another gets its label counts as at risk then."""
    known = ~np.isnan(delays.ages)
    ages, labelled = delays.ages[known], delays.labelled[known]
    at, events = np.unique(ages[labelled], return_counts=True)
    at_risk = len(ages) - np.searchsorted(np.sort(ages), at, side="left")
    left = np.cumprod(1 - events / at_risk)
    return at, np.asarray(1 - left, dtype=np.float64)


def maturity_age(delays: Delays) -> float | None:
    """Return the smallest age, in seconds, at which 99 % of the labels that ever come are known; None without any."""
    at, share = kaplan_meier(delays)
    if not len(at):
        return None
    return float(at[np.searchsorted(share, NEARLY_ALL * share[-1] - 1e-12)])


def known_at(delays: Delays, ages: Floats) -> Floats:
    """Return for each row how often its label would be known on rows as old as `ages`: 0 for those without."""
    ordered = np.sort(ages)
    older = 1 - np.searchsorted(ordered, delays.ages, side="left") / len(ordered)
    return np.where(delays.labelled & ~np.isnan(delays.ages), older, 0.0)


def ages_at(table: pa.Table, timestamp: str, moment: datetime) -> Floats:
    """Return how old each row is at a moment, in seconds."""
    return moment.timestamp() - seconds(table[timestamp])


def known_early(reference: pa.Table, window: pa.Table, roles: Roles, as_of: datetime) -> Floats | None:
    """Return how often the label of each row of the reference was known at the age the window's rows have at `as_of`.

    None where no label_timestamp is kept.
    """
    delays = delays_of(reference, roles)
    return None if delays is None else known_at(delays, ages_at(window, roles.timestamp, as_of))


def seconds(column: pa.ChunkedArray) -> Floats:
    """Return moments as Unix seconds, NaN where missing; those without an offset are read as UTC."""
    found = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return columns.numeric(found) / 1e6


def labels_digest(table: pa.Table, roles: Roles) -> str | None:
    """Digest the known labels with the timestamps of their rows, in whatever order; None where there is none.

    The sum over rows of a hash, so that rows need no order; two rows of the same moment may exchange their labels.
    """
    if roles.label not in table.column_names:
        return None
    rows = table.filter(columns.is_present(table[roles.label]))
    if not len(rows):
        return None
    moments = rows[roles.timestamp].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy().view(np.uint64)
    mixed = (moments * _ODD[0] ^ _words(rows[roles.label])) * _ODD[1]
    return f"{int(np.sum((mixed ^ mixed >> _SHIFT) * _ODD[0], dtype=np.uint64)):016x}"


def corrected(rows: pa.Table, roles: Roles, before: Counted) -> bool:
    """Whether labels that were known `before` are others now.

    Without a `label_timestamp` nobody can tell which were known then: it takes as many labels as there were.
    """
    if before.labels is None or roles.label not in rows.column_names:
        return False
    if roles.label_timestamp is not None and roles.label_timestamp in rows.column_names:
        return labels_digest(_known_by(rows, roles.label_timestamp, before.at), roles) != before.labels
    digest = labels_digest(rows, roles)
    labelled = int(pc.sum(columns.is_present(rows[roles.label])).as_py() or 0)
    return labelled == before.labelled and digest != before.labels


def _known_by(rows: pa.Table, label_timestamp: str, moment: datetime) -> pa.Table:
    told = rows[label_timestamp].cast(pa.timestamp("us", "UTC"))
    return rows.filter(pc.fill_null(pc.less_equal(told, pa.scalar(moment, told.type)), False))


def _words(labels: pa.ChunkedArray) -> Words:
    """Each label as 64 bits: a number's own, a hash of text."""
    if columns.type_name(labels.type) == "number":
        return columns.numeric(labels).view(np.uint64)
    encoded = pc.dictionary_encode(labels).combine_chunks()
    words = [hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in encoded.dictionary.to_pylist()]
    found: Words = np.frombuffer(b"".join(words), np.uint64)[encoded.indices.to_numpy()]
    return found


def label_known(table: pa.Table, roles: Roles) -> pa.ChunkedArray:
    """Tell for each row whether its label is known."""
    label = roles.label if roles.label in table.column_names else None
    return pc.is_valid(table[label]) if label else pa.chunked_array([pa.repeat(False, len(table))])


def count_true(mask: pa.Array | pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
