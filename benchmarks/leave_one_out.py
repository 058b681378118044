"""Rules judged on streams that had no say in their settings.

A family is a stream with all its kinds of model. For each family the setting is chosen that does best on the mean over
the other families, and the rule is played with it. Figures are means over families of means over their kinds of model
and over prices; standard errors are over families.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from benchmarks.rules import Moves, Setting, Tried, paid, play
from benchmarks.streams import Stream

PRICES = (1.0, 1.5, 2.0, 2.5, 3.0)

Played = Mapping[tuple[Stream, float], Moves]


@dataclass(frozen=True)
class Judged:
    """What a rule did on each stream at each price, on the families where it can be played."""

    moves: Played
    settings: Mapping[str, Setting]     # chosen for each family, on the others

    @cached_property
    def nets(self) -> dict[str, float]:
        """By family: gain less what the moves cost, as a share of the best schedule of retrains in hindsight."""
        return _by_family({key: _net(*key, moves) for key, moves in self.moves.items()})

    @cached_property
    def leads(self) -> dict[str, float]:
        """By family: the share of the best gain, less what a calendar with as many retrains has of it."""
        return _by_family({key: _lead(key[0], moves) for key, moves in self.moves.items()})

    @property
    def count(self) -> float:
        """Moves, as a mean over families."""
        return _mean(_by_family({key: float(len(moves)) for key, moves in self.moves.items()}))

    def on(self, streams: Sequence[Stream]) -> "Judged":
        """Only these streams."""
        return Judged({key: moves for key, moves in self.moves.items() if key[0] in streams}, self.settings)


def judged(tried: Tried, streams: Sequence[Stream], prices: Sequence[float] = PRICES) -> Judged:
    """Play each family with the setting that is best on the others."""
    mine = [stream for stream in streams if tried.plays(stream) and pays(stream)]
    nets = [_by_family({(s, p): _net(s, p, _play(tried, at, s, p)) for s in mine for p in prices})
            for at in range(len(tried.settings))]
    families = list(dict.fromkeys(stream.family for stream in mine))
    chosen = {
        family: max(range(len(nets)), key=lambda at: _mean({f: v for f, v in nets[at].items() if f != family}))
        for family in families
    }
    moves = {(s, p): _play(tried, chosen[s.family], s, p) for s in mine for p in prices}
    return Judged(moves, {family: tried.settings[at] for family, at in chosen.items()})


def of_schedules(
    schedule: Callable[[Stream, float], Sequence[int]], streams: Sequence[Stream], prices: Sequence[float] = PRICES
) -> Judged:
    """Judge something that has no setting, by the windows at whose end it retrains."""
    return of_moves(lambda stream, price: tuple((now, now + 1) for now in schedule(stream, price)), streams, prices)


def of_moves(
    made: Callable[[Stream, float], Moves], streams: Sequence[Stream], prices: Sequence[float] = PRICES
) -> Judged:
    """Judge something that has no setting, by its moves."""
    mine = [stream for stream in streams if pays(stream)]
    return Judged({(s, p): made(s, p) for s in mine for p in prices}, {})


def pays(stream: Stream) -> bool:
    """Whether at every price some schedule gains something."""
    return all(_best(stream, price) > 0 for price in PRICES)


def mean(values: Mapping[str, float]) -> tuple[float, float]:
    """Return the mean over families and its standard error."""
    found = np.array(list(values.values()))
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("nan")


def difference(one: Judged, other: Judged) -> tuple[float, float]:
    """Return by how much the first nets more, on the streams both were played on, and its standard error."""
    both = [stream for stream, _ in one.moves if any(stream is s for s, _ in other.moves)]
    mine, theirs = one.on(both).nets, other.on(both).nets
    return mean({family: mine[family] - theirs[family] for family in mine})


@cache
def _play(tried: Tried, setting: int, stream: Stream, price: float) -> Moves:
    return play(tried.rule, stream, price, tried.settings[setting])


@cache
def _best(stream: Stream, price: float) -> float:
    return float(stream.paid(stream.best(price), price).sum())


def _net(stream: Stream, price: float, moves: Moves) -> float:
    return float(paid(stream, moves, price).sum()) / _best(stream, price)


@cache
def _most(stream: Stream, retrains: int) -> float:
    return stream.most(retrains)


def _lead(stream: Stream, moves: Moves) -> float:
    most = _most(stream, len(moves)) if moves else 0.0
    gained = paid(stream, moves, 0.0).sum() - stream.calendar(len(moves))
    return float(gained / most) if most > 0 else 0.0


def _by_family(values: Mapping[tuple[Stream, float], float]) -> dict[str, float]:
    """Means over prices, then over kinds of model."""
    streams: dict[Stream, list[float]] = {}
    for (stream, _), value in values.items():
        streams.setdefault(stream, []).append(value)
    families: dict[str, list[float]] = {}
    for stream, found in streams.items():
        families.setdefault(stream.family, []).append(float(np.mean(found)))
    return {family: float(np.mean(found)) for family, found in families.items()}


def _mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values())))
