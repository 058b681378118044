"""Labels that change after they were read: a digest of a window's labels, and whether it is still the same."""

import hashlib
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config import Roles
from monitor.records import Counted
from monitor.tables import columns

CORRECTED = "corrected: labels that were known before are others now"     # why a window is measured once more

Words = npt.NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)     # multipliers of splitmix64
_SHIFT = np.uint64(31)


def labels_digest(table: pa.Table, roles: Roles) -> str | None:
    """Digest the known labels with the timestamps of their rows, in whatever order; None where there is none.

    The sum over rows of a hash, so that rows need no order; two rows of the same moment may exchange their labels.
    """
    if roles.label not in table.column_names:
        return None
    rows = table.filter(columns.held(table[roles.label]))
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
    labelled = int(pc.sum(columns.held(rows[roles.label])).as_py() or 0)
    return labelled == before.labelled and digest != before.labels


def _known_by(rows: pa.Table, label_timestamp: str, moment: datetime) -> pa.Table:
    told = rows[label_timestamp].cast(pa.timestamp("us", "UTC"))
    return rows.filter(pc.fill_null(pc.less_equal(told, pa.scalar(moment, told.type)), False))


def _words(labels: pa.ChunkedArray) -> Words:
    """Each label as 64 bits: a number's own, a hash of text."""
    if columns.type_word(labels.type) == "number":
        return columns.numeric(labels).view(np.uint64)
    encoded = pc.dictionary_encode(labels).combine_chunks()
    words = [hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in encoded.dictionary.to_pylist()]
    found: Words = np.frombuffer(b"".join(words), np.uint64)[encoded.indices.to_numpy()]
    return found
