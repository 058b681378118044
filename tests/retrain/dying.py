"""Stories that die: each runs in a fork of its own, over a copy of a state, and is killed at a boundary.

A boundary is the moment before or after the n-th commit, or before or after the n-th exchange over HTTP. Other stories
are killed at random moments, wherever these fall.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import monitor.http
from monitor.store import Store
from monitor.store.database import Database

Case = dict[str, Any]
Story = Callable[[Case, Store], None]

ROOT = Path(__file__).resolve().parents[2]


def killed(module: str, case: Case, times: int) -> list[Case]:
    """Tell a module's story to each of its boundaries, so often each; the deaths, each with the state it left.

    `case`: `from` the state to begin with, `folder` for those that are left, `url` where it sends to, if anywhere.
    """
    wanted = [
        case | {"what": what, "before": before, "times": times}
        for what in ("commit", "exchange")[: 2 if case["url"] else 1] for before in (True, False)
    ]
    died = _tell(module, wanted)
    assert len(died) >= 4 * times
    return died


def killed_at_moments(module: str, case: Case, times: int, seed: int) -> list[Case]:
    """Tell a module's story until it has been killed so often, at moments drawn from the seed; else as `killed`."""
    return _tell(module, [case | {"what": "moment", "times": times, "seed": seed}])


def _tell(module: str, wanted: list[Case]) -> list[Case]:
    done = subprocess.run([sys.executable, "-m", module], input=json.dumps(wanted), capture_output=True, cwd=ROOT,
                          text=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    died: list[Case] = json.loads(done.stdout.splitlines()[-1])      # behind what was logged
    return died


def main(story: Story) -> None:
    print(json.dumps([
        one for case in json.load(sys.stdin)
        for one in (_at_moments if case["what"] == "moment" else _sweep)(story, case)
    ]))


def _at_moments(story: Story, case: Case) -> list[Case]:
    """Die at random moments of the time that the story takes where nobody kills it."""
    chance, died = random.Random(case["seed"]), []
    begun = time.monotonic()
    assert _play(story, _named(case, "whole")) == 0
    whole = time.monotonic() - begun
    for number in count(1):
        here = _named(case, f"moment-{number}")
        if (code := _play(story, here, chance.uniform(0, whole))) == -signal.SIGKILL:
            died.append(here)
        assert code in (0, -signal.SIGKILL), here
        if len(died) == case["times"]:
            break
    return died


def _sweep(story: Story, case: Case) -> list[Case]:
    """Die at the first boundary of a kind, at the second, …, so often each, until the story comes through."""
    died = []
    for number in count(1):
        for turn in range(case["times"]):
            place = f"{case['what']}-{case['before']}-{number}-{turn}"
            here = _named(case, place) | {"number": number}
            if (code := _play(story, here)) != -signal.SIGKILL:
                assert code == 0, here
                return died
            died.append(here)
    return died


def _named(case: Case, name: str) -> Case:
    return case | {"name": name, "state": f"{case['folder']}/{name}"}


def _play(story: Story, case: Case, after: float | None = None) -> int:
    """Tell the story in a fork until the boundary, or for so many seconds; how that ended."""
    shutil.copytree(case["from"], case["state"])

    def life() -> None:
        with Store.open(Path(case["state"])) as store:
            if "number" in case:
                _deadly(case["what"], case["number"], case["before"])
            story(case, store)

    return forked(life, after)


def forked(life: Callable[[], object], after: float | None = None) -> int:
    """Live in a fork, killed after so many seconds where they are given; −9 if it was killed, 0 if it came through."""
    child = os.fork()
    if child == 0:
        try:
            life()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a fork must not go on where its parent does
            traceback.print_exc()
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _deadly(what: str, number: int, before: bool) -> None:
    """Let this process die at a boundary."""
    seen = {"commit": 0, "exchange": 0}

    def around(name: str, do: Any) -> Any:
        seen[name] += 1
        here = name == what and seen[name] == number
        if here and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = do()
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    commit, exchange = Database._commit, monitor.http._exchange
    Database._commit = lambda self: around("commit", lambda: commit(self))     # type: ignore[method-assign]  # here only
    monitor.http._exchange = lambda *a, **k: around("exchange", lambda: exchange(*a, **k))
