"""Spark as a source: a real Spark Connect server, and Spark in a JVM of driftd's own."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.config.values import Secret
from monitor.errors import SourceError
from monitor.records import Score
from monitor.sources import Source, open_source
from monitor.sources.column_types import Bounds
from monitor.sources.known_types import NOTHING, KnownTypes
from tests.real.conftest import free_port, until
from tests.sources.awkward_table import as_parquet, awkward, worked_out

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore:PySpark does not yet")]

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(100)]
TOKEN = uuid4().hex


def packages() -> Path:
    """Spark's Python packages, which lie apart from driftd's; skips where they are not installed."""
    found = list((ROOT / ".real/spark/lib").glob("python3.*/site-packages/pyspark"))
    if not found:
        pytest.skip("Spark is not installed")
    return found[0].parent


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Spark Connect server, which asks for a token."""
    folder, port = tmp_path_factory.mktemp("spark"), free_port()
    spark = packages() / "pyspark"
    settings = {
        "spark.connect.grpc.binding.port": port, "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    command = [spark / "bin/spark-submit", "--master", "local[2]", "--class",
               "org.apache.spark.sql.connect.service.SparkConnectServer",
               *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")), "spark-internal"]
    said = folder / "said"
    server = subprocess.Popen(command, cwd=folder, stdout=said.open("wb"), stderr=subprocess.STDOUT, env=os.environ | {
        "SPARK_HOME": str(spark), "SPARK_CONNECT_AUTHENTICATE_TOKEN": TOKEN})
    sys.path.append(str(packages()))
    try:
        until(lambda: "server started" in said.read_text() or server.poll() is not None, else_say=said.read_text)
        assert server.poll() is None, said.read_text()
        yield f"sc://localhost:{port}/;token={TOKEN}"
    finally:
        sys.path.remove(str(packages()))
        server.terminate()
        server.wait(30)


@pytest.fixture
def source(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Opens a table of the server."""
    monkeypatch.setenv("SPARK_ADDRESS", address)

    def opened(table: str, known: KnownTypes = NOTHING) -> Source:
        section = SourceSection(database=Secret("env", "SPARK_ADDRESS"), table=table)
        return open_source(section, ZoneInfo("UTC"), known)

    return opened


@pytest.fixture
def sql(address: str) -> Iterator[Callable[[str], Any]]:
    """Runs a statement in the server."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(address).create()
    session.client.disable_reattachable_execute()
    yield lambda statement: session.sql(statement).collect()
    session.stop()


def shown(scores: list[Score]) -> dict[tuple[str, str | None], Score]:
    return {(s.metric, s.column): replace(s, value=s.value and round(s.value, 12)) for s in scores}


def test_a_table_of_awkward_columns_is_the_same_as_its_files(
    tmp_path: Path, source: Callable[..., Source]
) -> None:
    """Forty awkward columns give the roles and the scores that their Parquet files give when driftd reads them."""
    for name, rows in (("before", awkward(1)), ("now", awkward(2, later=True))):
        as_parquet(tmp_path / f"{name}.parquet", rows)

    def file(name: str) -> Callable[[KnownTypes], Source]:
        section = SourceSection(path=str(tmp_path / f"{name}.parquet"))
        return lambda known: open_source(section, ZoneInfo("UTC"), known)

    def table(name: str) -> Callable[[KnownTypes], Source]:
        return lambda known: source(f"parquet.`{tmp_path}/{name}.parquet`", known)

    (roles, scores), (parquet_roles, parquet_scores) = (worked_out(of("before"), of("now")) for of in (table, file))
    assert roles == parquet_roles
    assert shown(scores) == shown(parquet_scores)


@pytest.mark.parametrize("name", ["a`b", "x'; DROP TABLE t;--", "select", "a.b c"])
def test_any_name_of_files_and_columns_is_read(tmp_path: Path, source: Callable[..., Source], name: str) -> None:
    """Quotation marks and SQL in names are nothing but names; a window has its rows, a head the first ones."""
    at, value = f"{name}t", f"{name}v"
    folder = tmp_path / name
    folder.mkdir()
    pq.write_table(pa.table({at: HOURS, value: list(range(100))}), folder / "0.parquet")
    found = source("parquet.`" + str(folder).replace("`", "``") + "`")
    scan = found.scan(at, HOURS[10], HOURS[12])
    assert scan is not None
    assert [part[value].to_pylist() for part in scan.parts([value])] == [[10, 11, 12]]
    strays = found.strays(at)
    assert (strays.untimed, strays.apart, strays.low, strays.high) == (0, 0, HOURS[0], HOURS[-1])


def test_what_arrow_does_not_have_is_text_and_what_is_not_watched_is_said(
    source: Callable[..., Source], sql: Callable[[str], Any]
) -> None:
    """Intervals of months and variants are text; structs are columns; lists, maps and bytes are left out."""
    sql("CREATE VIEW kinds AS SELECT INTERVAL '1-2' YEAR TO MONTH AS months, parse_json('{\"a\": 1}') AS found,"
        " named_struct('a', 1, 'b', 'x') AS pair, array(1) AS list, map('a', 1) AS map, unhex('00') AS bytes,"
        " CAST(1.50 AS DECIMAL(9, 2)) AS money, TIMESTAMP '2026-01-01 00:00:00+02:00' AS at")
    found = source("kinds")
    table = found.read(None, timestamp="at")
    assert table.to_pylist() == [{
        "months": "INTERVAL '1-2' YEAR TO MONTH", "found": '{"a":1}', "pair.a": 1, "pair.b": "x", "money": 1.5,
        "at": START - timedelta(hours=2)}]
    assert set(found.left_out()) == {"list", "map", "bytes"}
    assert found.content_id() == found.content_id()


def test_only_the_rows_of_a_window_leave_spark(source: Callable[..., Source], sql: Callable[[str], Any]) -> None:
    """A row beyond the window that cannot be read does no harm; without a window the reason is one sentence."""
    sql("CREATE TABLE few (at TIMESTAMP, x DOUBLE) USING parquet")
    sql("INSERT INTO few SELECT TIMESTAMP '2026-01-01 00:00:00+00:00' + id * INTERVAL 1 HOUR, id FROM range(100)")
    sql("CREATE VIEW sour AS SELECT at, IF(at >= '2026-01-04', raise_error('not to be read'), x) AS x FROM few")
    assert len(source("sour").read(["x"], timestamp="at", start=HOURS[0], end=HOURS[20])) == 21
    with pytest.raises(SourceError, match=r"cannot be read \(.*not to be read.*\), expected a readable table"):
        source("sour").read(["x"], timestamp="at")


def test_content_and_stamps_follow_every_change(source: Callable[..., Source], sql: Callable[[str], Any]) -> None:
    """The same rows in another order have the same content; what others write is seen at the next look."""
    rows = "SELECT TIMESTAMP '2026-01-01 00:00:00+00:00' + id * INTERVAL 1 HOUR AS at, {} AS x, 1 AS y FROM range(100)"
    sql("CREATE TABLE one USING parquet AS " + rows.format("id"))
    sql("CREATE TABLE other USING parquet AS SELECT * FROM one ORDER BY at DESC")
    one, early = source("one"), Bounds("at", HOURS[0], HOURS[9])
    before = one.fingerprint(), one.content_id(), one.stamp(["x"], early), one.stamp(["y"], Bounds())
    assert source("other").content_id() == before[1]
    assert one.fingerprint() == before[0]
    sql("CREATE TABLE spare USING parquet AS " + rows.format("IF(id = 5, NULL, id)"))
    sql("INSERT OVERWRITE one SELECT * FROM spare")
    after = one.fingerprint(), one.content_id(), one.stamp(["x"], early), one.stamp(["y"], Bounds())
    assert [new == old for new, old in zip(after, before, strict=True)] == [False, False, False, True]
    assert one.read(["x"], timestamp="at")["x"].null_count == 1


def test_what_is_not_there_is_one_sentence(
    source: Callable[..., Source], sql: Callable[[str], Any], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table, a path, a column, a server, the right token; no token is repeated."""
    sql("CREATE VIEW short AS SELECT 1 AS x")
    for table, sentence in (("nowhere", "table or view `nowhere` cannot be found"),
                            ("parquet.`/no/where`", "Path does not exist")):
        with pytest.raises(SourceError, match=sentence):
            source(table).schema()
    with pytest.raises(SourceError, match="has no column y, expected it among x"):
        source("short").read(["y"])
    for wrong, sentence in ((address.replace(TOKEN, "hunter2"), "UNAUTHENTICATED|nvalid|token"),
                            (f"sc://127.0.0.1:{free_port()}", "cannot be reached .nothing answers there"),
                            ("sc://169.254.169.254", "cannot be reached .*metadata service, which driftd never calls"),
                            ("sc://h:port", "expected sc://HOST:PORT"), ("spark://h", "expected spark://local")):
        monkeypatch.setenv("SPARK_ADDRESS", wrong)
        with pytest.raises(SourceError, match=sentence) as error:
            source("t").schema()
        assert "hunter2" not in str(error.value)
        assert TOKEN not in str(error.value)


def test_what_takes_longer_than_the_timeout_is_ended(
    sql: Callable[[str], Any], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Spark too; the sentence names the key."""
    monkeypatch.setenv("SPARK_ADDRESS", address)
    sql("CREATE VIEW slow AS SELECT sum((a.id * b.id) % 7) AS x FROM range(10000000) a CROSS JOIN range(1000000) b")
    section = SourceSection(database=Secret("env", "SPARK_ADDRESS"), table="slow", timeout=timedelta(seconds=5))
    with pytest.raises(SourceError, match="Spark took longer than 5s and was stopped; the limit is the source"):
        open_source(section, ZoneInfo("UTC")).read(["x"])


def test_spark_of_ones_own_gives_the_numbers_of_the_files_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A check by Spark in a worker has every score of one that reads the files; its JVM ends with the worker."""
    rng = np.random.default_rng(3)
    for name, weeks, moved in (("reference", 4, 0.0), ("log", 2, 1.0)):
        rows = 1000 * weeks
        at = [START + timedelta(days=7 * weeks * n / rows, weeks=4 * moved) for n in range(rows)]
        pq.write_table(pa.table({
            "timestamp": at, "prediction_id": [f"{name}{n}" for n in range(rows)], "x": rng.normal(moved, 1, rows),
            "n": rng.integers(0, 9, rows), "where": rng.choice(["a", "b"], rows),
            "prediction": rng.integers(0, 2, rows), "label": rng.integers(0, 2, rows)}), tmp_path / f"{name}.parquet")
    mark = f"-Ddriftd.test={uuid4().hex}"
    spark = "spark://local[2]#parquet.`{}/{}.parquet`"
    scores = {}
    for kind, place in (("files", "{}/{}.parquet"), ("spark", spark)):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "driftd.toml").write_text(
            f'daemon.workers = 1\n[models.m]\npredictions = "{place.format(tmp_path, "log")}"\nsince = 2026-02-02\n'
            f'reference = "{place.format(tmp_path, "reference")}"\ndrift = {{ method = "psi", threshold = 0.1 }}\n')
        done = subprocess.run([sys.executable, "-m", "monitor", "check", "--json"], cwd=folder, capture_output=True,
                              text=True, timeout=300, env=os.environ | {
                                  "DRIFTD_CONFIG": "driftd.toml", "PYTHONPATH": f"{ROOT}:{packages()}",
                                  "SPARK_SUBMIT_OPTS": mark})
        assert len(json.loads(done.stdout)["windows"]) == 3, done.stderr       # the newest has no rows
        with sqlite3.connect(folder / "state/driftd.db") as state:
            scores[kind] = [tuple(round(value, 9) if isinstance(value, float) else value for value in row)
                            for row in state.execute("SELECT * FROM scores ORDER BY snapshot_id, position")
                            if row[2] != "staleness_seconds"]
        assert sorted(path.name for path in folder.iterdir()) == ["driftd.toml", "state"]
    assert len(scores["files"]) > 50
    assert scores["spark"] == scores["files"]
    until(lambda: not _running(mark), 30)


def _running(mark: str) -> list[str]:
    """The processes whose command holds these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:          # it has ended
            continue
    return found
