import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import Source, listing, open_source
from monitor.sources.column_types import tidy
from monitor.sources.known_types import KnownTypes

UTC_ZONE = ZoneInfo("UTC")
DATA = Path(__file__).resolve().parents[2] / "../shared/data"
START = datetime(2026, 1, 1, tzinfo=UTC)


def source_of(path: Path | str, zone: ZoneInfo = UTC_ZONE, format: Any = None) -> Source:
    return open_source(SourceSection(path=str(path), format=format), zone)


def hourly(path: Path, first: datetime = START, rows: int = 48, group: int = 12, **columns: Any) -> Path:
    times = [first + timedelta(hours=n) for n in range(rows)]
    table = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": list(range(rows)), **columns})
    pq.write_table(table, path, row_group_size=group, write_page_checksum=True)
    return path


def test_only_the_row_groups_of_the_range_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of row groups outside the range only the times are read, once, and exactly the rows of the range are returned."""
    path = hourly(tmp_path / "a.parquet")
    groups: list[tuple[int, Any]] = []
    real = pq.ParquetFile.read_row_group

    def noted(self: Any, group: int, **options: Any) -> pa.Table:
        groups.append((group, options["columns"]))
        return real(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    start, end = START + timedelta(hours=30), START + timedelta(hours=32)
    for _ in range(2):
        found = source_of(path).read(["x"], timestamp="t", start=start, end=end)
        assert found["x"].to_pylist() == [30, 31, 32]
    assert [group for group, columns in groups if "x" in columns] == [2, 2]
    assert sorted(group for group, columns in groups if columns == ["t"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [
    pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "America/New_York"),
    pa.int64(), pa.string(), pa.date32(),
], ids=str)
def test_every_kind_of_timestamp_finds_its_rows(tmp_path: Path, kind: pa.DataType) -> None:
    """Naive, zoned, numbers, text and dates give the same days."""
    days = pa.array([START + timedelta(days=n) for n in range(40)], pa.timestamp("s", "UTC"))
    if pa.types.is_string(kind) or pa.types.is_date(kind) or getattr(kind, "tz", "") is None:
        days = days.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))
    pq.write_table(pa.table({"t": days.cast(kind), "x": range(40)}), tmp_path / "a.parquet", row_group_size=5)
    start, end = START + timedelta(days=7), START + timedelta(days=9)
    found = source_of(tmp_path).read(["x"], timestamp="t", start=start, end=end)
    assert found["x"].to_pylist() == [7, 8, 9]


def test_naive_times_are_local_also_when_clocks_change(tmp_path: Path) -> None:
    """Paris 2026-03-29 02:30 does not exist and 2026-10-25 02:30 occurs twice; neither fails."""
    times = [datetime(2026, 3, 29, 1, 30), datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30)]
    pq.write_table(pa.table({"t": times}), tmp_path / "a.parquet")
    found = source_of(tmp_path, ZoneInfo("Europe/Paris")).read(None, timestamp="t")["t"].to_pylist()
    assert [t.strftime("%m-%d %H:%M") for t in found] == ["03-29 00:30", "03-29 01:00", "10-25 00:30"]


def test_types_are_plain_whatever_wrote_them(tmp_path: Path) -> None:
    """Categories, large strings, decimals and structs become strings, floats and dotted columns; lists go."""
    table = pa.table({
        "c": pa.array(["a", "b"]).dictionary_encode(), "l": pa.array(["a", "b"], pa.large_string()),
        "d": pa.array(["1.50", "2.25"]).cast(pa.decimal128(10, 2)), "s": [{"in": 1}, {"in": 2}], "n": [[1], [2]],
    })
    pq.write_table(table, tmp_path / "a.parquet")
    source = source_of(tmp_path)
    assert source.read(None).to_pydict() == {"c": ["a", "b"], "l": ["a", "b"], "d": [1.5, 2.25], "s.in": [1, 2]}
    assert source.read(["s.in"]).to_pydict() == {"s.in": [1, 2]}
    assert source.schema() == source.read(None).schema


def test_a_growing_folder_ignores_what_is_not_finished(tmp_path: Path) -> None:
    """New files appear, hidden and temporary ones do not."""
    hourly(tmp_path / "a.parquet", rows=2)
    source = source_of(tmp_path)
    before = source.fingerprint()
    for name in (".b.parquet", "c.parquet.tmp", "d.part", "e.open", "README.txt"):
        (tmp_path / name).write_text("junk")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    hourly(tmp_path / ".ipynb_checkpoints/a.parquet")
    assert source.fingerprint() == before
    (tmp_path / "2026").mkdir()
    hourly(tmp_path / "2026/b.parquet", START + timedelta(hours=2), rows=3)
    assert source.fingerprint() != before
    assert source.read(["x"]).num_rows == 5


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    """A truncated file is an error that names it, and never reads as fewer rows."""
    hourly(tmp_path / "a.parquet")
    whole = hourly(tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"b\.parquet: is not a complete Parquet file"):
        source_of(tmp_path).read(["x"])


def test_a_flipped_byte_is_noticed_where_pages_have_checksums(tmp_path: Path) -> None:
    """Page checksums are verified if the file has them."""
    path = hourly(tmp_path / "a.parquet")
    content = bytearray(path.read_bytes())
    content[30] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.parquet"):
        source_of(path).read(None)


def test_types_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """A column that is a number here and a time there is an error with both files."""
    hourly(tmp_path / "a.parquet")
    pq.write_table(pa.table({"t": [START], "x": [START]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet: column x is of type .*, but int64 in .*a\.parquet"):
        source_of(tmp_path).read(None)


def test_a_file_without_the_timestamp_is_named(tmp_path: Path) -> None:
    """A file without the timestamp is an error; another missing column is null."""
    hourly(tmp_path / "a.parquet", rows=1)
    pq.write_table(pa.table({"x": [7]}), tmp_path / "b.parquet")
    assert source_of(tmp_path).read(["x", "t"])["t"].null_count == 1
    with pytest.raises(SourceError, match=r"b\.parquet: has no column t, expected it among x"):
        source_of(tmp_path).read(["x"], timestamp="t")


@pytest.mark.parametrize("kind", [
    pa.decimal128(10, 2), pa.decimal128(30, 5), pa.decimal128(38, 18), pa.decimal128(20, 0), pa.decimal256(50, 3),
    pa.decimal128(38, 30), pa.decimal128(12, -2),
], ids=str)
def test_decimals_are_the_numbers_that_csv_has(tmp_path: Path, kind: pa.DataType) -> None:
    """Each is the double nearest to it: 1.10 is 1.1, and 3.00000 is 3, so that classes and labels are the same."""
    unit = Decimal(1).scaleb(-kind.scale)
    values = [unit * whole for whole in (*range(-300, 300), 123456789, 2**53 + 1)]
    few = [None, *(value for value in values if len(value.as_tuple().digits) <= kind.precision)]
    column = pa.chunked_array([pa.array([Decimal(0), *few], kind)[1:]])
    if kind.scale >= 0:                          # Parquet has no other
        pq.write_table(pa.table({"v": column}), tmp_path / "a.parquet")
        read = source_of(tmp_path / "a.parquet").read(None)["v"]
    else:
        read = tidy(pa.table({"v": column}))["v"]
    assert read.to_pylist() == [None if value is None else float(value) for value in few]


def test_a_key_of_json_lines_that_is_an_object_s_too_is_named(tmp_path: Path) -> None:
    """a.b and the b of an object a are the same column."""
    lines(tmp_path / "a.jsonl", {"a": {"b": 1}, "a.b": 2})
    with pytest.raises(SourceError, match=r"a\.jsonl: column a\.b occurs twice, expected distinct names"):
        source_of(tmp_path / "a.jsonl").read(None)


@pytest.mark.parametrize("columns", [["x", "x"], ["a.b", "a"]])
def test_a_parquet_column_that_is_there_twice_is_named(tmp_path: Path, columns: list[str]) -> None:
    """A duplicate name is an error, also if a struct's field gets the name of another column."""
    values = [pa.array([1.0]), pa.array([{"b": 1.0}] if "a" in columns else [2.0])]
    pq.write_table(pa.Table.from_arrays(values, columns), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet: column (x|a\.b) occurs twice, expected distinct names"):
        source_of(tmp_path).read(None)


def test_a_parquet_file_written_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one rewrite the file is read again; a file that is rewritten each time is an error."""
    path = hourly(tmp_path / "a.parquet", rows=3)
    real = pq.ParquetFile.read_row_group
    rewrites = [5, 5, 5]

    def read_and_rewrite(self: Any, group: int, **options: Any) -> pa.Table:
        table = real(self, group, **options)
        if rewrites:
            os.utime(hourly(path, rows=rewrites.pop()), ns=(len(rewrites), len(rewrites)))
        return table

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_and_rewrite)
    with pytest.raises(SourceError, match="was written during the read"):
        source_of(path).read(None)
    assert source_of(path).read(None).num_rows == 5


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """A folder or file that cannot be read is one clear error."""
    (tmp_path / "closed").mkdir(mode=0)
    with as_ordinary_user(), pytest.raises(SourceError, match="cannot be read"):
        source_of(tmp_path).read(None)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Run as an unprivileged user, because root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("path", "sentence"), [
    ("nothing.parquet", "there is no such file"),
    ("*.csv", "there is no such file"),
    ("folder", "there is no such file"),
    ("mixed", "holds csv and parquet"),
    ("notes.txt", "has no ending that names its format"),
])
def test_what_cannot_be_a_source_is_one_sentence(tmp_path: Path, path: str, sentence: str) -> None:
    """Missing files, empty folders, mixed formats and unknown endings are each one clear error."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "mixed").mkdir()
    hourly(tmp_path / "mixed/a.parquet")
    (tmp_path / "mixed/a.csv").write_text("a\n1\n")
    (tmp_path / "notes.txt").write_text("a\n1\n")
    with pytest.raises(SourceError, match=sentence):
        source_of(tmp_path / path).read(None)


def test_a_format_can_be_named(tmp_path: Path) -> None:
    """A file whose ending names no format is read with format = "csv"."""
    (tmp_path / "export.txt").write_text("a\n1\n")
    assert source_of(tmp_path / "export.txt", format="csv").read(None).to_pydict() == {"a": [1]}


def lines(path: Path, *rows: object, end: str = "\n") -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + end)
    return path


