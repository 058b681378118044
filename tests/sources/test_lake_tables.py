"""Delta and Iceberg folders hold exactly the rows that their own libraries read."""

import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import GreaterThan
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table
from pyiceberg.types import DoubleType

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import Source, open_source
from tests.sources import made_tables as lake


def source_of(path: Path | str) -> Source:
    return open_source(SourceSection(path=str(path)), ZoneInfo("UTC"))


def same_rows(source: Source, theirs: pa.Table) -> None:
    """The source has the table's rows, whole, of a time range, of single columns and by column."""
    def plain(table: pa.Table) -> list[dict[str, Any]]:
        return sorted(table.select(sorted(table.column_names)).to_pylist(), key=repr)

    views = [pa.field(f.name, pa.string() if pa.types.is_string_view(f.type) else f.type) for f in theirs.schema]
    ours, theirs = source.read(None), theirs.cast(pa.schema(views))
    assert plain(ours) == plain(theirs)
    assert {field.name for field in source.schema()} == set(theirs.column_names)
    start, end = (lake.START.replace(tzinfo=UTC) + timedelta(hours=hours) for hours in (2, 8))
    named = [name for name in theirs.column_names if name != "ts"]
    part = source.read(named, timestamp="ts", start=start, end=end)
    times = pa.compute.assume_timezone(theirs["ts"], "UTC")
    inside = pa.compute.and_(pa.compute.greater_equal(times, start), pa.compute.less_equal(times, end))
    assert plain(part.select(named)) == plain(theirs.filter(inside).select(named))
    scan = source.scan("ts", start, end)
    if scan is not None and "x" in named:
        found = [value for piece in scan.parts(["x"]) for value in piece["x"].to_pylist()]
        assert sorted(found, key=repr) == sorted(theirs.filter(inside)["x"].to_pylist(), key=repr)
    assert source.strays("ts").rows == len(theirs)


def _delta_steps(folder: Path) -> Iterator[str]:
    """Change a Delta table in every way that its library knows."""
    path = str(folder)
    deltalake.write_deltalake(path, lake.rows(), partition_by=["country"])
    yield "written"
    deltalake.write_deltalake(path, lake.rows(6), mode="append")
    yield "appended"
    deltalake.DeltaTable(path).delete("x = 3")
    yield "deleted"
    deltalake.DeltaTable(path).update(updates={"x": "x + 100"}, predicate="x > 8")
    yield "updated"
    deltalake.write_deltalake(path, lake.rows(12, w=[0.5] * 6), mode="append", schema_mode="merge")
    yield "widened"
    deltalake.DeltaTable(path).optimize.compact()
    yield "compacted"
    deltalake.DeltaTable(path).create_checkpoint()
    yield "checkpointed"
    deltalake.write_deltalake(path, lake.rows(1, day=[1, 1, 2, 2, 3, 3]), mode="overwrite", schema_mode="overwrite",
                              partition_by=["day"])
    yield "overwritten"


def test_a_delta_table_in_every_state(tmp_path: Path) -> None:
    """After each change exactly the rows are read that deltalake reads, and the version is in the fingerprint."""
    folder, marks = tmp_path / "t", set()
    for number, step in enumerate(_delta_steps(folder), 1):
        source = source_of(folder)
        same_rows(source, deltalake.DeltaTable(str(folder)).to_pyarrow_table())
        marks.add(source.fingerprint())
        assert len(marks) == number - (step in ("checkpointed", "overwritten")), step


def test_a_delta_table_of_which_the_checkpoint_alone_is_left(tmp_path: Path) -> None:
    """Rows that were replaced do not come back when the log before the checkpoint is cleaned away."""
    deltalake.write_deltalake(str(tmp_path), lake.rows())
    deltalake.write_deltalake(str(tmp_path), lake.rows(6), mode="overwrite")
    deltalake.DeltaTable(str(tmp_path)).create_checkpoint()
    for log in (tmp_path / "_delta_log").glob("*.json"):
        log.unlink()
    same_rows(source_of(tmp_path), deltalake.DeltaTable(str(tmp_path)).to_pyarrow_table())


