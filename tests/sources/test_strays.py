"""Rows without a timestamp, and with one far from all others: which they are, and which window misses them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.sources import open_source
from monitor.sources.strays import Strays, Times, strays_of

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def daily(days: int, start: datetime = START) -> list[datetime | None]:
    return [start + n * DAY for n in range(days)]


def found(times: list[datetime | None]) -> Strays:
    return strays_of([Times.of(pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))]))])


@pytest.mark.parametrize(("times", "apart"), [
    (daily(60), 0),
    ([EPOCH, *daily(60)], 1),                                       # a default of zero
    ([*daily(30), datetime(9999, 12, 31, tzinfo=UTC), *daily(30, START + 30 * DAY)], 1),
    ([EPOCH, datetime(2099, 1, 1, tzinfo=UTC), *daily(60)], 2),
    ([EPOCH] * 15 + daily(60), 15),                                 # a fifth of the rows
    (daily(400, datetime(1850, 1, 1, tzinfo=UTC)), 0),              # dates before 1970 are dates
    (daily(200, datetime(1969, 10, 1, tzinfo=UTC)), 0),
    ([*daily(40), *daily(40, START + 300 * DAY)], 0),               # a summer break
    ([*daily(5), *daily(300, START + 330 * DAY)], 0),               # a pilot of some size
    ([datetime(1999, 1, 1, tzinfo=UTC), *daily(400)], 1),
    ([START], 0),
    ([EPOCH, START, START + DAY], 1),
    (daily(3) + daily(3, START + 8000 * DAY), 0),                   # nobody can say which half is wrong
])
def test_only_timestamps_far_from_all_others_are_apart(times: list[datetime | None], apart: int) -> None:
    """A few rows beyond a gap that dwarfs the log are apart; long breaks, old logs and even halves are not."""
    strays = found(times)
    assert strays.apart == apart
    rest = [time for time in times if time and strays.low and strays.high and strays.low <= time <= strays.high]
    assert len(rest) == len(times) - apart
    assert (min(rest), max(rest)) == (strays.low, strays.high)


def test_a_stray_row_is_missed_by_the_window_it_stands_in() -> None:
    """A row without a usable timestamp counts where the row before it does; before the first, with the first."""
    strays = found([None, *daily(3), None, EPOCH, *daily(40, START + 3 * DAY), None])
    assert (strays.untimed, strays.apart, strays.unplaced) == (3, 1, 0)
    assert strays.inside(START, START + DAY) == 1
    assert strays.inside(START + 2 * DAY, START + 3 * DAY) == 2
    assert strays.inside(START + 42 * DAY, START + 43 * DAY) == 1
    assert strays.inside(START + 3 * DAY, START + 42 * DAY) == 0


def test_rows_of_a_file_without_any_timestamp_stand_nowhere() -> None:
    """They are counted; no window is known to miss them."""
    assert found([None] * 4).unplaced == 4
    columns = (pa.chunked_array([pa.array(rows, pa.timestamp("us", "UTC"))]) for rows in (daily(30), [None] * 3))
    strays = strays_of(map(Times.of, columns))
    assert (strays.rows, strays.untimed, strays.unplaced, len(strays.placed)) == (33, 3, 3, 0)


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path.with_suffix(".parquet"), row_group_size=7)


def write_csv(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(table, path.with_suffix(".csv"))


def write_jsonl(table: pa.Table, path: Path) -> None:
    lines = table.to_pandas().to_json(orient="records", lines=True, date_format="iso")
    path.with_suffix(".jsonl").write_text(lines)


@pytest.mark.parametrize("write", [write_parquet, write_csv, write_jsonl])
def test_each_format_has_the_same_strays(write: Any, tmp_path: Path) -> None:
    """Whether the timestamps come from statistics, from a file read before or from one read now."""
    times = [*daily(20), None, *daily(20, START + 20 * DAY), EPOCH]
    write(pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": range(42)}), tmp_path / "log")
    source = open_source(SourceSection(path=str(next(tmp_path.iterdir()))), ZoneInfo("UTC"))
    for _ in range(2):
        strays = source.strays("t")
        assert (strays.rows, strays.untimed, strays.apart) == (42, 1, 1)
        assert (strays.low, strays.high) == (START, START + 39 * DAY)
        assert strays.inside(START, START + 40 * DAY) == 2 - strays.unplaced
        source.read(["x"], timestamp="t", start=START, end=START + DAY)
