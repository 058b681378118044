"""Tables of a lake as their own libraries write them, and what these cannot write by hand after the specifications."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyroaring import BitMap

START = datetime(2024, 1, 1)
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_MAGIC = 1681511377


def rows(first: int = 0, count: int = 6, **more: Any) -> pa.Table:
    """Rows with the numbers from `first` on, an hour apart, and a country."""
    places = ["nl", "be fr", None, "z=%/"]
    numbers = range(first, first + count)
    return pa.table({
        "ts": pa.array([START + timedelta(hours=number) for number in numbers], pa.timestamp("us")),
        "x": list(numbers), "country": [places[number % 4] for number in numbers], **more,
    })


def iceberg_table(folder: Path, schema: pa.Schema, **options: Any) -> Table:
    """Create an Iceberg table at `folder`/lake/t."""
    catalog = InMemoryCatalog("tests", warehouse=f"file://{folder}")
    catalog.create_namespace("lake")
    return catalog.create_table("lake.t", schema, **options)


def delete_in_log(folder: Path, places: list[int]) -> None:
    """Delete rows of a Delta table's one file by a deletion vector that stands in the log."""
    log = folder / "_delta_log"
    newest = max(log.glob("*.json"))
    add = next(json.loads(line)["add"] for line in newest.read_text().splitlines() if '"add"' in line)
    data = b"".join((_MAGIC.to_bytes(4, "little"), (1).to_bytes(8, "little"), bytes(4), BitMap(places).serialize()))
    vector = {"storageType": "i", "pathOrInlineDv": _z85(data), "sizeInBytes": len(data), "cardinality": len(places)}
    features = ["deletionVectors", "timestampNtz"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    remove = {"path": add["path"], "deletionTimestamp": 1, "dataChange": True, "partitionValues": {}}
    commit(folder, {"protocol": protocol}, {"remove": remove}, {"add": {**add, "deletionVector": vector}})


def commit(folder: Path, *actions: dict[str, Any]) -> None:
    """Write the next version of a Delta table by hand."""
    version = deltalake.DeltaTable(str(folder)).version() + 1
    lines = [json.dumps(action) for action in ({"commitInfo": {"timestamp": 1, "operation": "TEST"}}, *actions)]
    (folder / "_delta_log" / f"{version:020}.json").write_text("\n".join(lines) + "\n")


def delete_apart(table: Table, content: DataFileContent, places: list[int]) -> None:
    """Delete rows of an Iceberg table's first file by a file of deletes, which pyiceberg reads and does not write."""
    snapshot = cast(Any, table.current_snapshot())
    first = min(task.file.file_path for task in table.scan().plan_files())
    deletes = f"{table.location()}/data/deletes.parquet"
    pq.write_table(pa.table({"file_path": [first] * len(places), "pos": places}), deletes.removeprefix("file://"))
    file = DataFile.from_args(
        content=content, file_path=deletes, file_format=FileFormat.PARQUET, partition=Record(), spec_id=0,
        record_count=len(places), file_size_in_bytes=1, equality_ids=[2] if content == 2 else None,
    )
    number = snapshot.sequence_number
    output = table.io.new_output(f"{table.location()}/metadata/deletes.avro")
    with _Deletes(table.spec(), table.schema(), output, snapshot.snapshot_id, "null") as writer:
        writer.add_entry(ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED, snapshot_id=snapshot.snapshot_id, sequence_number=number,
            file_sequence_number=number, data_file=file,
        ))
    before = snapshot.manifests(table.io)
    Path(snapshot.manifest_list.removeprefix("file://")).unlink()
    with write_manifest_list(2, table.io.new_output(snapshot.manifest_list), snapshot.snapshot_id, None, number,
                             "null") as manifests:
        manifests.add_manifests([*before, writer.to_manifest_file()])


class _Deletes(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    def to_manifest_file(self) -> ManifestFile:
        self._min_sequence_number = self._min_sequence_number or 1
        return super().to_manifest_file()

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def _z85(data: bytes) -> str:
    """Bytes as text (ZeroMQ's Z85), filled up to a multiple of four."""
    data += bytes(-len(data) % 4)
    numbers = [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4)]
    return "".join(_Z85[number // 85**place % 85] for number in numbers for place in (4, 3, 2, 1, 0))
