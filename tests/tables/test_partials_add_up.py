"""Partials add up to what all rows at once give, however the rows are divided and in whatever order they are merged."""

import json
from collections.abc import Callable
from dataclasses import astuple
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.tables.columns import present
from monitor.tables.digest import FEW, Below, Extent, Tally

P = TypeVar("P", Extent, Tally, Below)

FLOATS = st.floats() | st.sampled_from([0.0, 1.5, 1e308])
PIECES = st.lists(max_size=8, elements=st.one_of(
    st.tuples(st.just("f8"), st.lists(FLOATS, max_size=30)),
    st.tuples(st.just("f4"), st.lists(st.floats(width=32), max_size=9)),
    st.tuples(st.just("i8"), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9)),
    st.tuples(st.just("u2"), st.lists(st.integers(0, 40), max_size=30)),
    st.tuples(st.just("i2"), st.lists(st.integers(-3, 3), max_size=30)),
))
TEXTS = st.none() | st.sampled_from(["a", "b", "1", ""]) | st.text(max_size=2)
EDGES = np.array([-1e9, -1.0, 0.0, 1.5, 3.0, 1e300])


def sent(partial: P) -> P:
    """The same after a way through JSON."""
    fields = [list(field.items()) if isinstance(field, dict) else field for field in astuple(partial)]
    come = json.loads(json.dumps(fields))
    if isinstance(partial, Tally):
        come = [field and dict(field) for field in come]
    return type(partial)(*come)


def merged_somehow(data: st.DataObject, parts: list[P], merged: Callable[[list[P]], P]) -> P:
    """Merge in any order and grouping, an empty one among them."""
    parts = [merged([]), *map(sent, parts)]
    while len(parts) > 1:
        count = data.draw(st.integers(2, min(4, len(parts))))
        parts.append(merged([parts.pop(data.draw(st.integers(0, len(parts) - 1))) for _ in range(count)]))
    return parts[0]


@settings(max_examples=40, deadline=None)
@given(st.data(), PIECES)
def test_numbers_add_up_in_any_order(data: st.DataObject, pieces: list[tuple[str, list[float]]]) -> None:
    """To what Python and pandas say of all values at once, without infinities and NaN."""
    chunks = [present(pa.array(np.array(values, kind))) for kind, values in pieces]
    whole = [value for chunk in chunks for value in chunk.tolist()]

    extent = merged_somehow(data, [Extent.of(chunk) for chunk in chunks], Extent.merged)
    ends = float(min(whole, default=np.inf)), float(max(whole, default=-np.inf))
    assert (extent.n, extent.low, extent.high) == (len(whole), *ends)
    assert extent.kind == np.result_type(*[chunk.dtype for chunk in chunks] or [np.dtype("f8")])

    few = merged_somehow(data, [Tally.of_few(chunk, FEW) for chunk in chunks], lambda some: Tally.merged(some, FEW))
    every = pd.Series(whole, dtype=object).value_counts().to_dict()
    assert few.counts == (every if len(every) <= FEW else None)

    below = merged_somehow(data, [Below.of(chunk, EDGES) for chunk in chunks], lambda some: Below.merged(some, EDGES))
    assert list(below.counts) == [sum(value < edge for value in whole) for edge in EDGES.tolist()]


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(st.lists(TEXTS, max_size=8), max_size=8))
def test_categories_add_up_in_any_order(data: st.DataObject, pieces: list[list[str | None]]) -> None:
    """To what pandas says of all values at once; pieces may be encoded, each by a dictionary of its own."""
    arrays = [pa.array(values, pa.string()) for values in pieces]
    coded = [array.dictionary_encode() if place % 2 else array for place, array in enumerate(arrays)]
    tally = merged_somehow(data, [Tally.of(piece) for piece in coded], Tally.merged)
    assert tally.counts == pd.Series([v for piece in pieces for v in piece], dtype=object).value_counts().to_dict()
