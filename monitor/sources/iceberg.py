"""Iceberg tables: the files that the newest snapshot names, read by the package `pyiceberg`.

Which metadata are the newest is known to a catalog; a folder alone says it by a hint of its writer, or by the highest
number. Paths in the metadata are absolute: those below the table's location are looked for in the folder, wherever
the folder is now.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources.lake_tables import Bring, DataFile, Snapshot, inside, missing_package
from monitor.untrusted import DOCUMENT, read_text

if TYPE_CHECKING:
    from pyiceberg.table import FileScanTask, Table

_NUMBER = re.compile(r"(?:v(\d+)|(\d+)-[^/]*)(?:\.gz)?\.metadata\.json")
_FIELD = b"PARQUET:field_id"


def snapshot(folder: Path, bring: Bring) -> Snapshot:
    """Return the newest snapshot of the table. Raises SourceError."""
    try:
        from pyiceberg.exceptions import ResolveError, ValidationError
        from pyiceberg.io.pyarrow import schema_to_pyarrow
    except ImportError:
        raise missing_package(folder, "Iceberg", "iceberg") from None
    try:
        table = _table(folder, _newest(folder))
        current = table.current_snapshot()
        tasks = [] if current is None else list(table.scan().plan_files())
        names = [file.file_path for task in tasks for file in (task.file, *task.delete_files)]
        bring([_local(folder, table.location(), name) for name in names])
        schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
        files = [_file(folder, table, task) for task in tasks]
    except (ResolveError, ValidationError, OSError, ValueError, NotImplementedError) as error:
        raise SourceError(f"{folder}: the metadata of the Iceberg table cannot be read ({error})") from None
    version = f"Iceberg snapshot {current.snapshot_id if current else 'none'}"
    return Snapshot(version, schema, tuple(sorted(files, key=lambda file: file.name)))


def _newest(folder: Path) -> Path:
    """Return the metadata that are in force: those of the hint, else those with the highest number."""
    metadata = folder / "metadata"
    hint = metadata / "version-hint.text"
    if hint.is_file():
        said = read_text(hint).strip()
        name = said if said.endswith(".metadata.json") else f"v{said}.metadata.json" if said.isdecimal() else said
        return inside(metadata, name, "its hint")
    numbered = [(int(found[1] or found[2]), path) for path in metadata.glob("*.metadata.json")
                if (found := _NUMBER.fullmatch(path.name))]
    if not numbered:
        raise SourceError(f"{folder}: no metadata of the Iceberg table has a number in its name, expected such as "
                          "v3.metadata.json")
    highest = max(numbered)[0]
    newest = [path for number, path in numbered if number == highest]
    if len(newest) > 1:
        both = " and ".join(sorted(path.name for path in newest))
        raise SourceError(f"{folder}: {both} are both the newest metadata of the Iceberg table; write the name of the "
                          "one in force into metadata/version-hint.text")
    return newest[0]


def _table(folder: Path, metadata: Path) -> "Table":
    """Open a table. Nothing that its metadata say is loaded as code or contacted: files are read from the folder."""
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadataUtil

    parsed = TableMetadataUtil.parse_raw(read_text(metadata, DOCUMENT))
    io = _inside_only(folder, parsed.location)
    return Table(("table",), parsed, str(metadata), io, NoopCatalog("none"))


def _inside_only(folder: Path, location: str) -> Any:
    """Return pyiceberg's way to files, with every path led into the folder."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    class InsideOnly(PyArrowFileIO):
        def new_input(self, location_: str) -> Any:
            return super().new_input(str(_local(folder, location, location_)))

    return InsideOnly()


def _local(folder: Path, location: str, path: str) -> Path:
    """Return where a file of the table is now."""
    root, wanted = _plain(location).rstrip("/") + "/", _plain(path)
    if not wanted.startswith(root):
        raise SourceError(f"{folder}: the Iceberg table names a file outside of its location {location} ({path}), "
                          "which is not read; write the table again as a whole")
    return inside(folder, wanted.removeprefix(root), "the Iceberg metadata")


def _plain(location: str) -> str:
    """Return a location in one form: s3a:// is s3://, file:///x is /x."""
    parts = urlsplit(location)
    if parts.scheme in ("", "file"):
        return parts.path
    return f"{parts.scheme.rstrip('an') if parts.scheme.startswith('s3') else parts.scheme}://{parts.netloc}{parts.path}"


def _file(folder: Path, table: "Table", task: "FileScanTask") -> DataFile:
    """Return a file of the table, with its rows where the table has other rows or other names for its columns."""
    path = _local(folder, table.location(), task.file.file_path)
    name = str(path.relative_to(folder))
    deletes = sorted(deleted.file_path for deleted in task.delete_files)
    if task.file.file_format.name == "PARQUET" and not deletes and _as_it_is(table, task, path):
        return DataFile(name, path, task.file.file_size_in_bytes)
    mark = json.dumps([table.schema().schema_id, deletes])
    return DataFile(name, path, task.file.file_size_in_bytes, {}, mark, partial(_rows, table, task))


def _as_it_is(table: "Table", task: "FileScanTask", path: Path) -> bool:
    """Tell whether each column of a file has the name that the table has for it now."""
    names = {field.field_id: field.name for field in table.schema().fields}
    schema = pq.read_schema(path, memory_map=False)
    if any(_FIELD not in (field.metadata or ()) or pa.types.is_nested(field.type) for field in schema):
        return False
    there: Mapping[int, str] = {int(field.metadata[_FIELD]): field.name for field in schema}
    if any(names.get(id) != name for id, name in there.items() if id in names or name in names.values()):
        return False
    missing = [field for field in table.schema().fields if field.field_id not in there]
    return not missing or not (len(task.file.partition) or any(field.initial_default is not None for field in missing))


def _rows(table: "Table", task: "FileScanTask") -> Iterator[pa.RecordBatch]:
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    yield pa.RecordBatch.from_pylist([], schema)
    for batch in scan.to_record_batches([task]):
        yield from pa.Table.from_batches([batch]).cast(schema).to_batches()