@pytest.mark.parametrize("values", [
    pa.array([Decimal("1.50"), None, Decimal("2.25")], pa.decimal128(10, 2)), pa.array([1, 2, None], pa.int8()),
    pa.array([lake.START, None, lake.START], pa.timestamp("us")),
    pa.array([lake.START.date(), None, lake.START.date()]),
    pa.array([True, None, False]), pa.array([0.5, None, 1.5]), pa.array(["a b/c=d", None, "é"]),
], ids=lambda values: str(values.type))
def test_partitions_of_a_delta_table_in_every_type(tmp_path: Path, values: pa.Array) -> None:
    """A value that stands in the log alone is the one that the column would hold."""
    table = pa.table({"x": [1, 2, 3], "part": values})
    deltalake.write_deltalake(str(tmp_path / "by"), table, partition_by=["part"])
    pq.write_table(table, tmp_path / "a.parquet")
    wanted = source_of(tmp_path / "a.parquet").read(None)
    assert source_of(tmp_path / "by").read(None).sort_by("x").select(["x", "part"]).equals(wanted)


def _rename(table: Table) -> None:
    with table.update_schema() as update:
        update.rename_column("x", "z")
        update.add_column("w", DoubleType())


def _replace_column(table: Table) -> None:
    """Drop a column and add another one of its name, which has no values in what is there."""
    with table.update_schema() as update:
        update.delete_column("x")
    with table.update_schema() as update:
        update.add_column("x", DoubleType())


ICEBERG_STEPS: dict[str, Callable[[Table], None]] = {
    "appended": lambda table: table.append(lake.rows(6)),
    "deleted": lambda table: table.delete("x = 3"),
    "overwritten in part": lambda table: table.overwrite(lake.rows(20), overwrite_filter=GreaterThan("x", 8)),
    "renamed": _rename,
    "deleted under the new name": lambda table: table.delete("z = 5"),
    "column dropped": lambda table: table.update_schema().delete_column("country").commit(),
}


def test_an_iceberg_table_in_every_state(tmp_path: Path) -> None:
    """After each change exactly the rows are read that pyiceberg reads, also where the folder has been moved."""
    table = lake.iceberg_table(tmp_path, lake.rows().schema)
    table.append(lake.rows())
    marks = set()
    for number, (step, change) in enumerate(ICEBERG_STEPS.items(), 1):
        change(table)
        source = source_of(tmp_path / "lake" / "t")
        same_rows(source, table.scan().to_arrow())
        marks.add(source.fingerprint())
        assert len(marks) == number, step
    shutil.copytree(tmp_path / "lake", tmp_path / "elsewhere")
    assert source_of(tmp_path / "elsewhere" / "t").read(None).num_rows == len(source.read(None))


def test_a_column_that_replaced_one_of_its_name(tmp_path: Path) -> None:
    """Values of a dropped column are not those of a new column with its name."""
    table = lake.iceberg_table(tmp_path, lake.rows().schema)
    table.append(lake.rows())
    _replace_column(table)
    same_rows(source_of(tmp_path / "lake" / "t"), table.scan().to_arrow())
    assert source_of(tmp_path / "lake" / "t").read(["x"])["x"].null_count == 6


def test_rows_deleted_apart_from_their_file(tmp_path: Path) -> None:
    """Deletion vectors of Delta and position deletes of Iceberg are applied, as their libraries do."""
    deltalake.write_deltalake(str(tmp_path / "delta"), lake.rows())
    lake.delete_in_log(tmp_path / "delta", [1, 4])
    theirs = pa.table(deltalake.DeltaTable(str(tmp_path / "delta")).scan().read_all())
    assert len(theirs) == 4
    same_rows(source_of(tmp_path / "delta"), theirs)
    table = lake.iceberg_table(tmp_path, lake.rows().schema, properties={"format-version": "2"})
    table.append(lake.rows())
    lake.delete_apart(table, DataFileContent.POSITION_DELETES, [0, 5])
    assert table.scan().to_arrow()["x"].to_pylist() == [1, 2, 3, 4]
    same_rows(source_of(tmp_path / "lake" / "t"), table.scan().to_arrow())


