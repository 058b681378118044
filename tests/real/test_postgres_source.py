"""The PostgreSQL source against a real server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from benchmarks.postgres_server import Cluster, postgres
from benchmarks.rows import Absent
from monitor import store
from monitor.config.sections import SourceSection
from monitor.config.values import Secret
from monitor.errors import SourceError
from monitor.sources import Source, open_source
from monitor.sources.column_types import UTC_US, Bounds
from monitor.store.audit import GUARDS
from monitor.store.database import statements
from tests.real.conftest import until
from tests.sources.awkward_table import DECIMALS, Opener, as_parquet, awkward, texted, worked_out

pytestmark = pytest.mark.real

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL cluster of this test run."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(postgres())
        except Absent as absent:
            pytest.skip(str(absent))
        yield cluster


@pytest.fixture
def postgres_address(postgres_cluster: Cluster) -> Iterator[str]:
    """The address of a new, empty database."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_cluster.address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_cluster.address(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def address(postgres_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOG_DATABASE", postgres_address)
    with psycopg.connect(postgres_address) as connection:
        connection.execute('CREATE SCHEMA "Models"')
        connection.execute(
            'CREATE TABLE "Models"."my log" (id bigint, at timestamptz, local timestamp, day date, code varchar,'
            " amount numeric(10, 2), ok boolean, ratio real, note jsonb, "
            'epoch bigint, key uuid DEFAULT gen_random_uuid())'
        )
        connection.execute(
            'INSERT INTO "Models"."my log" SELECT n, %(s)s + n * interval \'1 hour\', timestamp \'2026-01-01\' + n *'
            " interval '1 hour', date '2026-01-01' + n / 24, CASE WHEN mod(n, 2) = 0 THEN 'é' END, n * 1.25, "
            " mod(n, 2) = 0, 0.5, '{\"a\": 1}', 1767225600 + n * 3600 FROM generate_series(0, 99) n",
            {"s": START},
        )
    return postgres_address


def log_source(table: str = "Models.my log", zone: str = "UTC") -> Source:
    return open_source(SourceSection(database=Secret("env", "LOG_DATABASE"), table=table), ZoneInfo(zone))


def test_columns_and_range_are_read_with_their_types(address: str) -> None:
    """Numbers, text, dates and times come as in a file; what has no counterpart comes as text."""
    end = START + timedelta(hours=12)
    table = log_source().read(None, timestamp="at", start=START + timedelta(hours=10), end=end)
    assert table.schema == log_source().schema()
    assert table["at"].type == pa.timestamp("us", "UTC")
    row = table.slice(1, 1).to_pylist()[0]
    assert row | {"key": ""} == {
        "id": 11, "at": START + timedelta(hours=11), "local": datetime(2026, 1, 1, 11), "day": date(2026, 1, 1),
        "code": None, "amount": 13.75, "ok": False, "ratio": 0.5, "note": '{"a": 1}', "epoch": 1767265200, "key": "",
    }
    assert table["id"].to_pylist() == [10, 11, 12]


@pytest.mark.parametrize(("column", "first"), [("at", 23), ("local", 24), ("day", 24), ("epoch", 23)])
def test_every_kind_of_timestamp_finds_its_rows(address: str, column: str, first: int) -> None:
    """Naive times and dates are local to the model's zone, here an hour ahead of UTC."""
    start = datetime(2026, 1, 1, 23, tzinfo=UTC)
    table = log_source(zone="Europe/Paris").read(["id"], timestamp=column, start=start)
    assert table["id"].to_pylist() == list(range(first, 100))


def test_types_of_its_own_hold_what_a_client_shows(address: str) -> None:
    """Money is no number of cents, a CHAR has no blanks behind it, also where a domain or a view stands before them."""
    with psycopg.connect(address) as writer:
        writer.execute("CREATE DOMAIN price AS money; CREATE TYPE mood AS ENUM ('sad', 'ok');"
                       " CREATE TABLE odd (at timestamptz, m money, p price, c char(5), o oid, e mood, a int[]);"
                       " INSERT INTO odd VALUES ('2026-01-01', '12.5', '-0.25', 'ab', 4294967295, 'ok', '{1}'),"
                       " ('2026-01-02', NULL, NULL, NULL, NULL, NULL, NULL); CREATE VIEW shown AS SELECT * FROM odd")
    for name in ("odd", "shown"):
        found = log_source(name).read(["m", "p", "c", "o", "e"], timestamp="at").drop_columns(["at"]).to_pylist()
        assert found == [{"m": 12.5, "p": -0.25, "c": "ab", "o": 4294967295, "e": "ok"}, dict.fromkeys("mpcoe")]
        assert set(log_source(name).left_out()) == {"a"}


