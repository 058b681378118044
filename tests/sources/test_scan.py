"""Columns read one by one: what `FileScan.parts` and `Rows.pieces` give is what `read` gives whole."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config import ModelSection, Roles
from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.records import Window
from monitor.sources import Scan, open_source
from monitor.sources.log import Log
from monitor.sources.rows import Rows

UTC_ZONE, PARIS = ZoneInfo("UTC"), ZoneInfo("Europe/Paris")
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(path: Path, first: int, count: int, group: int = 4, **columns: Any) -> Path:
    """Rows an hour apart from hour `first` on, in small row groups."""
    times = pa.array([START + (first + n) * HOUR for n in range(count)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"t": times, **columns}), path, row_group_size=group)
    return path


def source_of(path: Path, zone: ZoneInfo = UTC_ZONE) -> Any:
    return open_source(SourceSection(path=str(path)), zone)


def same(path: Path, start: datetime | None = None, end: datetime | None = None, zone: ZoneInfo = UTC_ZONE) -> pa.Table:
    """Return the columns of the scan, each read alone, after asserting that they equal those of `read`."""
    source = source_of(path, zone)
    whole = source.read(None, timestamp="t", start=start, end=end)
    scan: Scan = source_of(path, zone).scan("t", start, end)
    names = [name for name in whole.column_names if name != "t"]
    assert set(scan.schema.names) == {*names, "t"}
    for name in names:
        parts = list(scan.parts([name]))
        values = [value for part in parts for value in part[name].to_pylist()]
        assert values == whole[name].to_pylist(), name
        assert {_value_type(part[name].type) for part in parts} <= {whole[name].type}, name
    return whole


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def test_files_of_different_types_are_one_column(tmp_path: Path) -> None:
    """Integers, floats, and text in a file outside the window become floats; a file without the column gives nulls."""
    write(tmp_path / "a.parquet", 0, 6, x=pa.array(range(6), pa.int32()), only="abcabc")
    write(tmp_path / "b.parquet", 6, 6, x=[n / 4 for n in range(6)])
    write(tmp_path / "c.parquet", 100, 2, x=["oops", "text"])
    whole = same(tmp_path, end=START + 20 * HOUR)
    assert whole["x"].to_pylist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert whole["only"].to_pylist() == [*"abcabc", *[None] * 6]
    assert same(tmp_path)["x"].type == pa.string()


@pytest.mark.parametrize("kinds", [
    (pa.int8(), pa.int64()), (pa.float32(), pa.float32()), (pa.float32(), pa.int64()), (pa.bool_(), pa.int64()),
    (pa.null(), pa.string()), (pa.string(), pa.int64()), (pa.decimal128(9, 2), pa.float32()), (pa.null(), pa.null()),
], ids=str)
def test_every_two_types_meet_as_in_read(tmp_path: Path, kinds: tuple[pa.DataType, pa.DataType]) -> None:
    """For every pair of types in two files, a column read alone equals the column of the whole read."""
    def values(kind: pa.DataType) -> pa.Array:
        if pa.types.is_null(kind):
            return pa.nulls(5)
        if pa.types.is_decimal(kind):
            return pa.array([Decimal("1.25"), None, Decimal("0.10"), Decimal(7), Decimal("-2.50")], kind)
        return pa.array([1, 0, None, 1, 0]).cast(kind)

    for place, kind in enumerate(kinds):
        write(tmp_path / f"{place}.parquet", 5 * place, 5, x=values(kind))
    same(tmp_path)
    same(tmp_path, START + 2 * HOUR, START + 6 * HOUR)


def test_coded_strings_and_nested_columns(tmp_path: Path) -> None:
    """Dictionaries differ from row group to row group, large strings are strings, structs have dotted names."""
    for place, letters in enumerate(("abab", "bcbc")):
        words = [letters[n % 4] if n % 5 else None for n in range(12)]
        write(
            tmp_path / f"{place}.parquet", 12 * place, 12,
            plain=words, coded=pa.array(words).dictionary_encode(), large=pa.array(words, pa.large_string()),
            s=[{"in": {"deep": n}, "word": letters[n % 4]} for n in range(12)],
        )
    whole = same(tmp_path, START + 3 * HOUR, START + 17 * HOUR)
    assert set(whole.column_names) == {"t", "plain", "coded", "large", "s.in.deep", "s.word"}
    scan = source_of(tmp_path).scan("t", None, None)
    parts = list(scan.parts(["s.word", "plain"]))
    assert [part.column_names for part in parts] == [["s.word", "plain"]] * 6
    assert all(pa.types.is_dictionary(part["plain"].type) for part in parts)


@pytest.mark.parametrize(("first", "last"), [(0, 23), (3, 4), (5, 17), (4, 7), (-9, 1), (22, 40), (30, 40)])
def test_bounds_cut_row_groups(tmp_path: Path, first: int, last: int) -> None:
    """Exactly the rows of [start, end] are read, whether they fill row groups, cut them or do not exist."""
    write(tmp_path / "a.parquet", 0, 24, x=range(24))
    whole = same(tmp_path, START + first * HOUR, START + last * HOUR)
    assert whole["x"].to_pylist() == [n for n in range(24) if first <= n <= last]


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    """A file removed during the read is one clear error."""
    path = write(tmp_path / "a.parquet", 0, 12, x=range(12))
    scan = source_of(tmp_path).scan("t", None, None)
    path.unlink()
    with pytest.raises(SourceError, match=r"a\.parquet: cannot be read \(No such file"):
        list(scan.parts(["x"]))


def test_rows_without_a_time_are_in_no_window(tmp_path: Path) -> None:
    """A row whose time is null is left out as in `read`, although its row group's statistics do not show it."""
    times = [None if n % 5 == 0 else START + n * HOUR for n in range(12)]
    pq.write_table(pa.table({"t": times, "x": range(12)}), tmp_path / "a.parquet", row_group_size=4)
    assert len(same(tmp_path, START, START + 48 * HOUR)) == 9
    same(tmp_path)


