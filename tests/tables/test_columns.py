"""Columns of every Arrow type as arrays and counts."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.errors import CannotJudge
from monitor.tables import columns


def column(values: Any, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 3], pa.int32(), [1, np.nan, 3]),
        ([1.5, float("inf"), None, float("nan")], pa.float64(), [1.5, np.nan, np.nan, np.nan]),
        ([0.1, -float("inf")], pa.float32(), [np.float32(0.1), np.nan]),
        ([Decimal("1.25"), None], pa.decimal128(10, 2), [1.25, np.nan]),
        ([True, False, None], pa.bool_(), [1, 0, np.nan]),
        ([None, None], pa.null(), [np.nan, np.nan]),
        ([2**63], pa.uint64(), [2.0**63]),
        ([], pa.float64(), []),
    ],
)
def test_numbers_of_every_type_become_floats(values: Any, kind: pa.DataType, expected: list[float]) -> None:
    """Whatever type numbers have, numeric gives float64 with NaN where null, NaN or infinite."""
    found = columns.numeric(column(values, kind))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("values", "kind", "dtype", "expected"),
    [
        ([3, 1], pa.int16(), "int16", [3, 1]),
        ([3, None], pa.int16(), "float64", [3]),
        ([0.5, float("inf"), None], pa.float32(), "float32", [0.5]),
        ([Decimal("0.5")], pa.decimal128(4, 1), "float64", [0.5]),
        ([None], pa.null(), "float64", []),
    ],
)
def test_present_values_keep_the_type_pandas_would_give_them(
    values: Any, kind: pa.DataType, dtype: str, expected: list[float]
) -> None:
    """Integers without nulls and float32 keep their type: Evidently's bins depend on it."""
    found = columns.present(column(values, kind))
    assert (found.dtype, found.tolist()) == (np.dtype(dtype), expected)


def test_text_is_no_number() -> None:
    """Reading a text column as numbers is one clear error."""
    with pytest.raises(CannotJudge, match="the column holds text, expected numbers"):
        columns.numeric(column(["1", "2"]))


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["a", "b", None, "a"], pa.string(), {"a": 2, "b": 1}),
        (["a", "b", "a"], pa.dictionary(pa.int8(), pa.large_string()), {"a": 2, "b": 1}),
        ([1, 1, None], pa.int64(), {1: 2}),
        ([1.0, 2.5, float("nan"), float("inf")], pa.float64(), {1: 1, 2.5: 1}),
        ([True, False, True], pa.bool_(), {1: 2, 0: 1}),
        ([Decimal("2.00"), Decimal("2.50")], pa.decimal128(5, 2), {2: 1, 2.5: 1}),
        ([None], pa.null(), {}),
        ([], pa.string(), {}),
    ],
)
def test_categories_are_counted_whatever_their_type(values: Any, kind: pa.DataType, expected: Any) -> None:
    """Categories are counted without the missing; 1, 1.0 and true are one category."""
    assert columns.counts(column(values, kind)) == expected


def test_chunks_with_dictionaries_of_their_own_are_counted_together() -> None:
    """Each file brings its own dictionary; a category is the same in all of them."""
    chunks = [pa.array(words).dictionary_encode() for words in (["a", "b"], ["b", "c", None])]
    both = pa.chunked_array(chunks)
    assert columns.counts(both) == {"a": 1, "b": 2, "c": 1}
    assert columns.codes(both, {"b": 0, "c": 5}).tolist() == [-1, 0, 0, 5, -1]


def test_missing_counts_nulls_nans_and_infinities() -> None:
    """Null, NaN and ±inf are missing alike."""
    assert columns.missing(column([1.0, None, float("nan"), float("-inf")])) == 3
    assert columns.missing(column(["a", None])) == 1
    assert columns.missing(column([], pa.float64())) == 0
