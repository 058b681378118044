"""How many false alarms another year would bring in which nothing changes: windows drawn anew, triggers replayed.

Windows of such a time vote, and years are drawn from them in blocks of neighbours, which keep what hangs together; a
block that reaches the end goes on at the beginning (circular block bootstrap, Politis and Romano 1992). Each year is
drawn from windows drawn anew the same way, since N windows could well have been others. On top comes what N windows
cannot exclude, one firing more than was seen: at a rate drawn from the exponential distribution with the mean
1 / (N + 1) a window, which is the posterior where none was seen.
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
_DRAWN = 200_000       # windows of all years together, but no fewer years …
_YEARS = 100, 400      # … than the first and no more than the second
_LONGEST = 10_000      # windows drawn for a year; of more, as many are taken to stand for all


@dataclass(frozen=True, slots=True)
class Years:
    """Episodes that a trigger begins in each drawn year, and at what rate more may come than was ever seen."""

    seen: Sequence[float]
    unseen: float = 0.0                  # a year

    @property
    def a_year(self) -> float:
        return fmean(self.seen) + self.unseen

    @property
    def at_most(self) -> int:
        """So many or fewer in 95 of 100 years."""
        rng = random.Random(0)
        counts = sorted(count + _poisson(rng, self.unseen * rng.expovariate(1)) for count in self.seen)
        return math.ceil(counts[math.ceil(SURE * len(counts)) - 1])

    def expected(self, name: str, fired: Sequence[bool] | None = None) -> Expected:
        """In numbers and words; `fired`: where it fires in the windows as they are, if it rests on any."""
        found = Expected(trigger=name, a_year=self.a_year, at_most=self.at_most)
        if fired is None:
            return found
        return replace(found, windows=len(fired), begun=_begun(fired), firing=sum(fired))


def drawn_years(
    triggers: Sequence[TriggerSection], ballots: Mapping[str, Ballot], yearly: float, block: int
) -> dict[str, tuple[Years, list[bool]]]:
    """Draw years of windows for all of these triggers, and for those composed of them; and what each does undrawn.

    `ballots` are of the same windows, `yearly` is how many a year has, `block` the fewest that stay together.
    """
    count = len(next(iter(ballots.values())).votes)
    length = min(_LONGEST, max(1, round(yearly)))
    fired = _replayed(triggers, ballots, range(count))
    seen: dict[str, list[float]] = {name: [] for name in fired}
    for places in _draws(count, length, block):
        for name, one in _replayed(triggers, ballots, places).items():
            seen[name].append(_begun(one) * yearly / length)
    return {
        name: (Years(seen[name], (1 - sum(one) / count) / (count + 1) * yearly), one) for name, one in fired.items()
    }


def by_chance(a_year: float) -> Years:
    """Years with episodes that come one by one, so many on average."""
    rng = random.Random(1)
    return Years([float(_poisson(rng, a_year)) for _ in range(_YEARS[1])])


def together(years: Sequence[Years]) -> Years:
    """All of them in the same years; what was never seen may come of the one that is least sure."""
    draws = min(len(one.seen) for one in years)
    seen = [sum(counts) for counts in zip(*(one.seen[:draws] for one in years), strict=True)]
    return Years(seen, max(one.unseen for one in years))


def _replayed(
    triggers: Sequence[TriggerSection], ballots: Mapping[str, Ballot], places: Sequence[int]
) -> dict[str, list[bool]]:
    """Where each trigger that can be told fires in these windows."""
    found: dict[str, list[bool]] = {}
    for trigger in in_order(triggers):
        against = [found[name] for name in trigger.unless if name in found]
        held = [any(one) for one in zip(*against, strict=True)] if against else None
        if trigger.name in ballots:
            cast = ballots[trigger.name].of(places)
            found[trigger.name] = fires(trigger.windows, cast.votes, cast.clearing, held)
        elif trigger.members and all(name in found for name in trigger.members):
            members = zip(*(found[name] for name in trigger.members), strict=True)
            voted = [(all if trigger.all else any)(one) for one in members]
            found[trigger.name] = fires(Persistence(1, 1), voted, None, held)
    return found


def _draws(count: int, length: int, block: int) -> Iterator[list[int]]:
    """Places of windows, for one year after the other."""
    rng = random.Random(0)
    block = min(count, max(block, math.ceil(math.sqrt(count))))
    for _ in range(max(_YEARS[0], min(_YEARS[1], _DRAWN // length))):
        yield _blocks(rng, _blocks(rng, range(count), count, block), length, block)


def _blocks(rng: random.Random, source: Sequence[int], length: int, block: int) -> list[int]:
    found: list[int] = []
    while len(found) < length:
        start = rng.randrange(len(source))
        found += [source[(start + at) % len(source)] for at in range(block)]
    return found[:length]


def _begun(fired: Sequence[bool]) -> int:
    """How often it begins to fire."""
    return sum(now and not before for before, now in zip([False, *fired], fired, strict=False))


def _poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number: arrivals one after the other until the time is over."""
    count, time = 0, rng.expovariate(1)
    while time < mean:
        count, time = count + 1, time + rng.expovariate(1)
    return count
