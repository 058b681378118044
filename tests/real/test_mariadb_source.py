"""The source of MariaDB and MySQL, against a real MariaDB server."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from monitor.config.sections import SourceSection
from monitor.config.values import Secret
from monitor.errors import SourceError
from monitor.sources import Source, open_source
from monitor.sources.column_types import UTC_US, Bounds
from monitor.sources.databases.kinds import engine_of
from monitor.sources.known_types import NOTHING, KnownTypes
from tests.real.servers import mariadb
from tests.sources.awkward_table import DECIMALS, Rows, require_as_in_parquet

pymysql = pytest.importorskip("pymysql")
pytestmark = pytest.mark.real

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(100)]
TYPES = """a int, b bigint unsigned, c decimal(30, 10), d double, e float, f varchar(50), g datetime(6), h timestamp,
    i date, j time, k bool, l bit(3), m json, n blob, o enum('x', 'y'), p year, q tinyint unsigned, r decimal(20, 0)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection as root; driftd, who may read, is another user."""
    with mariadb(tmp_path_factory.mktemp("mariadb")) as port:
        root = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True, charset="utf8mb4")
        execute(root, "SET time_zone = '+00:00'", "SET sql_mode = ''", "CREATE DATABASE d", "USE d",
                "CREATE USER driftd IDENTIFIED BY 'hidden pass/word'", "GRANT SELECT ON d.* TO driftd")
        yield root
        root.close()


def execute(server: Any, *statements: str) -> None:
    with server.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def write(server: Any, table: str, rows: Rows) -> None:
    def kind(name: str, values: list[Any]) -> str:
        kinds = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", datetime: "DATETIME(6)", date: "DATE"}
        if name in DECIMALS:
            return "DECIMAL({}, {})".format(*DECIMALS[name])
        return kinds.get(type(next(value for value in values if value is not None)), "TEXT")

    columns = ", ".join(f"{quoted(name)} {kind(name, values)}" for name, values in rows.items())
    execute(server, f"CREATE OR REPLACE TABLE {quoted(table)} ({columns}) CHARACTER SET utf8mb4")
    with server.cursor() as cursor:
        marks = ", ".join(["%s"] * len(rows))
        naive = [[value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row]
                 for row in zip(*rows.values(), strict=True)]
        cursor.executemany(f"INSERT INTO {quoted(table).replace('%', '%%')} VALUES ({marks})", naive)


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@pytest.fixture
def table(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LOG_DATABASE", f"mysql://driftd:hidden%20pass%2Fword@127.0.0.1:{server.port}/d")
    return opened


def opened(name: str, zone: str = "UTC", known: KnownTypes = NOTHING) -> Source:
    return open_source(SourceSection(database=Secret("env", "LOG_DATABASE"), table=name), ZoneInfo(zone), known)


def test_a_table_of_awkward_columns_is_the_same_as_in_parquet(server: Any, table: Any, tmp_path: Path) -> None:
    """Forty awkward columns give the roles and the scores that the same rows give as a Parquet file."""
    require_as_in_parquet(tmp_path, lambda name, rows: write(server, name, rows), table)


def test_each_type_is_read(server: Any, table: Any) -> None:
    """Numbers with all that is known of them, times, booleans; dates of zeros are none, blobs are left out."""
    execute(server, f"CREATE TABLE types ({TYPES})",
            "INSERT INTO types VALUES (-1, 18446744073709551615, 0.1, 0.1, 16777217, 'é', '2026-01-01 00:00:00.123456',"
            " '2026-01-01 12:00', '2026-01-01', '-12:00:01', 1, b'101', '{\"a\": 1}', x'ff00', 'x', 2026, 255,"
            " 12345678901234567890)", "INSERT INTO types (a) VALUES (2)",
            "INSERT INTO types (a, g, h, i) VALUES (3, '0000-00-00', '0000-00-00', '2026-00-00')")
    rows = table("types").read(None)
    assert rows.slice(0, 1).to_pylist() == [{
        "a": -1, "b": 18446744073709551615, "c": 0.1, "d": 0.1, "e": 16777216.0, "f": "é",
        "g": datetime(2026, 1, 1, 0, 0, 0, 123456), "h": datetime(2026, 1, 1, 12, tzinfo=UTC), "i": date(2026, 1, 1),
        "j": "-12:00:01", "k": True, "l": 5, "m": '{"a": 1}', "o": "x", "p": 2026, "q": 255,
        "r": 12345678901234567890.0,
    }]
    assert rows.schema == table("types").schema()
    assert {value for row in rows.slice(1).drop(["a"]).to_pylist() for value in row.values()} == {None}
    execute(server, "UPDATE types SET k = 7")
    with pytest.raises(SourceError, match=r"column k is TINYINT\(1\), as BOOLEAN is, and has other numbers"):
        table("types").read(None)


@pytest.mark.parametrize(("kind", "first"), [("TIMESTAMP", 23), ("DATETIME(6)", 24), ("DATE", 24)])
def test_every_kind_of_timestamp_finds_its_rows(server: Any, table: Any, kind: str, first: int) -> None:
    """Naive times and dates are local to the model's zone, here an hour ahead of UTC."""
    write(server, "log", {"at": HOURS, "n": list(range(100))})
    execute(server, f"ALTER TABLE log MODIFY at {kind}")
    rows = table("log", zone="Europe/Paris").read(["n"], timestamp="at", start=datetime(2026, 1, 1, 23, tzinfo=UTC))
    assert rows["n"].to_pylist() == list(range(first, 100))
    assert table("log").strays("at").rows in (None, 100)


