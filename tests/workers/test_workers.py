import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.errors import ConfigError, SourceError, SourceSilent, Stopping, TaskFailed, TaskTimeout, WorkerDied
from monitor.workers.pool import Workers
from monitor.workers.task import Asker, Task

INSIDE = Path(__file__).parent / "inside"
TASKS = "monitor.trial_tasks"


def trial(name: str) -> Task[Any, Any]:
    """A task of the tests: whatever is JSON in, whatever is JSON out."""
    return Task(f"{TASKS}:{name}", Any, Any)


@dataclass(frozen=True, slots=True)
class For:
    """A request for a model; its source may be silent for so many seconds."""

    model: str
    what: Any = None
    patience: float = 60.0

    @property
    def asker(self) -> Asker:
        return Asker(self.model, timedelta(seconds=self.patience))


@pytest.fixture(autouse=True)
def _tasks_inside(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(INSIDE))


@pytest.fixture
def workers():
    with Workers(2, 1024, timedelta(seconds=60), tasks_per_child=3) as started:
        yield started


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_payload_comes_back_as_it_went(workers):
    """JSON of every shape, also longer than a pipe holds, passes both ways unchanged."""
    payload = {"text": "żółw\n" * 100_000, "numbers": [1, 2.5, None, True], "nested": {"a": [{}]}}
    assert workers.run(trial("echo"), payload) == payload


def test_prints_of_libraries_do_not_disturb_the_answer(workers):
    """What a task prints goes to the log, not into the protocol."""
    with capture_logs() as logs:
        assert workers.run(trial("chatter"), None) == "quiet"
        until(lambda: any("a library prints" in entry["event"] for entry in logs))


def test_children_compute_on_one_thread_and_send_no_usage_data(workers):
    """In a child Arrow, BLAS and OpenMP have one thread each, and usage reporting is switched off."""
    assert set(workers.run(trial("threads"), None)) == {1}
    assert workers.run(trial("environment"), ["DO_NOT_TRACK"]) == {"DO_NOT_TRACK": "1"}


def test_a_task_over_its_time_is_ended_and_the_next_one_runs(workers, tmp_path):
    """A time-out raises TaskTimeout, the process is gone, and the place is free again."""
    pid_file = tmp_path / "pid"
    with pytest.raises(TaskTimeout, match="spin ran longer than 5s"):
        workers.run(trial("spin"), str(pid_file), timeout=timedelta(seconds=5))
    assert not alive(int(pid_file.read_text()))
    assert workers.run(trial("echo"), 1) == 1


def test_a_process_that_stands_still_is_ended_at_its_time_and_disturbs_no_other(workers, tmp_path):
    """While a stopped child holds one place, tasks go on in the other; then it is killed."""
    pid_file = tmp_path / "pid"
    with ThreadPoolExecutor(1) as callers:
        still = callers.submit(workers.run, trial("stop"), str(pid_file), timeout=timedelta(seconds=3))
        until(lambda: pid_file.exists() and pid_file.read_text())
        assert [workers.run(trial("echo"), number) for number in range(5)] == list(range(5))
        with pytest.raises(TaskTimeout):
            still.result(timeout=60)
    assert not alive(int(pid_file.read_text()))


def test_a_child_killed_from_outside_costs_no_task(workers, tmp_path):
    """A task whose process is killed once is done by a second; a child killed while idle is replaced unseen."""
    pid_file = tmp_path / "pid"
    answered = workers.run(trial("crash_once"), str(pid_file))
    assert answered != int(pid_file.read_text())
    os.kill(answered, signal.SIGKILL)
    until(lambda: os.waitid(os.P_PID, answered, os.WEXITED | os.WNOWAIT | os.WNOHANG))       # its threads too
    with capture_logs() as logs:
        assert workers.run(trial("echo"), 1) == 1
    assert not logs


def test_children_at_rest_are_ended(workers):
    """After `rest` an idle process is gone, unless it was busy lately; the next task gets a new one."""
    idle = workers.run(trial("pid"), None)
    workers.rest(timedelta(hours=1))
    assert alive(idle)
    workers.rest(timedelta(0))
    assert not alive(idle)
    assert workers.run(trial("pid"), None) != idle


