"""When to retrain: rules as plug-ins, played window by window on streams that score any of their answers.

A rule is a function of the Past and of its setting that says which model serves from the next window on: None to leave
the model in service, `past.newest` for a retrain, the row of an earlier model to go back to it. It keeps no memory: it
is given everything known at each window, and cannot see what is not known. To try a rule of your own, add it to RULES
with the settings it may have; `leave_one_out.py` chooses among them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from benchmarks.streams import Stream
from monitor.backtest.simulated_triggers import MOST_BEFORE
from monitor.decide import gain_noise
from monitor.decide.going_back import ALLOWANCE, EVIDENCE, FEWEST, NEWEST
from monitor.decide.regret import noise_of

BACK = 0.25             # what going back costs, as a share of a retrain
VERSIONS = 3            # models that served before which stay in the race
REST = 3                # windows after a retrain in which the usual triggers are silent
PERIODS = (*range(1, 13), 15, 20, 26, 39, 52)

Setting = Mapping[str, float]
Moves = tuple[tuple[int, int], ...]     # (window after which, row of the model that serves from then on)


@dataclass(frozen=True)
class Past:
    """What is known when window `now` closes; `score[row, window]` of the models there are, on windows with labels."""

    score: np.ndarray
    now: int
    champion: int           # the row of the model in service
    since: int              # the first window it served, this time
    price: float
    usual: float | None     # mean score on the reference, where known
    drift: Mapping[str, float]      # share of the columns that have drifted in this window, by method
    judged: Sequence[tuple[int, int]]   # windows whose labels came while the model that served them still did, with it

    @property
    def newest(self) -> int:
        """The row of the model that a retrain would bring now."""
        return self.now + 1

    @property
    def served(self) -> range:
        """The windows with labels since the last move."""
        return range(self.since, self.score.shape[1])

    @property
    def gains(self) -> list[float]:
        """What a challenger that had not seen the window would have gained in each of these."""
        return [self.gain(window, self.champion) for window in self.served]

    def gain(self, window: int, over: int) -> float:
        """How much better than that model the challenger was that was fitted just before the window."""
        return float(self.score[window, window] - self.score[over, window])


Rule = Callable[[Past, Setting], int | None]



def _everywhere(stream: Stream) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class Tried:
    """A rule and the settings it may have; `plays` says on which streams it can be played."""

    rule: Rule
    settings: Sequence[Setting] = ({},)
    plays: Callable[[Stream], bool] = _everywhere


def play(rule: Rule, stream: Stream, price: float, setting: Setting) -> Moves:
    """Play a rule on a stream at a price."""
    champion, since = 0, 0
    moves: Moves = ()
    judged: list[tuple[int, int]] = []
    for now in range(len(stream)):
        count = int(np.searchsorted(stream.known, now, side="right"))
        score = stream.score[: now + 1, : min(count, now + 1)]
        judged += [(window, champion) for window in range(since, now + 1) if stream.known[window] == now]
        drift = {how: float(share[champion, now]) for how, share in stream.drift.items()}
        chosen = rule(Past(score, now, champion, since, price, stream.usual, drift, judged), setting)
        if chosen is not None and chosen != champion:
            if not 0 <= chosen <= now + 1:
                raise ValueError(f"there is no model {chosen} after window {now}, expected 0 to {now + 1}")
            champion, since, moves = chosen, now + 1, (*moves, (now, chosen))
    return moves


def paid(stream: Stream, moves: Moves, price: float) -> np.ndarray:
    """The gain over never moving for each window, less the price of a move at its end."""
    serving, spent = np.zeros(len(stream), int), np.zeros(len(stream))
    for window, row in moves:
        serving[window + 1:] = row
        spent[window] = price if row == window + 1 else BACK * price
    return np.asarray(stream.score[serving, np.arange(len(stream))] - stream.score[0] - spent)


def regret(past: Past, setting: Setting) -> int | None:
    """driftd's rule: see `monitor/decide/regret.py`, whose constants are the setting here."""
    return past.newest if _worth(past, past.gains, _placebo_noise(past), setting, past.price) else None


def regret_by_gains(past: Past, setting: Setting) -> int | None:
    """The same sum, with the noise of a gain told from the gains themselves (`monitor/decide/gain_noise.py`)."""
    return past.newest if _worth(past, past.gains, _gain_noise(past), setting, past.price) else None


def going_back(past: Past, setting: Setting) -> int | None:
    """driftd's rule with versions that served before: see `monitor/decide/going_back.py`."""
    return _either(past, _worth(past, past.gains, _placebo_noise(past), setting, past.price))


def going_back_by_gains(past: Past, setting: Setting) -> int | None:
    """The same, with the noise of a retrain's gain told from the gains themselves."""
    return _either(past, _worth(past, past.gains, _gain_noise(past), setting, past.price))