@pytest.mark.parametrize("day", [datetime(2026, 3, 29), datetime(2026, 10, 25)])
def test_naive_times_in_a_zone_whose_clocks_change(tmp_path: Path, day: datetime) -> None:
    """Ambiguous and non-existent local times fall on the same side of a bound as in `read`."""
    times = [day + n * timedelta(minutes=20) for n in range(18)]
    pq.write_table(pa.table({"t": times, "x": range(18)}), tmp_path / "a.parquet", row_group_size=3)
    for hour in range(-2, 6):
        start = day.replace(tzinfo=UTC) + hour * HOUR
        same(tmp_path, start, start + HOUR, PARIS)


@pytest.mark.parametrize("when", [0, 1, 3])
def test_a_file_rewritten_while_it_is_read_is_one_sentence(tmp_path: Path, when: int) -> None:
    """A file rewritten after the window was opened, with more, fewer or equally many rows, never gives mixed rows."""
    path = write(tmp_path / "a.parquet", 0, 12, x=range(12))
    for rows in (4, 12, 20):
        parts = iter(source_of(tmp_path).scan("t", START, START + 30 * HOUR).parts(["x"]))

        def finish(parts: Any = parts, rows: int = rows) -> None:
            seen = [next(parts) for _ in range(when)]
            write(tmp_path / "b.tmp", 0, rows, x=range(100, 100 + rows)).rename(path)
            pa.concat_tables([*seen, *parts])

        with pytest.raises(SourceError, match=r"a\.parquet: was written during the read"):
            finish()
        write(path, 0, 12, x=range(12))


ROLES = Roles("t", "id", "prediction", None, None, None, None, {"x": "numerical", "word": "categorical"})


def log(folder: Path, **window: Any) -> Log:
    """300 hours in three files; the second repeats ids of the first with other values, and some ids alone."""
    chance = np.random.default_rng(4)
    for place in range(3):
        n = 100
        ids = [f"i{place * n + i}" for i in range(n)]
        if place == 1:
            ids[:20] = ids[20:40]                    # the same id at another time is another row
        write(
            folder / f"{place}.parquet", place * n, n, group=16, id=ids, prediction=np.arange(n) % 2,
            x=chance.normal(size=n), word=chance.choice(["a", "b", "c"], n),
        )
    again = pq.read_table(folder / "0.parquet").slice(40, 30)
    changed = again.set_column(again.column_names.index("x"), "x", pa.array(np.arange(30) + 1000.0))
    pq.write_table(changed, folder / "0b.parquet", row_group_size=7)
    made = {"name": "m", "predictions": {"path": str(folder)}, "reference": {"first": "1d"}, "window": window}
    return Log(ModelSection.model_validate(made), ROLES, START + 1000 * HOUR)


