"""Text files whose rows stay in memory: what is read is the same as without, and follows the file."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from monitor.config.sections import SourceSection
from monitor.sources import Source, open_source, text_files
from monitor.sources.kept_tables import KeptTables
from monitor.sources.known_types import NOTHING, KnownTypes

LONG_AGO = 1_600_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
CSV = (
    "t;code;word;mixed;x\n"
    "2026-01-01;007;red;1,5;1\n"
    '2026-01-02;012;"NA";2,5;\n'
    "2026-01-03;113;NA;broken;3\n"
    "2026-01-04;114;;4,5;x\n"
)
JSON = (
    '{"t": "2026-01-01T00:00:00+01:00", "id": 9007199254740993, "mixed": 1, "x": {"y": 1}}\n'
    '{"t": "2026-01-02T00:00:00Z", "id": 9007199254740992, "mixed": "no", "x": null}\n'
    '{"t": "2026-01-03", "id": 3, "mixed": "3", "z": true}\n'
)
READS: dict[str, Callable[[Source], object]] = {
    "all": lambda source: source.read(None),
    "a window": lambda source: source.read(None, timestamp="t", end=START + timedelta(days=1)),
    "some columns": lambda source: source.read(["mixed"], timestamp="t"),
    "no column": lambda source: source.read([]).num_rows,
    "times": lambda source: str(source.strays("t")),
}


def source_of(path: Path, known: KnownTypes = NOTHING) -> Source:
    return open_source(SourceSection(path=str(path)), ZoneInfo("Europe/Paris"), known)


def settled(path: Path, text: str, at: int = LONG_AGO) -> Path:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are read, each time they are."""
    names: list[str] = []
    real = text_files.snapshot

    def noted(path: Path) -> tuple[os.stat_result | None, bytes]:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(text_files, "snapshot", noted)
    return names


@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.jsonl", JSON)])
def test_reads_are_the_same_with_rows_in_memory_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """Whatever was read before, with whatever types were known then, a read gives what it gives by itself."""
    path = settled(tmp_path / name, text)
    types = (NOTHING, KnownTypes(exact=frozenset(["id"]), words=frozenset(["mixed"])))

    def read(kind: KnownTypes, what: str) -> object:
        return READS[what](source_of(path, kind))

    monkeypatch.setattr(text_files, "TABLES", KeptTables(0))
    alone = {asked: read(*asked) for asked in product(types, READS)}
    for before in alone:
        monkeypatch.setattr(text_files, "TABLES", KeptTables())
        monkeypatch.setattr(text_files, "_known", {})
        read(*before)
        for asked, expected in alone.items():
            found = read(*asked)
            assert found == expected, (before, asked)
            if isinstance(found, pa.Table) and isinstance(expected, pa.Table):
                assert found.schema == expected.schema, (before, asked)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path, opened: list[str], name: str) -> None:
    """Window after window comes from memory; a file that was written since is read again, whatever its size."""
    rows = {"a.csv": "t,x\n2026-01-01,{}\n2026-01-02,2\n",
            "a.jsonl": '{{"t": "2026-01-01", "x": {}}}\n{{"t": "2026-01-02", "x": 2}}\n'}[name]
    source = source_of(settled(tmp_path / name, rows.format(1)))
    days = [START + timedelta(days=day) for day in range(2)]
    for _ in range(2):
        assert [source.read(["x"], timestamp="t", start=day - timedelta(hours=2), end=day)["x"].to_pylist()
                for day in days] == [[1], [2]]
    assert opened == [name]
    settled(tmp_path / name, rows.format(9), at=LONG_AGO + 1)
    assert source.read(["x"], timestamp="t")["x"].to_pylist() == [9, 2]


def test_a_file_that_was_just_written_is_read_each_time(tmp_path: Path) -> None:
    """A file system's clock has ticks: a second write within one leaves size and time as they were."""
    just_now = int(datetime.now(UTC).timestamp()) + 60
    source = source_of(settled(tmp_path / "a.csv", "x\n1\n", at=just_now))
    assert source.read(None)["x"].to_pylist() == [1]
    (tmp_path / "a.csv").write_text("x\n2\n")
    os.utime(tmp_path / "a.csv", (just_now, just_now))
    assert source.read(None)["x"].to_pylist() == [2]


def test_only_so_many_bytes_are_kept() -> None:
    """What was not used for longest makes room; what is too large for all the room is not kept."""
    def column(rows: int) -> pa.Table:
        return pa.table({"x": pa.array(range(rows), pa.int64())})

    kept = KeptTables(most=2_000)
    for name in "abc":
        kept.keep(name, column(100))
        kept.get("a")
    kept.keep("large", column(1_000))
    assert [name for name in ("a", "b", "c", "large") if kept.get(name) is not None] == ["a", "c"]
    kept.keep("c", column(100), mark="later")
    assert (kept.get("c"), kept.get("c", "later")) == (None, column(100))
    assert kept.get("a") is not None