@pytest.mark.parametrize(("kind", "rows"), [("DATE", 100), ("DATETIME", 1500), ("TIMESTAMP NULL", 2500)])
def test_a_row_of_a_date_of_zeros_is_counted(server: Any, table: Any, kind: str, rows: int) -> None:
    """It has no time, as one without any; a place on a map beside it keeps nothing from being read."""
    execute(server, f"CREATE OR REPLACE TABLE log (n INT, at {kind}, place POINT DEFAULT POINT(1, 2))",
            "INSERT INTO log (n, at) SELECT seq, IF(seq = 3, '0000-00-00', IF(seq = 4, NULL,"
            f" TIMESTAMP('2026-01-01') + INTERVAL seq HOUR)) FROM seq_1_to_{rows}")
    strays = table("log").strays("at")
    assert (strays.untimed, strays.apart) == (2, 0)
    assert table("log").read(None)["n"].to_pylist() == list(range(1, rows + 1))
    assert set(table("log").left_out()) == {"place"}


@pytest.mark.parametrize("name", ["%s {}", 'a"b', "x'; DROP TABLE t;--", "a\\b", "select", "a`b"])
def test_any_name_of_table_and_columns_is_read(server: Any, table: Any, name: str) -> None:
    """Quotation marks and SQL in names are nothing but names; a window has its rows."""
    execute(server, f"CREATE OR REPLACE TABLE {quoted(name)} ({quoted(name + 't')} DATETIME, {quoted(name + 'v')} INT)",
            f"INSERT INTO {quoted(name)} VALUES ('2026-01-01', 7), ('2026-02-01', 8)")
    found = table(name).read([f"{name}v"], timestamp=f"{name}t", end=START)
    assert found[f"{name}v"].to_pylist() == [7]
    assert table(name).stamp([f"{name}v"], Bounds(f"{name}t", None, None))


def test_what_is_written_is_noticed_and_nothing_can_be(server: Any, table: Any) -> None:
    """Rows added and the least bit changed have another stamp; the server refuses to write in our transaction."""
    write(server, "log", {"at": HOURS, "x": [0.1] * 100})
    source, marks = table("log"), []
    for change in ("DO 0", "UPDATE log SET x = x + 1e-16 LIMIT 1", "INSERT INTO log (x) VALUES (1)"):
        execute(server, change)
        marks.append((source.content_id(), source.stamp(["x"], Bounds())))
        assert marks[-1] == (source.content_id(), source.stamp(["x"], Bounds()))
    assert len({mark for mark, _ in marks}) == len({mark for _, mark in marks}) == 3
    before = source.fingerprint()
    execute(server, "DELETE FROM log LIMIT 1")
    assert source.fingerprint() != before
    engine = engine_of("log", f"mariadb://root@127.0.0.1:{server.port}/d", timedelta(seconds=60))
    with engine.connected() as session, pytest.raises(pymysql.MySQLError, match="READ ONLY transaction"):
        session.run("INSERT INTO log (x) VALUES (1)")


def test_one_connection_serves_several_looks(server: Any, table: Any) -> None:
    """Between looks it is idle; rows that came since are seen; one that the server has ended is replaced."""
    def connections() -> list[Any]:
        with server.cursor() as cursor:
            cursor.execute("SELECT id, command FROM information_schema.processlist WHERE user = 'driftd'")
            return list(cursor.fetchall())

    write(server, "log", {"at": HOURS})
    assert table("log").read(None).num_rows == 100
    first = connections()
    execute(server, "INSERT INTO log (at) VALUES ('2026-02-01')", "ALTER TABLE log ADD COLUMN x INT")
    assert table("log").read(["x"]).num_rows == 101
    assert connections() == first == [(first[0][0], "Sleep")]
    execute(server, f"KILL {first[0][0]}")
    assert table("log").read(None).num_rows == 101


def test_what_cannot_be_read_is_one_sentence(
    server: Any, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table, a column, a password, a server, an address; none of them shows the password."""
    write(server, "log", {"at": HOURS})
    cases: list[tuple[str, list[str] | None, str]] = [
        ("nowhere", None, "there is no such table that this user may read"),
        ("log", ["y"], "has no column y, expected it among at"),
    ]
    for name, columns, sentence in cases:
        with pytest.raises(SourceError, match=sentence):
            table(name).read(columns)
    assert table("log").read(None).num_rows == 100
    assert table("log").schema() == pa.schema([("at", pa.timestamp("us"))])
    assert table("log").read([], timestamp="at").schema.field("at").type == UTC_US
    port = server.port
    for address, sentence in (
        (f"driftd:hunter2@127.0.0.1:{port}/d", "Access denied"), ("driftd:hunter2@127.0.0.1:1/d", "refused"),
        ("driftd:hunter2@169.254.169.254/d", "metadata"),
        (f"driftd:hunter2@127.0.0.1:{port}/d?a=b", "is not an address"),
        ("driftd:hunter2@127.0.0.1:x/d", "is not an address"), ("127.0.0.1", "is not an address"),
        (f"driftd:hidden%20pass%2Fword@127.0.0.1:{port}/d?ssl-mode=VERIFY_IDENTITY", "cannot be read"),
    ):
        monkeypatch.setenv("LOG_DATABASE", f"mysql://{address}")
        with pytest.raises(SourceError, match=sentence) as error:
            table("log").read(None)
        assert "hunter2" not in str(error.value)
        assert "hidden" not in str(error.value)