@pytest.mark.parametrize("rows", [100, 1000, 1500, 2500])
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
def test_moments_without_end_are_those_of_the_calendar(address: str, kind: str, rows: int) -> None:
    """`infinity` is later than all others, `-infinity` earlier; as the time of a row both are counted, in any table."""
    with psycopg.connect(address) as connection:
        connection.execute(f"""CREATE TABLE log AS SELECT n, CASE n WHEN 3 THEN 'infinity' WHEN 4 THEN '-infinity' ELSE
            timestamptz '2026-01-01Z' + n * interval '1 hour' END::{kind} AS at FROM generate_series(1, {rows}) n""")
    source = log_source("log")
    read = source.read(["n"], moments=["at"]).sort_by("n")["at"].to_pylist()
    assert (read[2].year, read[3].year, read[4].year) == (9999, 1, 2026)
    strays = source.strays("at")
    assert (strays.rows, strays.untimed, strays.apart) == (rows, 0, 2)
    assert strays.low is not None
    assert strays.low.date() == date(2026, 1, 1)


@pytest.mark.parametrize("name", ["humidity %", "%s", "%(start)s", 'a"b', "x'; DROP TABLE t;--", "{}", "a\\b"])
def test_any_name_of_table_and_columns_is_read(address: str, name: str) -> None:
    """Per cent signs, quotation marks and SQL in names are nothing but names."""
    table, value, moment = (sql.Identifier(f"{name}{part}") for part in ("", "v", "t"))
    with psycopg.connect(address) as writer:
        writer.execute(sql.SQL("CREATE TABLE {} ({} numeric, {} timestamptz)").format(table, value, moment))
        writer.execute(sql.SQL("INSERT INTO {} VALUES (1.5, now())").format(table))
    found = log_source(name).read(None, timestamp=f"{name}t", start=START)
    assert found[f"{name}v"].to_pylist() == [1.5]
    assert len(log_source(name).fingerprint()) == len(log_source(name).content_id())


def test_the_fingerprint_and_the_content_follow_every_change(address: str) -> None:
    """Rows added and labels changed are noticed; reading changes nothing."""
    source = log_source()
    mark, content = source.fingerprint(), source.content_id()
    assert (source.fingerprint(), source.content_id()) == (mark, content)
    for change in ("INSERT INTO \"Models\".\"my log\" (id) VALUES (1)",
                   "UPDATE \"Models\".\"my log\" SET code = 'x' WHERE id = 5"):
        with psycopg.connect(address) as writer:
            writer.execute(change)
        mark = changed(source, mark)
        assert source.content_id() != content
        content = source.content_id()


def changed(source: Source, before: str) -> str:
    """The fingerprint once it is another one: a session's counts are told when its process ends."""
    until(lambda: source.fingerprint() != before)
    return source.fingerprint()


def test_views_and_partitions_are_tables_too(address: str) -> None:
    """Whatever can be selected from can be a source."""
    with psycopg.connect(address) as writer:
        writer.execute('CREATE VIEW recent AS SELECT id, at FROM "Models"."my log" WHERE id > 97')
        writer.execute("CREATE TABLE parts (id int, at timestamptz) PARTITION BY RANGE (id)")
        writer.execute("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)")
    assert log_source("recent").read(["id"], timestamp="at")["id"].to_pylist() == [98, 99]
    before = {name: log_source(name).fingerprint() for name in ("parts", "recent")}
    assert log_source("parts").read(None).num_rows == 0
    with psycopg.connect(address) as writer:
        writer.execute("INSERT INTO parts VALUES (1, now())")
        writer.execute('INSERT INTO "Models"."my log" (id) VALUES (200)')
    assert all(changed(log_source(name), mark) for name, mark in before.items())


def test_the_stamp_follows_every_change_of_its_rows(address: str) -> None:
    """Of partitions, and of a view, whose rows are hashed; rows beyond the bounds do not matter."""
    ours = Bounds("at", START, START + timedelta(hours=9, minutes=59))
    with psycopg.connect(address, autocommit=True) as writer:
        writer.execute("CREATE TABLE parts (at timestamptz, code text, id int) PARTITION BY RANGE (at)")
        writer.execute("CREATE TABLE part_1 (code text, id int, at timestamptz)")
        writer.execute("ALTER TABLE parts ATTACH PARTITION part_1 FOR VALUES FROM (MINVALUE) TO ('2026-01-03')")
        writer.execute("CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM ('2026-01-03') TO (MAXVALUE)")
        writer.execute('INSERT INTO parts SELECT at, code, id FROM "Models"."my log"')
        writer.execute("CREATE VIEW seen AS SELECT * FROM parts")
        changes = {
            "UPDATE parts SET code = 'x' WHERE id = 5": True, "DELETE FROM parts WHERE id = 6": True,
            "INSERT INTO parts SELECT at, code, 7 FROM parts WHERE id = 5": True,
            "UPDATE parts SET code = 'y' WHERE id = 50": False, "VACUUM FREEZE parts": False,
        }
        marks = [[log_source(name).stamp(["id", "code"], ours) for name in ("parts", "seen")]]
        for change, matters in changes.items():
            writer.execute(change)
            marks.append([log_source(name).stamp(["id", "code"], ours) for name in ("parts", "seen")])
            assert [one != before for one, before in zip(marks[-1], marks[-2], strict=True)] == [matters] * 2, change


