"""Which files a path means: each once, by its identity, and what folders' names say."""

import gzip
import os
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import Source, compressed, open_source
from monitor.sources.listing import files_at


def source_of(path: Path | str) -> Source:
    return open_source(SourceSection(path=str(path)), ZoneInfo("UTC"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A folder with one file of three rows in a folder of its own."""
    (tmp_path / "log/2026").mkdir(parents=True)
    (tmp_path / "log/2026/a.csv").write_text("x\n1\n2\n3\n")
    return tmp_path / "log"


@pytest.mark.parametrize("pattern", ["", "**/*.csv", "**", "*/*.csv", "2026/*.csv", "**/2026/*.csv", "2026/a.csv"])
def test_links_loops_and_hard_links_multiply_nothing(log: Path, pattern: str) -> None:
    """A file is read once, by its real name, however many links lead to it or around in circles."""
    (log / "again").symlink_to(".")
    (log / "now").symlink_to("2026")
    (log / "2026/up").symlink_to("..")
    (log / "2026/latest.csv").symlink_to("a.csv")
    os.link(log / "2026/a.csv", log / "2026/b.csv")
    found = files_at(str(log / pattern) if pattern else str(log), None)
    assert [path.stat().st_ino for path in found] == [(log / "2026/a.csv").stat().st_ino]
    assert found[0].name in ("a.csv", "b.csv")
    assert source_of(log / pattern if pattern else log).read(None).num_rows == 3


@pytest.mark.parametrize("pattern", ["", "**/*.csv", "*/*.csv"])
def test_a_linked_folder_is_read_once(log: Path, tmp_path: Path, pattern: str) -> None:
    """A part of a log that is a link to another disk belongs to it."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far/b.csv").write_text("x\n4\n")
    (log / "linked").symlink_to("../far")
    (log / "twice").symlink_to(tmp_path / "far")
    assert sorted(source_of(log / pattern if pattern else log).read(None)["x"].to_pylist()) == [1, 2, 3, 4]


@pytest.mark.parametrize("hidden", [
    "_temporary/0/attempt_1/a.csv", "_delta_log/0.csv", ".checkpoint/a.csv", "2026/_SUCCESS.csv", "2026/.a.csv",
    "2026/b.csv.tmp", "2026/c.part",
])
@pytest.mark.parametrize("pattern", ["", "**/*", "*/*"])
def test_hidden_and_unfinished_files_are_no_data(log: Path, hidden: str, pattern: str) -> None:
    """What Spark, editors and writers leave beside the data is not read, in a folder or by a glob."""
    (log / hidden).parent.mkdir(parents=True, exist_ok=True)
    (log / hidden).write_text("x\n9\n")
    assert source_of(log / pattern if pattern else log).read(None)["x"].to_pylist() == [1, 2, 3]


def test_a_hidden_name_that_is_written_out_is_read(log: Path) -> None:
    """Whoever names a file or a folder with an underscore means it."""
    (log / "_mine").mkdir()
    (log / "_mine/a.csv").write_text("x\n7\n")
    assert source_of(log / "_mine/*.csv").read(None)["x"].to_pylist() == [7]
    assert source_of(log / "_mine/a.csv").read(None)["x"].to_pylist() == [7]


def test_folders_that_name_a_value_are_a_column(tmp_path: Path) -> None:
    """Hive's partitions are read with their types: text, whole numbers, an escaped sign, and its word for null."""
    for place, x in {"country=DE/shop=1": 1, "country=%C3%96%2FU/shop=2": 2,
                     "country=__HIVE_DEFAULT_PARTITION__/shop=3": 3}.items():
        (tmp_path / "log" / place).mkdir(parents=True)
        pq.write_table(pa.table({"x": [x]}), tmp_path / "log" / place / "a.parquet")
    for path in (tmp_path / "log", tmp_path / "log/*/*/*.parquet", tmp_path / "log/**/*.parquet"):
        rows = {row["x"]: row for row in source_of(path).read(None).to_pylist()}
        assert [rows[x]["country"] for x in (1, 2, 3)] == ["DE", "Ö/U", None]
        assert [rows[x]["shop"] for x in (1, 2, 3)] == [1, 2, 3]
    assert source_of(tmp_path / "log").schema().field("shop").type == pa.int64()
    assert source_of(tmp_path / "log").read(["shop"])["shop"].to_pylist().count(1) == 1


@pytest.mark.parametrize(("folders", "features"), [
    (["dt=2026-01-01/hour=01/day=1", "dt=2026-01-02/hour=13/day=2"], []),
    (["year=2026/month=01/day=05", "year=2026/month=12/day=31"], []),
    (["yyyy=2026/mm=01/dd=05/hh=00", "yyyy=2026/mm=01/dd=05/hh=23"], []),
    (["ds=20260105", "ds=20260106"], []), (["dt=2026010513", "dt=2026010514"], []),
    (["dt=2026-01-05-13", "dt=2026-01-05-14"], []), (["dt=20260105T13", "dt=__HIVE_DEFAULT_PARTITION__"], []),
    (["at=2026-01-05%2013%3A00%3A00", "at=2026-01-05T14:00:00.5Z"], []), (["month=2026-01", "month=2026-12"], []),
    (["week=2026-W01", "week=W02"], []), (["quarter=Q1", "quarter=2026Q2"], []),
    (["store=001", "store=202"], ["store"]), (["year=2026", "year=old"], ["year"]), (["run=2026", "run=2027"], ["run"]),
    (["code=20269999", "code=20260105"], ["code"]), (["my%20city=a", "my%20city=b"], ["my city"]),
])
def test_folders_of_days_are_no_feature(tmp_path: Path, folders: list[str], features: list[str]) -> None:
    """A folder's part of the time says again what the rows' timestamps say; it is left out, and said."""
    for number, folder in enumerate(folders):
        place = tmp_path / "log" / folder
        place.mkdir(parents=True)
        (place / "a.csv").write_text(f"t,x\n2026-01-0{number + 1} 01:00,{number}\n")
    source = source_of(tmp_path / "log")
    assert source.schema().names == ["t", "x", *features]
    assert bool(source.left_out()) != bool(features)


@pytest.mark.parametrize("own", ["FR", "US"])
def test_a_folders_column_that_some_files_have_too(tmp_path: Path, own: str) -> None:
    """A file's own column wins; in the others the folder tells the value, whichever file comes first."""
    for country in ("FR", "US"):
        (tmp_path / f"country={country}").mkdir()
        columns = {"x": [1]} | ({"country": ["DE"]} if country == own else {})
        pq.write_table(pa.table(columns), tmp_path / f"country={country}/a.parquet")
    assert source_of(tmp_path).read(None)["country"].to_pylist() == [
        "DE" if country == own else country for country in ("FR", "US")]


def test_a_scan_reads_the_folders_column_too(tmp_path: Path) -> None:
    """Columns that are read one by one include those of the folders."""
    for country, x in (("DE", 1), ("US", 2)):
        (tmp_path / f"country={country}").mkdir()
        times = pa.array([1_767_225_600 + x], pa.timestamp("s", "UTC"))
        pq.write_table(pa.table({"t": times, "x": [x]}), tmp_path / f"country={country}/a.parquet")
    scan = source_of(tmp_path).scan("t", None, None)
    assert scan is not None
    found = pa.concat_tables(scan.parts(["country"]))
    assert found["country"].to_pylist() == ["DE", "US"]
    assert scan.schema.names == ["t", "x", "country"]


def test_columns_that_cannot_be_watched_are_named(tmp_path: Path) -> None:
    """Lists, maps and bytes are left out with what to do, in Parquet and in JSON lines."""
    table = pa.table({
        "x": [1], "tags": [["a"]], "blob": pa.array([b"a"], pa.binary()),
        "pairs": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "deep": [{"list": [1], "y": 2}],
    })
    pq.write_table(table, tmp_path / "a.parquet")
    left = source_of(tmp_path / "a.parquet").left_out()
    assert set(left) == {"tags", "blob", "pairs", "deep.list"}
    assert "write its length or its elements" in left["tags"]
    assert "write it as text" in left["blob"]
    (tmp_path / "a.jsonl").write_text('{"x": 1, "tags": ["a"]}\n')
    assert set(source_of(tmp_path / "a.jsonl").left_out()) == {"tags"}
    (tmp_path / "a.csv").write_text(",x\n0,1\n")
    assert set(source_of(tmp_path / "a.csv").left_out()) == {"column 1"}


def packed_by(kind: str, data: bytes) -> bytes:
    if kind == "gzip":
        return gzip.compress(data[:11]) + gzip.compress(data[11:])      # rotated logs are often several members
    packed: bytes = pa.Codec(kind).compress(data, asbytes=True)
    return packed


@pytest.mark.parametrize(("name", "kind"), [
    ("log.csv.gz", "gzip"), ("log.csv.zst", "zstd"), ("log.csv.2.gz", "gzip"), ("log.csv.1", "zstd"),
])
def test_packed_files_are_read_beside_plain_ones(tmp_path: Path, name: str, kind: str) -> None:
    """gzip and zstd are known by their content, so that the name of a rotated log does not matter."""
    (tmp_path / "log.csv").write_text("x,y\n1,a\n")
    (tmp_path / name).write_bytes(packed_by(kind, b"x,y\n2,b\n3,c\n"))
    assert sorted(source_of(tmp_path / "log.csv*").read(None)["x"].to_pylist()) == [1, 2, 3]


@pytest.mark.parametrize(("name", "kind"), [("a.jsonl.gz", "gzip"), ("a.ndjson.zst", "zstd")])
def test_packed_json_lines_are_read_from_a_folder(tmp_path: Path, name: str, kind: str) -> None:
    """A folder's packed JSON lines are found by their ending."""
    (tmp_path / name).write_bytes(packed_by(kind, b'{"x": 1}\n{"x": 2}\n'))
    assert source_of(tmp_path).read(None)["x"].to_pylist() == [1, 2]


@pytest.mark.parametrize(("content", "sentence"), [
    (gzip.compress(b"x\n1\n" * 1000, mtime=0)[:-9], "is not a complete gzip file"),
    (b"PK\x03\x04 and so on", r"is compressed \(zip\), expected plain text, gzip or zstd"),
    (b"BZh91AY&SY and so on", r"is compressed \(bzip2\)"),
    (gzip.compress(gzip.compress(b"x\n1\n")), r"is packed twice \(gzip within\)"),
    (b"PAR1\x15\x04\x15@ and so on", 'is a file of Parquet, expected text; set format = "parquet"'),
    (b"ORC\n\x1e\n\x04 and so on", 'is a file of ORC, expected text; set format = "orc"'),
    (gzip.compress(b"Obj\x01\x04\x14 and so on"), "is a file of Avro"),
    (b"ARROW1\0\0 and so on", r"is a file of Arrow \(Feather\)"),
], ids=["cut off", "zip", "bzip2", "twice", "Parquet", "ORC", "Avro", "Feather"])
def test_what_cannot_be_unpacked_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A file that is cut off, or packed in another way, is named with what to do."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SourceError, match=sentence):
        source_of(tmp_path / "a.csv").read(None)


@pytest.mark.parametrize("text", ["ORC,x\n1,2\n", "PAR1\tx\n1\t2\n", "Objx\n1\n"])
def test_a_text_that_begins_like_another_format_is_text(tmp_path: Path, text: str) -> None:
    """The first column may have any name."""
    (tmp_path / "a.csv").write_text(text)
    assert source_of(tmp_path / "a.csv").read(None).num_rows == 1


def test_frames_that_are_skipped_come_before_zstd(tmp_path: Path) -> None:
    """pzstd writes a frame without content first."""
    (tmp_path / "a.csv").write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + packed_by("zstd", b"x\n1\n"))
    assert source_of(tmp_path / "a.csv").read(None)["x"].to_pylist() == [1]


