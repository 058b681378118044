"""A command runs once for each request, outlives the daemon, and its exit is the outcome."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.pipeline_sections import CommandPipeline
from monitor.errors import ConfigError
from monitor.gate_result import read_gate_result
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer, Result, open_pipeline
from monitor.workers import run_command
from monitor.workers.run_command import REDACTED, Hidden
from tests.gate.test_gate_result import GATE


@pytest.fixture
def command(tmp_path: Path) -> Any:
    """Build a pipeline that runs a Python text."""
    def build(code: str, **more: Any) -> Any:
        section = {"kind": "command", "command": [sys.executable, "-c", code]} | more
        return open_pipeline(CommandPipeline.model_validate(section), tmp_path)
    return build


def ended(pipeline: Any, dispatch: Dispatch) -> Answer:
    return until(lambda: (a := pipeline.follow(dispatch)).state != DispatchState.RUNNING and a)


def until(found: Any) -> Any:
    limit = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < limit, "waited 60 s in vain"
        time.sleep(0.02)
    return value


def test_the_evidence_reaches_the_command(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """Id, model, the event's file and configured variables are in its environment; all files are private."""
    pipeline = command(
        "import os, json; print(os.environ['DRIFTD_ID'], os.environ['DRIFTD_MODEL'], os.environ['EXTRA'],"
        " json.load(open(os.environ['DRIFTD_EVIDENCE']))['id'])", environment={"EXTRA": "more"},
    )
    sent = pipeline.submit(dispatch)
    assert sent.state == DispatchState.RUNNING
    assert ended(pipeline, dispatch).state == DispatchState.SUCCEEDED
    folder = tmp_path / "runs" / dispatch.id
    assert (folder / "output.log").read_text().split() == [dispatch.id, "m", "more", dispatch.id]
    modes = {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)


SHOWN = "import os, json; print(json.dumps(dict(os.environ)))"


def output(tmp_path: Path, dispatch: Dispatch) -> str:
    return (tmp_path / "runs" / dispatch.id / "output.log").read_text()


def test_a_command_gets_a_small_environment(command, dispatch: Dispatch, tmp_path: Path, monkeypatch) -> None:
    """What a program needs to run, what its section names, and where its evidence is: nothing else of the daemon's."""
    for name in ("HOOK_SECRET", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "CREDENTIALS_DIRECTORY", "HTTPS_PROXY",
                 "DRIFTD_WEBHOOK_SECRET", "PYTHONPATH"):
        monkeypatch.setenv(name, "canary")
    for name in ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"):
        monkeypatch.setenv(name, f"the {name}")
    pipeline = command(SHOWN, environment={"EXTRA": "more", "TZ": "UTC"})
    pipeline.submit(dispatch)
    ended(pipeline, dispatch)
    given = json.loads(output(tmp_path, dispatch))
    kept = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
    own = {"DRIFTD_ID", "DRIFTD_MODEL", "DRIFTD_ACTION", "DRIFTD_EVIDENCE", "DRIFTD_RESULT"}
    assert set(given) <= {*kept, *own, "EXTRA"}
    assert (given["EXTRA"], given["TZ"], given["HOME"]) == ("more", "UTC", "the HOME")
    assert given["PATH"] == os.environ["PATH"]
    assert "canary" not in given.values()