def test_a_task_over_its_memory_is_told_so_and_the_next_one_runs(workers):
    """An allocation over the limit raises WorkerDied with the limit in the sentence."""
    with pytest.raises(WorkerDied, match="allocate needed more than 1024 MB"):
        workers.run(trial("allocate"), 2000)
    assert workers.run(trial("allocate"), 200) == 200 << 20


@pytest.mark.parametrize(
    ("task", "payload", "words"),
    [("crash", "SIGSEGV", "was killed by SIGSEGV"), ("crash", "SIGKILL", "killed by SIGKILL; the system may"),
     ("leave", 3, "left with exit code 3")],
)
def test_a_crash_is_put_in_words_and_the_next_task_runs(workers, task, payload, words):
    """A child killed by a signal, or leaving by itself, raises WorkerDied and is replaced."""
    with pytest.raises(WorkerDied, match=words):
        workers.run(trial(task), payload)
    assert workers.run(trial("echo"), 1) == 1


def test_our_errors_travel_by_class_and_sentence(workers):
    """What a task raises from monitor.errors arrives as the same class with the same text."""
    with pytest.raises(SourceError, match=r"^log.csv is empty\.$"):
        workers.run(trial("source_error"), "log.csv is empty.")
    with pytest.raises(ConfigError) as caught:
        workers.run(trial("config_error"), ["one", "two"])
    assert caught.value.problems == ["one", "two"]


def test_other_errors_become_a_sentence_with_the_traceback_in_the_log(workers):
    """An unforeseen exception raises TaskFailed, and its traceback is logged line by line."""
    with capture_logs() as logs:
        with pytest.raises(TaskFailed, match="stumble failed: KeyError: 'colour'"):
            workers.run(trial("stumble"), "colour")
        until(lambda: any(entry["event"].startswith("Traceback") for entry in logs))


@pytest.mark.parametrize("task", ["os:getcwd", "monitor.trial_tasks:os.getcwd", "monitorx:echo", "echo"])
def test_only_functions_of_monitor_are_tasks(workers, task):
    """A name outside monitor, or not a plain function name, is refused."""
    with pytest.raises(TaskFailed, match="is no task"):
        workers.run(Task(task, Any, Any), None)


def test_children_are_reused_and_recycled(workers):
    """One child serves tasks one after another and is replaced after its number of tasks."""
    pids = [workers.run(trial("pid"), None) for _ in range(7)]
    assert pids[0] == pids[1] == pids[2]
    assert len(set(pids)) == 3


def test_nothing_is_started_before_it_is_needed():
    """Workers that were never asked have no process."""
    with Workers(2, 1024, timedelta(seconds=5)):
        assert not children_of(os.getpid())


def test_files_in_the_working_folder_are_not_imported(workers, tmp_path, monkeypatch):
    """A `json.py` or `monitor/` beside the data does not take the place of the real one."""
    (tmp_path / "json.py").write_text("raise SystemExit('wrong json')")
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor/__init__.py").write_text("raise SystemExit('wrong monitor')")
    monkeypatch.chdir(tmp_path)
    assert workers.run(trial("echo"), 1) == 1


def test_tasks_run_side_by_side_up_to_the_size(workers, tmp_path):
    """Two of four callers run at the same time, in two processes; the others wait their turn."""
    with ThreadPoolExecutor(4) as callers:
        met = list(callers.map(lambda _: workers.run(trial("meet"), [str(tmp_path), 2]), range(4)))
        pids = set(callers.map(lambda _: workers.run(trial("pid"), None), range(2)))
    assert all(count >= 2 for count in met)
    assert len(pids) <= 2


def test_without_a_size_there_is_a_place_for_each_core(tmp_path):
    """Left to itself there are as many places as cores, and two at least."""
    places = max(2, len(os.sched_getaffinity(0)))
    with Workers(None, 1024, timedelta(seconds=60)) as workers, ThreadPoolExecutor(places) as callers:
        met = callers.map(lambda _: workers.run(trial("meet"), [str(tmp_path), places]), range(places))
        assert list(met) == [places] * places


def test_closing_abandons_what_runs_and_says_so(tmp_path):
    """Closing ends a busy child at once; its caller and later ones get Stopping, not a failed task."""
    pid_file = tmp_path / "pid"
    workers = Workers(1, 1024, timedelta(seconds=60))
    with ThreadPoolExecutor(2) as callers:
        running = callers.submit(workers.run, trial("spin"), str(pid_file))
        until(lambda: pid_file.exists() and pid_file.read_text())
        waiting = callers.submit(workers.run, trial("echo"), 1)
        workers.close()
        for call in (running, waiting):
            with pytest.raises(Stopping):
                call.result(timeout=60)
    assert not alive(int(pid_file.read_text()))


