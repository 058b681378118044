"""Row ids, sampling by a hash of the id, and joining labels on the id.

The hash is the same on every machine, run after run.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.column_types import as_text
from monitor.sources.hashed_ids import Hashes, hash_ids, mix


def row_ids(table: pa.Table, column: str | None) -> pa.Array:
    """Return the ids of the rows as strings: from the id column, or a hash of the whole row if `column` is None.

    A null id is replaced by the hash of its row. The hash covers all columns of the table, in any order: pass only
    columns that never change (no label). Raises SourceError if the id column is missing.
    """
    if column is None:
        return _hex(row_hashes(table))
    if column not in table.schema.names:
        columns = quoted(escape.names(table.schema.names[:20]))
        raise SourceError(f"the id column {column} is missing, expected it among {columns}")
    ids = _plain_ids(_one_chunk(given(as_text(table[column]))))
    if not ids.null_count:
        return ids
    return pc.coalesce(ids, _hex(row_hashes(table)))


def given(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as text, without those that are empty or blank: such an id is none."""
    if not pa.types.is_string(ids.type):
        return ids
    if not pc.any(pc.or_(pc.equal(pc.binary_length(ids), 0), pc.starts_with(ids, " "))).as_py():
        return ids
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(ids), ""), pa.scalar(None, pa.string()), ids)


def hash_texts(texts: pa.Array) -> Hashes:
    """Return a 64-bit hash of each string; null has a hash of its own."""
    coded = texts.dictionary_encode(null_encoding="encode")
    digests = b"".join(blake2b(b"\xff" if text is None else text.encode(), digest_size=8).digest()
                       for text in coded.dictionary.to_pylist())
    known: Hashes = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    hashes: Hashes = known[coded.indices.to_numpy(zero_copy_only=False)]
    return hashes


def row_hashes(table: pa.Table) -> Hashes:
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name in sorted(table.schema.names):
        seed = np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little"))
        total = mix(total ^ mix(_hash_column(table[name]) + seed))
    return total


def _hash_column(column: pa.ChunkedArray) -> Hashes:
    """Return 64 bits per value; 1, 1.0 and true have the same hash, so that a file's choice of type does not matter."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        values = column.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy()
        bits: Hashes = np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)
        return bits
    if pa.types.is_timestamp(kind):
        ticks = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).fill_null(-1)
        return np.asarray(ticks, dtype=np.int64).view(np.uint64)
    return hash_texts(_one_chunk(column.cast(pa.string())))


def _hex(hashes: Hashes) -> pa.Array:
    digits = hashes.astype(">u8").tobytes().hex()
    offsets = pa.py_buffer(np.arange(0, len(digits) + 1, 16, dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), len(hashes), [None, offsets, pa.py_buffer(digits.encode())])


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def sample(ids: pa.Array, keep: int) -> npt.NDArray[np.bool_]:
    """Return for each row, by its id, whether it is in the sample of at most `keep` rows.

    A row is kept if the hash of its id ends in k zero bits, with the smallest k that fits. So the other rows of
    the window affect only k, and a smaller sample is a subset of a larger one.
    """
    return np.ones(len(ids), np.bool_) if len(ids) <= keep else sample_of_hashes(hash_ids(ids), keep)


def sample_of_numbers(rows: int, keep: int) -> npt.NDArray[np.bool_]:
    """Return the same for rows without ids, by the hash of each row's number."""
    return sample_of_hashes(mix(np.arange(rows, dtype=np.uint64)), keep)


def sample_of_hashes(hashes: Hashes, keep: int) -> npt.NDArray[np.bool_]:
    """Return the same, given the hash of each row's id."""
    kept, mask = np.ones(len(hashes), np.bool_), 0
    while kept.sum() > keep and mask < 2**63 - 1:
        mask = mask * 2 + 1
        kept = (hashes & mask) == 0
    return kept


def join_labels(
    log: pa.Table, labels: pa.Table, id: str, label: str, label_timestamp: str | None
) -> pa.Table:
    """Return the log with the newest label of each id and the time it became known; null if there is no label.

    Rows and their order do not change; a repeated id gets the same label in each row. Ids are compared as they are
    written, see `as_text`: 17 and "17" are the same, 017 is another one.
    """
    return joined(log, newest_labels(labels, id, label, label_timestamp), id)


def joined(log: pa.Table, newest: pa.Table, id: str) -> pa.Table:
    """Return the log with the other columns of `newest`, which holds each id once; null for an id that it lacks."""
    _require(log, [id], "the log")
    wanted = [name for name in newest.schema.names if name != id]
    matches = places_of(given(as_text(log[id])), newest[id])
    kept = log.select([name for name in log.schema.names if name not in wanted])
    for name in wanted:
        kept = kept.append_column(name, newest[name].take(matches))
    return kept


