"""One state with several firing triggers, walked through every output: one value for one thing, that of now."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.check.checker import Checker
from monitor.config import load
from monitor.decide.messages import since_then
from monitor.escape import json_text
from monitor.expose.prometheus import Metrics
from monitor.expose.status_document import status_document
from monitor.expose.view import ModelView, View, read_view
from monitor.notify.letter import FORMS, Letter
from monitor.records import Firing, Message, Score, from_json, to_json
from monitor.store import Store
from monitor.web.page import page
from monitor.wording import day, shown
from monitor.workers.child import perform
from monitor.workers.task import Req, Res, Task

UTC_ZONE = ZoneInfo("UTC")
START, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1)
CONFIG = """
[models.m]
predictions = "log.csv"
reference   = "reference.csv"
label_delay = "1h"
window      = { size = "1d", min_rows = 5 }
since       = "2024-01-01"
rehearsal   = { challenger = "linear" }
estimation  = { enabled = false }

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
name = "half"
metric = "drifted_share"
drifted = true

[[models.m.triggers]]
name = "low"
metric = "rmse"
above = 2

[[models.m.triggers]]
name = "still-low"
metric = "mae"
above = 2
windows = "3 of 3"

[[models.m.triggers]]
name = "asks"
metric = "rows"
above = 250
action = "retrain"

[[models.m.triggers]]
name = "pays"
metric = "regret"
above = 0.1
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
ERRORS = (1.0, 3.0, 5.0, 4.0)       # of the model
EXPLAIN = ("history", "-c", "driftd.toml", "--explain", "newest")


class Here:
    """The Runner of this test: the tasks of a worker in this process, with JSON in and out."""

    def run(self, task: Task[Req, Res], request: Req) -> Res:

        payload = json.loads(json.dumps(to_json(request)))
        return from_json(task.result, json.loads(json.dumps(perform(task.function, payload))))


Numbers = tuple[float, ...]


def _rows(first: datetime, shares: Numbers, counts: tuple[int, ...], errors: Numbers) -> Iterator[str]:
    yield "timestamp,x,prediction,label"
    for at, (share, count, error) in enumerate(zip(shares, counts, errors, strict=True)):
        for row in range(count):
            moment = first + at * DAY + row * DAY / count
            x = row * 0.37 % 1 + (row < round(share * count))
            label = 10 * x + error * (1.2 if row % 2 else -0.8) + 2 * (row * 0.53 % 1 - 0.5)
            yield f"{moment:%Y-%m-%dT%H:%M:%S},{x:.3f},{10 * x:.3f},{label:.3f}"


@dataclass(frozen=True)
class State:
    """What is remembered after four days, checked one after the other as a service would."""

    folder: Path
    view: View
    messages: list[Message]

    @property
    def model(self) -> ModelView:
        [model] = self.view.models
        return model

    @property
    def scores(self) -> tuple[Score, ...]:
        assert self.model.newest is not None
        return self.model.newest.scores

    @property
    def firing(self) -> dict[str, Firing]:
        return {one.trigger: one for one in self.model.firing if one.firing}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    folder = tmp_path_factory.mktemp("state")
    (folder / "log.csv").write_text("\n".join(_rows(START, SHARES, ROWS, ERRORS)))
    (folder / "reference.csv").write_text("\n".join(_rows(START - 20 * DAY, (0.0,) * 20, (200,) * 20, (0.8, 1.2) * 10)))
    (folder / "driftd.toml").write_text(CONFIG)
    loaded = load(folder / "driftd.toml")
    with Store.open(folder / "state") as store:
        for number in range(1, len(SHARES) + 1):
            now = START + number * DAY + timedelta(hours=2)
            Checker(loaded, store, Here(), lambda now=now: now).check("m")
        return State(folder, read_view(store, loaded.config, now), list(store.messages.due(now)))


NUMBERS = ("value", "reference", "threshold")
Claim = tuple[str, str, str]        # what is said of what: (drift (psi) of x, value, 2.74)
_SAYS = re.compile(
    r"\b([a-z0-9_]+(?: \(\w+\))?(?: of \w+)?) is (-?\d[\d.]*\d|\d)(?: \(([^)]*)\)|, (-?[\d.]*\d) on the reference)?"
)


