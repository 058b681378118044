"""Databases that are one file, SQLite and DuckDB, read for real."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from monitor.cli.init import init
from monitor.config import load
from monitor.config.sections import SourceSection
from monitor.config.values import Secret
from monitor.errors import ConfigError, SourceError
from monitor.records import Score
from monitor.reference import role_evidence
from monitor.sources import Source, open_source
from monitor.sources.known_types import NOTHING, KnownTypes
from tests.sources.awkward_table import DECIMALS, Rows, as_parquet, awkward, worked_out

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(100)]
NAMES = ["%s {}", 'a"b', "x'; DROP TABLE t;--", "a\\b", "select"]


def source(kind: str, file: Path, table: str, known: KnownTypes = NOTHING) -> Source:
    return open_source(SourceSection(database=f"{kind}:///{file}", table=table), ZoneInfo("UTC"), known)


def in_sqlite(file: Path, table: str, rows: Rows) -> None:
    """Write as Python's own module does: times are text, booleans are 0 and 1."""
    kinds = {bool: "BOOLEAN", int: "INTEGER", float: "REAL", str: "TEXT", Decimal: "NUMERIC", date: "DATE",
             datetime: "TIMESTAMP"}
    declared = [f"{quoted(name)} {'TEXT' if DECIMALS.get(name, (0, 0))[0] > 15 else kinds[kind_of(values)]}"
                for name, values in rows.items()]
    with sqlite3.connect(file) as connection:
        connection.execute(f"CREATE TABLE {quoted(table)} ({', '.join(declared)})")
        marks = ", ".join("?" for _ in rows)
        connection.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})",
                               [list(map(plain, row)) for row in zip(*rows.values(), strict=True)])
    connection.close()


def in_duckdb(file: Path, table: str, rows: Rows) -> None:
    kinds = {name: pa.decimal128(*digits) for name, digits in DECIMALS.items()}
    made = pa.table({name: pa.array(values, kinds.get(name)) for name, values in rows.items()})
    with duckdb.connect(file) as connection:
        connection.register("made", made)
        connection.execute(f"CREATE TABLE {quoted(table)} AS SELECT * FROM made")


def plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def kind_of(values: list[Any]) -> type:
    return type(next(value for value in values if value is not None))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


WRITERS: dict[str, Callable[[Path, str, Rows], None]] = {"sqlite": in_sqlite, "duckdb": in_duckdb}


def shown(scores: list[Score]) -> dict[tuple[str, str | None], Score]:
    return {(s.metric, s.column): replace(s, value=s.value and round(s.value, 12)) for s in scores}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_of_awkward_columns_is_the_same_as_in_parquet(tmp_path: Path, kind: str) -> None:
    """Forty awkward columns give the roles and the scores that the same rows give as a Parquet file."""
    for name, rows in (("before", awkward(1)), ("now", awkward(2, later=True))):
        as_parquet(tmp_path / f"{name}.parquet", rows)
        WRITERS[kind](tmp_path / "file.db", name, rows)

    def file(name: str) -> Callable[[KnownTypes], Source]:
        section = SourceSection(path=str(tmp_path / f"{name}.parquet"))
        return lambda known: open_source(section, ZoneInfo("UTC"), known)

    def table(name: str) -> Callable[[KnownTypes], Source]:
        return lambda known: source(kind, tmp_path / "file.db", name, known)

    (roles, scores), (parquet_roles, parquet_scores) = (worked_out(of("before"), of("now")) for of in (table, file))
    assert roles == parquet_roles
    assert shown(scores) == shown(parquet_scores)


