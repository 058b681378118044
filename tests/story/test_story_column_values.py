"""How a column's values are spread in a window and in the reference, as the page of the column draws it."""

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from monitor.charts.bars import bars
from monitor.errors import CannotJudge
from monitor.records import Spread

EVIL = '"><script>alert(1)</script>'


@pytest.fixture
def checked(world: Any, made: Any) -> Any:
    """A model with numbers, few numbers, categories and a private column, one window of which was checked."""
    def table(first: float, days: float, shift: float) -> pa.Table:
        rows = made.rows(first, days, shift=shift)
        at = np.arange(len(rows))
        words = [EVIL if i % 4 == 0 else f"c{i % 3}" for i in at]
        return rows.append_column("few", pa.array((at % 3).astype(float))).append_column(
            "word", pa.array(words)).append_column("secret", pa.array(at * 1.5))

    world.write("reference.parquet", table(-20, 20, 0.0))
    world.write("log.parquet", table(0, 2, 1.0))
    world.model(columns={"private": ["secret"], "categorical": ["word"]})
    world.check(1.1)
    return world


def spread(world: Any, column: str) -> Spread:
    found: Spread = world.checker(1.1).spread(world.snapshots()[0].window, column)
    return found


def test_numbers_are_in_bins_of_the_same_width(checked: Any, made: Any) -> None:
    """Each side's shares are those NumPy counts between the same edges, and add up to one."""
    told = spread(checked, "x")
    window, reference = (made.rows(0, 1, shift=1.0)["x"].to_numpy(), made.rows(-20, 20)["x"].to_numpy())
    ends = [np.quantile(side, (0.005, 0.995)) for side in (window, reference)]
    edges = np.linspace(min(end[0] for end in ends), max(end[1] for end in ends), len(told.labels) + 1)
    for side, values in ((told.window, window), (told.reference, reference)):
        counted = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        assert np.allclose(side, counted)
        assert sum(side) == pytest.approx(1.0)


def test_few_numbers_and_categories_are_told_one_by_one(checked: Any) -> None:
    """Few numbers stand in their order, categories by how frequent they are."""
    few, word = spread(checked, "few"), spread(checked, "word")
    assert (few.labels, few.numbers) == (("0", "1", "2"), True)
    assert few.window == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (set(word.labels), word.numbers) == ({EVIL, "c0", "c1", "c2"}, False)


def test_private_values_are_not_shown(checked: Any) -> None:
    """A private column, one that is no feature and one that is not there say so."""
    with pytest.raises(CannotJudge, match="private"):
        spread(checked, "secret")
    for column in ("timestamp", "none"):
        with pytest.raises(CannotJudge, match="only columns of numbers or categories"):
            spread(checked, column)


@pytest.mark.parametrize("column", ["x", "few", "word"])
def test_the_picture_has_a_table(checked: Any, column: str) -> None:
    """Every bar has a tooltip and a row in the table, and no value acts."""
    told = spread(checked, column)
    picture = ElementTree.fromstring(bars(told, "values").html())
    titles = [one.text for one in picture.iter("title")]
    assert len(titles) == len(told.labels) == len(list(picture.iter("tr"))) - 1
    assert not list(picture.iter("script"))
