"""A GitHub Actions workflow, started by workflow_dispatch and followed to the end of its run.

https://docs.github.com/rest/actions/workflows and …/workflow-runs. Newer servers (API version 2026-03-10) answer
with the run; older ones only on request, or not at all: then it is found by our id in its name.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from monitor.config.pipeline_sections import GithubPipeline
from monitor.errors import ConfigError
from monitor.http import NotSent, Reply, Unclear, send
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.evidence import short
from monitor.retrain.pipelines import Answer, Key, Unfollowed
from monitor.retrain.pipelines.answers import failure, trouble, unanswered, waiting_time
from monitor.retrain.pipelines.credentials import Credential, Header, Nobody, github_app
from monitor.retrain.pipelines.rest import sender
from monitor.retrain.pipelines.workflow_file import missing_lines, names_runs
from monitor.times import format_moment
from monitor.untrusted import MALFORMED

NEW, OLD = "2026-03-10", "2022-11-28"
BEFORE = timedelta(minutes=5)                # clocks differ: a run may seem older than its request
PAGE, PAGES = 50, 6
LISTING_LIMIT = 8_000_000                    # bytes; one listed run is about 15 kB
STATUSES = {
    "queued": DispatchState.QUEUED, "requested": DispatchState.QUEUED, "waiting": DispatchState.QUEUED,
    "pending": DispatchState.QUEUED, "in_progress": DispatchState.RUNNING,
}
CONCLUSIONS = {
    "success": DispatchState.SUCCEEDED, "neutral": DispatchState.SUCCEEDED, "failure": DispatchState.FAILED,
    "timed_out": DispatchState.FAILED, "startup_failure": DispatchState.FAILED, "stale": DispatchState.FAILED,
    "cancelled": DispatchState.CANCELLED, "skipped": DispatchState.CANCELLED, "action_required": DispatchState.BLOCKED,
}


def open_github(section: GithubPipeline, state_dir: Path | None) -> "Github":
    """A workflow, or an event that nobody can follow."""
    return Github(section, state_dir) if section.event_type is None else GithubEvent(section, state_dir)


def credential(section: GithubPipeline, api: str) -> Credential:
    if section.app is not None:
        return github_app(sender(section.timeout, section.ca), api, section.app)
    return Nobody() if section.token is None else Header(section.token)


class Github:
    def __init__(self, section: GithubPipeline, state_dir: Path | None) -> None:
        self._section, api = section, section.api.rstrip("/")
        self._repository = f"{api}/repos/{section.repository}"
        self._file = section.workflow or ""
        self._workflow = f"{self._repository}/actions/workflows/{quote(self._file, safe='')}"
        self._where = f"{section.repository} {section.workflow or section.event_type}"
        self._credential = credential(section, api)

    def key(self) -> Key:
        """Findable when the workflow, as it is now, puts our id into the names of its runs."""
        try:
            return "findable" if self._names_runs() else "blind"
        except (NotSent, Unclear):
            return "findable"                    # cannot tell now; `find` asks once more before it looks

    def submit(self, dispatch: Dispatch) -> Answer:
        """Start the workflow, by the newest API version the server knows."""
        inputs = {**self._section.inputs, "driftd_id": dispatch.id, "driftd_evidence": short(dispatch.body)}
        body: Json = {"ref": self._section.ref, "inputs": inputs}
        try:
            reply = self._ask("POST", f"{self._workflow}/dispatches", body, version=NEW)
            if reply.status == 400:              # an older server refuses the version, and then perhaps the wish
                reply = self._ask("POST", f"{self._workflow}/dispatches", body | {"return_run_details": True})
            if reply.status in (400, 422) and b"return_run_details" in reply.body:
                reply = self._ask("POST", f"{self._workflow}/dispatches", body)
        except (NotSent, Unclear) as error:
            return trouble(error)
        return self._submitted(reply)

    def find(self, dispatch: Dispatch) -> Answer | None:
        """Look through the workflow's runs since the request for one that carries our id."""
        since = (dispatch.sent_at or dispatch.created_at) - BEFORE
        query = {
            "event": "workflow_dispatch", "created": f">={format_moment(since.replace(microsecond=0))}",
            "per_page": str(PAGE),
        }
        try:
            if not self._names_runs():
                return Answer(state=DispatchState.AMBIGUOUS, reason="runs of this workflow do not carry our id")
            ours = (run for run in self._listed(query) if dispatch.id in str(run.get("display_title")).split())
            found = next(ours, None)
            return None if found is None else _state_of(found)
        except (NotSent, Unclear, ValueError) as error:
            return Answer(state=DispatchState.AMBIGUOUS, reason=f"looking for the run failed: {error}")

    def follow(self, dispatch: Dispatch) -> Answer:
        if dispatch.handle is None:
            return self._follow_unnamed(dispatch)
        try:
            reply = self._ask("GET", f"{self._repository}/actions/runs/{dispatch.handle}")
            if reply.status == 200:
                return _state_of(reply.json())
            return unanswered(reply, dispatch.state)
        except (NotSent, Unclear, ValueError) as error:
            return Answer(state=dispatch.state, reason=f"asking for the run failed: {error}", heard=False)

    def check(self) -> list[str]:
        """Read the workflow file: every input must be declared, and runs should carry our id."""
        try:
            text = self._workflow_text()
        except ConfigError as error:
            return error.problems
        except (NotSent, Unclear) as error:
            return [f"{self._where} cannot be read: {error}"]
        if text is None:
            return [f"{self._where} cannot be read on {self._section.ref}: does it exist, may the token read contents?"]
        return missing_lines(text, ("driftd_id", "driftd_evidence", *self._section.inputs), self._where)

    def _submitted(self, reply: Reply) -> Answer:
        if reply.status == 204:
            return Answer(state=DispatchState.QUEUED, reason="accepted; its run is not known yet")
        if reply.status != 200:
            return failure(reply, self._where)
        try:
            run = reply.json()
            return Answer(
                state=DispatchState.QUEUED, reason="accepted", handle=str(int(run["workflow_run_id"])),
                url=run.get("html_url"),
            )
        except MALFORMED:
            reason = f"{self._where} answered 200 without a run: it may have been accepted"
            return Answer(state=DispatchState.AMBIGUOUS, reason=reason)

    def _follow_unnamed(self, dispatch: Dispatch) -> Answer:
        try:
            known = self._names_runs()
        except (NotSent, Unclear) as error:
            return Answer(state=dispatch.state, reason=f"looking for the run failed: {error}", heard=False)
        if not known:
            reason = "accepted; runs of this workflow do not carry our id, so it cannot be followed"
            return Answer(state=DispatchState.DELIVERED, reason=reason)
        found = self.find(dispatch)
        if found is None or found.state == DispatchState.AMBIGUOUS:
            said = found.reason if found else dispatch.reason
            return Answer(state=dispatch.state, reason=said, heard=found is None)
        return found

    def _listed(self, query: dict[str, str]) -> Iterator[Json]:
        for page in range(1, PAGES + 1):
            url = f"{self._workflow}/runs?{urlencode(query | {'page': str(page)})}"
            runs = _runs(self._ask("GET", url, limit=LISTING_LIMIT))
            yield from runs
            if len(runs) < PAGE:
                return

    def _names_runs(self) -> bool:
        text = self._workflow_text()
        return text is not None and names_runs(text)

    def _workflow_text(self) -> str | None:
        """The workflow file on the branch we start; None where it may not be read. Raises NotSent, Unclear."""
        path = f".github/workflows/{quote(self._file, safe='')}"
        url = f"{self._repository}/contents/{path}?{urlencode({'ref': self._section.ref})}"
        reply = self._ask("GET", url, accept="application/vnd.github.raw+json", limit=LISTING_LIMIT)
        if reply.status in (401, 403, 404) and waiting_time(reply) is None:
            return None
        if reply.status != 200:
            raise Unclear(f"reading {path} was answered {reply.status}")
        return reply.body.decode("utf-8", errors="replace")

    def _ask(
        self,
        method: str,
        url: str,
        body: Json | None = None,
        *,
        version: str = OLD,
        accept: str = "application/vnd.github+json",
        limit: int = 64_000,
    ) -> Reply:
        headers = {"Accept": accept, "X-GitHub-Api-Version": version, "Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body).encode()
        for last in (False, True):
            given = headers | self._credential.headers()
            reply = send(method, url, headers=given, body=payload, timeout=self._section.timeout,
                         ca=self._section.ca, limit=limit)
            if last or reply.status not in (401, 403) or waiting_time(reply) or not self._credential.renew():
                return reply.of_the_api(self._where)
        raise AssertionError("the second answer is always given")


class GithubEvent(Unfollowed, Github):
    """A repository_dispatch: every workflow that listens for the event runs; GitHub does not say which."""

    def key(self) -> Key:
        return "blind"

    def submit(self, dispatch: Dispatch) -> Answer:
        """Send the event; it has at most ten keys of its own."""
        payload = {**self._section.inputs, "driftd_id": dispatch.id, "driftd_evidence": short(dispatch.body)}
        body = {"event_type": self._section.event_type, "client_payload": payload}
        try:
            reply = self._ask("POST", f"{self._repository}/dispatches", body)
        except (NotSent, Unclear) as error:
            return trouble(error)
        if reply.status == 204:
            return Answer(state=DispatchState.DELIVERED, reason="accepted; whose run it becomes GitHub does not say")
        return failure(reply, self._where)

    def check(self) -> list[str]:
        try:
            reply = self._ask("GET", self._repository)
        except ConfigError as error:
            return error.problems
        except (NotSent, Unclear) as error:
            return [str(error)]
        return [] if reply.status == 200 else [f"{self._where} cannot be read ({reply.status}); is the token right?"]


def _runs(reply: Reply) -> list[Json]:
    if reply.status != 200:
        raise Unclear(f"the list of runs was answered {reply.status}")
    try:
        return [run for run in reply.json()["workflow_runs"] if isinstance(run, dict)]
    except MALFORMED:
        raise Unclear("the list of runs could not be read") from None


def _state_of(run: Any) -> Answer:
    """Read a workflow run; raises ValueError when it is none."""
    if not isinstance(run, dict) or "id" not in run:
        raise ValueError("the answer is no workflow run")
    status, conclusion = str(run.get("status")), str(run.get("conclusion"))
    if status == "completed":
        state = CONCLUSIONS.get(conclusion, DispatchState.UNKNOWN)
        reason = f"the run ended: {conclusion}"
        if state == DispatchState.CANCELLED:
            reason += " (by a person, or by a newer run of the same concurrency group)"
    else:
        state, reason = STATUSES.get(status, DispatchState.QUEUED), f"the run is {status}"
    return Answer(state=state, reason=reason, handle=str(run["id"]), url=run.get("html_url"))
