"""RetrainOpt (Yang and Mathioudakis, ECML PKDD 2026) as a rule, in an environment of its own.

Its online policies are fitted to the best schedules of the other families at the same price: `base` retrains after as
many windows as those did on average, `learned` is a random forest on how stale the model is. Staleness is the loss
above that of the model's first window: in the newest window with labels, and summed since.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from benchmarks.leave_one_out import PRICES, Judged, pays
from benchmarks.peers import environment
from benchmarks.rules import Past, Setting, play
from benchmarks.running import THREADS
from benchmarks.streams import Stream

SCRIPT = Path(__file__).resolve().parent / "runners/run_retrainopt.py"


def retrainopt(kind: str, streams: Sequence[Stream]) -> Judged:
    """Play a policy, "base" or "learned", on each family. Raises Absent where RetrainOpt cannot be installed."""
    mine = [stream for stream in streams if pays(stream)]
    moves = {}
    with _started() as ask:
        for family in dict.fromkeys(stream.family for stream in mine):
            for price in PRICES:
                past = [_history(stream, price) for stream in mine if stream.family != family]
                states, actions = ([one for history in past for one in history[part]] for part in (0, 1))
                ask({"fit": kind, "states": states, "actions": actions})
                for stream in (one for one in mine if one.family == family):
                    moves[stream, price] = play(partial(_asked, ask), stream, price, {})
    return Judged(moves, {})


def _asked(ask: Any, past: Past, setting: Setting) -> int | None:
    return past.newest if ask({"state": _state(past)}) else None


def _state(past: Past) -> list[float]:
    """What its policies look at when a window closes."""
    losses = [-float(past.score[past.champion, j]) for j in past.served]
    stale = [loss - losses[0] for loss in losses]
    return [stale[-1] if stale else 0.0, sum(stale), past.newest - past.since]


def _history(stream: Stream, price: float) -> tuple[list[list[float]], list[bool]]:
    """The states and actions of the best schedule in hindsight."""
    best, states, actions = set(stream.best(price)), [], []

    def follow(past: Past, setting: Setting) -> int | None:
        states.append(_state(past))
        actions.append(past.now in best)
        return past.newest if past.now in best else None

    play(follow, stream, price, {})
    return states, actions


@contextmanager
def _started() -> Iterator[Any]:
    python = environment("retrainopt")
    with subprocess.Popen(
        [str(python), str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=THREADS
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield partial(_answer, process.stdin, process.stdout)
        process.stdin.close()


def _answer(stdin: IO[str], stdout: IO[str], asked: Any) -> Any:
    stdin.write(json.dumps(asked) + "\n")
    stdin.flush()
    line = stdout.readline()
    if not line:
        raise RuntimeError("RetrainOpt's runner has ended")
    return json.loads(line)
