"""The source of ClickHouse, against its engine behind HTTP."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from monitor.config.sections import SourceSection
from monitor.config.values import Secret
from monitor.errors import SourceError
from monitor.sources import Source, open_source
from monitor.sources.column_types import Bounds
from monitor.sources.known_types import NOTHING, KnownTypes
from tests.real.servers import clickhouse
from tests.sources.awkward_table import DECIMALS, Rows, require_as_in_parquet

pytestmark = pytest.mark.real

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(100)]
TYPES = """a Int32, b UInt64, c Decimal(30, 10), d Float64, e Nullable(Float32), f LowCardinality(Nullable(String)),
    g DateTime64(6), h DateTime('Asia/Tokyo'), i Date, j Date32, k Bool, l UUID, m Enum8('x' = 1, 'y' = 2), n IPv4,
    o FixedString(4), p Int128, q Decimal(76, 2), r Tuple(u Int8, v String), s Array(Int8), t Map(String, Int8),
    u SimpleAggregateFunction(max, Nullable(Int64)), v AggregateFunction(sum, Int64), w JSON"""
VALUES = """-1, 18446744073709551615, 0.1, 0.1, 0.5, 'é', '2026-01-01 00:00:00.123456',
    toDateTime('2026-01-01 12:00:00', 'UTC'), '2026-01-01', '1925-01-01', true, '61f0c404-5cb3-11e7-907b-a6006ad3dba0',
    'y', '1.2.3.4', 'ab', 5, 1.5, (1, 'q'), [1], map('k', 1), 7, initializeAggregation('sumState', toInt64(3)),
    '{"a": 1}'"""
Execute = Callable[..., None]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as port:
        yield port


@pytest.fixture
def execute(port: int, monkeypatch: pytest.MonkeyPatch) -> Execute:
    monkeypatch.setenv("LOG_DATABASE", f"clickhouse://driftd:hidden%20pass%2Fword@127.0.0.1:{port}/d")

    def statements(*several: str) -> None:
        for one in several:
            answer = requests.post(f"http://127.0.0.1:{port}/?database=d", data=one.encode(), timeout=60)
            assert answer.ok, answer.text

    return statements


def opened(name: str, zone: str = "UTC", known: KnownTypes = NOTHING) -> Source:
    return open_source(SourceSection(database=Secret("env", "LOG_DATABASE"), table=name), ZoneInfo(zone), known)


def quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def write(execute: Execute, table: str, rows: Rows) -> None:
    kinds = {bool: "Bool", int: "Int64", float: "Float64", datetime: "DateTime64(6, 'UTC')", date: "Date32"}

    def kind(name: str, values: list[Any]) -> str:
        if name in DECIMALS:
            return "Decimal({}, {})".format(*DECIMALS[name])
        return kinds.get(type(next(value for value in values if value is not None)), "String")

    def literal(value: Any) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, datetime):
            return f"'{value.astimezone(UTC).replace(tzinfo=None).isoformat(' ')}'"
        if isinstance(value, str | date):
            return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
        return f"'{value}'" if isinstance(value, float) else str(value)

    columns = ", ".join(f"{quoted(name)} Nullable({kind(name, values)})" for name, values in rows.items())
    values = ", ".join(f"({', '.join(map(literal, row))})" for row in zip(*rows.values(), strict=True))
    execute(f"CREATE OR REPLACE TABLE {quoted(table)} ({columns}) ENGINE = MergeTree ORDER BY tuple()",
            f"INSERT INTO {quoted(table)} VALUES {values}")


def test_a_table_of_awkward_columns_is_the_same_as_in_parquet(execute: Execute, tmp_path: Path) -> None:
    """Forty awkward columns give the roles and the scores that the same rows give as a Parquet file."""
    require_as_in_parquet(tmp_path, lambda name, rows: write(execute, name, rows), opened)


def test_each_type_is_read(execute: Execute) -> None:
    """Numbers with all that is known of them, times in UTC, what Arrow does not have as text; lists are left out."""
    execute(f"CREATE OR REPLACE TABLE types ({TYPES}, x Int8 MATERIALIZED 1) ENGINE = MergeTree ORDER BY a",
            f"INSERT INTO types SELECT {VALUES}")
    source = opened("types")
    assert source.read(None).to_pylist() == [{
        "a": -1, "b": 18446744073709551615, "c": 0.1, "d": 0.1, "e": 0.5, "f": "é",
        "g": datetime(2026, 1, 1, 0, 0, 0, 123456, UTC), "h": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "i": date(2026, 1, 1), "j": date(1925, 1, 1), "k": True, "l": "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "m": "y",
        "n": "1.2.3.4", "o": "ab", "p": 5, "q": 1.5, "r.u": 1, "r.v": "q", "u": 7, "w": '{"a":1}',
    }]
    assert list(source.left_out()) == ["s", "t", "v"]
    execute("ALTER TABLE types DELETE WHERE 1 SETTINGS mutations_sync = 2")
    source.fingerprint()
    assert source.read(["h"]).num_rows == 0


@pytest.mark.parametrize(("kind", "first"), [
    ("DateTime('UTC')", 23), ("Nullable(DateTime('Asia/Tokyo'))", 23), ("DateTime64(9, 'UTC')", 23), ("Date", 24),
])
def test_every_kind_of_timestamp_finds_its_rows(execute: Execute, kind: str, first: int) -> None:
    """Times are instants in whatever zone they are shown; dates are local to the model's, here an hour ahead of UTC."""
    values = ", ".join(f"(toDateTime64('{at:%Y-%m-%d %H:%M:%S}', 9, 'UTC'), {n})" for n, at in enumerate(HOURS))
    execute(f"CREATE OR REPLACE TABLE log (at {kind}, n Int32) ENGINE = MergeTree ORDER BY n",
            f"INSERT INTO log VALUES {values}")
    rows = opened("log", zone="Europe/Paris").read(["n"], timestamp="at", start=datetime(2026, 1, 1, 23, tzinfo=UTC))
    assert rows["n"].to_pylist() == list(range(first, 100))
    assert opened("log").read(["n"], timestamp="at", end=datetime(2500, 1, 1, tzinfo=UTC)).num_rows == 100
    assert opened("log").strays("at").rows == 100


