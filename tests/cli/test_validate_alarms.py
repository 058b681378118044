"""`driftd validate` says what false alarms are to be expected, and where the reference is too short to say."""

import csv
import json
import statistics
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

CONFIG = """
[models.rides]
predictions = {{ path = "rides.csv", csv = {{ day_first = true }} }}
reference = "first {first}"
columns = {{ timestamp = "timestamp" }}
window = {{ size = "{size}", min_rows = 10 }}
drift = {{ threshold = {threshold}, false_alarms = "1 per 30d" }}
"""


def alarms(driftd, tmp_path: Path, first: str, size: str, threshold: str = '"calibrated"') -> str:
    (tmp_path / "driftd.toml").write_text(CONFIG.format(first=first, size=size, threshold=threshold))
    done = driftd("validate", "-c", "driftd.toml")
    assert done.code == 0, done.err
    return done.out.split("  alarms")[1]


def test_a_long_reference_keeps_the_rate(driftd, rides, tmp_path):
    """Sixty days of days: the rate is kept, and seasons the reference has not seen are named."""
    said = alarms(driftd, tmp_path, "60d", "1d")
    assert "drift: about 6 a year; at most " in said
    assert "(began 0 times in the reference's 60 windows)" in said
    assert "the reference spans 60d: seasons it has not seen will count as drift" in said
    assert "uncalibrated" not in said


def test_a_short_reference_is_told(driftd, rides, tmp_path):
    """Nine weeks hold no ten windows of a week: nothing is calibrated, and validate says so."""
    said = alarms(driftd, tmp_path, "63d", "7d")
    assert "uncalibrated: temp, hum, weather, prediction; the reference has 9 complete windows, 10 are needed" in said


def test_a_check_says_which_moves_it_would_show(driftd, rides, tmp_path):
    """In one line, the same that validate says."""
    said = alarms(driftd, tmp_path, "60d", "1d")
    shown = [line.strip() for line in said.splitlines() if "half of the windows" in line]
    with (tmp_path / "driftd.toml").open("a") as file:
        file.write("rehearsal.enabled = false\nestimation.enabled = false\n")
    done = driftd("check", "-c", "driftd.toml", "--at", "2024-04-09", "--json")
    assert json.loads(done.out)["power"] == [{"model": "rides", "says": "; ".join(shown)}]


def test_a_fixed_threshold_is_replayed_too(driftd, rides, tmp_path, monkeypatch):
    """What a number of one's own would have done on the reference is told just the same."""
    said = alarms(driftd, tmp_path, "60d", "1d", "0.001")
    assert "drift: fires most of the time, in 60 of the reference's 60 windows" in said
    monkeypatch.setenv("COLUMNS", "160")
    with (tmp_path / "driftd.toml").open("a") as file:
        file.write('since = "2024-03-25"\nrehearsal.enabled = false\n')    # a few windows are enough here
    assert "most of the time" in driftd("backtest", "-c", tmp_path / "driftd.toml", "--model", "rides").out


TRIGGERS = """
[[models.rides.triggers]]
name = "worse"
metric = "mae"
rise = "3%"
windows = "2 of 3"
action = "alert"

[[models.rides.triggers]]
name = "gone"
metric = "missing_share"
column = "temp"
above = 0.5
action = "alert"

[[models.rides.triggers]]
name = "new"
metric = "unseen_share"
above = 0.1
action = "alert"
"""


def votes_by_hand(log: Path, days: int) -> list[bool]:
    """On which days the mae was 3 % above that of all, from the file itself."""
    errors: dict[str, list[float]] = {}
    with log.open() as file:
        for row in list(csv.DictReader(file, delimiter=";"))[: 24 * days]:
            said, was = (float(row[name].replace(",", ".")) for name in ("prediction", "label"))
            errors.setdefault(row["timestamp"][:10], []).append(abs(said - was))
    whole = statistics.fmean(one for day in errors.values() for one in day)
    return [statistics.fmean(day) > 1.03 * whole for day in errors.values()]


