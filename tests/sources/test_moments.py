"""Timestamps of every kind, before 1970 too, hold the same moments in every format."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import open_source
from monitor.sources.moments import to_utc

EPOCH, DAY = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=1)
SPANS = {
    "long ago": datetime(1931, 5, 4, tzinfo=UTC),
    "around 1970": datetime(1969, 10, 20, 12, tzinfo=UTC),
    "of late": datetime(2026, 1, 1, tzinfo=UTC),
}
UNITS = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}


def number(unit: str) -> Callable[[datetime], int]:
    return lambda moment: (moment - EPOCH) // UNITS[unit]


WRITTEN: dict[str, Callable[[datetime], Any]] = {
    "iso": lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S"),
    "iso, Z": lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "iso, offset": lambda moment: moment.astimezone(ZoneInfo("Etc/GMT-5")).isoformat(),
    "day first": lambda moment: moment.strftime("%d.%m.%Y %H:%M"),
    "s": number("s"), "ms": number("ms"), "us": number("us"), "ns": lambda moment: number("us")(moment) * 1000,
    "digits": lambda moment: int(moment.strftime("%Y%m%d%H%M%S")),
    "digits to the minute": lambda moment: int(moment.strftime("%Y%m%d%H%M")),
    "ms as text": lambda moment: str(number("ms")(moment)),
    "s, fractions": lambda moment: (moment - EPOCH) / UNITS["s"] + 0.0,
}


def source(path: Path) -> Any:
    return open_source(SourceSection(path=str(path)), ZoneInfo("UTC"))


def moments(path: Path) -> list[datetime | None]:
    read: list[datetime | None] = source(path).read(["t"], timestamp="t")["t"].to_pylist()
    return read


def write(path: Path, values: list[Any]) -> Path:
    if path.suffix == ".csv":
        path.write_text("t,x\n" + "".join(f"{'' if value is None else value},1\n" for value in values))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"t": value, "x": 1}) + "\n" for value in values))
    else:
        pq.write_table(pa.table({"t": values, "x": [1] * len(values)}), path, row_group_size=50)
    return path


@pytest.mark.parametrize("begin", SPANS.values(), ids=SPANS)
@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_moment_is_the_same_however_it_is_written(tmp_path: Path, ending: str, kind: str, begin: datetime) -> None:
    """Text and numbers, of s to ns, of 1931, of the winter in which 1970 began, and of today."""
    if begin == SPANS["around 1970"] and kind in ("ms", "us", "ns", "ms as text"):
        begin -= 500 * DAY                           # of a few weeks around 1970 nobody can tell ms from s
    times = [begin + n * DAY for n in range(200)]
    path = write(tmp_path / f"log.{ending}", [WRITTEN[kind](moment) for moment in times])
    assert moments(path) == times
    inside = source(path).read([], timestamp="t", start=times[60], end=times[79])
    assert inside["t"].to_pylist() == times[60:80]
    strays = source(path).strays("t")
    assert (strays.untimed, strays.apart, strays.low, strays.high) == (0, 0, times[0], times[-1])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
def test_parquet_timestamps_of_each_unit_before_1970(tmp_path: Path, unit: str, zone: str | None) -> None:
    """And 64 bit dates."""
    times = [SPANS["around 1970"] - 900 * DAY + n * DAY for n in range(1000)]
    column = pa.array(times, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, zone) if zone else pa.timestamp(unit))
    pq.write_table(pa.table({"t": column}), tmp_path / "log.parquet", row_group_size=100)
    assert moments(tmp_path / "log.parquet") == times
    days = pa.array([moment.date() for moment in times], pa.date64())
    pq.write_table(pa.table({"t": days}), tmp_path / "days.parquet")
    assert [moment.date() for moment in moments(tmp_path / "days.parquet") if moment] == days.to_pylist()


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("written", [
    lambda moment: moment.astimezone(ZoneInfo("Etc/GMT-5")).isoformat(), lambda moment: moment.strftime("%FT%TZ"),
    lambda moment: moment.astimezone(ZoneInfo("Europe/Paris")).strftime("%F %T"),
], ids=["offset", "Z", "local"])
def test_times_within_objects_are_those_of_columns(
    tmp_path: Path, ending: str, written: Callable[[datetime], str]
) -> None:
    """The offset of a time counts, however deep the time lies, whatever the zone of the model."""
    times = [SPANS["of late"] + n * DAY for n in range(20)]
    rows = [{"flat": written(moment), "meta": {"at": written(moment), "more": {"at": written(moment)}}, "x": 1}
            for moment in times]
    path = tmp_path / f"log.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    log = open_source(SourceSection(path=str(path)), ZoneInfo("Europe/Paris"))
    for name in ("flat", "meta.at", "meta.more.at"):
        assert log.read(["x"], timestamp=name)[name].to_pylist() == times
        assert log.read([], timestamp=name, start=times[5], end=times[9])[name].to_pylist() == times[5:10]
        assert log.strays(name).high == times[-1]


def test_timestamps_within_structs_of_parquet(tmp_path: Path) -> None:
    """A window's rows are found by them, whole and by column."""
    times = [SPANS["of late"] + n * DAY for n in range(20)]
    meta = pa.array([{"at": moment} for moment in times], pa.struct([("at", pa.timestamp("ms", "UTC"))]))
    pq.write_table(pa.table({"meta": meta, "x": range(20)}), tmp_path / "a.parquet", row_group_size=7)
    log = source(tmp_path / "a.parquet")
    assert log.read(["x"], timestamp="meta.at", start=times[5], end=times[9])["x"].to_pylist() == [5, 6, 7, 8, 9]
    scan = log.scan("meta.at", times[5], times[9])
    assert [x for part in scan.parts(["x"]) for x in part["x"].to_pylist()] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(("kind", "absurd"), [
    ("s", 9_000_000_000_000_000), ("s", -9_000_000_000_000_000_000), ("s", 0), ("ms", 0), ("ms", 253402300799000),
    ("us", 9_223_372_036_854_775_807), ("s, fractions", 1e300), ("s, fractions", 1e16), ("iso", "9999-12-31 23:59:59"),
    ("iso", "0001-01-01 00:00:00"), ("iso", "0000-00-00 00:00:00"), ("iso", "NaT"), ("iso, Z", "9999-12-31T23:59:59Z"),
])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_absurd_timestamp_is_one_row_astray(tmp_path: Path, ending: str, kind: str, absurd: Any) -> None:
    """The unit of the others does not depend on it; it is in no window, and counted."""
    times = [SPANS["of late"] + n * DAY for n in range(60)]
    values = [WRITTEN[kind](moment) for moment in times]
    path = write(tmp_path / f"log.{ending}", [*values[:30], absurd, *values[30:]])
    found = moments(path)
    assert [*found[:30], *found[31:]] == times
    strays = source(path).strays("t")
    assert (strays.rows, strays.untimed + strays.apart, strays.low, strays.high) == (61, 1, times[0], times[-1])
    assert source(path).read([], timestamp="t", start=times[0], end=times[-1]).num_rows == 60


