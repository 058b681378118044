"""ORC, Arrow IPC files and streams (Feather): the same rows as in Parquet, and a sentence for what is no such file."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc, orc

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import arrow_ipc, open_source

START, HOUR, ROWS = datetime(2026, 3, 28, tzinfo=UTC), timedelta(hours=1), 60
Write = Callable[[pa.Table, Path], None]


def parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=7)


def orc_file(table: pa.Table, path: Path) -> None:
    orc.write_table(table, path, stripe_size=100, batch_size=7)


def arrow_file(compression: str | None) -> Write:
    def write(table: pa.Table, path: Path) -> None:
        with ipc.new_file(path, table.schema, options=ipc.IpcWriteOptions(compression=compression)) as file:
            file.write_table(table, max_chunksize=7)

    return write


def arrow_stream(table: pa.Table, path: Path) -> None:
    with ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table, max_chunksize=7)


ARROW: dict[str, Write] = {
    "log.arrow": arrow_file(None), "log.feather": arrow_file("lz4"), "log.ipc": arrow_file("zstd"),
    "log.arrows": arrow_stream,
}
WRITERS: dict[str, Write] = {"log.orc": orc_file, **ARROW}


@pytest.fixture(autouse=True)
def _one_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small files have several groups."""
    monkeypatch.setattr(arrow_ipc, "_TOGETHER", 1)


def kinds() -> dict[str, pa.Array]:
    """Return columns of the types that ORC has too."""
    naive = [datetime(2026, 3, 28) + n * HOUR for n in range(ROWS)]        # the clocks are set forward within
    return {
        "t": pa.array([START + n * HOUR for n in range(ROWS)], pa.timestamp("us", "UTC")),
        "naive": pa.array(naive, pa.timestamp("us")), "s": pa.array(naive, pa.timestamp("s")),
        "ns": pa.array(naive, pa.timestamp("ns")), "holes": pa.array([None, *naive[1:]], pa.timestamp("ms")),
        "zoned": pa.array([START + n * HOUR for n in range(ROWS)], pa.timestamp("us", "Europe/Berlin")),
        "day": pa.array([moment.date() for moment in naive]),
        "seconds": pa.array([1774656000 + 3600 * n for n in range(ROWS)]),
        "text": pa.array([moment.isoformat() for moment in naive]),
        "whole": pa.array([None if n % 7 == 0 else 2**60 + n for n in range(ROWS)]),
        "tiny": pa.array(range(ROWS), pa.int8()),
        "float": pa.array([[n / 3, None, float("nan"), float("inf")][n % 4] for n in range(ROWS)]),
        "single": pa.array([n / 3 for n in range(ROWS)], pa.float32()), "flag": pa.array([None, True, False] * 20),
        "word": pa.array([None, "Évry", ""] * 20), "numbers": pa.array([str(n) for n in range(ROWS)]),
        "money": pa.array([Decimal(n) / 100 for n in range(ROWS)], pa.decimal128(12, 2)),
        "id": pa.array([Decimal(10**19 + n) for n in range(ROWS)], pa.decimal128(38, 0)),
        "nested": pa.array([{"a": n, "b": {"c": "xy"[n % 2]}} for n in range(ROWS)]), "a.b": pa.array(range(ROWS)),
        "list": pa.array([[n] for n in range(ROWS)]),
        "map": pa.array([[("k", n)] for n in range(ROWS)], pa.map_(pa.string(), pa.int64())),
        "bytes": pa.array([b"x"] * ROWS),
    }


