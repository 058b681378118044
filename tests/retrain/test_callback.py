"""What a pipeline reports of its run, over HTTP, signed by the reference implementation of Standard Webhooks."""

import base64
import http.client
import json
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Signer

from monitor.config import Config
from monitor.expose.prometheus import Metrics
from monitor.gate_result import read_gate_result
from monitor.records import DispatchState
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import Answer
from monitor.store import Store
from monitor.times import utcnow
from monitor.web.app import App
from monitor.web.posts import Posts
from monitor.web.server import WebServer
from tests.gate.test_gate_result import GATE

SUCCEEDED = {"schema_version": 1, "outcome": "succeeded", "model_version": "2", "reference": "new.csv",
             "run_url": "https://ci.example/7"}
DOCS = (Path(__file__).resolve().parents[2] / "docs/promotion.md").read_text(encoding="utf-8")


class Taken:
    """A pipeline that takes every request and can say no more."""

    def key(self):
        return "native"

    def submit(self, dispatch):
        return Answer(state=DispatchState.DELIVERED, reason="accepted")


class Service:
    """The daemon's HTTP side over a store with one delivered request; says what it woke."""

    def __init__(self, store, config):
        self.store, self.woken = store, []
        posts = Posts(store, lambda: config, utcnow, lambda *what: self.woken.append(what))
        self.web = WebServer("127.0.0.1:0", App(Metrics("1"), None, lambda: None, lambda: None, posts))

    def post(self, path, body, headers):
        connection = http.client.HTTPConnection(self.web.address, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def report(self, told, *, id=None, key=None, at=None, message=None, ago=timedelta(0)):
        """Sign a report with the independent implementation, and send it."""
        id = id or self.id
        body = told if isinstance(told, str) else json.dumps(told)
        at = at or utcnow() - ago
        signature = Signer(key or self.secret).sign(message or id, at, body)
        headers = {"webhook-id": message or id, "webhook-timestamp": str(int(at.timestamp())),
                   "webhook-signature": signature}
        return self.post(f"/v1/runs/{id}", body, headers)


def secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def config(**daemon):
    model = {"predictions": {"path": "x.csv"}, "reference": {"source": {"path": "ref.csv"}}}
    return Config.model_validate({"models": {"m": model | {"name": "m"}}, "daemon": daemon})


@pytest.fixture
def service(kit, monkeypatch):
    key = secret()
    monkeypatch.setenv("CALLBACK_SECRET", key)
    with Store.memory() as store:
        request = kit.request_in(store)
        Outbox(store, {"p": Taken()}, lambda: kit.NOW).send_due()
        made = Service(store, config(callback_secret={"env": "CALLBACK_SECRET"}))
        made.id, made.secret = request.id, key
        yield made
        made.web.close()


def test_a_report_ends_the_run(service):
    """The outcome, the version, its reference and the link are kept with the request; the model is looked at."""
    assert service.report(SUCCEEDED) == (200, "taken\n")
    run = service.store.requests.get(service.id)
    assert (run.state, run.new_version, run.new_reference, run.url) == (
        "succeeded", "2", "new.csv", "https://ci.example/7")
    assert run.ended_at is not None
    assert service.woken == [("run", "m")]
    assert [one.kind for one in service.store.messages.all("m")] == ["outcome"]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_run_that_made_nothing(service, outcome):
    """A version in the report of a failed run is no version to put into service."""
    assert service.report(SUCCEEDED | {"outcome": outcome})[0] == 200
    run = service.store.requests.get(service.id)
    assert (run.state, run.new_version) == (outcome, None)


def test_the_same_report_again_changes_nothing(service):
    """A pipeline that repeats itself, signed anew, is answered 200, and people hear of it once."""
    first = utcnow()
    assert service.report(SUCCEEDED, at=first)[0] == 200
    before = service.store.requests.get(service.id)
    assert service.report(SUCCEEDED, at=first + timedelta(seconds=1)) == (200, "known already\n")
    assert service.store.requests.get(service.id) == before
    assert len(service.store.messages.all("m")) == 1


def test_a_replay_is_refused(service):
    """The very same message a second time says nothing new, whoever sends it."""
    first = utcnow()
    assert service.report(SUCCEEDED, at=first)[0] == 200
    assert service.report(SUCCEEDED, at=first)[0] == 409


@pytest.mark.parametrize("told", [
    SUCCEEDED | {"outcome": "failed"}, SUCCEEDED | {"model_version": "3"}, SUCCEEDED | {"reference": "other.csv"},
])
def test_a_contradiction_is_refused(service, told):
    """What was reported stays; another outcome, version or reference is a conflict."""
    service.report(SUCCEEDED)
    before = service.store.requests.get(service.id)
    assert service.report(told, at=utcnow() + timedelta(seconds=2))[0] == 409
    assert service.store.requests.get(service.id) == before


def test_a_version_for_a_run_that_was_seen_to_succeed(service):
    """Where following saw the end first, the report still says what was made."""
    run = service.store.requests.get(service.id)
    service.store.requests.record(replace(run, state=DispatchState.SUCCEEDED, ended_at=utcnow()), was=run.state)
    assert service.report(SUCCEEDED) == (200, "taken\n")
    assert service.store.requests.get(service.id).new_version == "2"


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_what_the_gate_said_is_kept_and_audited(service, outcome):
    """The table comes with the report, of a run that the gate ended too; said again it is known already."""
    report = SUCCEEDED | {"outcome": outcome, "gate": GATE}
    first = utcnow()
    assert service.report(report, at=first) == (200, "taken\n")
    assert service.report(report, at=first + timedelta(seconds=1)) == (200, "known already\n")
    [gated] = service.store.gates.of([service.id]).values()
    assert gated.result == read_gate_result(GATE)
    audited = [entry for entry in service.store.audit.about("m") if entry.subject == service.id]
    assert [entry.action for entry in audited].count("gate refused") == 1


def test_the_gate_may_be_told_after_the_outcome(service):
    """Where the end of the run is known already, the table is still taken; another one after it is a conflict."""
    first = utcnow()
    service.report(SUCCEEDED, at=first)
    assert service.report(SUCCEEDED | {"gate": GATE}, at=first + timedelta(seconds=1)) == (200, "taken\n")
    status, text = service.report(SUCCEEDED | {"gate": GATE | {"rows": 7}}, at=first + timedelta(seconds=2))
    assert (status, "another result of the gate" in text) == (409, True)
    status, text = service.report(SUCCEEDED | {"gate": {}}, at=first + timedelta(seconds=3))
    assert (status, "gate.outcome" in text) == (400, True)


@pytest.mark.parametrize(("given", "status"), [
    ({"key": secret()}, 401),
    ({"message": "driftd-another-1"}, 401),
    ({"ago": timedelta(minutes=6)}, 401),
    ({"ago": timedelta(minutes=-6)}, 401),
    ({"id": "driftd-unknown-1"}, 404),
], ids=["another secret", "signed for another run", "old", "of the future", "unknown id"])
def test_what_cannot_be_believed_is_refused(service, given, status):
    """A wrong signature, another run's, a stale clock: 401; a request nobody made: 404. Nothing changes."""
    before = service.store.requests.get(service.id)
    assert service.report(SUCCEEDED, **given)[0] == status
    assert service.store.requests.get(service.id) == before
    assert service.woken == []


def test_unsigned_and_changed_on_the_way(service):
    """Without headers, or with a body that is not the one signed, it is refused."""
    assert service.post(f"/v1/runs/{service.id}", json.dumps(SUCCEEDED), {})[0] == 401
    at, body = utcnow(), json.dumps(SUCCEEDED)
    headers = {"webhook-id": service.id, "webhook-timestamp": str(int(at.timestamp())),
               "webhook-signature": Signer(service.secret).sign(service.id, at, body)}
    changed = body.replace('"2"', '"9"')
    assert service.post(f"/v1/runs/{service.id}", changed, headers)[0] == 401


@pytest.mark.parametrize(("told", "said"), [
    ("{", "Invalid JSON"), ({"schema_version": 2, "outcome": "failed"}, "schema_version"),
    ({"schema_version": 1, "outcome": "done"}, "outcome"), ({"schema_version": 1}, "outcome"),
    (SUCCEEDED | {"model_version": 2}, "model_version"), (SUCCEEDED | {"run_url": "javascript:x"}, "run_url"),
    (SUCCEEDED | {"odd": 1}, "odd"),
])
def test_a_body_that_cannot_be_read_says_what_is_expected(service, told, said):
    """400, with the key and the shape; the message may be sent again once it is right."""
    status, text = service.report(told)
    assert status == 400
    assert said in text
    assert '"outcome": "succeeded"' in text


def test_a_long_body_is_refused(service):
    """More than 16 kB is no report."""
    assert service.report(SUCCEEDED | {"reference": "x" * 17_000})[0] == 413


def test_a_request_that_was_never_handed_over(service, kit):
    """Nobody can have run what was withdrawn."""
    run = service.store.requests.get(service.id)
    service.store.requests.record(replace(run, state=DispatchState.WITHDRAWN), was=run.state)
    assert service.report(SUCCEEDED)[0] == 409


def test_without_a_secret_there_is_no_such_place(kit):
    """Off unless configured: there is nothing at that path."""
    with Store.memory() as store:
        made = Service(store, config())
        try:
            assert made.post("/v1/runs/x", "{}", {})[0] == 404
            assert made.post("/v1/mlflow", "{}", {})[0] == 404
        finally:
            made.web.close()


def test_a_secret_that_cannot_be_read_is_not_a_wrong_signature(service, monkeypatch):
    """The sender may try again: 503."""
    monkeypatch.delenv("CALLBACK_SECRET")
    assert service.report(SUCCEEDED)[0] == 503


@pytest.mark.parametrize("language", ["python", pytest.param("sh", marks=pytest.mark.real)])
def test_the_examples_of_the_documentation_are_taken(service, tmp_path, language):
    """Copied from docs/promotion.md, with address, secret and id as the pipeline has them."""
    if language == "sh" and not (shutil.which("curl") and shutil.which("openssl")):
        pytest.skip("curl and openssl are not installed: tests/real/install")
    code = re.search(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)[1]
    environment = {"DRIFTD_URL": f"http://{service.web.address}", "DRIFTD_ID": service.id,
                   "CALLBACK_SECRET": service.secret, "PATH": "/usr/bin:/bin", "VERSION": "2"}
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    run = service.store.requests.get(service.id)
    assert (run.state, run.new_version) == ("succeeded", "2")
