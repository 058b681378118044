"""Arrow columns as arrays and counts. ±inf and NaN are missing, as null is, everywhere.

Dictionary encoded columns are read as what they encode. Categories keep their own value where it is a number
(1, 1.0 and true are one category, as in Evidently) and are text otherwise.
"""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import CannotJudge

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]
Category = float | int | str
Counts = dict[Category, int]


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, looking through dictionary encoding."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def type_word(kind: pa.DataType) -> str:
    """Return what a person would call the type: "number", "text", "time", "nothing" (all null)."""
    kind = value_type(kind)
    types = pa.types
    if _is_number(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_temporal(kind):
        return "time"
    return "nothing" if types.is_null(kind) else str(kind)


def present(column: pa.ChunkedArray) -> Numbers:
    """Return the values that are not missing, in the type pandas would hold them in.

    Whole numbers stay whole unless some are null; float32 stays float32: Evidently's bins depend on it.
    Raises CannotJudge where the column holds no numbers.
    """
    kind = _number_type(column)
    if pa.types.is_integer(kind) and column.null_count == 0:
        return _array(column)
    if pa.types.is_float32(kind):
        values: Numbers = _array(column.drop_null())
    else:
        values = _array(column.drop_null().cast(pa.float64(), safe=False))
    return values[np.isfinite(values)]


def numeric(column: pa.ChunkedArray) -> Floats:
    """Return every row as float64, NaN where missing. Raises CannotJudge where it holds no numbers."""
    _number_type(column)
    values: Floats = np.array(_array(pc.fill_null(_decoded(column).cast(pa.float64(), safe=False), np.nan)))
    values[~np.isfinite(values)] = np.nan
    return values


def counts(column: pa.ChunkedArray) -> Counts:
    """Return how often each category occurs, missing values left out."""
    found: Counter[Category] = Counter()
    for pair in pc.value_counts(_decoded(column)).to_pylist():
        if (key := category(pair["values"])) is not None:
            found[key] += pair["counts"]
    return dict(found)


def categories(column: pa.ChunkedArray) -> list[Category]:
    """Return the category of each row in order, missing values left out."""
    return [key for value in _decoded(column).to_pylist() if (key := category(value)) is not None]


def codes(column: pa.ChunkedArray, places: dict[Category, int]) -> Ints:
    """Return each row's number in `places`, −1 where it is missing or not among them."""
    if pa.types.is_null(column.type):        # has no dictionary
        return np.full(len(column), -1, dtype=np.int64)
    encoded = pc.dictionary_encode(_decoded(column)).combine_chunks()
    keys = [category(value) for value in encoded.dictionary.to_pylist()]
    table = [-1 if key is None else places.get(key, -1) for key in keys]
    rows = _array(pc.fill_null(encoded.indices, len(table)))
    return np.array([*table, -1], dtype=np.int64)[rows]


def category(value: Any) -> Category | None:
    """Return the category a single value stands for; None where it is missing."""
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


def missing(column: pa.ChunkedArray) -> int:
    """Return how many rows are null, NaN or ±inf."""
    return len(column) - int(pc.sum(held(column)).as_py() or 0)


def held(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each row whether it is not missing."""
    if not pa.types.is_floating(value_type(column.type)):
        return pc.is_valid(column)
    return pc.fill_null(pc.is_finite(_decoded(column)), False)


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _number_type(column: pa.ChunkedArray) -> pa.DataType:
    kind = value_type(column.type)
    if not (_is_number(kind) or pa.types.is_null(kind)):
        raise CannotJudge(f"the column holds {type_word(kind)}, expected numbers")
    return kind


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _array(column: Any) -> Numbers:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = whole.type
    if pa.types.is_dictionary(kind):
        whole = whole.cast(kind.value_type)
    values: Numbers = whole.to_numpy(zero_copy_only=False)
    return values