def _truth(state: State) -> set[Claim]:
    """Value, reference and threshold of each score of the newest window, as people are shown them."""
    found = set()
    for one in state.scores:
        for what in NUMBERS:
            if number := shown(one.metric, getattr(one, what)):
                found.add((_subject(one.metric, one.method, one.column), what, number))
    return found


def _subject(metric: str, method: str | None, column: str | None) -> str:
    return f"{metric}{f' ({method})' * bool(method)}{f' of {column}' * bool(column)}"


def _of_text(text: str) -> set[Claim]:
    """What sentences claim: `rmse is 4 (limit 2, reference 1)`."""
    found: set[Claim] = set()
    for metric, now, then in re.findall(r"\b([A-Z]+) now ([\d.]*\d), before ([\d.]*\d)", text):
        found |= {(metric.lower(), "value", now), (metric.lower(), "reference", then)}
    for subject, value, beside, before in _SAYS.findall(re.sub(r"\s+", " ", text)):
        reference = before or (re.search(r"reference (-?[\d.]*\d)", beside) or [None, ""])[1]
        found |= {(subject, "value", value)} | ({(subject, "reference", reference)} if reference else set())
    return found


def _of_table(text: str) -> set[Claim]:
    """What the tables of `history --explain` claim."""
    found: set[Claim] = set()
    places: list[re.Match[str]] = []
    for line in text.splitlines():
        if line.startswith("metric "):
            places = list(re.finditer(r"\S+", line))
        elif places and line[:1].isalpha():
            cell = {place[0]: _number(line[:place.end()]) if place[0] in NUMBERS else _words(line[place.start():])
                    for place in places}
            subject = _subject(cell["metric"], cell.get("method"), cell.get("column"))
            found |= {(subject, name, cell[name]) for name in NUMBERS if cell.get(name)}
        elif not line.startswith("─"):
            places = []
    return found


def _number(line: str) -> str:
    return line.split()[-1] if line[-1:].strip() else ""


def _words(line: str) -> str:
    return re.split(r"\s{2,}", line)[0]


def _of_scores(scores: Iterable[dict[str, Any]]) -> set[Claim]:
    return {(_subject(one["metric"], one["method"], one["column"]), what, shown(one["metric"], one[what]))
            for one in scores for what in NUMBERS if one[what] is not None}


def _of_page(html: str) -> set[Claim]:
    """What the overview claims in sentences, and of the metric now."""
    found = re.search(r'<b class="number[^>]*>([\d.]+)</b>\s*<small>(\w+), reference ([\d.]+)', html)
    assert found is not None
    value, metric, reference = found.groups()
    return {(metric, "value", value), (metric, "reference", reference)} | _of_text(html)


def _of_metrics(view: View) -> set[Claim]:
    """What Prometheus is told of the newest window's scores."""
    metrics, found = Metrics("1"), set()
    metrics.show(view)
    families = {"driftd_score": "value", "driftd_score_reference": "reference", "driftd_score_threshold": "threshold"}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for name, labels, value, *_ in family.samples if family.name in families else ():
            subject = _subject(labels["metric"], labels["method"], labels["column"])
            found.add((subject, families[name], shown(labels["metric"], value)))
    return found


FIRING = {("rows", "value", "400"), ("drifted_share", "value", "1"), ("drift (psi) of x", "value", "2.74"),
          ("rmse", "value", "4.128"), ("rmse", "reference", "1.196"), ("mae", "value", "4.01")}


