"""The same rows give the same roles and the same numbers, whatever format they are written in."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.records import Score
from monitor.sources import Source, open_source
from monitor.sources.known_types import KnownTypes
from tests.sources.awkward_table import (
    ID,
    Rows,
    as_csv,
    as_feather,
    as_jsonl,
    as_orc,
    as_parquet,
    as_semicolons,
    as_stream,
    awkward,
    texted,
    worked_out,
)

WRITERS = {
    "comma.csv": as_csv, "semicolon.csv": as_semicolons, "lines.jsonl": as_jsonl, "table.parquet": as_parquet,
    "table.orc": as_orc, "table.feather": as_feather, "table.arrows": as_stream,
}


def opener(path: Path) -> Callable[[KnownTypes], Source]:
    return lambda known: open_source(SourceSection(path=str(path)), ZoneInfo("UTC"), known)


def shown(scores: list[Score]) -> dict[tuple[str, str | None], Score]:
    return {(s.metric, s.column): replace(s, value=s.value and round(s.value, 12)) for s in scores}


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "table.parquet"])
def test_roles_and_scores_are_those_of_parquet(tmp_path: Path, name: str) -> None:
    """Forty awkward columns: nulls, words for missing, zeros in front, signs, quotes, line breaks, dates, 20 digits."""
    for file, write in (("table.parquet", as_parquet), (name, WRITERS[name])):
        write(tmp_path / f"before-{file}", awkward(1))
        write(tmp_path / f"now-{file}", awkward(2, later=True))
    found = {file: worked_out(opener(tmp_path / f"before-{file}"), opener(tmp_path / f"now-{file}"))
             for file in ("table.parquet", name)}
    (roles, scores), (parquet_roles, parquet_scores) = found[name], found["table.parquet"]
    assert roles == parquet_roles
    assert len(roles.features) >= 36
    assert shown(scores) == shown(parquet_scores)


@pytest.mark.parametrize("name", ["lines.jsonl", "table.parquet"])
def test_text_that_holds_numbers_alone_is_numbers(tmp_path: Path, name: str) -> None:
    """The same rows give the same numbers where a writer put its numbers and times into text, as CSV always does."""
    for file, rows in (("before", awkward(1)), ("now", awkward(2, later=True))):
        as_parquet(tmp_path / f"{file}.parquet", rows)
        write = {"lines.jsonl": as_jsonl, "table.parquet": lambda path, given: pq.write_table(pa.table(given), path)}
        write[name](tmp_path / f"text-{file}-{name}", texted(rows))
    texts = worked_out(opener(tmp_path / f"text-before-{name}"), opener(tmp_path / f"text-now-{name}"))
    numbers = worked_out(opener(tmp_path / "before.parquet"), opener(tmp_path / "now.parquet"))
    assert (texts[0], shown(texts[1])) == (numbers[0], shown(numbers[1]))


def test_text_of_numbers_read_in_parts_is_numbers(tmp_path: Path) -> None:
    """Row groups that are read one by one have the types of the whole column; a word in the last one makes it text."""
    rows = {"timestamp": awkward(1)["timestamp"], "whole": [str(n) for n in range(240)],
            "fractions": [str(n if n < 100 else n / 2) for n in range(240)], "with a gap": ["-", *map(str, range(239))],
            "word at last": [*map(str, range(239)), "new"], "gone": ["NA"] * 240, "word": ["a"] * 240}
    pq.write_table(pa.table(rows), tmp_path / "log.parquet", row_group_size=50)
    source = opener(tmp_path / "log.parquet")(KnownTypes())
    whole = source.read(None, timestamp="timestamp")
    assert [str(whole.schema.field(name).type) for name in list(rows)[1:]] == [
        "int64", "double", "int64", "string", "string", "string"]
    assert whole["fractions"].to_pylist() == [float(n) for n in rows["fractions"]]
    scan = source.scan("timestamp", None, None)
    assert scan is not None
    names = [name for name in rows if name != "timestamp"]
    parts = [part.cast(pa.schema([scan.schema.field(name) for name in names])) for part in scan.parts(names)]
    assert pa.concat_tables(parts).equals(whole.select(names))
    held = opener(tmp_path / "log.parquet")(KnownTypes(words=frozenset(["whole"])))
    assert held.read(["whole"])["whole"].to_pylist() == rows["whole"]


@pytest.mark.parametrize("name", WRITERS)
def test_no_value_of_the_words_is_lost(tmp_path: Path, name: str) -> None:
    """Text comes back letter for letter, ids with all their digits, and only missing cells are null."""
    rows: Rows = awkward(3)
    WRITERS[name](tmp_path / name, rows)
    table = opener(tmp_path / name)(KnownTypes(exact=frozenset([ID]))).read(None)
    for column, values in rows.items():
        if any(isinstance(value, str) for value in values):
            assert table[column].to_pylist() == values, column
    assert table[ID].to_pylist() == [str(id) for id in rows[ID]]