def test_a_column_that_comes_and_one_that_goes_are_seen_once_the_table_is_looked_at_anew(tmp_path: Path) -> None:
    """Between two fingerprints a source keeps to the columns that it found."""
    in_sqlite(tmp_path / "file.db", "t", {"at": HOURS, "x": list(range(100))})
    found = source("sqlite", tmp_path / "file.db", "t")
    before = found.schema(), found.left_out()
    with sqlite3.connect(tmp_path / "file.db") as connection:
        connection.execute("ALTER TABLE t RENAME COLUMN x TO y")
        connection.execute("ALTER TABLE t ADD COLUMN packed BLOB")
    connection.close()
    assert (found.schema(), found.left_out()) == before
    found.fingerprint()
    assert found.schema().names == ["at", "y"]
    assert set(found.left_out()) == {"packed"}
    assert found.read(None, timestamp="at").column_names == ["at", "y"]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_table_and_columns_is_read(tmp_path: Path, kind: str, name: str) -> None:
    """Quotation marks and SQL in names are nothing but names; a window has its rows, a head the first ones."""
    at, value = f"{name}t", f"{name}v"
    WRITERS[kind](tmp_path / "file.db", name, {at: HOURS, value: list(range(100))})
    found = source(kind, tmp_path / "file.db", name)
    window = found.read([value], timestamp=at, start=HOURS[10], end=HOURS[12])
    assert window[value].to_pylist() == [10, 11, 12]
    scan = found.scan(at, HOURS[10], HOURS[12])
    assert scan is not None
    assert [part[value].to_pylist() for part in scan.parts([value])] == [[10, 11, 12]]
    assert found.head(10)[value].to_pylist() == list(range(100))
    strays = found.strays(at)
    assert (strays.rows, strays.low, strays.high) == (100, HOURS[0], HOURS[-1])


@pytest.mark.parametrize("kind", WRITERS)
def test_only_the_rows_of_a_window_leave_the_database(tmp_path: Path, kind: str) -> None:
    """A row beyond the window that cannot be read does no harm: times are compared by the database."""
    rows: Rows = {"moment": HOURS, "x": [1.0] * 100}
    WRITERS[kind](tmp_path / "file.db", "log", rows)
    bad = "CREATE VIEW bad AS SELECT moment, CASE WHEN moment >= '2026-01-04' THEN {} ELSE x END AS x FROM log"
    if kind == "sqlite":
        with sqlite3.connect(tmp_path / "file.db") as connection:
            connection.execute(bad.format("abs(-9223372036854775808)"))
        connection.close()
    else:
        with duckdb.connect(tmp_path / "file.db") as connection:
            connection.execute(bad.format("error('not to be read')"))
    found = source(kind, tmp_path / "file.db", "bad")
    assert len(found.read(["x"], timestamp="moment", start=HOURS[0], end=HOURS[20])) == 21
    with pytest.raises(SourceError, match="cannot be read"):
        found.read(["x"], timestamp="moment")


TEXTS: dict[str, Callable[[datetime], str]] = {
    "with a space": str, "with a T": datetime.isoformat, "of two zones": lambda at: str(at.astimezone(
        timezone(timedelta(hours=-11 if at.hour % 2 else 13)))), "naive": lambda at: str(at.replace(tzinfo=None)),
    "of two lengths": lambda at: str(at.replace(microsecond=(at.hour + 1) % 2, tzinfo=None)),
}


@pytest.mark.parametrize("odd", [None, "05.01.2026 07:00", "January 5, 2026", "2026-1-5 07:00"])
@pytest.mark.parametrize("form", TEXTS)
def test_text_of_sqlite_is_compared_as_times_only_where_all_of_it_is_so_ordered(
    tmp_path: Path, form: str, odd: str | None
) -> None:
    """A window has the rows that it has among all of them, whichever text comes later that is in no such order."""
    with sqlite3.connect(tmp_path / "file.db") as connection:
        connection.execute("CREATE TABLE log (moment TEXT, n INTEGER)")
        connection.execute("CREATE INDEX by_time ON log (moment)")
        connection.executemany("INSERT INTO log VALUES (?, ?)", [(TEXTS[form](at), n) for n, at in enumerate(HOURS)])
    found = source("sqlite", tmp_path / "file.db", "log")

    def day() -> list[int]:
        return sorted(found.read(["n"], timestamp="moment", start=HOURS[24], end=HOURS[47])["n"].to_pylist())

    assert day() == list(range(24, 48))
    with connection:
        connection.execute("INSERT INTO log VALUES (?, 1000)", [odd])
        connection.execute("INSERT INTO log VALUES ('2026-01-02 07:00:00', 1001)")
    connection.close()
    try:
        whole = found.read(["n"], timestamp="moment")
    except SourceError as error:
        with pytest.raises(SourceError, match=re.escape(str(error))):
            day()
        return
    inside = pc.and_(pc.greater_equal(whole["moment"], HOURS[24]), pc.less_equal(whole["moment"], HOURS[47]))
    assert day() == sorted(whole.filter(inside)["n"].to_pylist())
    times = whole["moment"].drop_null()
    strays = found.strays("moment")
    assert (strays.rows, strays.untimed) == (102, odd is None)
    assert (strays.low, strays.high) == (pc.min(times).as_py(), pc.max(times).as_py())