def test_every_output_shows_the_values_of_now(driftd: Any, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page, API, status, explanation, metrics and message: every figure is that of the newest window's score."""
    monkeypatch.chdir(state.folder)
    explained, document = driftd(*EXPLAIN).out, driftd(*EXPLAIN, "--json")
    outputs = {
        "page": _of_page(page(state.view)),
        "api": _of_text(json_text(status_document(state.view))),
        "status": _of_text(driftd("status", "-c", "driftd.toml").out),
        "status --json": _of_text(driftd("status", "-c", "driftd.toml", "--json").out),
        "explain": _of_text(explained) | _of_table(explained),
        "explain --json": _of_text(document.out) | _of_scores(document.json["scores"]),
        "metrics": _of_metrics(state.view),
    }
    truth = _truth(state)
    assert {name: claims - truth for name, claims in outputs.items()} == {name: set() for name in outputs}
    few = ("page",)              # it shows the most urgent of what fires
    assert {name: FIRING - claims for name, claims in outputs.items() if name not in few} == {
        name: set() for name in outputs if name not in few
    }
    assert len(outputs["page"] & FIRING) >= 3
    assert len(outputs["explain"]) >= 30
    assert len(outputs["metrics"]) >= 30
    [message] = [one for one in state.messages if one.trigger == "still-low"]      # began with the newest window
    for form in FORMS:
        said = _of_text(re.sub(r"<[^>]*>", "", Letter.of(message, "https://driftd.example.org").written(form)))
        assert {("mae", "value", "4.01"), ("drift (psi) of x", "value", "2.74"), ("rmse", "value", "4.128")} & said
        assert said <= truth, form


def test_regret_is_one_sentence_in_every_output(driftd: Any, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waiting has cost is told in the same words by all, and the page's share of the price fits the score."""
    monkeypatch.chdir(state.folder)
    [score] = [one for one in state.scores if one.metric == "regret"]
    assert score.reason is not None
    assert score.reason == state.firing["pays"].reason
    explained = driftd(*EXPLAIN)
    outputs = (json_text(status_document(state.view)), driftd("status", "-c", "driftd.toml").out,
               explained.out, driftd(*EXPLAIN, "--json").out)
    assert all(score.reason in text for text in outputs)
    assert score.value is not None
    assert score.threshold is not None
    assert f"</svg>{score.value / score.threshold:.0%}</span>" in page(state.view)


def test_a_firing_trigger_says_when_it_began_and_what_it_shows_now(
    driftd: Any, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The date is the end of the window that began it, the value that of the newest window; all outputs agree."""
    monkeypatch.chdir(state.folder)
    [model] = driftd("status", "-c", "driftd.toml", "--json").json["models"]
    firing = {one["trigger"]: one for one in model["firing"]}
    assert {firing[name]["since"] for name in ("many", "moved", "asks", "low")} == {"2024-01-03T00:00:00Z"}
    assert firing["many"]["reason"] == "rows is 400 (limit 250)"
    assert firing.keys() == state.firing.keys()
    explained = driftd(*EXPLAIN).out
    for name, one in state.firing.items():
        assert f"{name}: {one.reason}. " in explained
        assert re.search(rf"  {name}: .*It fires since {day(one.since, UTC_ZONE)}\.", explained)


def test_the_command_and_the_service_give_the_same_document(
    driftd: Any, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`driftd status --json` is `/api/status`."""
    monkeypatch.chdir(state.folder)
    document = driftd("status", "-c", "driftd.toml", "--json").json
    assert document == json.loads(json_text(status_document(state.view)))


def test_what_has_changed_since_the_verdict_is_told_as_it_is_now(state: State) -> None:
    """An older window measured again, or a source that fails between windows: the verdict's sentences follow."""
    verdict = state.model.verdict
    assert verdict is not None
    firing = [replace(one, firing=False, reason="rmse is 1.2 (limit 2)") if one.trigger == "low" else one
              for one in state.model.firing]
    down = Firing(model="m", trigger="source-down", firing=True, since=START, reason="it cannot be read")
    told = since_then(verdict, [*firing, down], UTC_ZONE)
    assert [one for one in told.reasons if one.startswith("low: ")] == ["low: rmse is 1.2 (limit 2). It does not fire."]
    assert "source-down: it cannot be read. It fires since 1 Jan 2024." in told.reasons
    assert not [one for one in told.reasons if one.startswith("source: ")]
    assert {"low", "source-down"} & set(told.fired) == {"source-down"}
    assert since_then(verdict, state.model.firing, UTC_ZONE) is verdict
