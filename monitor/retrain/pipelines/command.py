"""A command on this machine, without a shell. It outlives the daemon; its exit is the outcome.

It gets a small environment of the daemon's (KEPT), what its section names, and where its evidence lies: none of the
daemon's own secrets. Those its section names are taken out of what it prints.

Every request has a folder of its own, `runs/<id>/`, and `run_command` to look after it:
evidence.json, plan.json (what to run), started (made once, so an id never starts twice), output.log,
result.json (what the command may say), exit.json (how it ended), lock (held while it runs).
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from monitor.config.pipeline_sections import CommandPipeline
from monitor.config.values import revealed
from monitor.gate_result import GateResult, read_gate_result
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import LONGEST_REFERENCE, LONGEST_VERSION, Answer, Key, Result
from monitor.untrusted import parse_json, read_text
from monitor.workers import run_command
from monitor.workers.commands import environment_of, write_plan
from monitor.workers.run_command import ALREADY, write_private

START_SECONDS = 60
LINEAGE = ("git_revision", "inputs", "trained_from", "trained_to")   # what else a result may say of the version


class Command:
    def __init__(self, section: CommandPipeline, state_dir: Path | None) -> None:
        self._section = section
        self._runs = (state_dir or Path(os.devnull)).resolve() / "runs"

    def key(self) -> Key:
        return "native"

    def submit(self, dispatch: Dispatch) -> Answer:
        """Start the command detached; a second time for the same id answers how the first is doing."""
        folder = self._runs / dispatch.id
        if (folder / "started").exists():
            return self.follow(dispatch)
        if problems := self.check():
            return Answer(state=DispatchState.PENDING, reason=f"{problems[0]}; it is tried again")
        environment = self._environment(dispatch, folder)
        try:
            self._prepare(folder, dispatch)
        except OSError as error:
            reason = f"{folder} cannot be written ({error.strerror}), so nothing was started; it is tried again"
            return Answer(state=DispatchState.PENDING, reason=reason)
        return self._start(folder, environment, dispatch)

    def find(self, dispatch: Dispatch) -> Answer | None:
        return self.follow(dispatch) if (self._runs / dispatch.id / "started").exists() else None

    def follow(self, dispatch: Dispatch) -> Answer:
        folder = self._runs / dispatch.id
        running = _locked(folder)                # looked at first: it may end while we look
        if (ended := _read_json(folder / "exit.json")) is not None:
            return _outcome(ended, folder)
        if running:
            return Answer(state=DispatchState.RUNNING, handle=str(folder), reason="the command runs")
        reason = f"the command was killed before it could say how it ended; see {folder}/output.log"
        return Answer(state=DispatchState.FAILED, handle=str(folder), reason=reason)

    def check(self) -> list[str]:
        """Whether the command can be found."""
        path = self._section.environment.get("PATH")
        if shutil.which(self._section.command[0], path=path if isinstance(path, str) else None) is None:
            return [f"the command {self._section.command[0]} is not there or may not be executed"]
        return []

    def _prepare(self, folder: Path, dispatch: Dispatch) -> None:
        self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(folder / "evidence.json", dispatch.body)
        section = self._section
        write_plan(folder, section.command, section.timeout, revealed(section.environment)[1])

    def _start(self, folder: Path, environment: dict[str, str], dispatch: Dispatch) -> Answer:
        """Run the keeper; it answers as soon as the command is about to start."""
        keeper = [sys.executable, "-I", run_command.__file__, str(folder)]
        try:
            done = subprocess.run(
                keeper, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True, timeout=START_SECONDS, check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = f"whether the command started is not known: {type(error).__name__}"
            return Answer(state=DispatchState.AMBIGUOUS, reason=reason)
        if done.returncode == ALREADY:
            return self.follow(dispatch)
        if done.returncode != 0:
            reason = f"the keeper of the command ended with {done.returncode}; see {folder}"
            return Answer(state=DispatchState.AMBIGUOUS, reason=reason)
        return Answer(state=DispatchState.RUNNING, handle=str(folder), reason="the command runs")

    def _environment(self, dispatch: Dispatch, folder: Path) -> dict[str, str]:
        """Raises ConfigError."""
        asked = {"DRIFTD_ACTION": "retrain"}
        if dispatch.version is not None:
            asked = {"DRIFTD_ACTION": "rollback", "DRIFTD_VERSION": dispatch.version}
        return environment_of(revealed(self._section.environment)[0] | asked | {
            "DRIFTD_ID": dispatch.id,
            "DRIFTD_MODEL": dispatch.model,
            "DRIFTD_EVIDENCE": str(folder / "evidence.json"),
            "DRIFTD_RESULT": str(folder / "result.json"),
        })


def _outcome(ended: Json, folder: Path) -> Answer:
    reason, handle = str(ended.get("reason")), str(folder)
    place = folder / "result.json"
    said = (_read_json(place) or {}) if place.exists() else None
    gate, flaw = _gate(said or {}, place)
    if ended.get("code") != 0:
        reason += flaw + (f"; see {folder}/output.log" if (folder / "output.log").exists() else "")
        return Answer(state=DispatchState.FAILED, handle=handle, reason=reason, gate=gate)
    result, other = _result(said, place)
    return Answer(state=DispatchState.SUCCEEDED, handle=handle, reason=reason + other + flaw, result=result, gate=gate)


def _gate(said: Json, path: Path) -> tuple[GateResult | None, str]:
    """What the command's gate said, or what is wrong with how it is told."""
    if not isinstance(told := said.get("gate"), dict):
        return None, ""
    try:
        return read_gate_result(told), ""
    except ValueError as error:
        return None, f"; {path}: {error}"


def _result(said: Json | None, path: Path) -> tuple[Result | None, str]:
    """What the command said it made, or what is wrong with how it said so."""
    if said is None or said.keys() & {"model_version", "reference", "gate"} == {"gate"}:
        return None, ""          # a gate alone: what it made is not to come into service yet
    version, reference = said.get("model_version"), said.get("reference")
    flaw = f'; {path} could not be used, expected {{"model_version": "…", "reference": "path"}}'
    if not isinstance(version, str) or not isinstance(reference, str | None):
        return None, flaw
    if not 0 < len(version) <= LONGEST_VERSION or len(reference or "") > LONGEST_REFERENCE:
        return None, flaw
    facts = {name: said[name] for name in LINEAGE if said.get(name)}
    return Result(model_version=version, reference=reference, facts=facts), ""


def _locked(folder: Path) -> bool:
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _read_json(path: Path) -> Json | None:
    try:
        read = parse_json(read_text(path))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None