@pytest.mark.parametrize("kind", WRITERS)
def test_content_and_fingerprint_follow_every_change(tmp_path: Path, kind: str) -> None:
    """The same rows have the same content in whatever order; a changed value has another."""
    for place, order in enumerate((1, -1)):
        WRITERS[kind](tmp_path / f"{place}.db", "log", {"at": HOURS[::order], "x": list(range(100))[::order]})
    one, other = (source(kind, tmp_path / f"{place}.db", "log") for place in (0, 1))
    before = one.fingerprint(), one.content_id()
    assert before == (one.fingerprint(), other.content_id())
    update = "UPDATE log SET x = 7 WHERE x = 8"
    if kind == "sqlite":
        with sqlite3.connect(tmp_path / "0.db") as connection:
            connection.execute(update)
        connection.close()
    else:
        with duckdb.connect(tmp_path / "0.db") as connection:
            connection.execute(update)
    assert one.fingerprint() != before[0]
    assert one.content_id() != before[1]


@pytest.mark.parametrize(("kind", "sentence"), [
    ("sqlite", "there is no such table, expected one of log"), ("duckdb", "nowhere does not exist"),
])
def test_what_is_not_there_is_one_sentence(tmp_path: Path, kind: str, sentence: str) -> None:
    """A file, a table, a column; and a file that is no database is left as it is."""
    file = tmp_path / "file.db"
    with pytest.raises(SourceError, match="there is no such file, expected a database"):
        source(kind, file, "log").schema()
    assert not file.exists()
    WRITERS[kind](file, "log", {"at": HOURS})
    with pytest.raises(SourceError, match=sentence):
        source(kind, file, "nowhere").schema()
    with pytest.raises(SourceError, match="has no column y, expected it among at"):
        source(kind, file, "log").read(["y"])
    file.write_text("no database, " * 100)
    with pytest.raises(SourceError, match="cannot be read"):
        source(kind, file, "log").schema()
    assert file.read_text() == "no database, " * 100


def test_nothing_but_the_file_is_opened(tmp_path: Path) -> None:
    """A view in DuckDB reads no other file, wherever it lies."""
    (tmp_path / "other.csv").write_text("x\n1\n")
    with duckdb.connect(tmp_path / "file.db") as connection:
        connection.execute(f"CREATE VIEW sly AS SELECT * FROM read_csv('{tmp_path}/other.csv')")
    with pytest.raises(SourceError, match="disabled by configuration"):
        source("duckdb", tmp_path / "file.db", "sly").schema()


@pytest.mark.parametrize(("declared", "values", "sentence"), [
    ("INTEGER", [1, 2, "three"], "column x holds values of several types"),
    ("INTEGER", [None] * 20_000 + ["three"], "column x holds values of several types"),
    ("REAL", [1.5] * 20_000 + ["three"], "column x holds values of several types"),
    ("BOOLEAN", [0, 1, 2], "column x is declared to hold booleans and has other numbers"),
])
def test_values_that_are_not_what_was_declared_are_said(
    tmp_path: Path, declared: str, values: list[Any], sentence: str
) -> None:
    """SQLite keeps any value in any column: none is turned into another one, or into nothing."""
    with sqlite3.connect(tmp_path / "file.db") as connection:
        connection.execute(f"CREATE TABLE log (x {declared})")
        connection.executemany("INSERT INTO log VALUES (?)", [[value] for value in values])
    connection.close()
    with pytest.raises(SourceError, match=sentence):
        source("sqlite", tmp_path / "file.db", "log").read(None)


