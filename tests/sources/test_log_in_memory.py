"""A log kept in memory gives the rows its files give."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.sources import open_source
from monitor.sources.files import FileSource
from monitor.sources.log_in_memory import SourceInMemory, open_in_memory

START, UTC_ZONE = datetime(2024, 1, 1, tzinfo=UTC), ZoneInfo("UTC")


def _write(path, hours):
    at = [START + timedelta(hours=hour) for hour in hours]
    pq.write_table(pa.table({"at": pa.array(at, pa.timestamp("us", "UTC")), "x": [float(h) for h in hours]}), path)
    return SourceSection(path=str(path))


@pytest.mark.parametrize("hours", [range(10), [3, 1, 2, 9, 4, 4, 0]], ids=["in order", "in no order"])
@pytest.mark.parametrize("bounds", [(None, None), (2, 4), (None, 4), (3, None), (20, 30)])
def test_every_stretch_is_the_same(tmp_path, hours, bounds):
    """A time range in memory has the rows of the ordinary source, for sorted and unsorted rows and any columns."""
    section = _write(tmp_path / "log.parquet", hours)
    start, end = (None if hour is None else START + timedelta(hours=hour) for hour in bounds)
    kept, plain = open_in_memory(section, UTC_ZONE, "at", [], None), open_source(section, UTC_ZONE)
    assert isinstance(kept, SourceInMemory)
    for columns in (None, ["x"], []):
        given = {"timestamp": "at", "start": start, "end": end}
        assert kept.read(columns, **given).to_pylist() == plain.read(columns, **given).to_pylist()


def test_a_log_that_grew_is_read_again(tmp_path):
    """A log whose file has changed is read again."""
    _write(tmp_path / "a.parquet", range(3))
    section = SourceSection(path=str(tmp_path / "*.parquet"))
    assert len(open_in_memory(section, UTC_ZONE, "at", [], None).read(None, timestamp="at")) == 3
    _write(tmp_path / "b.parquet", range(3, 5))
    assert len(open_in_memory(section, UTC_ZONE, "at", [], None).read(None, timestamp="at")) == 5


def test_rows_that_are_there_twice_stay_until_they_are_counted(tmp_path):
    """Repetitions are left out, and counted, by who reads the rows, as when the log is read from its file."""
    at = pa.array([START, START, START + timedelta(hours=1), START], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"at": at, "id": ["a", "b", "a", "a"], "x": [1, 2, 3, 4]}), tmp_path / "log.parquet")
    kept = open_in_memory(SourceSection(path=str(tmp_path / "log.parquet")), UTC_ZONE, "at", [], "id")
    assert not kept.each_once
    assert kept.read(["x"], timestamp="at")["x"].to_pylist() == [1, 2, 3, 4]


def test_text_is_never_kept(tmp_path):
    """The types of a CSV file's columns depend on the rows that are read."""
    (tmp_path / "log.csv").write_text("at,x\n2024-01-01,1\n")
    section = SourceSection(path=str(tmp_path / "log.csv"))
    assert isinstance(open_in_memory(section, UTC_ZONE, "at", [], None), FileSource)