def test_json_lines_keep_the_offsets_of_their_times(tmp_path: Path) -> None:
    """Times with Z, with an offset and without one are read exactly."""
    path = lines(tmp_path / "a.jsonl", {"t": "2026-01-01T12:00:00Z"}, {"t": "2026-01-01T12:00:00+02:00"},
                 {"t": "2026-01-01T12:00:00"})
    found = source_of(path, ZoneInfo("Asia/Tokyo")).read(None, timestamp="t")["t"].to_pylist()
    assert [t.hour for t in found] == [12, 10, 3]


@pytest.mark.parametrize(("values", "read"), [
    (["0.73", "1e-3", None], [0.73, 0.001, None]), (["12", "-7"], [12, -7]), (["0.5", "NaN", ""], [0.5, None, None]),
    (["1.0", "0"], [1.0, 0.0]), (["94110", "01234"], ["94110", "01234"]), (["1", "online"], ["1", "online"]),
    (["NA", "None"], ["NA", "None"]), (["1.1.2", "1.1"], ["1.1.2", "1.1"]), (["$5", "€5"], ["$5", "€5"]),
])
def test_numbers_in_quotes_are_numbers_in_json_lines_as_in_csv(tmp_path: Path, values: list[Any], read: Any) -> None:
    """Where every value is one; codes and words are text, and so is a column that is declared to be text."""
    path = lines(tmp_path / "a.jsonl", *({"n": at, "a": value} for at, value in enumerate(values)))
    (tmp_path / "a.csv").write_text("n,a\n" + "".join(f"{at},{value or ''}\n" for at, value in enumerate(values)))
    assert source_of(path).read(None)["a"].to_pylist() == read
    of_csv = source_of(tmp_path / "a.csv").read(None)["a"]
    assert of_csv.to_pylist() == read or values == ["NA", "None"]      # without quotes these are no words
    declared = open_source(SourceSection(path=str(path)), UTC_ZONE, KnownTypes(words=frozenset("a")))
    assert declared.read(None)["a"].to_pylist() == values