@pytest.mark.parametrize("begins", [0, 25_569, 2_440_587.5])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_days_of_each_count(tmp_path: Path, ending: str, begins: float) -> None:
    """Since 1970, of a spreadsheet and Julian, as SQLite writes them: 20648.0625, 46217.0625 and 2461235.5625 are half
    past one on 14 July 2026.
    """
    times = [datetime(2026, 7, 14, 1, 30, tzinfo=UTC) + n * timedelta(hours=7) for n in range(60)]
    assert moments(write(tmp_path / f"log.{ending}", [(moment - EPOCH) / DAY + begins for moment in times])) == times


def test_days_written_as_one_number_survive_a_zero(tmp_path: Path) -> None:
    """19691231 is a day; 0 and 99999999 among such days are rows without a timestamp."""
    times = [datetime(1969, 12, 1, tzinfo=UTC) + n * DAY for n in range(60)]
    days = [int(moment.strftime("%Y%m%d")) for moment in times]
    for ending in ("csv", "jsonl", "parquet"):
        path = write(tmp_path / f"log.{ending}", [*days, 0, 99999999])
        assert moments(path) == [*times, None, None]
        assert source(path).strays("t").untimed == 2


@settings(max_examples=150, deadline=None)
@given(
    micros=st.lists(st.integers(-62_000_000_000_000_000, 253_000_000_000_000_000), min_size=1, max_size=20),
    unit=st.sampled_from(["s", "ms", "us", "ns"]), text=st.booleans(),
)
def test_moments_are_those_of_pythons_calendar(micros: list[int], unit: str, text: bool) -> None:
    """Any moment of the years 5 to 9987, as timestamp or text, is cut to the unit, towards the past."""
    if unit == "ns":
        micros = [n for n in micros if abs(n) < 9_000_000_000_000_000] or [0]
    step = {"s": 1_000_000, "ms": 1_000}.get(unit, 1)
    cut = [EPOCH + timedelta(microseconds=n // step * step) for n in micros]
    whole = pa.array([n // step * (1000 if unit == "ns" else 1) for n in micros], pa.int64())
    column = pa.array([moment.isoformat() for moment in cut]) if text else whole.cast(pa.timestamp(unit, "UTC"))
    assert to_utc(pa.chunked_array([column]), ZoneInfo("UTC"), where="t").to_pylist() == cut


def test_a_date_before_1970_in_a_zone_is_midnight_there() -> None:
    """Also where the offset of that time was another."""
    days = pa.chunked_array([pa.array([date(1965, 7, 1)])])
    paris = to_utc(days, ZoneInfo("Europe/Paris"), where="t").to_pylist()
    assert paris == [datetime(1965, 7, 1, tzinfo=ZoneInfo("Europe/Paris"))]


@pytest.mark.parametrize(("values", "day_first"), [
    (["31/12/2025 10:00", "12/30/2025 10:00"], None), (["12/30/2025", "31/12/2025"], None),
    (["01/02/2026", "12/30/2025"], True), (["01.02.2026", "31.12.2025"], False),
])
def test_dates_of_both_orders_in_one_column_are_refused(values: list[str], day_first: bool | None) -> None:
    """A date that can only be read the other way round is no date of the file's order: none is guessed."""
    with pytest.raises(SourceError, match=r"column t: holds a value .* first, other values do not"):
        to_utc(pa.chunked_array([values]), ZoneInfo("UTC"), where="a.csv: column t", day_first=day_first)
