"""The number of false alarms in a further year without change: windows are resampled, and triggers replayed on them.

The windows of a period without change vote, and years are drawn from them in blocks of neighbouring windows, which
keeps their autocorrelation; a block that reaches the end continues at the beginning (circular block bootstrap, Politis
and Romano 1992). Each year is drawn from a resample of the N windows, to include the uncertainty of the windows
themselves. To this is added one firing that N windows cannot exclude, at a rate drawn from the exponential
distribution with mean 1 / (N + 1) per window, which is the posterior if no firing was seen.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from monitor.calibration.outlook import Expected
from monitor.config.sections import TriggerSection
from monitor.config.spanning_rules import in_order
from monitor.config.values import Persistence
from monitor.decide.triggers import Ballot, fires

SURE = 0.95            # share of years with no more than `at_most`
_DRAWN = 200_000       # windows of all years together, but at least the first …
_YEARS = 100, 400      # … and at most the second number of years
_LONGEST = 10_000      # windows drawn for a year at most; counts are then scaled to the whole year


@dataclass(frozen=True, slots=True)
class Years:
    """The episodes that a trigger begins in each drawn year, and the rate of further ones that were never seen."""

    seen: Sequence[float]
    unseen: float = 0.0                  # per year

    @property
    def a_year(self) -> float:
        return fmean(self.seen) + self.unseen

    @property
    def at_most(self) -> int:
        """The number that is not exceeded in 95 of 100 years."""
        rng = random.Random(0)
        counts = sorted(count + _poisson(rng, self.unseen * rng.expovariate(1)) for count in self.seen)
        return math.ceil(counts[math.ceil(SURE * len(counts)) - 1])

    def expected(self, name: str, fired: Sequence[bool] | None = None) -> Expected:
        """Return the expectation of a trigger; `fired`: where it fires in the original windows, if it uses any."""
        summary = Expected(trigger=name, a_year=self.a_year, at_most=self.at_most)
        if fired is None:
            return summary
        return replace(summary, windows=len(fired), begun=_begun(fired), firing=sum(fired))


def drawn_years(
    triggers: Sequence[TriggerSection], ballots: Mapping[str, Ballot], yearly: float, block: int
) -> dict[str, tuple[Years, list[bool]]]:
    """Draw years for these triggers and those composed of them; return also where each fires in the original windows.

    `ballots` are votes of the same windows, `yearly` is the number of windows per year, and `block` the smallest number
    of windows drawn together.
    """
    count = len(next(iter(ballots.values())).votes)
    length = min(_LONGEST, max(1, round(yearly)))
    fired = _replayed(triggers, ballots, range(count))
    seen: dict[str, list[float]] = {name: [] for name in fired}
    for places in _draws(count, length, block):
        for name, firing in _replayed(triggers, ballots, places).items():
            seen[name].append(_begun(firing) * yearly / length)
    return {
        name: (Years(seen[name], (1 - sum(firing) / count) / (count + 1) * yearly), firing)
        for name, firing in fired.items()
    }


def by_chance(a_year: float) -> Years:
    """Return years with independent episodes (Poisson), `a_year` on average."""
    rng = random.Random(1)
    return Years([float(_poisson(rng, a_year)) for _ in range(_YEARS[1])])


def together(years: Sequence[Years]) -> Years:
    """Return the sum of all triggers in the same years; the unseen rate is the largest of theirs."""
    draws = min(len(drawn.seen) for drawn in years)
    seen = [sum(counts) for counts in zip(*(drawn.seen[:draws] for drawn in years), strict=True)]
    return Years(seen, max(drawn.unseen for drawn in years))


def _replayed(
    triggers: Sequence[TriggerSection], ballots: Mapping[str, Ballot], places: Sequence[int]
) -> dict[str, list[bool]]:
    """Return where each trigger that can be replayed fires in these windows."""
    firing: dict[str, list[bool]] = {}
    for trigger in in_order(triggers):
        against = [firing[name] for name in trigger.unless if name in firing]
        blocked = [any(votes) for votes in zip(*against, strict=True)] if against else None
        if trigger.name in ballots:
            cast = ballots[trigger.name].of(places)
            firing[trigger.name] = fires(trigger.windows, cast.votes, cast.clearing, blocked)
        elif trigger.members and all(name in firing for name in trigger.members):
            members = zip(*(firing[name] for name in trigger.members), strict=True)
            voted = [(all if trigger.all else any)(votes) for votes in members]
            firing[trigger.name] = fires(Persistence(1, 1), voted, None, blocked)
    return firing


def _draws(count: int, length: int, block: int) -> Iterator[list[int]]:
    """Yield the positions of the windows of each drawn year."""
    rng = random.Random(0)
    block = min(count, max(block, math.ceil(math.sqrt(count))))
    for _ in range(max(_YEARS[0], min(_YEARS[1], _DRAWN // length))):
        yield _blocks(rng, _blocks(rng, range(count), count, block), length, block)


def _blocks(rng: random.Random, source: Sequence[int], length: int, block: int) -> list[int]:
    places: list[int] = []
    while len(places) < length:
        start = rng.randrange(len(source))
        places += [source[(start + at) % len(source)] for at in range(block)]
    return places[:length]


def _begun(fired: Sequence[bool]) -> int:
    """Return how often it begins to fire."""
    return sum(now and not before for before, now in zip([False, *fired], fired, strict=False))


def _poisson(rng: random.Random, mean: float) -> int:
    """Return a Poisson random number, by exponential interarrival times."""
    count, time = 0, rng.expovariate(1)
    while time < mean:
        count, time = count + 1, time + rng.expovariate(1)
    return count
