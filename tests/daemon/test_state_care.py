"""The daemon copies its state to a folder, and looks at all of it once a day."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.config.sections import BackupSection
from monitor.daemon.state_care import RETRY, StateCare
from monitor.expose.prometheus import Metrics
from monitor.store import Store
from monitor.store.backups import MANIFEST

NOW = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def damage(folder: Path) -> None:
    with sqlite3.connect(folder / "driftd.db") as database:
        assert database.execute("UPDATE configs SET text = 'x'").rowcount == 1
    database.close()


def value(metrics: Metrics, name: str) -> float:
    lines = metrics.render()[0].decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


@pytest.fixture
def care(tmp_path: Path) -> Any:
    clock, metrics = Clock(), Metrics("0")
    with Store.open(tmp_path / "state") as store:
        store.configurations.accept("c", "[models.m]", NOW)
        yield StateCare(store, metrics, clock), clock, metrics, store


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_copies_are_made_when_due_and_the_oldest_go(tmp_path: Path, care: Any) -> None:
    """One for each interval, also after a restart; of this state only so many are kept, others' stay."""
    made, clock, metrics, store = care
    section = BackupSection(folder=tmp_path / "copies", every=HOUR, keep=2)
    other = tmp_path / "copies" / "driftd-20200101T000000Z"
    other.mkdir(parents=True)
    (other / MANIFEST).write_text(json.dumps({"taken_at": NOW.isoformat(), "state": "another"}))
    (tmp_path / "copies" / ".driftd-x.1.new").mkdir()        # of a copy that was killed
    for minutes in (0, 10, 60, 70, 130, 190):
        clock.now = NOW + timedelta(minutes=minutes)
        made.back_up(section)
        made = StateCare(store, metrics, clock)
    assert names(tmp_path / "copies") == [other.name, "driftd-20260105T021000Z", "driftd-20260105T031000Z"]
    assert value(metrics, "driftd_backup_last_success_timestamp_seconds") == clock.now.timestamp()
    assert value(metrics, "driftd_backup_interval_seconds") == 3600
    clock.now = NOW - timedelta(days=1)                      # a clock that was set back does not stop copies
    made.back_up(section)
    assert value(metrics, "driftd_backup_last_success_timestamp_seconds") == clock.now.timestamp()


def test_a_copy_that_fails_is_said_and_tried_again(tmp_path: Path, care: Any) -> None:
    """A folder that cannot be written costs no check; the age of the last good copy grows, until one succeeds."""
    made, clock, metrics, _ = care
    (tmp_path / "file").write_text("")
    section = BackupSection(folder=tmp_path / "file", every=HOUR)
    made.back_up(section)
    assert value(metrics, "driftd_backup_last_success_timestamp_seconds") == 0
    (tmp_path / "file").unlink()
    made.back_up(section)
    assert not (tmp_path / "file").exists()                  # not at every turn
    clock.now = NOW + RETRY
    made.back_up(section)
    assert value(metrics, "driftd_backup_last_success_timestamp_seconds") == clock.now.timestamp()
    made.back_up(None)
    assert value(metrics, "driftd_backup_interval_seconds") == 0


def test_damage_that_comes_while_it_runs_is_noticed(tmp_path: Path, care: Any) -> None:
    """The daily look finds it and says so in a metric and to whoever asks for health; no copy of it counts."""
    made, clock, metrics, _ = care
    made.examine()
    assert (made.damage, value(metrics, "driftd_state_damaged")) == (None, 0)
    damage(tmp_path / "state")
    made.examine()
    assert made.damage is None                               # looked at today
    clock.now = NOW + timedelta(days=1)
    made.examine()
    assert "rows of configs" in made.damage
    assert value(metrics, "driftd_state_damaged") == 1
    made.back_up(BackupSection(folder=tmp_path / "copies"))
    assert names(tmp_path / "copies") == []
