"""ORC: reads the requested columns, stripe by stripe."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
from pyarrow import orc

from monitor.errors import SourceError
from monitor.sources.extents import Stamp
from monitor.sources.record_batches import Batches
from monitor.sources.row_groups import RowGroups

_ZONES = Path("/usr/share/zoneinfo")     # where the library looks for time zones unless TZDIR names another folder
_UNREAD_TIMES = {        # what the library says of times that it does not read
    "Time zone file": "its times are in a time zone that this system does not have; install tzdata, or set TZDIR",
    "out of range for nanosecond": "holds a time outside of the years 1678 to 2261, which is not read of ORC; leave it "
                                   "missing, or write Parquet",
}


class Orc(RowGroups):
    _NAME = "ORC"

    @contextmanager
    def _open(self, path: Path, stamp: Stamp, coded: Sequence[str]) -> Iterator["_Opened"]:
        _find_zones()
        try:
            with pa.OSFile(str(path)) as source:
                yield _Opened(orc.ORCFile(source), coded)
        except pa.ArrowException as error:
            for words, meaning in _UNREAD_TIMES.items():
                if words in str(error):
                    raise SourceError(f"{path}: {meaning}") from None
            raise


class _Opened(Batches):
    def __init__(self, file: orc.ORCFile, coded: Sequence[str]) -> None:
        super().__init__(coded)
        self._file = file
        self.schema, self.groups = _in_microseconds(file.schema), file.nstripes
        self.rows = file.nrows

    def _load(self, group: int, columns: list[str] | None) -> pa.Table:
        table = pa.Table.from_batches([self._file.read_stripe(group, columns)])
        return table.cast(_in_microseconds(table.schema), safe=False)


def _in_microseconds(schema: pa.Schema) -> pa.Schema:
    """Return the schema with times as other formats have them: of nanoseconds pandas would be needed."""
    kinds = [pa.timestamp("us", f.type.tz) if pa.types.is_timestamp(f.type) else f.type for f in schema]
    return pa.schema([field.with_type(kind) for field, kind in zip(schema, kinds, strict=True)], schema.metadata)


def _find_zones() -> None:
    """Let the library use the time zones that came with Python's packages where the system has none."""
    if "TZDIR" not in os.environ and not _ZONES.is_dir():
        package = find_spec("tzdata")
        if package is not None and package.origin is not None:
            os.environ["TZDIR"] = str(Path(package.origin).with_name("zoneinfo"))