def test_a_secret_is_given_and_not_kept(command, dispatch: Dispatch, tmp_path: Path, monkeypatch) -> None:
    """The command has it; neither its log, nor its files, nor the process list does."""
    secret = "canary: ä key\nof two lines/+"
    monkeypatch.setenv("OF_THE_DAEMON", secret)
    go = tmp_path / "go"
    pipeline = command(
        "import base64, json, os, time, urllib.parse\ns = os.environ['KEY']\n"
        "print(len(s), s, json.dumps(s), urllib.parse.quote(s, safe=''), base64.b64encode(s.encode()).decode())\n"
        f"print(dict(os.environ), flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)",
        environment={"KEY": {"env": "OF_THE_DAEMON"}},
    )
    pipeline.submit(dispatch)
    log = until(lambda: (tmp_path / "runs" / dispatch.id / "output.log").exists() and output(tmp_path, dispatch))
    shown = [Path(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    listed = b"".join(place.read_bytes() for place in shown if place.exists())
    go.touch()
    ended(pipeline, dispatch)
    assert log.startswith(f"{len(secret)} [a secret]")
    files = "".join(file.read_text() for file in (tmp_path / "runs" / dispatch.id).iterdir())
    for form in ("canary: ä", "of two lines", "canary%3A", "canary: \\u00e4", "Y2FuYXJ5"):
        assert form not in files
        assert form.encode() not in listed


@given(st.lists(st.text("abc", min_size=4, max_size=7), min_size=1, max_size=3), st.text("abcx", max_size=80),
       st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_a_secret_is_taken_out_however_it_is_cut(secrets: list[str], text: str, sizes: list[int]) -> None:
    """In pieces the same is shown as of the whole, and no secret is in it."""
    hidden, shown, left = Hidden(secrets), b"", text.encode()
    for size in (size for _ in text for size in sizes):
        shown += hidden.take_out(left[:size])
        left = left[size:]
    shown += hidden.take_out(left) + hidden.rest()
    whole = Hidden(secrets)
    assert shown == whole.take_out(text.encode()) + whole.rest()
    assert not [secret for secret in secrets if secret.encode() in shown.replace(REDACTED, b"|")]


@pytest.mark.parametrize(("code", "state", "words"), [
    ("", "succeeded", "exit code 0"),
    ("raise SystemExit(3)", "failed", "exit code 3"),
    ("import os; os.kill(os.getpid(), 9)", "failed", "killed by signal 9"),
])
def test_the_exit_is_the_outcome(command, dispatch: Dispatch, code: str, state: str, words: str) -> None:
    """Zero succeeds, anything else fails and says how."""
    pipeline = command(code)
    pipeline.submit(dispatch)
    answer = ended(pipeline, dispatch)
    assert answer.state == state
    assert words in answer.reason


@pytest.mark.parametrize(("said", "result"), [
    ({"model_version": "2", "reference": "/new.csv"}, Result(model_version="2", reference="/new.csv")),
    ({"model_version": "2"}, Result(model_version="2")),
    ({"model_version": 2}, None), ([1], None), ({}, None),
])
def test_a_command_may_say_what_it_made(command, dispatch: Dispatch, said: Any, result: Any) -> None:
    """The result file is read when it is well formed; otherwise the run still succeeded, with a word about it."""
    pipeline = command(f"import os; open(os.environ['DRIFTD_RESULT'], 'w').write({json.dumps(said)!r})")
    pipeline.submit(dispatch)
    answer = ended(pipeline, dispatch)
    assert (answer.state, answer.result) == (DispatchState.SUCCEEDED, result)
    assert ("could not be used" in answer.reason) == (result is None)


@pytest.mark.parametrize(("code", "state"), [(0, DispatchState.SUCCEEDED), (3, DispatchState.FAILED)])
@pytest.mark.parametrize(("gate", "words"), [(GATE, ""), (GATE | {"rows": -1}, "gate.rows")])
def test_a_command_may_say_what_its_gate_said(
    command, dispatch: Dispatch, code: int, state: str, gate: dict[str, Any], words: str
) -> None:
    """The gate's result is read of a run that it ended too; what cannot be read is told and changes nothing else."""
    said = json.dumps({"model_version": "2", "gate": gate})
    pipeline = command(f"import os; open(os.environ['DRIFTD_RESULT'], 'w').write({said!r}); raise SystemExit({code})")
    pipeline.submit(dispatch)
    answer = ended(pipeline, dispatch)
    assert (answer.state, words in answer.reason) == (state, True)
    assert answer.gate == (None if words else read_gate_result(GATE))


def test_an_id_never_starts_twice(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """The second submit of an id answers how the first is doing, while it runs and after it ended."""
    counted, go = tmp_path / "count", tmp_path / "go"
    pipeline = command(
        f"import os, time\nopen({str(counted)!r}, 'a').write('x')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    assert pipeline.submit(dispatch).state == DispatchState.RUNNING
    assert pipeline.submit(dispatch).state == DispatchState.RUNNING
    assert pipeline.find(dispatch).state == DispatchState.RUNNING
    go.touch()
    ended(pipeline, dispatch)
    assert pipeline.submit(dispatch).state == DispatchState.SUCCEEDED
    assert counted.read_text() == "x"


def test_a_missing_command_is_waited_for_in_a_sentence(tmp_path: Path, dispatch: Dispatch) -> None:
    """Nothing is started, the reason names the file, and the need is not given up: the file may come back."""
    section = CommandPipeline(kind="command", command=("./no-such.sh",))
    answer = open_pipeline(section, tmp_path).submit(dispatch)
    assert answer.state == DispatchState.PENDING
    assert "./no-such.sh is not there" in answer.reason


@pytest.mark.parametrize(("script", "words"), [
    ("#!/bin/sh\r\necho\r\n", "ends in CR LF"), ("#!/no/such/shell\n", "what it names"),
    ("echo\n", "a first line such as"),
])
def test_a_script_that_cannot_be_started_says_what_to_mend(
    dispatch: Dispatch, tmp_path: Path, script: str, words: str
) -> None:
    """It is there, so the system's own words about it help nobody; and there is no output to look at."""
    place = tmp_path / "retrain.sh"
    place.write_bytes(script.encode())
    place.chmod(0o755)
    pipeline = open_pipeline(CommandPipeline.model_validate({"kind": "command", "command": [str(place)]}), tmp_path)
    pipeline.submit(dispatch)
    answer = ended(pipeline, dispatch)
    assert answer.state == DispatchState.FAILED
    assert words in answer.reason
    assert "output.log" not in answer.reason


def test_a_command_over_its_time_is_ended_with_its_children(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """The whole process group goes, and the outcome says so."""
    pid = tmp_path / "pid"
    pipeline = command(
        "import subprocess, sys, time\nc = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        f"open({str(pid)!r}, 'w').write(str(c.pid)); time.sleep(99)", timeout="3s",
    )
    pipeline.submit(dispatch)
    answer = ended(pipeline, dispatch)
    assert answer.state == DispatchState.FAILED
    assert "ran over its time (3 s)" in answer.reason
    until(lambda: not pid.exists() or not _alive(int(pid.read_text())))     # on a slow machine it never came so far


@pytest.mark.parametrize("code", [
    "import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); signal.pause()",
    ("import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); [signal.pause() for _ in range(9)]"),
])
def test_children_that_do_not_want_to_end_are_ended_too(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the command itself ends when it is asked to: its children get the same time, and no more."""
    monkeypatch.setattr(run_command, "GRACE_SECONDS", 0.2)
    pid = tmp_path / "pid"
    child = ("import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
             f"open({str(pid)!r} + 'x', 'w').write(str(os.getpid())); os.rename({str(pid)!r} + 'x', {str(pid)!r}); "
             "[signal.pause() for _ in range(9)]")
    process = subprocess.Popen([sys.executable, "-c", code.format(child=child)], start_new_session=True)
    until(pid.exists)
    assert run_command._wait(process, 0.0)
    assert process.returncode is not None
    until(lambda: not _alive(int(pid.read_text())))


def test_a_command_that_was_killed_with_its_keeper_has_failed(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """Without anybody left to say how it ended, the run counts as killed; while the command lives, as running."""
    pid = tmp_path / "pid"
    pipeline = command(
        f"import os, time\nopen({str(pid)!r}, 'w').write(f'{{os.getppid()}} {{os.getpid()}}')\ntime.sleep(99)"
    )
    pipeline.submit(dispatch)
    keeper, child = map(int, until(lambda: pid.exists() and pid.read_text().split()))
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not _alive(keeper))
    assert pipeline.follow(dispatch).state == DispatchState.RUNNING
    os.kill(child, signal.SIGKILL)
    answer = ended(pipeline, dispatch)
    assert answer.state == DispatchState.FAILED
    assert "was killed" in answer.reason


def test_a_run_outlives_the_daemon(tmp_path: Path, dispatch: Dispatch) -> None:
    """The daemon that started it is killed; another one sees it succeed."""
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    section = CommandPipeline(kind="command", command=(sys.executable, "-c", code))
    daemon = (
        "import os, signal, sys; from pathlib import Path\n"
        "from monitor.config.pipeline_sections import CommandPipeline\n"
        "from monitor.records import Dispatch, from_json; from monitor.retrain.pipelines import open_pipeline\n"
        "import json\nsection = CommandPipeline.model_validate_json(sys.argv[1])\n"
        "open_pipeline(section, Path(sys.argv[2])).submit(from_json(Dispatch, json.loads(sys.argv[3])))\n"
        "os.killpg(0, signal.SIGKILL)"
    )
    from monitor.records import to_json

    subprocess.run(
        [sys.executable, "-c", daemon, section.model_dump_json(), str(tmp_path), json.dumps(to_json(dispatch))],
        check=False, start_new_session=True, timeout=60,
    )
    pipeline = open_pipeline(section, tmp_path)
    assert pipeline.follow(dispatch).state == DispatchState.RUNNING
    go.touch()
    assert ended(pipeline, dispatch).state == DispatchState.SUCCEEDED


def test_endless_output_is_cut(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """The log stops at its limit, the command goes on."""
    pipeline = command("import sys\nfor _ in range(300): sys.stdout.write('x' * 65536)")
    pipeline.submit(dispatch)
    assert ended(pipeline, dispatch).state == DispatchState.SUCCEEDED
    assert (tmp_path / "runs" / dispatch.id / "output.log").stat().st_size == 10_000_000


def test_a_full_disk_costs_output_and_no_run(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """Output that cannot be written is left out, also where the log cannot be made: the command never waits for it."""
    runs = tmp_path / "runs" / dispatch.id
    runs.mkdir(parents=True)
    (runs / "output.log").symlink_to("/dev/full")
    pipeline = command("import sys\nfor _ in range(30): sys.stdout.write('x' * 65536)")
    pipeline.submit(dispatch)
    assert ended(pipeline, dispatch).state == DispatchState.SUCCEEDED


def test_an_end_that_cannot_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for how a command ended, it is written as soon as there is."""
    place = tmp_path / "exit.json"
    (place / "in the way").mkdir(parents=True)
    monkeypatch.setattr(run_command, "WRITE_AGAIN", 0.001)
    telling = threading.Thread(target=run_command._tell, args=(place, "{}"), daemon=True)
    telling.start()
    until(lambda: list(tmp_path.glob(".exit.json.*")))       # tried in vain
    shutil.rmtree(place)
    telling.join(60)
    assert place.read_text() == "{}"


def test_nothing_is_started_that_cannot_be_prepared(command, dispatch: Dispatch, tmp_path: Path) -> None:
    """A place for the run that cannot be made: one sentence, and the request is sent again later."""
    (tmp_path / "runs").write_text("")
    answer = command("pass").submit(dispatch)
    assert answer.state == DispatchState.PENDING
    assert "cannot be written" in (answer.reason or "")


def test_a_zero_byte_is_told_of(command, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment can hold one: it is said which value has it."""
    monkeypatch.setattr(Dispatch, "version", property(lambda self: "1\0"))
    with pytest.raises(ConfigError, match="DRIFTD_VERSION has a zero byte"):
        command("pass").submit(dispatch)


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