def test_the_version_is_lineage(tmp_path: Path) -> None:
    """The table's version and each of its files are what was seen; each is hashed once."""
    deltalake.write_deltalake(str(tmp_path / "t"), lake.rows())
    source = source_of(tmp_path / "t")
    seen = list(source.contents("predictions", []))
    assert [(one.name, one.stamp) for one in seen][-1] == (str(tmp_path / "t"), "Delta version 0")
    assert {one.name for one in seen[:-1]} == {str(path) for path in (tmp_path / "t").glob("*.parquet")}
    deltalake.write_deltalake(str(tmp_path / "t"), lake.rows(6), mode="append")
    assert source.fingerprint()
    later = list(source.contents("predictions", {(one.name, one.stamp) for one in seen}))
    assert [one.stamp for one in later][-1] == "Delta version 1"
    assert len(later) == 2


def _mapped(folder: Path) -> Path:
    deltalake.DeltaTable.create(str(folder), lake.rows().schema, configuration={"delta.columnMapping.mode": "name"})
    return folder


def _of_a_later_version(folder: Path) -> Path:
    deltalake.write_deltalake(str(folder), lake.rows())
    features = ["timestampNtz", "shadowRows"]
    lake.commit(folder, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features,
                                      "writerFeatures": features}})
    return folder


def _leading_out(folder: Path) -> Path:
    deltalake.write_deltalake(str(folder), lake.rows())
    add = {"path": "../other.parquet", "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": True}
    lake.commit(folder, {"add": add})
    return folder


def _equality(folder: Path) -> Path:
    table = lake.iceberg_table(folder, lake.rows().schema, properties={"format-version": "2"})
    table.append(lake.rows())
    lake.delete_apart(table, DataFileContent.EQUALITY_DELETES, [0])
    return folder / "lake" / "t"


def _two_newest(folder: Path) -> Path:
    table = lake.iceberg_table(folder, lake.rows().schema)
    metadata = Path(table.metadata_location.removeprefix("file://"))
    shutil.copy(metadata, metadata.with_name("00000-other.metadata.json"))
    return folder / "lake" / "t"


def _hudi(folder: Path) -> Path:
    (folder / ".hoodie").mkdir(parents=True)
    pq.write_table(lake.rows(), folder / "a.parquet")
    return folder


def _part_of_a_table(folder: Path) -> str:
    deltalake.write_deltalake(str(folder), lake.rows(), partition_by=["country"])
    return f"{folder}/country=nl/*.parquet"


def _folder_above(folder: Path) -> Path:
    deltalake.write_deltalake(str(folder / "t"), lake.rows())
    return folder


def _damaged(folder: Path) -> Path:
    deltalake.write_deltalake(str(folder), lake.rows())
    (folder / "_delta_log" / f"{0:020}.json").write_text("{")
    return folder


def _file_gone(folder: Path) -> Path:
    deltalake.write_deltalake(str(folder), lake.rows())
    deltalake.write_deltalake(str(folder), lake.rows(6), mode="append")
    min(folder.glob("*.parquet")).unlink()
    return folder


@pytest.mark.parametrize(("make", "sentence"), [
    (_file_gone, r"1 of 2 files of Delta version 1 are not there \(such as part-"),
    (_mapped, r"maps its columns to other names \(delta.columnMapping.mode"),
    (_of_a_later_version, "shadowRows"),
    (_leading_out, r"names a file outside of the table's folder \(\.\./other\.parquet\)"),
    (_equality, "equality deletes"),
    (_two_newest, "are both the newest metadata"),
    (_hudi, r"is a Hudi table, which this version does not read"),
    (_part_of_a_table, r"holds a table \(Delta\), whose deleted rows are in its files; name the table alone"),
    (_folder_above, r"holds a table \(Delta\)"),
    (_damaged, "the log of the Delta table cannot be read"),
])
def test_what_cannot_be_read_right_is_refused(
    tmp_path: Path, make: Callable[[Path], Path | str], sentence: str
) -> None:
    """A table whose rows would be wrong gives one sentence, never rows."""
    place = make(tmp_path / "t")
    with pytest.raises(SourceError, match=sentence) as raised:
        source_of(place).read(None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("package", "extra"), [("deltalake", "delta"), ("pyiceberg.exceptions", "iceberg")])
def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str) -> None:
    """Where the library is not installed, one sentence says what to install; the files are not read without it."""
    deltalake.write_deltalake(str(tmp_path / "delta"), lake.rows())
    lake.iceberg_table(tmp_path, lake.rows().schema).append(lake.rows())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SourceError, match=rf"pip install 'driftd\[{extra}\]'"):
        source_of(tmp_path / "delta" if extra == "delta" else tmp_path / "lake" / "t").schema()