@pytest.mark.parametrize("name", ["%s {}", 'a"b', "x'; DROP TABLE t;--", "a\\b", "select", "a`b"])
def test_any_name_of_table_and_columns_is_read(execute: Execute, name: str) -> None:
    """Quotation marks and SQL in names are nothing but names; a window has its rows."""
    time, value = quoted(name + "t"), quoted(name + "v")
    execute(f"CREATE OR REPLACE TABLE {quoted(name)} ({time} DateTime('UTC'), {value} Int32) ENGINE = Memory",
            f"INSERT INTO {quoted(name)} VALUES ('2026-01-01 00:00:00', 7), ('2026-02-01 00:00:00', 8)")
    found = opened(name).read([f"{name}v"], timestamp=f"{name}t", end=START)
    assert found[f"{name}v"].to_pylist() == [7]
    assert opened(name).stamp([f"{name}v"], Bounds(f"{name}t", None, None))


@pytest.mark.parametrize("engine", ["MergeTree ORDER BY at", "Memory"])
def test_what_is_written_is_noticed(execute: Execute, engine: str) -> None:
    """Rows added and the least bit changed have another stamp; in a table of parts each change is seen at a glance."""
    execute(f"CREATE OR REPLACE TABLE log (at DateTime, x Nullable(Float64)) ENGINE = {engine}",
            "INSERT INTO log SELECT toDateTime(1767225600 + 3600 * number), 0.1 FROM numbers(100)")
    source, marks = opened("log"), []
    for change in ("SELECT 1", "ALTER TABLE log UPDATE x = x + 1e-16 WHERE at = toDateTime(1767225600)",
                   "ALTER TABLE log UPDATE x = NULL WHERE at = toDateTime(1767225600)",
                   "INSERT INTO log SELECT now(), 1", "ALTER TABLE log DELETE WHERE at > toDateTime(1767580000)"):
        execute(f"{change} SETTINGS mutations_sync = 2" if change.startswith("ALTER") else change)
        marks.append((source.fingerprint(), source.content_id(), source.stamp(["x"], Bounds())))
        assert marks[-1] == (source.fingerprint(), source.content_id(), source.stamp(["x"], Bounds()))
    assert [len(set(kind)) for kind in zip(*marks, strict=True)] == [5 if "Merge" in engine else 3, 5, 5]


def test_what_cannot_be_read_is_one_sentence(execute: Execute, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, a column, bytes, a password, a server, an address; none of them shows the password."""
    execute("CREATE OR REPLACE TABLE log (at DateTime, s String) ENGINE = Memory",
            "INSERT INTO log VALUES (1, unhex('ff'))")
    cases: list[tuple[str, list[str] | None, str]] = [
        ("nowhere", None, "cannot be read .*nowhere.*, expected a readable table"),
        ("log", ["y"], "has no column y, expected it among at"),
        ("log", ["s"], "column s holds bytes that are no text"),
    ]
    for name, columns, sentence in cases:
        with pytest.raises(SourceError, match=sentence):
            opened(name).read(columns)
    for address, sentence in (
        (f"driftd:hunter2@127.0.0.1:{port}/d", "Authentication failed"),
        ("driftd:hunter2@127.0.0.1:1/d", "refused"), ("driftd:hunter2@169.254.169.254/d", "metadata"),
        (f"driftd:hunter2@127.0.0.1:{port}/d?secure=true", "TLS"),
        ("driftd:hunter2@127.0.0.1:9000/d", "port 9000 is that of ClickHouse's own protocol"),
        (f"driftd:hunter2@127.0.0.1:{port}/d?a=b", "is not an address"), ("127.0.0.1", "is not an address"),
        ("driftd:hunter2@127.0.0.1:x/d", "is not an address"),
    ):
        monkeypatch.setenv("LOG_DATABASE", f"clickhouse://{address}")
        with pytest.raises(SourceError, match=sentence) as error:
            opened("log").read(None)
        assert "hunter2" not in str(error.value)