@pytest.mark.parametrize(("declared", "values", "expected"), [
    ("NUMERIC", [3, 4.5, None], [3.0, 4.5, None]), ("DECIMAL(10,2)", ["3", "4.50"], [3.0, 4.5]),
    ("", [3, 4], [3, 4]), ("REAL", [3, 4.5], [3.0, 4.5]), ("TEXT", ["x", 2.5], ["x", "2.5"]),
    ("BOOLEAN", [True, None, False], [True, None, False]), ("DATETIME", [1767225600, None], [1767225600, None]),
    ("BIGINT", [None] * 20_000 + [2**62], [None] * 20_000 + [2**62]),
    *((kind, ["", 4, ""], [None, 4, None]) for kind in ("INTEGER", "REAL", "NUMERIC", "")),
    ("BOOLEAN", [True, "", False], [True, None, False]),
])
def test_a_column_of_sqlite_is_what_it_was_declared(
    tmp_path: Path, declared: str, values: list[Any], expected: list[Any]
) -> None:
    """Where the declaration says nothing, the first value decides."""
    with sqlite3.connect(tmp_path / "file.db") as connection:
        connection.execute(f"CREATE TABLE log (x {declared})")
        connection.executemany("INSERT INTO log VALUES (?)", [[value] for value in values])
    connection.close()
    assert source("sqlite", tmp_path / "file.db", "log").read(None)["x"].to_pylist() == expected


NEVER = "CAST('infinity' AS TIMESTAMP)"