def only_arrow() -> dict[str, pa.Array]:
    words = pa.array(["red", "green", "unused"])
    return {
        "big": pa.array([2**63 + n for n in range(ROWS)], pa.uint64()),
        "half": pa.array([n / 4 for n in range(ROWS)], pa.float16()),
        "day64": pa.array([date(2026, 3, 28)] * ROWS, pa.date64()),
        "clock": pa.array([time(n % 24) for n in range(ROWS)], pa.time64("us")),
        "took": pa.array([n * HOUR for n in range(ROWS)], pa.duration("s")), "nothing": pa.nulls(ROWS),
        "large": pa.array(["a", "b"] * 30, pa.large_string()), "view": pa.array(["a", "b"] * 30, pa.string_view()),
        "bytes view": pa.array([b"a"] * ROWS, pa.binary_view()),
        "views": pa.array([["a"]] * ROWS, pa.list_(pa.string_view())),
        "coded": pa.DictionaryArray.from_arrays(pa.array([0, 1] * 30, pa.int8()), words),
        "coded view": pa.DictionaryArray.from_arrays(pa.array([0, 1] * 30, pa.uint32()), words.cast(pa.string_view())),
        "wide": pa.array([Decimal(n) / 8 for n in range(ROWS)], pa.decimal256(50, 3)),
        "uuid": pa.array([b"0123456789abcdef"] * ROWS, pa.binary(16)),
    }


def source_of(path: Path) -> Any:
    return open_source(SourceSection(path=str(path)), ZoneInfo("Europe/Berlin"))


def seen(path: Path, timestamp: str) -> dict[str, Any]:
    """Return all that a source tells of the rows in 30 hours; times as moments, without the unit they are stored in."""
    start, end = START + 10 * HOUR, START + 40 * HOUR
    source = source_of(path)
    scan = source.scan(timestamp, start, end)
    read = source.read(None, timestamp=timestamp, start=start, end=end)

    def plain(column: pa.ChunkedArray) -> list[str]:
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz and "UTC"))
        return [repr(value) for value in column.to_pylist()]

    return {
        "read": {name: plain(read[name]) for name in sorted(read.column_names)},
        "scan": {name: [value for part in scan.parts([name]) for value in plain(part[name])]
                 for name in scan.schema.names},
        "numbers": {f.name: f.type for f in read.schema if not pa.types.is_temporal(f.type)},
        "rows": (scan.rows, len(source.head(1000)), repr(source.strays(timestamp))), "left out": source.left_out(),
    }


@pytest.mark.parametrize("timestamp", ["t", "naive", "ns", "day", "text", "seconds", "holes"])
def test_all_formats_tell_the_same(tmp_path: Path, timestamp: str) -> None:
    """Values and types, whole and column by column; rows within bounds and without a time; what is left out."""
    table = pa.table(kinds())
    parquet(table, tmp_path / "log.parquet")
    for name, write in WRITERS.items():
        write(table, tmp_path / name)
        assert seen(tmp_path / name, timestamp) == seen(tmp_path / "log.parquet", timestamp), name


def test_types_that_parquet_has_otherwise_are_the_same(tmp_path: Path) -> None:
    """Unsigned numbers, halves, times of the day, durations, views, categories of which some are not used."""
    columns = {"t": kinds()["t"], **only_arrow()}
    table = pa.table(columns)
    parquet(pa.table({**columns, "coded view": columns["coded"]}), tmp_path / "log.parquet")
    for name, write in ARROW.items():
        write(table, tmp_path / name)
        assert seen(tmp_path / name, "t") == seen(tmp_path / "log.parquet", "t"), name


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_of_parts_has_its_partitions_as_columns(tmp_path: Path, name: str) -> None:
    """Parts of different columns, one without rows, below folders that name a value."""
    table = pa.table(kinds()).select(["t", "float", "word"])
    for ending, write in ((".parquet", parquet), (Path(name).suffix, WRITERS[name])):
        for place, (start, count) in enumerate([(0, 30), (30, 0), (30, 30)]):
            part = table.slice(start, count) if place else table.slice(start, count).drop_columns(["word"])
            path = tmp_path / ending[1:] / f"country={'AB'[place // 2]}" / f"{place}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(part, path)
    found = seen(tmp_path / Path(name).suffix[1:], "t")
    assert found == seen(tmp_path / "parquet", "t")
    assert found["read"]["country"] == ["'A'"] * 20 + ["'B'"] * 11
    alone = source_of(tmp_path / Path(name).suffix[1:]).read(["country"])
    assert alone["country"].to_pylist() == ["A"] * 30 + ["B"] * 30


def _with_a_union(path: Path) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])])
    arrow_stream(pa.table({"t": pa.array([START] * 2), "both": union}), path)


