import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from monitor.config.sections import WindowSection
from monitor.records import Window
from monitor.sources.rows import RowKeys, contains, trim
from monitor.sources.windows import closed_windows, newest_closed, row_windows, spec

PARIS = ZoneInfo("Europe/Paris")
LONDON = ZoneInfo("UTC")
HOUR = timedelta(hours=1)


def section(size: str | int = "7d", **more: object) -> WindowSection:
    return WindowSection.model_validate({"size": size, **more})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def closed(one: WindowSection, zone: ZoneInfo, first: str, until: str, after: datetime | None = None) -> list[Window]:
    return list(closed_windows(one, zone, "m", after=after, first=moment(first), until=moment(until)))


def test_weeks_begin_on_local_monday_and_close_after_lateness() -> None:
    """The week of the first row is the first window; a week that is still open is none."""
    found = closed(section(lateness="2h"), PARIS, "2026-01-07", "2026-01-26T00:59")
    assert [w.start.astimezone(PARIS).strftime("%a %d %H") for w in found] == ["Mon 05 00", "Mon 12 00"]
    assert len(closed(section(lateness="2h"), PARIS, "2026-01-07", "2026-01-26T01:00")) == 3


def test_days_last_as_long_as_the_clocks_say() -> None:
    """23 hours in March, 25 in October, without a gap between days."""
    for first, until, length in (("2026-03-27", "2026-04-01", 23), ("2026-10-23", "2026-10-28", 25)):
        days = closed(section("1d"), PARIS, first, until)
        assert {w.end - w.start for w in days} == {24 * HOUR, length * HOUR}
        assert all(a.end == b.start for a, b in pairwise(days))


def test_a_midnight_that_does_not_exist_is_the_moment_the_clocks_change() -> None:
    """In São Paulo days began at one o'clock when summer time came."""
    zone = ZoneInfo("America/Sao_Paulo")
    day = closed(section("1d"), zone, "2018-11-04T12:00", "2018-11-05T12:00")[0]
    assert (day.start, day.end - day.start) == (moment("2018-11-04T03:00"), 23 * HOUR)


def test_shorter_windows_are_cut_in_absolute_time() -> None:
    """Half days keep their length across a change of clocks, from local standard midnight."""
    found = closed(section("12h"), PARIS, "2026-03-28T12:00", "2026-03-30T12:00")
    assert {w.end - w.start for w in found} == {12 * HOUR}
    assert {w.start.hour for w in found} == {11, 23}


def test_a_step_makes_windows_overlap() -> None:
    """A step of one day gives weeks that begin every day."""
    found = closed(section("7d", step="1d"), LONDON, "2026-01-05", "2026-01-14")
    assert [w.start.day for w in found] == [5, 6, 7]
    assert {w.end - w.start for w in found} == {timedelta(days=7)}


def test_windows_go_on_after_the_last_known_one() -> None:
    """Windows continue after the last known one without repetition or gap."""
    every = closed(section("1d"), PARIS, "2026-03-20", "2026-04-10")
    for place, window in enumerate(every):
        assert closed(section("1d"), PARIS, "2026-03-20", "2026-04-10", after=window.start) == every[place + 1 :]


@pytest.mark.parametrize("size", ["1h", "36h", "1d", "7d"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"])
def test_the_newest_closed_window_is_the_last_of_all(size: str, zone: str) -> None:
    """newest_closed equals the last of closed_windows."""
    one, place = section(size, lateness="90m"), ZoneInfo(zone)
    until = "2026-03-30T05:17"
    assert newest_closed(one, place, "m", moment(until)) == closed(one, place, "2026-03-01", until)[-1]


def test_moments_before_1970_have_windows_too() -> None:
    """Times before 1970 have windows too."""
    assert closed(section(), LONDON, "1969-12-25", "1970-01-05")[0].start == moment("1969-12-22")


def test_the_spec_tells_cuts_apart_and_nothing_else() -> None:
    """The spec depends on size, step and time zone, and not on lateness or sample."""
    same = {spec(section(), LONDON), spec(section(lateness="3h", sample=5, step="7d"), LONDON)}
    cuts = [(section("1d"), LONDON), (section(step="1d"), LONDON), (section(), PARIS), (section(7), LONDON)]
    others = {spec(one, zone) for one, zone in cuts}
    assert len(same) == 1
    assert len(others | same) == 5


def test_cutting_time_into_windows_needs_no_arrow() -> None:
    """Cutting windows imports no Arrow, so the daemon's parent process can do it."""
    program = "import sys; import monitor.sources.windows; print('pyarrow' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False False"


def log_table(times: Sequence[int], ids: Sequence[str]) -> pa.Table:
    at = pa.array([moment("2026-01-01") + n * HOUR for n in times], pa.timestamp("us", "UTC"))
    return pa.table({"t": at, "id": ids})


def test_windows_of_rows_hold_each_row_once() -> None:
    """Rows with equal times are ordered by id, known boundaries stay, and the incomplete rest forms no window yet."""
    table = log_table([3, 1, 1, 1, 2, 0, 4], ["g", "b", "d", "c", "e", "a", "h"])
    ids = table["id"].combine_chunks()
    windows = list(row_windows(RowKeys(table, "t", ids), 3, "m", "s", None))
    assert [sorted(trim(table, "t", ids, w)["id"].to_pylist()) for w in windows] == [["a", "b", "c"], ["d", "e", "g"]]
    assert (windows[0].end, windows[0].end_id) == (windows[1].start, windows[1].start_id)
    again = row_windows(RowKeys(table, "t", ids), 3, "m", "s", (windows[0].end, windows[0].end_id))
    assert list(again) == windows[1:]


def test_a_window_of_rows_waits_for_lateness() -> None:
    """A row-count window closes only after its last row is older than the lateness."""
    table = log_table(range(6), list("abcdef"))
    keys = RowKeys(table, "t", table["id"].combine_chunks())
    assert len(list(row_windows(keys, 3, "m", "s", None, before=moment("2026-01-01T04:59")))) == 1
    assert len(list(row_windows(keys, 3, "m", "s", None, before=moment("2026-01-01T05:00")))) == 2


def test_equal_keys_stay_together_and_no_rows_are_no_windows() -> None:
    """A row logged three times is in one window; an empty log has none."""
    table = log_table([0, 0, 0, 1], list("aaab"))
    ids = table["id"].combine_chunks()
    window = next(row_windows(RowKeys(table, "t", ids), 2, "m", "s", None))
    assert contains(table, "t", ids, window).to_pylist() == [True, True, True, False]
    empty = log_table([], [])
    assert list(row_windows(RowKeys(empty, "t", pa.array([], pa.string())), 2, "m", "s", None)) == []


def test_a_time_window_is_half_open() -> None:
    """A window includes its start and excludes its end; a row without a time is in no window."""
    table = log_table([0, 23, 24], list("abc"))
    table = pa.concat_tables([table, pa.table({"t": pa.array([None], table["t"].type), "id": ["d"]})])
    day = Window(model="m", start=moment("2026-01-01"), end=moment("2026-01-02"), spec="s")
    assert trim(table, "t", table["id"].combine_chunks(), day)["id"].to_pylist() == ["a", "b"]
