"""What Parquet files hold is known without opening them again, also in the next process, until they change."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.records import from_json, to_json
from monitor.sources import Source, extents, open_source
from monitor.sources.column_types import Bounds
from monitor.sources.strays import Strays

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LAST = Bounds("t", START + 2 * DAY, START + 3 * DAY)


def write(folder: Path, day: int, hours: int = 24) -> Path:
    path = folder / f"{day}.parquet"
    times = [START + day * DAY + hour * timedelta(hours=1) for hour in range(hours)]
    pq.write_table(pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": range(hours)}), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for day in range(3):
        write(tmp_path, day)
    return tmp_path


def source(folder: Path) -> Source:
    return open_source(SourceSection(path=str(folder)), ZoneInfo("UTC"))


def look(folder: Path) -> tuple[int, Strays]:
    """The rows of the last day, by scan as by read, and the strays of all days."""
    rows = len(source(folder).read(["x"], timestamp="t", start=LAST.start, end=LAST.end))
    scan = source(folder).scan("t", LAST.start, LAST.end)
    assert scan is not None
    assert scan.rows == rows
    return rows, source(folder).strays("t")


def in_next_process(told: extents.Told | None) -> None:
    """Forget everything, but what was told as JSON."""
    extents._known.clear()
    extents._columns.clear()
    if told is not None:
        extents.recall(from_json(extents.Told, to_json(told)))


def spoil(path: Path) -> None:
    """Make a file unreadable in a way that none of its properties shows."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_the_next_process_opens_only_the_files_of_its_window(folder: Path) -> None:
    """Files of other days could be unreadable: what they hold was told. Untold, they are opened and refused."""
    with extents.learning() as learnt:
        rows, strays = look(folder)
    assert learnt.new
    spoil(folder / "0.parquet")
    in_next_process(learnt.told())
    with extents.learning() as again:
        now, others = look(folder)
    assert (now, others.rows, others.low, others.high) == (rows, strays.rows, strays.low, strays.high)
    assert not again.new
    in_next_process(None)
    with pytest.raises(SourceError, match=r"0\.parquet"):
        source(folder).read(["x"], timestamp="t", start=LAST.start, end=LAST.end)


def test_a_file_that_was_written_again_is_opened_again(folder: Path) -> None:
    """Rows that came into an earlier file, one that is new and one that went are all seen."""
    with extents.learning() as learnt:
        assert look(folder)[0] == 24
    write(folder, 0, hours=3 * 24)
    write(folder, 3)
    (folder / "1.parquet").unlink()
    in_next_process(learnt.told())
    rows, strays = look(folder)
    assert rows == 24 + 24 + 1                           # the file of the first day now holds the last one too
    assert strays.rows == 24 * 5


def test_a_file_written_after_the_look(folder: Path) -> None:
    """One with rows of the window is read as it is now; what came into any other one is seen at the next look."""
    look(folder)
    one = source(folder)

    def rows() -> list[int]:
        scan = one.scan("t", LAST.start, LAST.end)
        return [len(one.read(["x"], timestamp="t", start=LAST.start, end=LAST.end)), scan.rows if scan else -1]

    assert rows() == [24, 24]
    write(folder, 2, hours=12)
    assert rows() == [12, 12]
    write(folder, 1, hours=2 * 24)
    assert rows() == [12, 12]
    one.fingerprint()
    assert rows() == [36, 36]


def test_only_files_with_rows_of_the_windows_are_hashed(folder: Path) -> None:
    """Without a time range all of them are."""
    def names(*during: Bounds) -> list[str]:
        return [Path(one.name).name for one in source(folder).contents("predictions", [], during)]

    assert names() == ["0.parquet", "1.parquet", "2.parquet"]
    assert names(LAST) == ["2.parquet"]
    assert names(LAST, Bounds("t", START, START + DAY - timedelta(hours=1))) == ["0.parquet", "2.parquet"]
