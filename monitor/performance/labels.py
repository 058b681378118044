"""Label delay, by the Kaplan–Meier estimator on the reference, and whether known labels were corrected.

A row without a label is censored: its delay is longer than its age. Because some rows never get a label, the curve
ends in a plateau below 1, the share of rows that ever get one (Maller and Zhou 1992 call the rest "cured"). A row is
mature at the age by which nearly all of that share was known.
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
CORRECTED = "corrected: labels that were known before have changed"     # why a window is measured again
Words = npt.NDArray[np.uint64]
_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)     # multipliers of splitmix64
_SHIFT = np.uint64(31)


@dataclass(frozen=True, slots=True, eq=False)
class Delays:
    """One entry per row. `ages` in seconds: the delay of its label, or the row's age when labels were last read.

    The age is NaN for a row whose label has no timestamp. `labelled`: whether the row has a label.
    """

    ages: Floats
    labelled: Numbers

    def __len__(self) -> int:
        return len(self.ages)


def delays_of(table: pa.Table, roles: Roles, known_until: datetime | None = None) -> Delays | None:
    """Return the label delays of a table; None without a label_timestamp column.

    `known_until` is the time at which labels were last read; None: the newest time in the table.
    """
    label, when = roles.label, roles.label_timestamp
    if label is None or when is None or not {label, when} <= set(table.column_names):
        return None
    predicted_at, known_at = seconds(table[roles.timestamp]), seconds(table[when])
    labelled: Numbers = columns.is_present(table[label]).to_numpy()
    newest = np.nanmax(np.concatenate([predicted_at, known_at]), initial=-np.inf)
    end = newest if known_until is None else known_until.timestamp()
    return Delays(np.maximum(0.0, np.where(labelled, known_at, end) - predicted_at), labelled)


def kaplan_meier(delays: Delays) -> tuple[Floats, Floats]:
    """Return the distinct label delays, ascending, and the estimated share of rows labelled by each (Kaplan and Meier
    1958). A row censored at the age of an event still counts as at risk."""
    known = ~np.isnan(delays.ages)
    ages, labelled = delays.ages[known], delays.labelled[known]
    at, events = np.unique(ages[labelled], return_counts=True)
    at_risk = len(ages) - np.searchsorted(np.sort(ages), at, side="left")
    left = np.cumprod(1 - events / at_risk)
    return at, np.asarray(1 - left, dtype=np.float64)


def maturity_age(delays: Delays) -> float | None:
    """Return the smallest age, in seconds, by which 99 % of the labels that ever come are known; None if none came."""
    at, share = kaplan_meier(delays)
    if not len(at):
        return None
    return float(at[np.searchsorted(share, NEARLY_ALL * share[-1] - 1e-12)])


def known_at(delays: Delays, ages: Floats) -> Floats:
    """Return for each row the share of `ages` (seconds) at which its label was known; 0 for rows without a label."""
    ordered = np.sort(ages)
    older = 1 - np.searchsorted(ordered, delays.ages, side="left") / len(ordered)
    return np.where(delays.labelled & ~np.isnan(delays.ages), older, 0.0)


def ages_at(table: pa.Table, timestamp: str, moment: datetime) -> Floats:
    """Return the age of each row at `moment`, in seconds."""
    return moment.timestamp() - seconds(table[timestamp])


def known_early(reference: pa.Table, window: pa.Table, roles: Roles, as_of: datetime) -> Floats | None:
    """Return for each row of the reference the share of the window's row ages at `as_of` at which its label was known.

    These are weights that make the reference's labels as early as the window's. None without label_timestamp.
    """
    delays = delays_of(reference, roles)
    if delays is None or np.isnan(delays.ages[delays.labelled]).all():      # no label has a time of its own
        return None
    return known_at(delays, ages_at(window, roles.timestamp, as_of))


def seconds(column: pa.ChunkedArray) -> Floats:
    """Return times as Unix seconds, NaN if missing; naive times are read as UTC."""
    microseconds = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return columns.numeric(microseconds) / 1e6


def labels_digest(table: pa.Table, roles: Roles) -> str | None:
    """Return a digest of the known labels and the timestamps of their rows; None without labels.

    It is a sum of one hash per row, so it does not depend on row order. It does not change if two rows with the same
    timestamp exchange their labels.
    """
    if roles.label not in table.column_names:
        return None
    rows = table.select([roles.timestamp, roles.label]).filter(columns.is_present(table[roles.label]))
    if not len(rows):
        return None
    moments = rows[roles.timestamp].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy().view(np.uint64)
    mixed = (moments * _ODD[0] ^ _words(rows[roles.label])) * _ODD[1]
    return f"{int(np.sum((mixed ^ mixed >> _SHIFT) * _ODD[0], dtype=np.uint64)):016x}"


def corrected(rows: pa.Table, known: pa.Table, roles: Roles, before: Counted) -> bool:
    """Return whether labels that were known `before` have changed. `known`: the rows whose labels were, by their times.

    Without a `label_timestamp` it is not known which labels those were, so a change is seen only if the number of
    labels is the same.
    """
    if before.labels is None or roles.label not in rows.column_names:
        return False
    if roles.label_timestamp is not None and roles.label_timestamp in rows.column_names:
        return labels_digest(known, roles) != before.labels
    digest = labels_digest(rows, roles)
    labelled = int(pc.sum(columns.is_present(rows[roles.label])).as_py() or 0)
    return labelled == before.labelled and digest != before.labels


def _words(labels: pa.ChunkedArray) -> Words:
    """Return each label as 64 bits: those of a number, or a hash of text."""
    if columns.type_name(labels.type) == "number":
        return columns.numeric(labels).view(np.uint64)
    encoded = pc.dictionary_encode(labels).combine_chunks()
    digests = [hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in encoded.dictionary.to_pylist()]
    words: Words = np.frombuffer(b"".join(digests), np.uint64)[encoded.indices.to_numpy()]
    return words


def label_known(table: pa.Table, roles: Roles) -> pa.ChunkedArray:
    """Return for each row whether it has a label."""
    label = roles.label if roles.label in table.column_names else None
    return pc.is_valid(table[label]) if label else pa.chunked_array([pa.repeat(False, len(table))])


def count_true(mask: pa.Array | pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
