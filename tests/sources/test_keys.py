"""What a column's values say: whether they tell rows apart and nothing else."""

import pyarrow as pa
import pytest

from monitor.sources.log import column_facts

COLUMNS = {
    "running numbers": (list(range(7, 107)), True),
    "one falls": ([*range(99), 3], False),
    "twice": ([*range(99), 98], False),
    "mileage": ([0.5 * n for n in range(100)], True),
    "hashes": ([f"{n * 2654435761 % 2**32:08x}" for n in range(100)], True),
    "addresses": ([f"u{n}@example.org" for n in range(100)], True),
    "twenty digits": ([f"2026110000000000{n:04}" for n in range(100)], True),
    "codes with zeros": ([f"{n:06}" for n in range(100)], True),
    "numbers among words": ([*(f"{n}.5" for n in range(99)), "ERR"], False),
    "sentences": ([f"order {n} came late" for n in range(100)], False),
    "few": (list(range(20)), False),
    "some nulls": ([None if n % 5 == 0 else n for n in range(100)], True),
}


@pytest.mark.parametrize(("values", "key"), COLUMNS.values(), ids=COLUMNS)
def test_what_tells_rows_apart(values, key):
    """Of rows in order of time."""
    assert column_facts(pa.chunked_array([pa.array(values)])).tells_apart(in_order=True) == key