def places_of(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> pa.Array:
    """Return the place of each id among the distinct `known` ones; null where it is not among them.

    Ids are compared as they are written. Only one that is not found so, and a known one that no row has, are the same
    too if they differ by blanks around them or by a ".0", which data frames add to whole numbers beside a null.
    """
    ids, known = _one_chunk(ids), _one_chunk(known)
    places = pc.index_in(ids, value_set=known)
    if not (places.null_count and (_is_loose(ids) or _is_loose(known))):
        return places
    free = pc.invert(pc.is_in(known, value_set=ids))
    loose = pc.if_else(free, _plain_ids(known), pa.scalar(None, pa.string()))
    counted = loose.value_counts()
    twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    loose = pc.if_else(pc.is_in(loose, value_set=twice), pa.scalar(None, pa.string()), loose)
    return pc.coalesce(places, pc.index_in(_plain_ids(ids), value_set=loose, skip_nulls=True))


def shared(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> float:
    """Return the share of the distinct ids that are among the others."""
    known, there = (pc.unique(given(as_text(column))).drop_null() for column in (ids, others))
    return 1 - places_of(known, there).null_count / len(known) if len(known) else 0.0


@dataclass(frozen=True, slots=True)
class Unjoined:
    """How many distinct ids are not among others, how many of these nearly are, and how many are not written alike."""

    absent: int
    nearly: int                          # … if capitals, blanks, hyphens, underscores and zeros in front did not count
    loosely: int                         # joined although they are not written alike


def unjoined(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Unjoined:
    """Count the distinct ids by how they are among the distinct `known` ones."""
    ids, known = _one_chunk(ids), _one_chunk(known)
    places = places_of(ids, known)
    loosely = pc.index_in(ids, value_set=known).null_count - places.null_count
    if not places.null_count:
        return Unjoined(0, 0, loosely)
    missing, free = ids.filter(pc.is_null(places)), known.filter(pc.is_null(places_of(known, ids)))
    nearly = pc.sum(pc.is_in(_bare(missing), value_set=_bare(free), skip_nulls=True)).as_py() or 0
    return Unjoined(places.null_count, nearly, loosely)


def _bare(ids: pa.Array) -> pa.Array:
    plain = pc.replace_substring_regex(pc.utf8_lower(ids), r"[\s_-]+", "")
    return pc.replace_substring_regex(plain, r"^0+(.)", r"\1")


def _is_loose(ids: pa.Array) -> bool:
    """Tell whether an id may have blanks around it or end in ".0"."""
    return any(pc.any(pc.match_substring(ids, text)).as_py() for text in (" ", ".0"))


def _plain_ids(ids: pa.Array) -> pa.Array:
    """Return the ids without blanks around them, and whole numbers without ".0"."""
    if not _is_loose(ids):
        return ids
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(ids), r"^(-?\d+)\.0+$", r"\1")


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What became of the rows of labels that are kept apart: `rows` less the next two is the number of ids."""

    rows: int
    without_id: int
    repeated: int                        # another one of the same id is newer …
    contradicting: int                   # … and says something else


def count_labels(labels: pa.Table, id: str, label: str) -> LabelCounts:
    """Count the labels that are not null, and which of them are not joined to rows: without an id, or not the newest.

    Of two labels that contradict each other one is the newer, so of each id one fewer than it has different labels.
    """
    ids = given(as_text(labels[id]))
    known = pa.table({"id": ids, "label": labels[label]}).filter(pc.is_valid(labels[label]))
    named = known.filter(pc.is_valid(known["id"]))
    each = pc.count_distinct(named["id"]).as_py()
    repeated = len(named) - each
    different = named.group_by(["id", "label"]).aggregate([]).num_rows - each if repeated else 0
    return LabelCounts(len(known), len(known) - len(named), repeated, different)


def newest_labels(labels: pa.Table, id: str, label: str, label_timestamp: str | None) -> pa.Table:
    """Return one row for each id, its newest label: that with the latest label_timestamp, or in the last row.

    Null labels are ignored.
    """
    names = [id, label, *([label_timestamp] if label_timestamp else [])]
    _require(labels, names, "the labels")
    labels = labels.select(names)
    labels = labels.set_column(labels.schema.get_field_index(id), id, given(as_text(labels[id])))
    labels = labels.filter(pc.and_(pc.is_valid(labels[label]), pc.is_valid(labels[id])))
    if label_timestamp:
        places = pa.array(np.arange(labels.num_rows))
        at = labels[label_timestamp]
        keys = pa.table({"known": pc.cast(pc.is_valid(at), pa.int8()), "at": at, "place": places})
        labels = labels.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.schema.names]))
    return labels.take(_last_places(labels[id]))


def _last_places(ids: pa.ChunkedArray) -> pa.Array:
    numbered = pa.table({"id": ids, "place": pa.array(np.arange(len(ids)))})
    return numbered.group_by("id").aggregate([("place", "max")])["place_max"]


def _require(table: pa.Table, names: list[str], place: str) -> None:
    for name in names:
        if name not in table.schema.names:
            columns = quoted(escape.names(table.schema.names[:20]))
            raise SourceError(f"{place}: has no column {name}, which joining labels needs; it has {columns}")