def _twice(path: Path) -> None:
    arrow_stream(pa.table([pa.array([START]), pa.array([1]), pa.array([2])], ["t", "x", "x"]), path)


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("a.orc", b"", "is not a complete ORC file"), ("a.orc", b"t,x\n1,2\n", "is not a complete ORC file"),
    ("a.arrow", b"", "is not a complete Arrow file"), ("a.feather", b"t,x\n1,2\n", "is not a complete Arrow file"),
    ("a.feather", b"FEA1\0\0\0\0", "is Feather of version 1, which is not read; write it as version 2"),
    ("a.arrow", _with_a_union, "column both is a union of types, which is not read"),
    ("a.arrow", _twice, "column x occurs twice"),
])
def test_what_is_no_such_file_is_told(
    tmp_path: Path, name: str, content: bytes | Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    with pytest.raises(SourceError, match=f"{name}: {sentence}"):
        source_of(path).read(None, timestamp="t")


@pytest.mark.parametrize("name", WRITERS)
def test_a_half_written_file_is_refused(tmp_path: Path, name: str) -> None:
    """Wherever the writer has come to: none of its rows are read."""
    path, chance = tmp_path / name, random.Random(5)
    WRITERS[name](pa.table(kinds()).select(["t", "float", "word"]), path)
    whole = path.read_bytes()
    for cut in [1, 8, len(whole) - 1, len(whole) - 8, *chance.sample(range(len(whole)), 20)]:
        path.write_bytes(whole[:cut])
        with pytest.raises(SourceError, match=r"is not a complete (ORC|Arrow) file \(.+\); write it again"):
            source_of(path).read(None, timestamp="t")


@pytest.mark.parametrize("name", ["log.arrow", "log.arrows"])
def test_small_batches_are_read_together(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that writes each row by itself costs no part for each row; all of them come, in their order."""
    monkeypatch.undo()
    table = pa.table({"t": pa.array([START + n * HOUR for n in range(500)]), "x": range(500)})
    with (ipc.new_stream if name == "log.arrows" else ipc.new_file)(tmp_path / name, table.schema) as file:
        file.write_table(table, max_chunksize=1)
    scan = source_of(tmp_path / name).scan("t", START + 100 * HOUR, START + 400 * HOUR)
    parts = list(scan.parts(["x"]))
    assert len(parts) == 1
    assert parts[0]["x"].to_pylist() == list(range(100, 401))


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_another_name_is_read_as_its_format_says(tmp_path: Path, name: str) -> None:
    """`format` decides; without it an unknown ending is asked about."""
    table = pa.table(kinds()).select(["t", "float"])
    WRITERS[name](table, tmp_path / "rows.bin")
    section = SourceSection(path=str(tmp_path / "rows.bin"), format="orc" if name == "log.orc" else "arrow")
    assert len(open_source(section, ZoneInfo("UTC")).read(None, timestamp="t")) == ROWS
    with pytest.raises(SourceError, match='set format = "parquet", "orc", "arrow", "csv" or "jsonl"'):
        source_of(tmp_path / "rows.bin").read(None)


def test_times_of_orc_are_those_of_the_writers_clock(tmp_path: Path) -> None:
    """A writer in another zone; one that this system does not know is told."""
    table = pa.table({"t": pa.array([datetime(2026, 1, 1, 12)], pa.timestamp("us"))})
    orc.write_table(table, tmp_path / "a.orc", compression="uncompressed")
    data = (tmp_path / "a.orc").read_bytes()
    for zone in (b"EST", b"GMT"):
        (tmp_path / "a.orc").write_bytes(data.replace(b"GMT", zone))
        read = source_of(tmp_path / "a.orc").read(None, timestamp="t")
        assert read["t"].to_pylist() == [datetime(2026, 1, 1, 11, tzinfo=UTC)], zone       # noon in Berlin
    (tmp_path / "a.orc").write_bytes(data.replace(b"GMT", b"XYZ"))
    with pytest.raises(SourceError, match="its times are in a time zone that this system does not have"):
        source_of(tmp_path / "a.orc").read(None, timestamp="t")
