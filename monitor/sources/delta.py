"""Delta tables: the files that the log of the newest version names, read by the package `deltalake`."""

from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources.lake_tables import Bring, DataFile, Snapshot, inside, missing_package, require_known

# Those that change neither which rows a file has nor under which names, and deletion vectors, which are applied.
_FEATURES = ("deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "typeWidening",
             "typeWidening-preview")
_VALUE = "partition."


def snapshot(folder: Path, bring: Bring) -> Snapshot:
    """Return the newest version of the table. Raises SourceError."""
    try:
        import deltalake
    except ImportError:
        raise missing_package(folder, "Delta", "delta") from None
    try:
        table = deltalake.DeltaTable(str(folder))
        _require_readable(folder, table)
        adds = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        masks = _masks(table) if "deletionVectors" in (table.protocol().reader_features or ()) else {}
        schema = pa.schema(table.schema().to_arrow())
    except (deltalake.exceptions.DeltaError, OSError, ValueError) as error:
        why = str(error).split("\n", 1)[0]           # the rest is the library's own trace
        raise SourceError(f"{folder}: the log of the Delta table cannot be read ({why})") from None
    files = tuple(_file(folder, add, masks) for add in sorted(adds, key=lambda add: str(add["path"])))
    bring([file.path for file in files])
    return Snapshot(f"Delta version {table.version()}", schema, files)


def _require_readable(folder: Path, table: Any) -> None:
    protocol, mode = table.protocol(), table.metadata().configuration.get("delta.columnMapping.mode", "none")
    if mode != "none":
        raise SourceError(f"{folder}: the Delta table maps its columns to other names (delta.columnMapping.mode = "
                          f'"{mode}"), which this version does not read; write it again without')
    require_known(folder, "the Delta features", protocol.reader_features or (), (*_FEATURES, "columnMapping"))


def _masks(table: Any) -> dict[str, pa.ListScalar]:
    """Return which rows are kept, of each file with deleted rows, by the path of the file."""
    found = pa.table(table.deletion_vectors())
    paths = (unquote(urlsplit(path).path) for path in found["filepath"].to_pylist())
    return dict(zip(paths, found["selection_vector"], strict=True))


def _file(folder: Path, add: Mapping[str, Any], masks: Mapping[str, pa.ListScalar]) -> DataFile:
    name = unquote(str(add["path"]))
    path = inside(folder, name.removeprefix("file://"), "the Delta log")
    values = {key.removeprefix(_VALUE): value for key, value in add.items() if key.startswith(_VALUE)}
    kept = masks.get(str(path.resolve()))
    if kept is None:
        return DataFile(name, path, add["size_bytes"], values)
    mask = kept.values
    deleted = sha256(repr((len(mask), mask.to_pylist())).encode()).hexdigest()
    return DataFile(name, path, add["size_bytes"], values, deleted, partial(_kept, path, mask))


def _kept(path: Path, mask: pa.BooleanArray) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file that are not deleted; those behind the end of the mask are kept."""
    with pq.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
        yield pa.RecordBatch.from_pylist([], file.schema_arrow)
        at = 0
        for batch in file.iter_batches(use_threads=False):
            part = mask.slice(at, len(batch))
            at += len(batch)
            rest = pa.repeat(True, len(batch) - len(part))
            yield batch.filter(pa.concat_arrays([part, rest]))