def windows() -> dict[str, Callable[[], Window]]:
    def by_time(first: int, last: int) -> Window:
        return Window(model="m", start=START + first * HOUR, end=START + last * HOUR, spec="")

    return {
        "time": lambda: by_time(30, 230),
        "with repeated rows only": lambda: by_time(45, 60),
        "rows": lambda: Window(model="m", start=START + 33 * HOUR, start_id="i33", end=START + 150 * HOUR,
                               end_id="i150\x00", spec=""),
        "empty": lambda: by_time(500, 600),
    }


@pytest.mark.parametrize("name", windows())
@pytest.mark.parametrize("most", [None, 40])
@pytest.mark.parametrize("memory_mb", [1, 0])
def test_columns_one_by_one_are_the_rows_of_the_whole(
    tmp_path: Path, name: str, most: int | None, memory_mb: int
) -> None:
    """With repeated rows, samples and row-count windows, each column read alone equals that of the whole read."""
    one = log(tmp_path)
    window = windows()[name]()
    read, lazy = one.window(window, most, whole=True), one.window(window, most)
    lazy._memory = memory_mb << 20                   # 0: not even a column fits
    expected = read.whole()
    assert lazy.column("id").to_pylist() == expected["id"].to_pylist()
    for column in ("x", "word", "x"):
        assert _values(lazy, column) == expected[column].to_pylist()
    joined = lazy.whole()
    assert joined.select(expected.column_names).to_pydict() == expected.to_pydict()
    assert lazy.sampled == read.sampled
    if name == "with repeated rows only":
        assert most or [value >= 1000 for value in expected["x"].to_pylist()] == [True] * 15


def _values(rows: Rows, name: str) -> Sequence[Any]:
    pieces = rows.pieces(name)
    assert pieces is not None
    twice = [[value for piece in pieces for value in piece.to_pylist()] for _ in range(2)]
    assert twice[0] == twice[1]
    return twice[0]


def test_a_column_that_is_not_there_is_none(tmp_path: Path) -> None:
    """A column that is neither in memory nor in the files is None."""
    assert log(tmp_path).window(windows()["time"]()).pieces("nothing") is None


def test_only_files_of_the_window_are_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of forty files, each is opened twice at most however often the log is asked; only the window's files give rows,
    and the columns of the others count: their types, and one that a file of the window lacks."""
    for day in range(40):
        extra = {"only": [day] * 24} if day % 2 else {}
        kind = pa.int32() if day < 20 else pa.float64()
        write(tmp_path / f"{day:02}.parquet", 24 * day, 24, x=pa.array(range(24), kind), **extra)
    opened: list[str] = []
    real = pq.ParquetFile.__init__

    def noted(self: Any, path: Path, **options: Any) -> None:
        opened.append(Path(path).name)
        real(self, path, **options)

    monkeypatch.setattr(pq.ParquetFile, "__init__", noted)
    start, end = START + 24 * HOUR, START + 71 * HOUR + HOUR / 2
    for _ in range(3):
        source = source_of(tmp_path)
        assert set(source.schema().names) == {"t", "x", "only"}
        assert source.strays("t").rows == 40 * 24
        whole = source.read(None, timestamp="t", start=start, end=end)
        assert whole["x"].to_pylist() == [float(n) for n in range(24)] * 2
        assert whole["only"].to_pylist() == [1] * 24 + [None] * 24
        scan = source.scan("t", start, end)
        assert [len(part) for part in scan.parts(["x"])] == [4] * 12
    outside = [name for name in opened if name not in ("01.parquet", "02.parquet")]
    assert max(outside.count(name) for name in outside) <= 2
    (tmp_path / "05.parquet").unlink()
    write(tmp_path / "05.parquet", 30, 2, x=[0.5, 0.25], only=[7, 7])
    again = source_of(tmp_path).read(["x"], timestamp="t", start=start, end=end)
    assert again["x"].to_pylist() == [*map(float, range(24)), *map(float, range(24)), 0.5, 0.25]
