"""Arrow columns as arrays, counts and the matrix a learner reads. ±inf and NaN are missing, as null is, everywhere.

Dictionary encoded columns are read as what they encode. Categories keep their own value where it is a number
(1, 1.0 and true are one category, as in Evidently) and are text otherwise.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]
Arrow = Any                # pa.ChunkedArray or pa.Array, which pyarrow does not type
Category = float | int | str
Counts = dict[Category, int]
MOST_CATEGORIES = 255      # of one column, the most frequent ones; the limit of scikit-learn's bins


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, looking through dictionary encoding."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def type_name(kind: pa.DataType) -> str:
    """Return the name of the type for messages: "number", "text", "time", "nothing" (all null), or Arrow's name."""
    kind = value_type(kind)
    types = pa.types
    if _is_number(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_temporal(kind):
        return "time"
    return "nothing" if types.is_null(kind) else str(kind)


def present(column: Arrow) -> Numbers:
    """Return the values that are not missing, in the type pandas would use for the column.

    Whole numbers stay whole unless some are null; float32 stays float32: Evidently's bins depend on it.
    Raises CannotJudge if the column does not hold numbers.
    """
    kind = _number_type(column)
    if column.null_count:
        column = column.drop_null()
        kind = pa.float64() if pa.types.is_integer(kind) else kind
    if pa.types.is_integer(kind):
        return _array(column)
    values = _array(column if pa.types.is_float32(kind) else column.cast(pa.float64(), safe=False))
    with np.errstate(all="ignore"):
        if np.isfinite(values.sum()):            # quick test: the sum is finite only if all values are
            return values
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]


def counted(column: Arrow) -> Arrow:
    """Return a column of text as numbers if each of its values is one, such as "1.0"; any other column as it is."""
    if type_name(column.type) != "text":
        return column
    try:
        return _decoded(column).cast(pa.float64())
    except pa.ArrowInvalid:
        return column


def numeric(column: pa.ChunkedArray) -> Floats:
    """Return every row as float64, NaN if missing. Raises CannotJudge if the column does not hold numbers."""
    _number_type(column)
    values: Floats = np.array(_array(pc.fill_null(_decoded(column).cast(pa.float64(), safe=False), np.nan)))
    values[~np.isfinite(values)] = np.nan
    return values


def counts(column: Arrow) -> Counts:
    """Return how often each category occurs, without missing values."""
    totals: Counter[Category] = Counter()
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        for value, times in _tally(chunk):
            if (key := category(value)) is not None:
                totals[key] += times
    return dict(totals)


def categories(column: Arrow) -> list[Category]:
    """Return the category of each row in order, without missing values."""
    return [key for value in _decoded(column).to_pylist() if (key := category(value)) is not None]


def codes(column: pa.ChunkedArray, places: dict[Category, int]) -> Ints:
    """Return for each row its category's number in `places`; −1 if it is missing or not in `places`."""
    if pa.types.is_null(column.type):        # has no dictionary
        return np.full(len(column), -1, dtype=np.int64)
    encoded = pc.dictionary_encode(_decoded(column)).combine_chunks()
    keys = [category(value) for value in encoded.dictionary.to_pylist()]
    table = [-1 if key is None else places.get(key, -1) for key in keys]
    rows = _array(pc.fill_null(encoded.indices, len(table)))
    return np.array([*table, -1], dtype=np.int64)[rows]


def category(value: Any) -> Category | None:
    """Return the category of a single value; None if it is missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def missing(column: Arrow) -> int:
    """Return how many rows are null, NaN or ±inf."""
    return len(column) - int(pc.sum(is_present(column)).as_py() or 0)


def is_present(column: Arrow) -> Arrow:
    """Return for each row whether it is not missing."""
    if not pa.types.is_floating(value_type(column.type)):
        return pc.is_valid(column)
    return pc.fill_null(pc.is_finite(_decoded(column)), False)


def _tally(chunk: pa.Array) -> Iterator[tuple[Any, int]]:
    """Yield each distinct value with its count; the rows are counted by dictionary code."""
    if pa.types.is_null(chunk.type):
        return
    coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
    times = np.bincount(_array(coded.indices.drop_null()), minlength=len(coded.dictionary))
    pairs = zip(coded.dictionary.to_pylist(), times.tolist(), strict=True)
    yield from (pair for pair in pairs if pair[1])


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _number_type(column: Arrow) -> pa.DataType:
    kind = value_type(column.type)
    if not (_is_number(kind) or pa.types.is_null(kind)):
        raise CannotJudge(f"the column holds {type_name(kind)}, expected numbers")
    return kind


def _decoded(column: Arrow) -> Arrow:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _array(column: Any) -> Numbers:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = whole.type
    if pa.types.is_dictionary(kind):
        whole = whole.cast(kind.value_type)
    values: Numbers = whole.to_numpy(zero_copy_only=False)
    return values


@dataclass(frozen=True, slots=True)
class Features:
    """The columns a learner reads, in order, and the number of each category of the categorical ones (`places`)."""

    names: tuple[str, ...] = ()
    places: dict[str, dict[Category, int]] | None = None

    @property
    def categorical(self) -> list[bool]:
        """Whether each column of the matrix holds numbers of categories."""
        return [name in (self.places or {}) for name in self.names]

    def matrix(self, table: pa.Table) -> Floats:
        """Return rows × features; NaN for missing values, unknown categories and absent columns."""
        matrix = np.full((table.num_rows, len(self.names)), np.nan)
        for at, name in enumerate(self.names):
            if name in table.column_names:
                matrix[:, at] = self._column(table[name], name)
        return matrix

    def _column(self, column: pa.ChunkedArray, name: str) -> Floats:
        places = (self.places or {}).get(name)
        if places is None:
            return numeric(column)
        at = codes(column, places)
        return np.where(at < 0, np.nan, at)


def features_of(table: pa.Table, roles: Roles) -> Features:
    """Return the features that a table has, without text columns, which no learner here reads."""
    kinds = {n: kind for n, kind in roles.features.items() if kind != "text" and n in table.column_names}
    places = {name: _places(table[name]) for name, kind in kinds.items() if kind == "categorical"}
    return Features(tuple(kinds), places)


def _places(column: pa.ChunkedArray) -> dict[Category, int]:
    ranked = sorted(counts(column).items(), key=lambda pair: (-pair[1], str(pair[0])))
    return {key: place for place, (key, _) in enumerate(ranked[:MOST_CATEGORIES])}
