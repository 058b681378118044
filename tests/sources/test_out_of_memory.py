"""Memory that runs out says nothing of the file that was read."""

import errno

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.sources.out_of_memory import is_out_of_memory


@pytest.mark.parametrize("error", [
    MemoryError(), pa.ArrowMemoryError("malloc of size 640 failed"), OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("std::bad_alloc"), pa.ArrowException("realloc of size 99 failed"),
])
def test_every_form_of_too_little_memory_is_known(error):
    """By its class, its number or its words, as Python, Arrow and C++ put it."""
    assert is_out_of_memory(error)
    assert not is_out_of_memory(OSError("Couldn't deserialize thrift"))


@pytest.mark.parametrize("error", [pa.ArrowMemoryError("malloc of size 640 failed"), OSError("std::bad_alloc")])
def test_a_parquet_file_is_not_called_damaged_when_memory_runs_out(tmp_path, monkeypatch, error):
    """What is raised is a MemoryError, which a worker tells as its limit, and no sentence about the file."""
    from zoneinfo import ZoneInfo

    from monitor.config.sections import SourceSection
    from monitor.sources import open_source

    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"x": [1]}), path)

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", refuse)
    with pytest.raises(MemoryError):
        open_source(SourceSection(path=str(path)), ZoneInfo("UTC")).read(None)