@pytest.mark.parametrize("bad", [
    '{"a": 1, "b": "x", "a": 2}', '{"a": 1, "a": 1}', '{"b": {"c": 1, "c": 2}, "a": 1}', '{"a": null, "a": 1}',
    '{"b": [{"c": 1, "c": 2}]}', '{"a": 1, "\\u0061": 2}',
])
def test_a_key_twice_in_a_json_line_is_refused(tmp_path: Path, bad: str) -> None:
    """Which of the two values is meant nobody knows: the line is named, wherever it stands."""
    for text in (f'{{"a": 1}}\n{bad}\n', f'{bad}\n{{"a": 1}}\n'):
        (tmp_path / "a.jsonl").write_text(text)
        with pytest.raises(SourceError, match=r"line [12] has the key [ac] twice, expected each once"):
            source_of(tmp_path / "a.jsonl").read(None)


def test_json_lines_of_mixed_types_are_text(tmp_path: Path) -> None:
    """A column of numbers and text is text if both are read; objects become dotted columns."""
    path = lines(tmp_path / "a.jsonl", {"a": 1, "f": {"x": 1}}, {"a": "one", "b": None}, {"a": True, "f": {"x": 2.5}})
    table = source_of(path).read(None)
    assert table["a"].to_pylist() == ["1", "one", "true"]
    assert table["f.x"].to_pylist() == [1.0, None, 2.5]