def begun(votes: list[bool]) -> int:
    """How often 2 of 3 begin to say yes."""
    firing = [sum(votes[max(0, at - 2) : at + 1]) >= 2 for at in range(len(votes))]
    return sum(now and not before for before, now in zip([False, *firing], firing, strict=False))


def test_triggers_on_performance_are_replayed(driftd, rides, tmp_path):
    """A rise of the error and missing values are counted on the reference's windows, and everything is added up."""
    text = CONFIG.format(first="60d", size="1d", threshold='"calibrated"') + TRIGGERS
    (tmp_path / "driftd.toml").write_text(text)
    done = driftd("validate", "-c", "driftd.toml", "--json")
    found = json.loads(done.out)["models"][0]["outlook"]
    worse, gone, new = found["triggers"]
    votes = votes_by_hand(tmp_path / "rides.csv", 60)
    assert (worse["windows"], worse["begun"]) == (60, begun(votes))
    starts = np.random.default_rng(0).integers(60, size=(46 * 500, 1))      # blocks of eight days, 500 years of them
    drawn = begun(np.array(votes)[(starts + np.arange(8)) % 60].ravel().tolist()) / 500
    assert worse["a_year"] == pytest.approx(drawn + 365 / 61, rel=0.1)
    assert worse["a_year"] < worse["at_most"] < 2 * worse["a_year"]
    assert gone["a_year"] == pytest.approx(365 / 61)
    assert new["untold"] == "a reference holds no value it never had"
    whole = found["together"]
    assert whole["trigger"] == "all together, without new"
    assert worse["a_year"] < whole["a_year"] < worse["a_year"] + 365 / 61
    said = driftd("validate", "-c", "driftd.toml").out
    assert f"worse: about {worse['a_year']:.0f} a year; at most {worse['at_most']} by chance" in said
    assert "new: not known: a reference holds no value it never had" in said


OTHERS = """
[[models.rides.triggers]]
name = "monthly"
every = "30d"
action = "alert"

[[models.rides.triggers]]
name = "either"
any = ["worse", "gone"]
action = "alert"

[[models.rides.triggers]]
name = "stale"
metric = "staleness_seconds"
above = 9e9
action = "alert"
"""


def test_a_reference_without_a_whole_window_tells_nothing(driftd, rides, tmp_path):
    """Neither drift nor how the model did can be replayed, and each line says why."""
    text = CONFIG.format(first="20d", size="30d", threshold="0.1") + TRIGGERS + OTHERS
    (tmp_path / "driftd.toml").write_text(text)
    said = driftd("validate", "-c", "driftd.toml").out
    assert "worse: not known: the reference spans 20d and has no complete window" in said
    assert "monthly: not known: it counts time or rows, and is no alarm" in said
    assert "either: not known: it depends on a trigger whose rate is not known, or on other windows" in said
    assert "stale: not known: a reference does not say when its rows came" in said
    assert "all together" not in said


COVERED = """
[models.rides]
predictions = "log.csv"
reference = "first 60d"
window = { size = "1d", min_rows = 10 }
[[models.rides.triggers]]
name = "late-labels"
metric = "label_coverage"
below = 0.3
action = "alert"
"""


def test_labels_that_come_late_are_replayed(driftd, tmp_path):
    """Labels take half a day, a whole one on every tenth day: when such a window closes none is there."""
    start = datetime(2024, 1, 1)
    lines = ["timestamp,hour,prediction,label,label_timestamp"]
    for hour in range(24 * 70):
        at = start + timedelta(hours=hour)
        told = at + timedelta(hours=24 if hour // 24 % 10 == 5 else 12)
        lines.append(f"{at},{hour % 24},{hour % 7},{hour % 5},{told}")
    (tmp_path / "log.csv").write_text("\n".join(lines))
    (tmp_path / "driftd.toml").write_text(COVERED)
    done = driftd("validate", "-c", "driftd.toml", "--json")
    assert done.code == 0, done.err
    late = json.loads(done.out)["models"][0]["outlook"]["triggers"][0]
    assert (late["windows"], late["begun"], late["firing"]) == (60, 6, 6)
    assert late["a_year"] == pytest.approx(36.5 + 0.9 * 365 / 61, rel=0.1)
