"""Does a rule to retrain pay? Streams replayed with the scores that any schedule of retrains would have had.

Twelve streams: four of real data, each with three kinds of model where ../shared/data is there, and eight seeded ones
with two kinds each. Everything that has a setting gets it from the other streams (`leave_one_out.py`). Prices are 1,
1.5, 2, 2.5 and 3 reference sd × windows. *Net*: gain less what the moves cost, as a share of the best schedule of
retrains in hindsight. *Lead*: the share of the best gain with as many retrains, less what a calendar has of it.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial

import click
import numpy as np

from benchmarks import leave_one_out, product
from benchmarks.leave_one_out import PRICES, Judged, of_moves, of_schedules
from benchmarks.retrainopt import retrainopt
from benchmarks.rows import Absent, Asked, Row
from benchmarks.rules import RULES, Moves, Rule, Setting, play
from benchmarks.streams import KINDS, NULLS, SHARED, Stream
from benchmarks.synthetic import MEMORY, SHAPES, synthetic

OURS, OURS_BACK = "driftd", "driftd, and going back"
SIGMAS, DELAYS, DEAR = (0.2, 0.4, 0.7), (0, 1), (1.0, 2.0, 3.0)     # of pure noise: sd, windows, prices
LIKENESS, PERSISTENCE = (0.0, 0.5, 0.8, 0.95), (0.0, 0.7)
DRAWS = 2

Play = Callable[[Stream, float], Moves]


def closed_loop(asked: Asked) -> list[Row]:
    """The figures of every rule; slow: more pure noise, and RetrainOpt's learned policy."""
    found: dict[str, Judged] = {
        OURS: of_schedules(product.schedule, streams()), OURS_BACK: of_moves(product.going_back, streams()),
    }
    found |= {name: leave_one_out.judged(tried, streams()) for name, tried in RULES.items()}
    for kind in ("base", "learned") if asked.slow else ("base",):
        try:
            found[f"RetrainOpt, {kind} policy"] = retrainopt(kind, streams())
        except Absent as reason:
            click.echo(f"RetrainOpt: skipped, {reason}", err=True)
    draws = 5 * DRAWS if asked.slow else DRAWS
    return [_row(name, found, draws) for name in found if found[name].moves]


def _row(name: str, found: Mapping[str, Judged], draws: int) -> Row:
    one, ours = found[name], found[OURS]
    net, _ = leave_one_out.mean(one.nets)
    less, error = leave_one_out.difference(ours, one)
    noise = in_noise(name, one, draws)
    return Row(what=name, value=net, ratio=net / leave_one_out.mean(ours.nets)[0], also={
        "streams": f"{len(one.nets)}",
        "driftd nets more by": f"{less:+.2f} ± {error:.2f}" if name != OURS else "",
        "least": f"{min(one.nets.values()):.2f}",
        "lead": f"{leave_one_out.mean(one.leads)[0]:+.2f}",
        "least lead": f"{min(one.leads.values()):+.2f}",
        "moves": one.count,
        "in 52 windows of noise": "" if noise is None else f"{max(noise.values()):.2f}",
    })


def in_noise(name: str, one: Judged, draws: int) -> dict[tuple[float, float], float] | None:
    """The mean number of moves in 52 windows in which there is nothing to gain, by likeness and persistence.

    None for a rule that needs more than scores.
    """
    if name == OURS:
        return moves_in_noise(lambda stream, price: product.moves(product.schedule(stream, price)), draws)
    if name == OURS_BACK:
        return moves_in_noise(product.going_back, draws)
    if name not in RULES or not RULES[name].plays(_noise(0.4, 0, 0, 0.0, 0.0)):
        return None
    return moves_in_noise(partial(_played, RULES[name].rule, _usual(one)), draws)


def moves_in_noise(rule: Play, draws: int) -> dict[tuple[float, float], float]:
    """The mean number of moves over sizes of noise, delays of labels and prices."""
    def count(likeness: float, persistence: float) -> float:
        return float(np.mean([
            len(rule(_noise(sigma, delay, seed, likeness, persistence), price))
            for sigma in SIGMAS for delay in DELAYS for price in DEAR for seed in range(draws)
        ]))

    return {(likeness, persistence): count(likeness, persistence) for likeness in LIKENESS
            for persistence in PERSISTENCE}


def losers() -> float:
    """The share of driftd's retrains on the shared nulls whose model gains less than the price until the next one."""
    played = [(s, p, product.schedule(s, p)) for s in map(Stream.read, NULLS) for p in PRICES]
    lost = [gain < price for stream, price, made in played for gain in _realised(stream, made)]
    return float(np.mean(lost)) if lost else 0.0


def _realised(stream: Stream, schedule: list[int]) -> list[float]:
    models, ends = [0, *(now + 1 for now in schedule)], [*(now + 1 for now in schedule[1:]), len(stream)]
    return [
        float(np.sum(stream.score[new, new:end] - stream.score[old, new:end]))
        for old, new, end in zip(models, models[1:], ends, strict=False)
    ]


def _played(rule: Rule, setting: Setting, stream: Stream, price: float) -> Moves:
    return play(rule, stream, price, setting)


def _usual(one: Judged) -> Setting:
    """The setting that most families were given."""
    chosen = list(one.settings.values())
    return max(chosen, key=chosen.count)


@cache
def _noise(sigma: float, delay: int, seed: int, likeness: float, persistence: float) -> Stream:
    return Stream.noise(sigma, delay, seed, likeness=likeness, persistence=persistence)


@cache
def streams() -> tuple[Stream, ...]:
    """All of them; without ../shared/data the seeded ones."""
    made = [synthetic(shape, kind) for shape in SHAPES for kind in MEMORY]
    try:
        return (*(Stream.read(name + kind) for name in SHARED for kind in KINDS), *made)
    except Absent as reason:
        click.echo(f"closed_loop: seeded streams only, {reason}", err=True)
        return tuple(made)
