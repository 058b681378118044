"""Records become rows and rows records, by the types of their fields."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest

from monitor.records import (
    AliasMove,
    AliasSeen,
    Approval,
    Content,
    Dispatch,
    Episode,
    Firing,
    Message,
    Promotion,
    Reference,
    Score,
    Silence,
    Snapshot,
    Window,
)
from monitor.store.database import Database
from monitor.store.rows import columns, record_of, records_of, row_of
from monitor.store.state_folder import migrate

T0 = datetime(2026, 1, 5, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    at: datetime
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    colour: Colour
    sure: bool
    words: tuple[str, ...]
    facts: dict[str, Any]
    until: datetime | None = None
    inner: Inner | None = None


@pytest.mark.parametrize(
    "outer",
    [
        Outer(name="a", colour=Colour.RED, sure=True, words=("x", "ü"), facts={"n": 1}, until=T0,
              inner=Inner(at=T0, by="ann")),
        Outer(name="b", colour=Colour.RED, sure=False, words=(), facts={}, inner=Inner(at=T0)),
        Outer(name="c", colour=Colour.RED, sure=False, words=(), facts={}),
    ],
    ids=["everything", "an inner field missing", "no inner record"],
)
def test_a_record_comes_back_from_its_row(outer: Outer) -> None:
    """Moments, enumerations, truths, tuples, dicts and records inside read as they were, also where they are None."""
    database = Database(":memory:")
    database.run("CREATE TABLE outers (words, name, colour, sure, facts, until)")
    database.run("CREATE TABLE inners (name, at, by_whom)")
    database.insert("outers", row_of(outer))
    if outer.inner is not None:
        database.insert("inners", {"name": outer.name, **row_of(outer.inner)})
    rows = database.all(
        f"SELECT o.*, {columns(Inner, 'i', 'inner')} FROM outers o LEFT JOIN inners i ON i.name = o.name"
    )
    assert records_of(Outer, rows) == [outer]
    assert record_of(Outer, rows[0]) == outer
    database.close()


def test_a_moment_is_text_in_utc() -> None:
    """Whatever the zone of a moment, its text sorts as time does."""
    east = T0.astimezone(timezone(timedelta(hours=9)))
    assert row_of(Inner(at=east)) == {"at": "2026-01-05T00:00:00.000000+00:00", "by_whom": None}


def test_no_rows_are_no_records() -> None:
    """Nothing found is an empty list."""
    assert records_of(Inner, []) == []


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (AliasMove, "alias_moves"), (AliasSeen, "registries"), (Approval, "approvals"), (Content, "data_seen"),
        (Dispatch, "dispatches"), (Episode, "episodes"), (Firing, "firings"), (Message, "messages"),
        (Promotion, "promotions"), (Reference, "model_references"), (Score, "scores"), (Silence, "silences"),
        (Snapshot, "snapshots"), (Window, "windows"),
    ],
)
def test_every_field_has_its_column(kind: type, table: str) -> None:
    """A field that is added to a record without a migration is noticed here."""
    database = Database(":memory:")
    migrate(database)
    present = {row["name"] for row in database.all(f"PRAGMA table_info({table})")}
    database.close()
    assert set(columns(kind, table).replace(f"{table}.", "").split(", ")) <= present