@pytest.mark.parametrize("name", [
    "log.jsonl.1", "log.jsonl.12.gz", "log.jsonl-20260131", "log.jsonl.2026-01-31", "log.jsonl.2026-01-31_23-59-59",
    "LOG.JSONL.2026-01-31T23.zst",
])
def test_a_log_that_was_rotated_is_read_whole(tmp_path: Path, name: str) -> None:
    """The rows of yesterday do not vanish when the file gets another name."""
    (tmp_path / "log.jsonl").write_text('{"x": 2}\n')
    text = b'{"x": 1}\n'
    kind = {".gz": "gzip", ".zst": "zstd"}.get(Path(name).suffix)
    (tmp_path / name).write_bytes(packed_by(kind, text) if kind else text)
    for other in ("log.jsonl.bak", "log.jsonl.1.tmp", "notes.2026-01-31", "log.jsonl.v2"):
        (tmp_path / other).write_text("no data")
    assert sorted(source_of(tmp_path).read(None)["x"].to_pylist()) == [1, 2]


@pytest.mark.parametrize(("names", "sentence"), [
    (["a.json", "b.json"], r'no file in this folder has an ending that names its format \(but 2 \.json\); set format'),
    (["part-0", "b.txt.gz"], r"\(but 1 \.txt, 1 without one\)"), (["a.avro"], "Avro by its ending, which is not read"),
    (["a.avro", "b.csv"], "Avro by its ending, which is not read, .*; set format to leave these out"),
    (["a.json"], r"a\.json: has no ending that names its format"),
])
def test_files_without_a_format_are_named(tmp_path: Path, names: list[str], sentence: str) -> None:
    """A folder of files that are not read is no folder without files."""
    for name in names:
        (tmp_path / name).write_text("x\n1\n")
    with pytest.raises(SourceError, match=sentence):
        source_of(tmp_path / names[0] if "a\\.json" in sentence else tmp_path).read(None)


@pytest.mark.parametrize(("format", "text"), [("jsonl", '{"x": 1}\n'), ("csv", "x\n1\n")])
@pytest.mark.parametrize("ending", ["", ".log", ".txt"])
def test_a_format_that_is_set_finds_files_without_its_ending(
    tmp_path: Path, format: Literal["jsonl", "csv"], text: str, ending: str
) -> None:
    """As Kinesis, Athena and Spark name them; a file with the ending of the format leaves the others out."""
    for number in (0, 1):
        (tmp_path / f"part-{number}{ending}").write_text(text)
    section = SourceSection(path=str(tmp_path), format=format)
    assert open_source(section, ZoneInfo("UTC")).read(None)["x"].to_pylist() == [1, 1]
    (tmp_path / f"a.{format}").write_text(text)
    assert open_source(section, ZoneInfo("UTC")).read(None)["x"].to_pylist() == [1]


def test_a_small_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb does not fill the memory: unpacking stops at the limit."""
    monkeypatch.setattr(compressed, "MOST", 4 << 20)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n" + b"1\n" * (4 << 20)))
    with pytest.raises(SourceError, match="unpacks to more than 4 MiB"):
        source_of(tmp_path / "a.csv.gz").read(None)