def test_killing_the_parent_leaves_no_child_computing(tmp_path):
    """kill −9 of the daemon ends its busy and its idle children."""
    pid_file = tmp_path / "pid"
    code = (
        "import sys, threading, datetime, typing; from monitor.workers.pool import Workers\n"
        "from monitor.workers.task import Task\n"
        f"spin, pid = (Task('{TASKS}:' + name, typing.Any, typing.Any) for name in ('spin', 'pid'))\n"
        "w = Workers(2, 1024, datetime.timedelta(seconds=60))\n"
        "t = threading.Thread(target=w.run, args=(spin, sys.argv[1]), daemon=True); t.start()\n"
        "print(w.run(pid, None), flush=True); t.join()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(pid_file)], stdout=subprocess.PIPE, text=True)
    idle = int(parent.stdout.readline())
    until(lambda: pid_file.exists() and pid_file.read_text())
    busy = int(pid_file.read_text())
    assert alive(idle)
    assert alive(busy)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    until(lambda: not alive(idle) and not alive(busy))


def children_of(pid: int) -> str:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return "".join((thread / "children").read_text() for thread in threads)


def test_the_thread_that_started_a_child_may_end(workers):
    """A child outlives the thread that happened to start it."""
    pids: list[int] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: pids.append(workers.run(trial("pid"), None)))
        thread.start()
        thread.join()
    assert pids[0] == pids[1]


def asked(name: str) -> Task[Any, Any]:
    return Task(f"{TASKS}:{name}", Any, Any)


def test_silent_sources_four_times_as_many_as_places_hold_up_nobody(workers):
    """Eight models whose sources say nothing, two places: other models' tasks are done, and who waits can be seen."""
    with Workers(2, 1024, timedelta(minutes=10)) as fair, ThreadPoolExecutor(12) as callers:
        hung = [callers.submit(fair.run, asked("hear"), For(f"hung{n}")) for n in range(8)]
        until(lambda: len(fair.waiting()) == 6)
        assert [fair.run(asked("answer"), For("good", number)) for number in range(5)] == list(range(5))
        until(lambda: any(seconds > 1 for _, seconds in fair.silent()))
        assert {model for model, _ in [*fair.waiting(), *fair.silent()]} == {f"hung{n}" for n in range(8)}
        fair.close()
        for call in hung:
            with pytest.raises(Stopping):
                call.result(timeout=60)


def test_a_source_that_is_silent_for_too_long_is_told_so(workers):
    """The task is ended after the patience of its model, far within the time a task may take."""
    with pytest.raises(SourceSilent, match="hear waited 1s for a source that gave no sign of life"):
        workers.run(asked("hear"), For("hung", patience=1.0))
    assert workers.run(asked("answer"), For("hung", 1)) == 1


def test_long_work_is_no_silence(workers, tmp_path):
    """A task that computes beyond the patience of its model goes on to the end of its time."""
    spin = For("busy", patience=1.0)
    with pytest.raises(TaskTimeout, match="ran longer than 3s"):
        workers.run(Task(f"{TASKS}:compute", Any, Any), spin, timeout=timedelta(seconds=3))


def test_models_whose_processes_die_share_one_place(workers):
    """After its first failure a model has the one place of failing models, so that they never run side by side."""
    for model in ("a", "b"):
        with pytest.raises(WorkerDied):
            workers.run(asked("die"), For(model))
    with ThreadPoolExecutor(2) as callers:
        spans = sorted(callers.map(lambda model: workers.run(asked("tell_when"), For(model)), ("a", "b")))
    assert spans[0][1] <= spans[1][0]


def test_a_stopped_process_takes_no_payload_and_is_ended_all_the_same(tmp_path):
    """A request longer than a pipe holds, for a process that reads nothing: the task is ended at its time."""
    with Workers(1, 1024, timedelta(seconds=60)) as single:
        stopped = single.run(trial("pid"), None)
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(TaskTimeout):
            single.run(trial("echo"), "x" * 10_000_000, timeout=timedelta(seconds=1))
        assert single.run(trial("echo"), 1) == 1