def _either(past: Past, retrain: float) -> int | None:
    """Whichever gains more beyond its price, a retrain of this worth or one of the versions that served before."""
    found = {past.newest: retrain - past.price} if retrain else {}
    for row in sorted({row for _, row in past.judged} - {past.champion})[-VERSIONS:]:
        gains = [float(past.score[row, j] - past.score[past.champion, j]) for j in past.served]
        noise = max(_gain_noise(past), gain_noise.of_steps(gains))
        total = _worth(past, gains, noise, {"allowance": ALLOWANCE, "evidence": EVIDENCE}, BACK * past.price, FEWEST)
        if total and total > sum(past.gains[-NEWEST:]):
            found[row] = total - BACK * past.price
    return max(found, key=lambda row: found[row]) if found else None


def _worth(
    past: Past, gains: Sequence[float], noise: float, by: Setting, price: float, speaking: int | None = None
) -> float:
    """The sum of gains where it passes the price and what noise alone reaches, with windows to come; else 0.

    `speaking`: so many windows must speak for it, and the sum pass the price without the best of them.
    """
    total = 0.0
    run: list[float] = []
    for gain in gains:
        added = gain - by["allowance"] * noise
        total = max(0.0, total + added)
        run = [*run, added] if total else []
    if not run or total < by["evidence"] * noise * np.sqrt(len(run)):
        return 0.0
    ahead = 1 + min(past.newest - past.score.shape[1], len(run)) / len(run)
    if speaking and (sum(one > 0 for one in run) < speaking or (total - max(run)) * ahead <= price):
        return 0.0
    return total * ahead if total * ahead > price else 0.0


def _placebo_noise(past: Past) -> float:
    return noise_of(_placebos(past)[-MOST_BEFORE:])


def _gain_noise(past: Past) -> float:
    """Of a gain, from the newest windows over all models that served."""
    services = groupby(past.judged[-MOST_BEFORE:], key=lambda one: one[1])
    return gain_noise.noise_of(
        _placebos(past)[-MOST_BEFORE:], [[past.gain(*one) for one in service] for _, service in services]
    )


def _placebos(past: Past) -> list[float]:
    return [past.gain(window, over=window - 1) for window, _ in past.judged if window > 1]     # row 0 was shipped


def plain_regret(past: Past, setting: Setting) -> int | None:
    """S ← max(0, S + gain), a retrain at S ≥ price: without allowance, evidence or forecast."""
    total = 0.0
    for gain in past.gains:
        total = max(0.0, total + gain)
    return past.newest if total >= past.price else None


def calendar(past: Past, setting: Setting) -> int | None:
    """Every so many windows."""
    return past.newest if past.newest - past.since >= setting["every"] else None


def worse(past: Past, setting: Setting) -> int | None:
    """Whenever two known windows in a row score so many reference sd below the reference."""
    newest = list(past.served)[-2:]
    usual = past.usual
    if usual is None or len(newest) < 2 or not _rested(past):
        return None
    return past.newest if all(past.score[past.champion, j] < usual - setting["sd"] for j in newest) else None


def drifted(how: str) -> Rule:
    """Whenever such a share of the columns has drifted from the reference of the model in service."""
    def rule(past: Past, setting: Setting) -> int | None:
        return past.newest if _rested(past) and past.drift[how] >= setting["share"] else None

    return rule


def never(past: Past, setting: Setting) -> int | None:
    return None


def _rested(past: Past) -> bool:
    return past.newest - past.since >= REST


def _has_columns(stream: Stream) -> bool:
    return bool(stream.drift)


def _has_reference(stream: Stream) -> bool:
    return stream.usual is not None


SHARES: Sequence[Setting] = [{"share": share} for share in (0.2, 0.35, 0.5, 0.65, 0.8)]
CONSTANTS: Sequence[Setting] = [
    {"allowance": allowance, "evidence": evidence} for allowance in (0.25, 0.5, 0.75, 1.0) for evidence in (2.0, 3.0)
]
# Each of these bounds the moves in noise.
BOUNDED: Sequence[Setting] = [
    {"allowance": allowance, "evidence": evidence}
    for allowance, evidence in ((0.4, 2.75), (0.5, 2.5), (0.6, 2.25), (0.75, 2.0))
]
RULES: dict[str, Tried] = {
    "regret by driftd's rule": Tried(regret, CONSTANTS),
    "driftd's rule, and going back": Tried(going_back, CONSTANTS),
    "regret, noise from the gains": Tried(regret_by_gains, BOUNDED),
    "… and going back": Tried(going_back_by_gains, BOUNDED),
    "plain regret": Tried(plain_regret),
    "a calendar": Tried(calendar, [{"every": period} for period in PERIODS]),
    "accuracy falls": Tried(worse, [{"sd": sd} for sd in (0.5, 1.0, 1.5, 2.0, 3.0)], _has_reference),
    "columns drift (Evidently)": Tried(drifted("evidently"), SHARES, _has_columns),
    "columns drift (PSI)": Tried(drifted("psi"), SHARES, _has_columns),
    "never": Tried(never),
}
