"""What a check says of rubbish: one clear sentence, no traceback, nothing asked for, and the next window goes on."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
HEADER = "timestamp,x,kind,prediction,label"
CONFIG = """
[models.m]
predictions = "log.csv"
reference = "reference.csv"
window = { size = "1d", min_rows = 20 }
quality.stale = "2d"    # the log ends at midnight, whatever hour it is now
"""


def rows(start: datetime, days: int) -> list[str]:
    """Twenty-four rows a day, without drift."""
    times = (start + timedelta(hours=hour) for hour in range(24 * days))
    return [f"{at:%Y-%m-%dT%H:%M:%S},{at.hour / 7:.2f},{'ab'[at.hour % 2]},{at.hour % 2},{at.hour % 2}" for at in times]


def write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join([HEADER, *lines]) + "\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model whose log runs to last midnight."""
    (tmp_path / "driftd.toml").write_text(CONFIG)
    write(tmp_path / "reference.csv", rows(TODAY - timedelta(days=40), 20))
    write(tmp_path / "log.csv", rows(TODAY - timedelta(days=20), 20))
    return tmp_path


def spoil(place: Path, change: Callable[[list[str]], str]) -> None:
    """Rewrite the rows of the newest day."""
    lines = rows(TODAY - timedelta(days=20), 20)
    write(place / "log.csv", lines[:-24] + [change(line.split(",")) for line in lines[-24:]])


def number_as_text(cells: list[str]) -> str:
    return ",".join([cells[0], "n/a?", *cells[2:]])


def unknown_label(cells: list[str]) -> str:
    return ",".join([*cells[:4], "maybe"])


def infinite(cells: list[str]) -> str:
    return ",".join([cells[0], "inf", *cells[2:]])


def nothing(cells: list[str]) -> str:
    return ",".join([cells[0], "", *cells[2:]])


@pytest.mark.parametrize(("change", "says"), [
    (number_as_text, "column x holds text, number in the reference"),
    (unknown_label, "column label holds text, number in the reference"),
    (infinite, "100.0% of x is missing"),
    (nothing, "100.0% of x is missing"),
])
def test_a_spoilt_window_is_broken_data(driftd: Any, place: Path, change: Any, says: str) -> None:
    """Types that change and values that vanish in one window alone are seen there."""
    spoil(place, change)
    done = driftd("check", "-c", "driftd.toml")
    assert done.code == 3
    assert "broken-data" in done.out
    assert says in driftd("history", "-c", "driftd.toml", "--explain", "newest").out
    assert "Traceback" not in done.err


@pytest.mark.parametrize("text", ["", HEADER + "\n", ",".join([HEADER, *(f"c{i}" for i in range(10_000))]) + "\n"])
def test_a_log_without_rows_is_a_silent_source(driftd: Any, place: Path, text: str) -> None:
    """Nothing at all, a header alone, a header of ten thousand columns: the source is silent, and no more is wrong."""
    (place / "log.csv").write_text(text)
    done = driftd("check", "-c", "driftd.toml")
    assert done.code == 4
    assert "broken-data" not in done.out
    assert "Traceback" not in done.err
    assert "the window has no rows; the log has none" in driftd("status", "-c", "driftd.toml").out


def test_an_absent_log_is_a_failed_source(driftd: Any, place: Path) -> None:
    """`validate` calls it a mistake with its line; a check says so, ends with 4, and goes on once it has come."""
    text = (place / "log.csv").read_text()
    (place / "log.csv").unlink()
    wrong = driftd("validate", "-c", "driftd.toml")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("driftd.toml:3: models.m.predictions.path: there is no file ")
    done = driftd("check", "-c", "driftd.toml")
    assert done.code == 4
    assert "log.csv: there is no such file" in done.err
    status = driftd("status", "-c", "driftd.toml").out
    assert "source-down" in status
    assert "log.csv: there is no such file" in status
    (place / "log.csv").write_text(text)
    assert driftd("check", "-c", "driftd.toml").code == 0
    assert "source-down" not in driftd("status", "-c", "driftd.toml").out


def test_a_pipe_is_no_log(driftd: Any, place: Path) -> None:
    """A FIFO would hang whoever reads it; it is refused at once."""
    (place / "log.csv").unlink()
    os.mkfifo(place / "log.csv")
    done = driftd("check", "-c", "driftd.toml")
    assert done.code == 4
    assert "is neither a file nor a folder" in done.err


def test_a_silent_log_is_checked_once(driftd: Any, place: Path) -> None:
    """Of the windows behind the newest row only the last is checked, and those skipped are when their rows come."""
    lines = rows(TODAY - timedelta(days=20), 20)
    (place / "driftd.toml").write_text(CONFIG + f"since = {TODAY - timedelta(days=18):%Y-%m-%dT%H:%M:%SZ}\n")
    write(place / "log.csv", lines[: 24 * 4])
    assert driftd("check", "-c", "driftd.toml").code == 4
    windows = driftd("history", "-c", "driftd.toml", "--json").json["windows"]
    assert [one["rows"] for one in windows] == [24, 24, 0]
    assert f"{TODAY - timedelta(days=17):%Y-%m-%d}" in windows[-1]["reason"]
    write(place / "log.csv", lines)
    assert driftd("check", "-c", "driftd.toml").code == 0
    assert [one["rows"] for one in driftd("history", "-c", "driftd.toml", "--json").json["windows"]] == [24] * 18


def test_probabilities_alone_are_predictions(driftd: Any, place: Path) -> None:
    """A log that keeps nothing but the probability is judged by it."""
    for name in ("log.csv", "reference.csv"):
        text = (place / name).read_text()
        text = text.replace("prediction", "probability").replace(",0,", ",0.2,").replace(",1,", ",0.9,")
        (place / name).write_text(text)
    assert driftd("validate", "-c", "driftd.toml").code == 0
    assert driftd("check", "-c", "driftd.toml").code == 0
    scores = driftd("history", "-c", "driftd.toml", "--explain", "newest", "--json").json["scores"]
    assert {one["metric"]: one["value"] for one in scores}["roc_auc"] == 1.0


def test_the_newest_window_fits_the_screen(driftd: Any, place: Path) -> None:
    """The tables of scores keep their names whole at 80 columns."""
    driftd("check", "-c", "driftd.toml")
    out = driftd("history", "-c", "driftd.toml", "--explain", "newest").out
    tables = out.split("\n\n", 1)[1].splitlines()
    assert max(map(len, tables)) <= 80
    for name in ("staleness_seconds", "never_labelled_share", "challenger_placebo"):
        assert any(line.startswith(name) for line in tables)