def test_one_connection_serves_several_looks(address: str) -> None:
    """Between looks it is idle outside of any transaction; one that the server has ended is replaced."""
    ours = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(address, autocommit=True) as connection:
        def states() -> list[Any]:
            return connection.execute(f"SELECT pid, state {ours}").fetchall()

        assert log_source().read(["id"]).num_rows == 100
        first = states()
        connection.execute('INSERT INTO "Models"."my log" (id) VALUES (200)')
        assert log_source().read(["id"]).num_rows == 101
        assert states() == first == [(first[0][0], "idle")]
        with pytest.raises(SourceError, match="does not exist"):
            log_source("nowhere").read(None)
        assert log_source().read(["id"]).num_rows == 101
        connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {ours}")
        assert log_source().read(["id"]).num_rows == 101


def test_nothing_can_be_written(address: str) -> None:
    """A view that writes when it is read is refused by the server."""
    with psycopg.connect(address) as writer:
        writer.execute("CREATE SEQUENCE counter")
        writer.execute("CREATE VIEW sly AS SELECT nextval('counter') AS id")
    with pytest.raises(SourceError, match="read-only transaction"):
        log_source("sly").read(None)


@pytest.mark.parametrize(("table", "columns", "sentence"), [
    ("nowhere", None, 'relation "nowhere" does not exist'),
    ('x"; DROP TABLE y; --', None, "does not exist"),
    ("Models.my log", ["colour"], "has no column colour, expected it among id, at"),
])
def test_what_is_not_there_is_one_sentence(
    address: str, table: str, columns: list[str] | None, sentence: str
) -> None:
    """Missing tables and columns are named; a table's name is only a name."""
    with pytest.raises(SourceError, match=sentence):
        log_source(table).read(columns)


def test_no_error_shows_the_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password, a dead server and a malformed address keep the secret."""
    secret = "hunter2secret"
    wrong = psycopg.conninfo.make_conninfo(address, password=secret)
    dead = psycopg.conninfo.make_conninfo(address, password=secret, port="1")
    for text in (wrong, dead, f"postgresql://u:{secret}@h:port:1/x", f"password {secret}"):
        monkeypatch.setenv("LOG_DATABASE", text)
        with pytest.raises(SourceError, match=r"table Models\.my log") as error:
            log_source().read(None)
        assert secret not in str(error.value)
        assert error.value.__suppress_context__


def test_the_audits_table_is_only_added_to(postgres_cluster: Cluster) -> None:
    """The migration that makes the audit a chain, and the guards of its table, hold in PostgreSQL too."""
    migration = next((Path(store.__file__).parent / "migrations").glob("*_audit.sql"))
    with psycopg.connect(postgres_cluster.address(), autocommit=True) as connection:
        connection.execute("CREATE TABLE audit (seq INTEGER PRIMARY KEY)")
        for statement in (*statements(migration), *GUARDS["postgresql"]):
            connection.execute(statement)
        connection.execute("INSERT INTO audit VALUES (1, 'now', 'ann', 'pause', 'm', '{}', '0', '1')")
        for change in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(psycopg.errors.RaiseException, match="only ever added to"):
                connection.execute(change)


def test_a_table_of_awkward_columns_is_the_same_as_in_parquet(
    postgres_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Forty awkward columns give the roles and the scores that the same rows give as a Parquet file."""
    monkeypatch.setenv("LOG_DATABASE", postgres_address)
    with psycopg.connect(postgres_address) as connection:
        for name, rows in (("before", awkward(1)), ("now", awkward(2, later=True))):
            as_parquet(tmp_path / f"{name}.parquet", rows)
            kinds = [(column, sql_type(column, values)) for column, values in rows.items()]
            columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(k)) for c, k in kinds)
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), columns))
            marks = sql.SQL(", ").join([sql.Placeholder()] * len(rows))
            insert = sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(name), marks)
            connection.cursor().executemany(insert, list(zip(*rows.values(), strict=True)))

    def table(name: str) -> Opener:
        section = SourceSection(database=Secret("env", "LOG_DATABASE"), table=name)
        return lambda known: open_source(section, ZoneInfo("UTC"), known)

    def file(name: str) -> Opener:
        return lambda known: open_source(SourceSection(path=str(tmp_path / f"{name}.parquet")), ZoneInfo("UTC"), known)

    with psycopg.connect(postgres_address) as connection:
        for name, rows in (("before", awkward(1)), ("now", awkward(2, later=True))):
            text = {column: values for column, values in texted(rows).items() if not isinstance(values[0], bool)}
            columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(column)) for column in text)
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(f"text_{name}"), columns))
            marks = sql.SQL(", ").join([sql.Placeholder()] * len(text))
            insert = sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(f"text_{name}"), marks)
            connection.cursor().executemany(insert, list(zip(*text.values(), strict=True)))
    of_text = worked_out(table("text_before"), table("text_now"))[1]
    (roles, scores), (parquet_roles, parquet_scores) = (worked_out(of("before"), of("now")) for of in (table, file))
    assert roles == parquet_roles
    assert {(s.metric, s.column): s.value for s in scores} == pytest.approx(
        {(s.metric, s.column): s.value for s in parquet_scores}, rel=1e-12)
    assert [(s.metric, s.column, s.status, s.n) for s in scores] == [
        (s.metric, s.column, s.status, s.n) for s in parquet_scores]
    known = {(s.metric, s.column): s.value for s in scores}
    assert {(s.metric, s.column): s.value for s in of_text if s.column} == pytest.approx(
        {key: known[key] for key in ((s.metric, s.column) for s in of_text if s.column)}, rel=1e-12)


