"""Spark's addresses, names and conditions, without a Spark; tests/real/test_spark.py has a real one."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from monitor.config import load
from monitor.config.sections import SourceSection
from monitor.errors import ConfigError, SourceError
from monitor.sources import open_source
from monitor.sources.databases.kinds import engine_of
from monitor.sources.databases.spark import Spark

SPARK = Spark("table t", "sc://h", timedelta(minutes=2))
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(("name", "expected"), [
    ("rides", "`rides`"), ("lake.serving.rides", "`lake`.`serving`.`rides`"), ("my rides", "`my rides`"),
    ("parquet.`/rides/1.2`", "`parquet`.`/rides/1.2`"), ("delta.`s3a://b/a``b`", "`delta`.`s3a://b/a``b`"),
    ("`a.b`", "`a.b`"), ("t` WHERE 1=1 --", "`t`` WHERE 1=1 --`"), ("a..b", "`a..b`"), (".a", "`.a`"),
    ("parquet.`/a`; DROP TABLE t", "`parquet.``/a``; DROP TABLE t`"), ('"q"', '`"q"`'), ("`", "````"),
])
def test_a_table_is_named_as_in_spark(name: str, expected: str) -> None:
    """Dots part a name, but for those within backticks; whatever else stands in it is part of the name."""
    assert SPARK.table(name) == expected


@pytest.mark.parametrize(("kind", "expected"), [
    (pa.timestamp("us", "UTC"), "`at` >= TIMESTAMP_LTZ '2026-03-29 12:00:00+00:00'"),
    (pa.timestamp("us"), "`at` >= TIMESTAMP_NTZ '2026-03-28 12:00:00'"), (pa.date32(), "`at` >= DATE '2026-03-28'"),
    (pa.int64(), None), (pa.string(), None),
])
def test_spark_filters_by_time(kind: pa.DataType, expected: str | None) -> None:
    """A naive time may be of any zone, so that a day more is read; numbers and text are compared here."""
    assert SPARK.limit(pa.field("at", kind), ">=", NOON) == expected


@pytest.mark.parametrize("address", [
    "spark://local", "spark://local[2]", "spark://local[*]", "spark://one:7077,two:7077", "sc://spark.example.org:15002",
    "sc://spark.example.org:15002/;use_ssl=true",
])
def test_an_address_without_a_secret_may_stand_in_the_file(tmp_path: Path, address: str) -> None:
    """In one text with the table, or apart from it."""
    file = tmp_path / "driftd.toml"
    file.write_text(f'[models.m]\nreference = "first 9d"\npredictions = "{address}#delta.`/lake/rides`"\n'
                    f'labels = {{ database = "{address}", table = "seen" }}\n')
    model = load(file).config.models["m"]
    assert (model.predictions.database, model.predictions.table) == (address, "delta.`/lake/rides`")
    assert model.labels is not None
    assert model.labels.database == address
    assert isinstance(engine_of("table seen", address, timedelta(minutes=2)), Spark)


@pytest.mark.parametrize("address", [
    "sc://h:15002/;token=hunter2", "sc://h/;use_ssl=true;token=hunter2", "sc://hunter2@h:15002",
    "sc://h/;x-databricks-cluster-id=hunter2",
])
@pytest.mark.parametrize("form", ['predictions = "{}#t"', 'predictions = {{ database = "{}", table = "t" }}'])
def test_an_address_with_a_secret_stays_outside(tmp_path: Path, address: str, form: str) -> None:
    """A token, or any parameter that may be one."""
    file = tmp_path / "driftd.toml"
    file.write_text('[models.m]\nreference = "first 9d"\n' + form.format(address) + "\n")
    with pytest.raises(ConfigError, match=r"driftd.toml:3: ") as error:
        load(file)
    assert "hunter2" not in str(error.value)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings the client."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(SourceError, match=r"needs the driver of Spark, .* pip install 'driftd\[spark\]'"):
        open_source(SourceSection(database="sc://h", table="t"), ZoneInfo("UTC")).schema()