@pytest.mark.parametrize("deep", [
    '{"a": ' + "[" * 30_000 + "]" * 30_000 + "}", '{"a":' * 30_000 + "1" + "}" * 30_000,
    '{"a": ' + '[{"b": ' * 15_000 + "1" + "}]" * 15_000 + "}", '{"a": ' + "[" * 30_000 + "\n{}",
    '{"a": ' + "[[]," * 2_000 + "1" + "]" * 2_000 + "}",
])
def test_json_that_is_nested_deep_is_refused(tmp_path: Path, deep: str) -> None:
    """It would end the process that reads it; the line is named, blank lines counted."""
    path = lines(tmp_path / "a.jsonl", {"a": "x"}, "", "\n" * 2_000, deep)
    with pytest.raises(SourceError, match="line 2004 is nested deeper than 1000"):
        source_of(path).read(None)


def test_brackets_in_texts_nest_nothing(tmp_path: Path) -> None:
    """Texts with thousands of brackets, also behind quotation marks, and long flat lists are read as they are."""
    text, wide = '\\"[{' * 3_000, [[] for _ in range(3_000)]
    path = lines(tmp_path / "a.jsonl", {"a": text, "w": wide}, {"a": "x"})
    assert source_of(path).read(["a"])["a"].to_pylist() == [text, "x"]


def test_half_a_json_line_is_left_for_the_next_look(tmp_path: Path) -> None:
    """The last line is read once it is complete; an invalid line in the middle is an error with its number."""
    path = lines(tmp_path / "a.jsonl", {"a": 1}, '{"a": 2, "b', end="")
    assert source_of(path).read(None).to_pydict() == {"a": [1]}
    lines(path, {"a": 1}, {"a": 2}, end="")
    assert source_of(path).read(None).to_pydict() == {"a": [1, 2]}
    lines(path, {"a": 1}, "rubbish", {"a": 3})
    with pytest.raises(SourceError, match="line 2 is not a JSON object"):
        source_of(path).read(None)
    path.write_text("")
    assert source_of(path).read(["a"]).num_rows == 0


def test_a_log_that_grows_while_it_is_read_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appending rows during a read is no error; a rewrite causes a second read."""
    path = lines(tmp_path / "a.jsonl", {"a": 1}, {"a": 2})
    before: list[Any] = []                   # what happens before each look at the file's size

    def stat(file: int) -> os.stat_result:
        if before:
            before.pop()()
        return os.fstat(file)

    monkeypatch.setattr("monitor.sources.text_files.os", SimpleNamespace(**vars(os) | {"fstat": stat}))

    def append() -> None:
        with path.open("a") as file:
            file.write('{"a": 3}\n')

    before += [append, lambda: None]         # before the read and after it
    assert source_of(path).read(None)["a"].to_pylist() == [1, 2]
    assert source_of(path).read(None)["a"].to_pylist() == [1, 2, 3]
    before += [lambda: lines(path, {"a": 9}, {"a": 9}, {"a": 9}, {"a": 9}), lambda: None]
    assert source_of(path).read(None)["a"].to_pylist() == [9, 9, 9, 9]


def test_a_file_known_to_lie_elsewhere_in_time_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text files have no statistics, so the time range is cached at the first read."""
    from monitor.sources import text_files

    lines(tmp_path / "a.jsonl", {"t": "2026-01-01", "x": 1})
    lines(tmp_path / "b.jsonl", {"t": "2026-02-01", "x": 2.5})
    source_of(tmp_path).read(["x"], timestamp="t")
    opened: list[str] = []
    real = text_files.snapshot

    def noted(path: Path) -> tuple[os.stat_result | None, bytes]:
        opened.append(path.name)
        return real(path)

    monkeypatch.setattr(text_files, "snapshot", noted)
    table = source_of(tmp_path).read(["x"], timestamp="t", end=START)
    assert opened == ["a.jsonl"]
    assert table["x"].to_pylist() == [1.0]
    assert table["x"].type == pa.float64()


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not beside this checkout")
def test_real_logs_are_read_by_the_week() -> None:
    """A week of real flights is read with the requested columns and label times in UTC."""
    source = source_of(DATA / "flights_nyc13/production.parquet")
    first = datetime(2013, 6, 3, tzinfo=UTC)
    week = source.read(["carrier", "label"], timestamp="timestamp", start=first, end=first + timedelta(days=7),
                       moments=["label_timestamp"])
    assert week.schema.names == ["carrier", "label", "timestamp", "label_timestamp"]
    assert 5_000 < week.num_rows < 8_000
    assert week["label_timestamp"].type == pa.timestamp("us", "UTC")


def test_the_format_protocol_is_what_files_reads_by() -> None:
    """Known endings name formats, other endings do not."""
    assert set(listing.ENDINGS.values()) == {"parquet", "orc", "arrow", "csv", "jsonl"}