@pytest.mark.parametrize(("value", "kind", "expected"), [
    ("CAST('1f00-0' || n || '00-1000-8000-00805f9b34fb' AS VARCHAR)", "string", "1f00-0100-1000-8000-00805f9b34fb"),
    ("CAST('00000000-0000-0000-0000-00000000000' || n AS UUID)", "string", "00000000-0000-0000-0000-000000000001"),
    ("CAST('{\"a\": ' || n || '}' AS JSON)", "string", '{"a": 1}'),
    ("CASE WHEN n = 1 THEN union_value(num := 7) ELSE union_value(num := 8) END", "int64", 7),
    ("CAST(CASE WHEN n = 1 THEN 'b' ELSE 'a' END AS ENUM('a', 'b'))", "string", "b"),
    ("CAST(n AS HUGEINT)", "double", 1.0), ("CAST(n AS UBIGINT)", "uint64", 1), ("CAST(n AS VARINT)", "double", 1.0),
    ("to_days(CAST(n AS INTEGER))", "string", "1 day"), ("TIME '10:00:00'", "string", "10:00:00.000000"),
    ("{'a': n, 'u': CAST('00000000-0000-0000-0000-000000000001' AS UUID)}", "struct", 1),
    *((f"CAST(TIMESTAMP '2026-01-01' AS {kind})", "timestamp", datetime(2026, 1, 1))
      for kind in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")),
    ("CAST('1010' AS BIT)", None, "bytes"), ("[n]", None, "a list"), ("MAP {'a': n}", None, "a map"),
])
def test_each_type_of_duckdb_is_read_or_named(tmp_path: Path, value: str, kind: str | None, expected: Any) -> None:
    """A column that Arrow has no type for keeps none of the others from being read."""
    with duckdb.connect(tmp_path / "file.db") as connection:
        connection.execute(f"CREATE TABLE log AS SELECT n AS x, {value} AS v FROM range(3) r(n)")
    found = source("duckdb", tmp_path / "file.db", "log")
    read = found.read(None)
    assert read["x"].to_pylist() == [0, 1, 2]
    if kind is None:
        assert found.left_out()["v"].startswith(expected)
    else:
        name = "v.a" if kind == "struct" else "v"
        assert (read[name][1].as_py(), found.left_out()) == (expected, {})
        assert kind == "struct" or str(read["v"].type).startswith(kind)
    assert found.content_id() == found.content_id()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("rows", [100, 1000, 1500, 2500])
def test_moments_without_end_are_no_ends_of_a_log(tmp_path: Path, zone: str, rows: int) -> None:
    """The first and the last time of the others are exactly theirs, in the model's time zone."""
    with duckdb.connect(tmp_path / "file.db") as connection:
        connection.execute(f"CREATE TABLE log AS SELECT CASE n WHEN 5 THEN {NEVER} ELSE TIMESTAMP '2026-01-01'"
                           f" + to_hours(CAST(n AS INTEGER)) END AS t FROM range({rows}) r(n)")
    section = SourceSection(database=f"duckdb:///{tmp_path}/file.db", table="log")
    strays = open_source(section, ZoneInfo(zone)).strays("t")
    first = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    assert (strays.rows, strays.apart) == (rows, 1)
    assert (strays.low, strays.high) == (first, first + timedelta(hours=rows - 1))


@pytest.mark.parametrize("name", ['"my s"."t.x"', '"my s"."t""x"', "main.t", '"t.x"'])
def test_a_name_in_quotes_may_hold_dots(tmp_path: Path, name: str) -> None:
    with duckdb.connect(tmp_path / "file.db") as connection:
        connection.execute('CREATE SCHEMA "my s"')
        connection.execute(f"CREATE TABLE {name} AS SELECT 7 AS x")
    assert source("duckdb", tmp_path / "file.db", name).read(None)["x"].to_pylist() == [7]


def test_a_table_is_named_in_one_text(tmp_path: Path) -> None:
    """A file is relative to the configuration's folder; an address with a password stays outside of the file."""
    (tmp_path / "driftd.toml").write_text(
        '[models.m]\npredictions = "sqlite:///a#b.db#my log"\nlabels = "env:LABELS#seen"\nreference = "first 9d"\n')
    model = load(tmp_path / "driftd.toml").config.models["m"]
    assert (model.predictions.database, model.predictions.table) == (f"sqlite:///{tmp_path}/a#b.db", "my log")
    assert model.labels is not None
    assert (model.labels.database, model.labels.table) == (Secret("env", "LABELS"), "seen")
    (tmp_path / "driftd.toml").write_text('[models.m]\nreference = "first 9d"\n[models.m.predictions]\ntable = "t"\n'
                                          'database = "postgresql://u:hunter2@db/x"\n')
    with pytest.raises(ConfigError, match=r"driftd.toml:5: .*a secret is never written in the file") as error:
        load(tmp_path / "driftd.toml")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_init_looks_at_tables(tmp_path: Path, kind: str) -> None:
    """The configuration that is written reads the tables again, labels apart among them."""
    rows: Rows = {"timestamp": HOURS, "id": list(range(100)), "prediction": [n % 2 for n in range(100)],
                  "x": [n / 7 for n in range(100)]}
    WRITERS[kind](tmp_path / "file.db", "log", rows)
    WRITERS[kind](tmp_path / "file.db", "labels", {"id": list(range(100)), "label": [n % 2 for n in range(100)]})
    place = f"{kind}:///{tmp_path}/file.db"
    done = CliRunner().invoke(init, [f"{place}#log", "--labels", f"{place}#labels", "-o",
                                     str(tmp_path / "driftd.toml")])
    assert done.exit_code == 0, done.output
    assert "100 rows, 2026-01-01 to 2026-01-05" in done.output
    assert load(tmp_path / "driftd.toml").config.models["log"].predictions.database == place
    done = CliRunner().invoke(init, [place, "-o", str(tmp_path / "other.toml")])
    assert f"names no table, expected {place}#TABLE" in str(done.exception or done.output)


def test_init_of_a_large_table_looks_at_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it finds is what it finds in all rows of a file; rows beyond the first and the newest are not read."""
    monkeypatch.setattr(role_evidence, "VALUES", 1)
    rows, chance = 30_000, np.random.default_rng(1)
    made = pa.table({
        "timestamp": [START + timedelta(minutes=10 * n) for n in range(rows)], "id": range(rows),
        "prediction": chance.integers(0, 2, rows), "label": chance.integers(0, 2, rows),
        "x": chance.normal(size=rows), "town": chance.choice(["a", "b"], rows), "floor": chance.integers(0, 5, rows),
    })
    pq.write_table(made, tmp_path / "log.parquet")
    with duckdb.connect(tmp_path / "file.db") as connection:
        connection.register("made", made)
        connection.execute("CREATE TABLE kept AS SELECT * FROM made")
        connection.execute("CREATE VIEW log AS SELECT * REPLACE (CASE WHEN id BETWEEN 20000 AND 28000 THEN"
                           " error('not to be read') ELSE x END AS x) FROM kept")
    written = {}
    for data in (str(tmp_path / "log.parquet"), f"duckdb:///{tmp_path}/file.db#log"):
        done = CliRunner().invoke(init, [data, "--force", "-o", str(tmp_path / "driftd.toml")])
        assert done.exit_code == 0, done.output
        lines = (tmp_path / "driftd.toml").read_text().splitlines()
        written[data] = [line for line in lines if not line.startswith("predictions")]
    assert len(set(map(tuple, written.values()))) == 1
    assert "the first 10000 rows as they are stored, for the columns, and the newest 7d, 1008 rows" in done.output
