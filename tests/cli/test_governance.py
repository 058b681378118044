"""The governance report, the audit's archive, forgetting and retention, on a state with a whole life in it."""

import hashlib
import json
import re
import sqlite3
import stat
import zipfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from monitor.govern.retention import tidy
from monitor.govern.version_history import versions
from monitor.records import (
    Action,
    Approval,
    Content,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Message,
    Reference,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store import Store
from monitor.store.database import Database

CONFIG = """
[models.m]
predictions = "log.csv"
reference   = "reference.csv"
columns     = { private = ["name"] }

[models.m.retrain]
pipeline = "p"
approval = { request = "person" }

[pipelines.p]
kind    = "command"
command = ["true"]
"""
T0, DAY, WEEK = datetime(2025, 1, 6, tzinfo=UTC), timedelta(days=1), timedelta(days=7)
EVIL = '<script>alert(1)</script> | "quoted"'
ROW = "patient-4711"
BODY = json.dumps({"data": {"model_version": "1", "reasons": ["waiting costs"]}})


def _window(week: int, bound: str = "") -> Window:
    return Window(model="m", start=T0 + week * WEEK, end=T0 + (week + 1) * WEEK, spec="7d", end_id=bound)


def _snapshot(week: int, reference: str, version: str, value: float, bound: str = "") -> Snapshot:
    window = _window(week, bound)
    return Snapshot(
        window=window, revision=0, taken_at=window.end, reference_id=reference, model_version=version, config_hash="c1",
        code_version="0", rows=500, labelled=480, late=0, sampled=1.0, mature=week < 3, status=SnapshotStatus.OK,
        reason=None, scores=(
            Score(metric="roc_auc", value=value, reference=0.8, low=value - 0.02, high=value + 0.02, n=480,
                  provisional=week >= 3),
            Score(metric="drifted_share", value=0.6, threshold=0.5, status=ScoreStatus.DRIFTED, n=500),
            Score(metric="demographic_parity_difference", segment="sex=f", value=0.12, reference=0.05, n=200),
            Score(metric="selection_rate", segment="sex=x", status=ScoreStatus.INSUFFICIENT, reason="too few"),
        ),
    )


def _verdict(snapshot: Snapshot, action: Action, *fired: str) -> Verdict:
    return Verdict(window=snapshot.window, revision=0, at=snapshot.taken_at, action=action, fired=fired, guards=(),
                   reasons=(f"{EVIL} fires",) if fired else ("nothing fired",))


def live(store: Store) -> str:
    """Version 1 ages, ann approves a retrain, version 2 comes of it; return the request's id."""
    store.configurations.accept("c1", "[models.m]\n", T0)
    store.references.install(Reference(model="m", id="r1", model_version="1", origin="one.csv", since=T0), None, T0)
    content = Content(place="reference", name="one.csv", stamp="1", hash="a" * 64, bytes=7)
    store.lineage.note_data("m", "r1", [content], T0)
    for week, value in enumerate((0.8, 0.75)):
        old = _snapshot(week, "r1", "1", value)
        store.checks.commit(old, expected_reference="r1", verdict=_verdict(old, Action.HOLD))
    last = _snapshot(2, "r1", "1", 0.6, ROW)
    said = Approval(asked_at=last.taken_at, asked_by=None, decision=EpisodeState.REQUESTED,
                    decided_at=last.taken_at + DAY, decided_by="ann", reason="it pays")
    need = Episode(id="e" * 40, model="m", reference_id="r1", trigger="pays", window=last.window,
                   state=EpisodeState.REQUESTED, reason="waiting costs", approval=said)
    sent = Dispatch(id=Dispatch.new_id(need.id, 1), episode_id=need.id, attempt=1, model="m", pipeline="p",
                    state=DispatchState.PENDING, body=BODY, created_at=last.taken_at + DAY)
    store.checks.commit(last, expected_reference="r1", verdict=_verdict(last, Action.RETRAIN, "pays"), episode=need,
                 dispatch=sent, messages=[Message(id="x", model="m", kind="requested", title="t", body="b",
                                                  created_at=T0, sent_at=T0)])
    store.audit.note(last.taken_at + DAY, "ann", "approve", sent.id, "it pays")
    done = replace(sent, state=DispatchState.SUCCEEDED, ended_at=last.taken_at + 2 * DAY, new_version="2",
                   accepted_at=last.taken_at + DAY, url="https://ci.example/runs/1", reason="exit code 0")
    store.requests.record(done, was=DispatchState.PENDING, at=done.ended_at)
    facts = {"git_revision": "4f2a9c1", "inputs": ["s3://bucket/train"]}
    store.lineage.note_version("m", "2", facts, done.ended_at or T0)
    second = Reference(model="m", id="r2", model_version="2", origin="two.csv", since=T0 + 3 * WEEK)
    store.references.install(second, "r1", T0 + 3 * WEEK)
    new = _snapshot(3, "r2", "2", 0.81)
    store.checks.commit(new, expected_reference="r2", verdict=_verdict(new, Action.HOLD))
    return sent.id


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("log.csv", "reference.csv"):
        (tmp_path / name).write_text("timestamp,id,name,prediction\n2025-01-01,1,a,1\n")
    (tmp_path / "driftd.toml").write_text(CONFIG)
    with Store.open(tmp_path / "state") as store:
        live(store)
    return tmp_path / "driftd.toml"


def test_lineage_tells_where_a_version_came_from(tmp_path: Path) -> None:
    """Each version has its windows, data, configuration, run, git revision, and who approved it and why."""
    with Store.open(tmp_path) as store:
        request = live(store)
        one, two = versions(store, "m")
    assert (one.model_version, one.run, one.until, one.configs) == ("1", None, T0 + 3 * WEEK, ("c1",))
    assert (one.judged_from, one.judged_to, one.windows) == (T0, T0 + 3 * WEEK, 3)
    assert [(c.name, c.hash) for c in one.data] == [("one.csv", "a" * 64)]
    assert two.run is not None
    assert two.run.approval is not None
    assert (two.run.id, two.run.url, two.run.approval.decided_by, two.run.approval.reason) == (
        request, "https://ci.example/runs/1", "ann", "it pays",
    )
    assert two.facts == {"git_revision": "4f2a9c1", "inputs": ["s3://bucket/train"]}
    assert (two.until, two.windows) == (None, 1)


class Outside(HTMLParser):
    """Collects what a browser would fetch or run, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "image", "use"):
            self.found.append(tag)
        self.found += [name for name, _ in attrs if name in ("src", "href", "xlink:href") or name.startswith("on")]
        if tag != "meta":
            self.tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag


def test_the_report_opens_offline(driftd: Any, config: Path, tmp_path: Path) -> None:
    """One private file with pictures, decisions, hands and lineage; nothing in it is fetched or run."""
    done = driftd("report", "-c", config, "--html", "m.html", "--markdown", "m.md")
    assert done.code == 0, done.err
    text = (tmp_path / "m.html").read_text()
    reader = Outside()
    reader.feed(text)
    assert (reader.found, reader.tags) == ([], [])
    assert "url(" not in text
    assert "@import" not in text
    assert text.count("<svg") == 2
    assert stat.S_IMODE((tmp_path / "m.html").stat().st_mode) == 0o600
    for said in ("waiting costs", "approved by ann", "it pays", "4f2a9c1", "a" * 64, "sex=f", "ci.example/runs/1",
                 "Private columns, of which no value is told: name", "is whole"):
        assert said in text, said
        assert said in (tmp_path / "m.md").read_text(), said
    assert "<script>" not in text + (tmp_path / "m.md").read_text()
    assert "sex=x" not in text


def test_the_report_for_machines(driftd: Any, config: Path) -> None:
    """The same as JSON: metrics by name, the model's own first, hands without driftd's, versions."""
    found = driftd("report", "-c", config, "--json").json["report"]
    assert list(found["metrics"]) == ["roc_auc", "drifted_share"]
    assert [point["value"] for point in found["metrics"]["roc_auc"]] == [0.8, 0.75, 0.6, 0.81]
    assert [(one["by"], one["action"]) for one in found["hands"]] == [("ann", "approve")]
    assert [one["model_version"] for one in found["versions"]] == ["1", "2"]
    assert [(one["state"], one["made"]) for one in found["requests"]] == [("succeeded", "2")]


def test_the_archive_can_be_checked_by_anybody(driftd: Any, config: Path, tmp_path: Path) -> None:
    """Sums fit, hashes follow one another, and every configuration and verdict of the time is in it."""
    assert driftd("audit", "export", "-c", config, "-o", "a.zip").out.startswith("a.zip: ")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for line in parts.pop("SHA256SUMS").decode().splitlines():
        sum_, name = line.split("  ")
        assert hashlib.sha256(parts[name]).hexdigest() == sum_
    entries = [json.loads(line) for line in parts["entries.jsonl"].splitlines()]
    before = "0" * 64
    for one in entries:
        fields = [one[name] for name in ("seq", "at", "actor", "action", "subject", "details", "prev")]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        assert (one["prev"], one["hash"]) == (before, hashlib.sha256(text.encode()).hexdigest())
        before = one["hash"]
    assert parts["configs/c1.toml"] == b"[models.m]\n"
    assert len(parts["verdicts.jsonl"].splitlines()) == 4
    assert [one["model_version"] for one in json.loads(parts["lineage.json"])["models"]["m"]] == ["1", "2"]
    later = driftd("audit", "export", "-c", config, "-o", "b.zip", "--from", "2025-01-26", "--to", "2025-01-28")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        actions = [json.loads(line)["action"] for line in archive.read("entries.jsonl").splitlines()]
    assert later.code == 0
    assert actions == ["verdict retrain", "reference", "promotion taken"]


def test_verify_ends_with_3_where_it_is_broken(driftd: Any, config: Path, tmp_path: Path) -> None:
    """A whole chain is 0; one that somebody rewrote who knows how is 3, and the entry is named, also by export."""
    assert driftd("audit", "verify", "-c", config).code == 0
    with closing(Database(str(tmp_path / "state/driftd.db"))) as database, database.transaction():
        database.script(["DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'eve' WHERE actor = 'ann'"])
        database.reseal()
    done = driftd("audit", "verify", "-c", config)
    assert done.code == 3
    assert re.match(r"the audit is broken: entry \d: was changed", done.out)
    assert driftd("audit", "export", "-c", config, "-o", "a.zip").code == 3


def test_an_entry_changed_by_hand_is_named_by_every_command(driftd: Any, config: Path, tmp_path: Path) -> None:
    """A state in which somebody changed an entry is refused with 5, and the entry is named."""
    with sqlite3.connect(tmp_path / "state/driftd.db") as database:
        (guard,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_no_update'").fetchone()
        database.execute("DROP TRIGGER audit_no_update")
        database.execute("UPDATE audit SET actor = 'eve' WHERE actor = 'ann'")
        database.execute(guard)
    database.close()
    for command in (("status",), ("history",), ("audit", "verify")):
        done = driftd(*command, "-c", config)
        assert done.code == 5
        assert re.search(r"rows of audit .*entry \d: was changed", done.err), done.err


def test_forgetting_leaves_no_trace(driftd: Any, config: Path, tmp_path: Path) -> None:
    """The id is in no byte of the state afterwards; how much went is said and audited, and what did not."""
    state = tmp_path / "state"
    run = state / "runs" / f"driftd-{'e' * 40}-1"
    for folder, name in ((run, "output.log"), (run, "result.json"), (state / "profiles" / "0", "x.json")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"trained on {ROW}" if name != "result.json" else "{}")
    (state / "driftd.db.before-0006").write_text(ROW)
    assert any(ROW.encode() in path.read_bytes() for path in state.rglob("driftd.db*"))
    (tmp_path / "ids.txt").write_text(f"{ROW}\n\nsomebody-else\n")
    done = driftd("forget", "-c", config, "--file", "ids.txt", "--by", "ann", "--reason", "asked to", "--json")
    assert done.code == 0, done.err
    found = done.json["forgotten"]
    assert (found["bounds"], found["run_files"], found["profiles"], found["copies"]) == (1, 1, 1, 1)
    assert "driftd only reads them" in found["remains"][0]
    for path in state.rglob("*"):
        assert path.is_dir() or ROW.encode() not in path.read_bytes(), path
    assert (run / "result.json").exists()
    with Store.open(state) as store:
        entry = store.audit.by_people()[-1]
        assert (entry.actor, entry.action, entry.reason, entry.details["ids"]) == ("ann", "forget", "asked to", 2)
        assert len(store.snapshots.newest_revisions("m")) == 4


@pytest.mark.parametrize("arguments", [(), ("--id", ROW, "--reason", f"{ROW} asked to")])
def test_forget_wants_ids_and_keeps_them_out_of_the_audit(driftd: Any, config: Path, arguments: tuple[str]) -> None:
    """Without an id there is nothing to forget; a reason that names one is refused, it would stay."""
    done = driftd("forget", "-c", config, "--reason", "asked to", *arguments)
    assert done.code == 2
    assert ROW not in done.err


def test_retention_removes_what_is_old_and_keeps_the_chain(tmp_path: Path) -> None:
    """Old windows, scores, messages and runs go; the newest window, the request, the lineage and the audit stay."""
    with Store.open(tmp_path) as store:
        request = live(store)
        (tmp_path / "runs" / request).mkdir(parents=True)
        audit = store.audit.between(None, None)
        assert not tidy(store, None, T0 + 500 * DAY)
        assert not tidy(store, 500 * DAY, T0 + 500 * DAY)
        removed = tidy(store, 60 * DAY, T0 + 500 * DAY)
        assert (removed.windows, removed.messages, removed.runs) == (3, 1, 1)
        assert [one.window.start for one in store.snapshots.newest_revisions("m")] == [T0 + 3 * WEEK]
        assert [one.id for one in store.requests.all("m")] == [request]
        assert [one.model_version for one in versions(store, "m")] == ["1", "2"]
        *before, last = store.audit.between(None, None)
        assert (before, last.action, store.audit.verify().problem) == (audit, "retention", None)
        assert store.messages.all() == []
        assert not list((tmp_path / "runs").iterdir())
        assert not tidy(store, 60 * DAY, T0 + 500 * DAY)
    with sqlite3.connect(tmp_path / "driftd.db") as database:
        assert database.execute("SELECT COUNT(*) FROM scores").fetchone() == (4,)
        assert database.execute("SELECT COUNT(*) FROM windows").fetchone() == (2,)     # the newest, and the need's
    database.close()
