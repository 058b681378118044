"""A workflow is started once, found again, and followed, against a strict stand-in for GitHub's API."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.config.pipeline_sections import GithubPipeline
from monitor.records import DispatchState
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import open_pipeline

WORKFLOW = """\
name: retrain
run-name: retrain ${{ inputs.driftd_id }}
on:
  push:
    branches: [main]
  workflow_dispatch:
    inputs:   # from driftd
      driftd_id:
        type: string
      driftd_evidence:
        type: string
      region:
        type: string
        default: eu
jobs: {}
"""
DISPATCHES = "/repos/acme/flights/actions/workflows/retrain.yml/dispatches"


class Hub:
    """Refuses what GitHub refuses: unknown paths, tokens, versions, inputs the workflow does not declare."""

    def __init__(self, version: str = "2026-03-10", details: bool = True, workflow: str = WORKFLOW) -> None:
        self.version, self.details, self.workflow = version, details, workflow
        self.runs: list[dict[str, Any]] = []
        self.trouble: Any = None                 # answered to the next dispatch after it was taken
        self.hidden = False                      # listings lag

    def __call__(self, seen: Any) -> Any:
        place = urlsplit(seen.path)
        if seen.headers.get("authorization") != "Bearer t0ken":
            return 401, {}, {"message": "Bad credentials"}
        if seen.headers["x-github-api-version"] > self.version:
            return 400, {}, {"message": "unsupported API version"}
        if place.path == "/repos/acme/flights/contents/.github/workflows/retrain.yml":
            assert parse_qs(place.query) == {"ref": ["main"]}
            return 200, {}, self.workflow.encode()
        if place.path == DISPATCHES and seen.method == "POST":
            return self.start(seen)
        if place.path == "/repos/acme/flights/actions/workflows/retrain.yml/runs":
            asked = parse_qs(place.query)
            assert asked["event"] == ["workflow_dispatch"]
            assert re.fullmatch(r">=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", asked["created"][0])
            first = (int(asked["page"][0]) - 1) * 50
            shown = [] if self.hidden else self.runs[::-1][first:first + 50]
            return 200, {}, {"total_count": len(self.runs), "workflow_runs": shown}
        if found := re.fullmatch(r"/repos/acme/flights/actions/runs/(\d+)", place.path):
            return 200, {}, self.runs[int(found[1]) - 1]
        return 404, {}, {"message": "Not Found"}

    def start(self, seen: Any) -> Any:
        asked = seen.json()
        allowed = {"ref", "inputs"} | ({"return_run_details"} if self.details else set())
        if extra := set(asked) - allowed:
            return 400, {}, {"message": f"Invalid request. {extra.pop()} is not a permitted key"}
        if not all(isinstance(value, str) for value in asked["inputs"].values()) or len(asked["inputs"]) > 25:
            return 422, {}, {"message": "inputs"}
        run_id = len(self.runs) + 1
        self.runs.append({
            "id": run_id, "display_title": f"retrain {asked['inputs']['driftd_id']}", "status": "queued",
            "conclusion": None, "html_url": f"https://github.example/runs/{run_id}",
        })
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            return trouble
        if self.version == "2026-03-10" or asked.get("return_run_details"):
            return 200, {}, {"workflow_run_id": run_id, "html_url": self.runs[-1]["html_url"]}
        return 204, {}, b""


@pytest.fixture
def github(server, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TOKEN", "t0ken")
    section = {
        "kind": "github", "repository": "acme/flights", "workflow": "retrain.yml", "token": {"env": "TOKEN"},
        "inputs": {"region": "us"}, "api": server.url, "timeout": "5s",
    }
    return open_pipeline(GithubPipeline.model_validate(section))


@pytest.mark.parametrize(("hub", "handle"), [
    (Hub(), "1"), (Hub("2022-11-28"), "1"), (Hub("2022-11-28", details=False), None),
])
def test_every_age_of_server_starts_one_run(server, github, dispatch, hub: Hub, handle: Any) -> None:
    """The newest API, the older one with details, and the oldest without: one run, and then it is known."""
    server.reply = hub
    answer = github.submit(dispatch)
    assert (answer.state, answer.handle, len(hub.runs)) == (DispatchState.QUEUED, handle, 1)
    inputs = server.seen[-1].json()["inputs"]
    assert inputs["driftd_id"] == dispatch.id
    assert inputs["region"] == "us"
    assert json.loads(inputs["driftd_evidence"])["accuracy"]["now"] == 0.8
    assert github.follow(replace(dispatch, state=answer.state, handle=handle)).handle == "1"


@pytest.mark.parametrize(("status", "conclusion", "state"), [
    ("queued", None, "queued"), ("waiting", None, "queued"), ("in_progress", None, "running"),
    ("completed", "success", "succeeded"), ("completed", "failure", "failed"), ("completed", "timed_out", "failed"),
    ("completed", "cancelled", "cancelled"), ("completed", "action_required", "blocked"),
    ("completed", "surprise", "unknown"),
])
def test_a_run_is_followed_to_its_conclusion(server, github, dispatch, status, conclusion, state) -> None:
    """Each status and conclusion means one state; an unknown word is unknown, never failed."""
    server.reply = hub = Hub()
    sent = github.submit(dispatch)
    hub.runs[0] |= {"status": status, "conclusion": conclusion}
    answer = github.follow(replace(dispatch, state=sent.state, handle=sent.handle))
    assert (answer.state, answer.url) == (state, "https://github.example/runs/1")


@pytest.mark.parametrize("reply", [(500, {}, b""), (404, {}, b""), (200, {}, b"<html>"), (200, {}, []), None])
def test_trouble_in_asking_is_never_a_failed_run(server, github, dispatch, reply: Any) -> None:
    """Whatever the answer to a question about the run, the run stays as it was."""
    server.reply = lambda seen: reply
    running = replace(dispatch, state=DispatchState.RUNNING, handle="1")
    assert github.follow(running).state == DispatchState.RUNNING


@pytest.mark.parametrize(("reply", "state"), [
    ((403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, b""), DispatchState.PENDING),
    ((403, {}, {"message": "You have exceeded a secondary rate limit"}), DispatchState.PENDING),
    ((429, {"Retry-After": "9"}, b""), DispatchState.PENDING),
    ((401, {}, b""), DispatchState.PENDING),
    ((403, {}, {"message": "Resource not accessible"}), DispatchState.PENDING),
    ((422, {}, {"message": "Unexpected inputs provided"}), DispatchState.ABANDONED),
    ((404, {}, b""), DispatchState.PENDING),
    ((200, {}, b"not json"), DispatchState.AMBIGUOUS),
    ((200, {}, {"other": 1}), DispatchState.AMBIGUOUS),
    ((502, {}, b""), DispatchState.AMBIGUOUS),
    (None, DispatchState.AMBIGUOUS),
])
def test_answers_to_a_dispatch(server, github, dispatch, reply: Any, state: Any) -> None:
    """A 403 may be a rate limit; a 200 without a run is unclear; the token is in no reason."""
    server.reply = lambda seen: reply
    answer = github.submit(dispatch)
    assert answer.state == state
    assert "t0ken" not in answer.reason


def test_an_unclear_dispatch_is_found_again(server, github, store, clock, kit) -> None:
    """After a 502 the run is looked for, also in a listing that lags, and never started twice."""
    server.reply = hub = Hub()
    hub.trouble, hub.hidden = (502, {}, b""), True
    kit.request_in(store)
    outbox = Outbox(store, {"p": github}, clock)
    assert outbox.send_due()[0].state == DispatchState.AMBIGUOUS
    clock.forward(timedelta(seconds=10))
    assert outbox.send_due()[0].state == DispatchState.AMBIGUOUS
    hub.hidden = False
    clock.forward(timedelta(minutes=1))
    (found,) = outbox.send_due()
    assert (found.state, found.handle, len(hub.runs)) == (DispatchState.QUEUED, "1", 1)


def test_a_dispatch_that_cannot_be_found_is_sent_once_more(server, github, store, clock, kit) -> None:
    """After the grace period the same id goes out a second time, then it is held for a person."""
    server.reply = hub = Hub()
    hub.hidden = True
    kit.request_in(store)
    outbox = Outbox(store, {"p": github}, clock)
    for _ in range(100):
        hub.trouble = (502, {}, b"")
        outbox.send_due()
        clock.forward(timedelta(minutes=1))
    held = store.requests.all()[0]
    assert (held.state, held.next_try_at, len(hub.runs)) == (DispatchState.AMBIGUOUS, None, 2)
    assert [one.kind for one in store.messages.all()] == ["held"]
    assert "driftd resolve" in held.reason


def test_without_our_id_in_run_name_an_unclear_dispatch_is_held(server, github, store, clock, kit) -> None:
    """A workflow whose runs cannot be told apart is blind: nothing is sent a second time."""
    server.reply = hub = Hub(workflow=WORKFLOW.replace("run-name", "#run-name"))
    hub.trouble = (504, {}, b"")
    kit.request_in(store)
    outbox = Outbox(store, {"p": github}, clock)
    for _ in range(5):
        outbox.send_due()
        clock.forward(timedelta(hours=1))
    assert (store.requests.all()[0].state, store.requests.all()[0].next_try_at) == (DispatchState.AMBIGUOUS, None)
    assert len(hub.runs) == 1


def test_checking_prints_what_to_paste(server, github) -> None:
    """Undeclared inputs and a run-name without our id are reported with the YAML; a right file is fine."""
    server.reply = hub = Hub()
    assert github.check() == []
    hub.workflow = "name: x\non:\n  workflow_dispatch:\n    inputs:\n      driftd_id:\n        type: string\njobs: {}\n"
    inputs, name = github.check()
    assert "driftd_evidence, region" in inputs
    assert "      region:\n        type: string" in inputs
    assert "run-name: retrain ${{ inputs.driftd_id }}" in name
    assert hub.runs == []


def test_checking_says_when_the_file_cannot_be_read(server, github) -> None:
    """A missing workflow or a token without rights is one sentence."""
    server.reply = lambda seen: (404, {}, b"")
    assert "may the token read" in github.check()[0]
