"""Tables as people see them: on a terminal of any width, in a pipe, where only ASCII can be written."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from monitor.cli.tables import GAP, SHORT, table
from monitor.cli.terminal import shown_on
from monitor.wording import BARS

WORDS = st.text("abcdefgh_-=é数", min_size=1, max_size=SHORT // 2)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=4)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, width=st.one_of(st.none(), st.integers(1, 120)))
def test_no_word_is_broken(rows: list[list[str]], width: int | None) -> None:
    """Every word stands whole in its column, whatever the width; without a width each row is one line."""
    lines = table(("one", "two", "three"), [[[cell] for cell in row] for row in rows], width)
    for row in rows:
        for word in " ".join(row).split():
            assert any(word in line for line in lines)
    if width is None:
        assert len(lines) == 2 + len(rows)
    least = 3 * SHORT + 2 * len(GAP)
    assert max(map(cell_len, lines)) <= max(width or least * 10, least)


def test_a_table_takes_the_width_it_is_given() -> None:
    """Short columns stay whole, the one with sentences is folded; numbers stand at the right."""
    rows = [[["drift"], ["0.5"], ["it is far beyond its threshold in every window"]], [["rmse"], ["12"], [""]]]
    assert table(("metric", "value", "why"), rows, 40, right=("value",)) == [
        "metric  value  why",
        "─" * 40,
        "drift     0.5  it is far beyond its",
        "               threshold in every window",
        "rmse       12",
    ]


def test_a_word_too_long_for_any_terminal_is_folded() -> None:
    """A name of a hundred characters does not push the others out of sight; in a pipe it stays whole."""
    rows = [[["x" * 100], ["1"]]]
    assert [len(line) for line in table(("column", "value"), rows, 80)] == [80, 80, 76, 27]
    assert len(table(("column", "value"), rows, None)) == 3


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "1 – 2 ▁█"), ("ascii", "1 - 2 _@"), ("latin-1", "1 - 2 _@")])
def test_signs_are_ascii_where_nothing_else_can_be_written(encoding: str, shown: str) -> None:
    """Dashes, rules and bars of ours have a plain form; other characters are left to the stream."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert shown_on(f"1 – 2 {BARS[0]}{BARS[-1]}", stream) == shown
