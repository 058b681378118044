"""kill -9 at every boundary: nothing is lost, and the receiver only ever sees one id."""

import base64
import json
import secrets
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.config.pipelines import WebhookPipeline
from monitor.records import DispatchState, to_json
from monitor.retrain import Outbox
from monitor.retrain.pipelines import open_pipeline
from monitor.store import Store

# A daemon's part: commit a request and send it, killed where argv says.
DAEMON = """
import json, os, signal, sys
from datetime import datetime
from pathlib import Path
from monitor.config.model import ModelSection
from monitor.config.pipelines import WebhookPipeline
from monitor.records import Episode, Reference, Snapshot, Verdict, from_json
from monitor.retrain import Outbox, new_dispatch
from monitor.retrain.pipelines import open_pipeline
from monitor.store import Store

told = json.loads(sys.argv[1])
at, now = told["at"], datetime.fromisoformat(told["now"])
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
store = Store.open(Path(told["state"]))
model = ModelSection.model_validate(told["model"])
snapshot, verdict = from_json(Snapshot, told["snapshot"]), from_json(Verdict, told["verdict"])
episode, reference = from_json(Episode, told["episode"]), from_json(Reference, told["reference"])
store.install_reference(reference, None, now)
made = new_dispatch(model, episode, snapshot, verdict, reference, now)

if at == "within the commit":
    store.add_message = lambda message: die()
    told["messages"] = [None]
store.commit(snapshot, expected_reference=reference.id, verdict=verdict, episode=episode, dispatch=made,
             messages=told.get("messages", []))
if at == "after the commit":
    die()

class Killer:
    def __init__(self, inner): self.inner = inner
    def key(self): return "native"
    def submit(self, dispatch):
        if at == "before the send": die()
        answer = self.inner.submit(dispatch)
        if at == "after the send": die()
        return answer

outbox = Outbox(store, {"p": Killer(open_pipeline(WebhookPipeline.model_validate(told["pipeline"])))}, lambda: now)
outbox.send_due()
die()
"""


@pytest.mark.parametrize(("at", "seen_first", "seen_after"), [
    ("within the commit", 0, 1), ("after the commit", 0, 1), ("before the send", 0, 1), ("after the send", 1, 2),
    ("after the record", 1, 1),
])
def test_killed_anywhere_one_id_arrives(
    server, kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, seen_first: int, seen_after: int
) -> None:
    """Whatever the moment, the next daemon delivers the request, and a repeat carries the same webhook-id."""
    monkeypatch.setenv("SECRET", "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    pipeline = {"kind": "webhook", "url": server.url, "secret": {"env": "SECRET"}}
    told = {
        "at": at, "now": kit.NOW.isoformat(), "state": str(tmp_path / "state"), "pipeline": pipeline,
        "model": kit.model().model_dump(mode="json"), "snapshot": to_json(kit.snapshot()),
        "verdict": to_json(kit.verdict()), "episode": to_json(kit.need()), "reference": to_json(kit.REFERENCE),
    }
    died = subprocess.run([sys.executable, "-c", DAEMON, json.dumps(told)], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert len(server.seen) == seen_first
    sent = _next_daemon(tmp_path / "state", pipeline, kit, again=at == "within the commit")
    assert [one.state for one in sent] == [DispatchState.DELIVERED]
    assert len(server.seen) == seen_after
    assert {seen.headers["webhook-id"] for seen in server.seen} == {sent[0].id}


def _next_daemon(folder: Path, pipeline: dict[str, Any], kit: Any, *, again: bool) -> list[Any]:
    """Open the state as after a restart; a check whose commit was cut short is done again, whole."""
    later: datetime = kit.NOW + timedelta(hours=1)
    with Store.open(folder) as store:
        assert (store.snapshots("m") == []) == again
        if again:
            assert store.dispatches() == []
            kit.request_in(store)
        section = WebhookPipeline.model_validate(pipeline)
        outbox = Outbox(store, {"p": open_pipeline(section)}, lambda: later)
        outbox.recover()
        outbox.send_due()
        return store.dispatches()
