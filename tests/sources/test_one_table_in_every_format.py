"""The same rows give the same roles and the same numbers, whatever format they are written in."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.config.sections import SourceSection
from monitor.records import Score
from monitor.sources import Source, open_source
from monitor.sources.known_types import KnownTypes
from tests.sources.awkward_table import ID, Rows, as_csv, as_jsonl, as_parquet, as_semicolons, awkward, worked_out

WRITERS = {"comma.csv": as_csv, "semicolon.csv": as_semicolons, "lines.jsonl": as_jsonl, "table.parquet": as_parquet}


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