def test_a_check_is_that_of_parquet_and_a_look_reads_little(
    postgres_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same windows give the same scores; where nothing is due, the rows of the table are not read."""
    monkeypatch.setenv("LOG_DATABASE", postgres_address)
    end = datetime.now(UTC).replace(microsecond=0)
    rng = np.random.default_rng(1)
    rows = 40_000
    at = [end - timedelta(days=120) * float(share) for share in np.linspace(1, 0, rows)]
    table = pa.table({
        "timestamp": pa.array(at, pa.timestamp("us", "UTC")), "id": [f"p{n}" for n in range(rows)],
        "prediction": pa.array(rng.integers(0, 2, rows)), "label": pa.array(rng.integers(0, 2, rows)),
        "x": rng.normal(size=rows), "town": rng.choice(["a", "b", "c"], rows),
    })
    before = pc.less(table["timestamp"], pa.scalar(end - timedelta(days=60), UTC_US))
    with psycopg.connect(postgres_address, autocommit=True) as connection:
        for name, part in (("log", table), ("reference", table.filter(before))):
            pq.write_table(part, tmp_path / f"{name}.parquet")
            connection.execute(f"CREATE TABLE {name} (timestamp timestamptz, id text, prediction bigint, label bigint,"
                               " x float8, town text)")
            with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                for row in part.to_pylist():
                    copy.write_row(list(row.values()))
            connection.execute(f"CREATE INDEX ON {name} (timestamp)")
            connection.execute(f"VACUUM ANALYZE {name}")

    def place(name: str, kind: str) -> str:
        return f'{{ path = "{name}.parquet" }}' if kind == "parquet" else (
            f'{{ database = {{ env = "LOG_DATABASE" }}, table = "{name}" }}')

    def driftd(*words: str, kind: str) -> dict[str, Any]:
        done = subprocess.run([sys.executable, "-m", "monitor", *words, "-c", tmp_path / f"{kind}.toml", "--json"],
                              capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode in (0, 3), done.stderr + done.stdout
        return dict(json.loads(done.stdout))

    def fetched() -> int:
        with psycopg.connect(postgres_address) as connection:
            row = connection.execute("SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables").fetchone()
        return int(row[0]) if row else 0

    found = {}
    for kind in ("parquet", "database"):
        (tmp_path / f"{kind}.toml").write_text(
            f'[daemon]\nstate_dir = "{kind}"\n[models.m]\npredictions = {place("log", kind)}\n'
            f'reference = {place("reference", kind)}\nrehearsal = {{ enabled = false }}\n')
        driftd("check", kind=kind)
        found[kind] = driftd("history", "--explain", "newest", kind=kind)
    told = {kind: [{name: value for name, value in score.items() if name != "reason"} for score in one["scores"]
                   if score["metric"] != "staleness_seconds"] for kind, one in found.items()}
    assert len(told["parquet"]) > 20
    assert told["database"] == told["parquet"]
    assert found["database"]["ledger"] | {"files": 0} == found["parquet"]["ledger"] | {"files": 0}
    before_look = fetched()
    driftd("check", kind="database")
    assert fetched() - before_look < rows / 10


def sql_type(column: str, values: list[Any]) -> str:
    """The type that PostgreSQL would have for such values."""
    if column in DECIMALS:
        return "numeric({}, {})".format(*DECIMALS[column])
    kinds = {bool: "boolean", int: "bigint", float: "double precision", datetime: "timestamptz", date: "date"}
    return kinds.get(type(next(value for value in values if value is not None)), "text")
