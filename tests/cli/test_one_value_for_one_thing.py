"""One state with several firing triggers, walked through every output: one value for one thing, that of now."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.check.checker import Checker
from monitor.config import load
from monitor.escape import json_text
from monitor.expose.status_document import status_document
from monitor.expose.view import View, read_view
from monitor.records import from_json, to_json
from monitor.store import Store
from monitor.web.page import page
from monitor.wording import shown
from monitor.workers.child import perform
from monitor.workers.task import Req, Res, Task

START, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1)
CONFIG = """
[models.m]
predictions = "log.csv"
reference   = "reference.csv"
window      = { size = "1d", min_rows = 5 }
since       = "2024-01-01"

[[models.m.triggers]]
name = "many"
metric = "rows"
above = 250

[[models.m.triggers]]
name = "moved"
metric = "drift"
column = "x"
above = 0.2

[[models.m.triggers]]
name = "asks"
metric = "rows"
above = 250
action = "retrain"

[models.m.drift.columns]
x = { method = "psi", threshold = 0.2 }

[models.m.retrain]
pipeline = "p"

[pipelines.p]
kind = "command"
command = ["true"]
"""
ROWS = (200, 300, 500, 400)
SHARES = (0.0, 0.3, 0.5, 0.4)       # of x that moved


class Here:
    """The Runner of this test: the tasks of a worker in this process, with JSON in and out."""

    def run(self, task: Task[Req, Res], request: Req) -> Res:

        payload = json.loads(json.dumps(to_json(request)))
        return from_json(task.result, json.loads(json.dumps(perform(task.function, payload))))


def _rows(first: datetime, shares: tuple[float, ...], counts: tuple[int, ...]) -> Iterator[str]:
    yield "timestamp,x,prediction"
    for day, (share, count) in enumerate(zip(shares, counts, strict=True)):
        for row in range(count):
            moment = first + day * DAY + row * DAY / count
            x = row * 0.37 % 1 + (row < round(share * count))
            yield f"{moment:%Y-%m-%dT%H:%M:%S},{x:.3f},{row * 0.53 % 1:.3f}"


@pytest.fixture
def view(tmp_path: Path) -> View:
    """Four days checked one after the other, as a service would."""
    (tmp_path / "log.csv").write_text("\n".join(_rows(START, SHARES, ROWS)))
    (tmp_path / "reference.csv").write_text("\n".join(_rows(START - 20 * DAY, (0.0,) * 20, (200,) * 20)))
    (tmp_path / "driftd.toml").write_text(CONFIG)
    loaded = load(tmp_path / "driftd.toml")
    with Store.open(tmp_path / "state") as store:
        for day in range(1, len(SHARES) + 1):
            now = START + day * DAY
            Checker(loaded, store, Here(), lambda now=now: now).check("m")
        return read_view(store, loaded.config, now)


def _said(text: str) -> dict[str, set[str]]:
    """What a text says each metric to be: `rows is 400`, `drift (psi) of x is 1.2`."""
    found: dict[str, set[str]] = {}
    for subject, value in re.findall(r"\b(rows|drift \(psi\) of x) is ([\d.]*\d)", re.sub(r"\s+", " ", text)):
        found.setdefault(subject, set()).add(value)
    return found


def _status(driftd: Any) -> Any:
    return driftd("status", "-c", "driftd.toml", "--json")


def test_every_output_shows_the_values_of_now(driftd: Any, view: View) -> None:
    """Page, /api/status, status, status --json, history --explain and its JSON agree with each other and the data."""
    explain = ("history", "-c", "driftd.toml", "--explain", "newest")
    outputs = {
        "page": page(view), "api": json_text(status_document(view)),
        "status": driftd("status", "-c", "driftd.toml").out, "status --json": _status(driftd).out,
        "explain": driftd(*explain).out, "explain --json": driftd(*explain, "--json").out,
    }
    [model] = view.models
    assert model.newest is not None
    moved = next(score for score in model.newest.scores if (score.metric, score.column) == ("drift", "x"))
    now = {"rows": {"400"}, "drift (psi) of x": {shown("drift", moved.value)}}
    assert {name: _said(text) for name, text in outputs.items()} == dict.fromkeys(outputs, now)


def test_a_firing_trigger_says_when_it_began_and_what_it_shows_now(driftd: Any, view: View) -> None:
    """The date is the end of the window that began it, the value that of the newest window."""
    firing = {one["trigger"]: one for one in _status(driftd).json["models"][0]["firing"]}
    assert {firing[name]["since"] for name in ("many", "moved", "asks")} == {"2024-01-03T00:00:00Z"}
    assert firing["many"]["reason"] == "rows is 400 (limit 250)"


def test_the_command_and_the_service_give_the_same_document(driftd: Any, view: View) -> None:
    """`driftd status --json` is `/api/status`."""
    assert _status(driftd).json == json.loads(json_text(status_document(view)))
