"""Streams of windows with the scores that any schedule of retrains would have had there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rows import Absent

FOLDER = (Path(__file__).resolve().parents[1] / "../shared/data/closed_loop").resolve()
PHASES = 9              # of a calendar

Schedule = list[int]    # windows at whose end the model is retrained


@dataclass(frozen=True, eq=False)
class Stream:
    """`score[t + 1, j]`: what a model retrained after window t scores in window j, in reference sd, more is better."""

    score: np.ndarray
    known: np.ndarray       # the window by whose end the labels of each window are known
    drift: Mapping[str, np.ndarray]     # share of drifted columns, by the reference that each of these models has
    usual: float            # mean score on the reference
    sd: float = 1.0         # of the reference, in the metric's unit

    @classmethod
    def read(cls, name: str) -> "Stream":
        """Raises Absent where the shared data are not there."""
        if not FOLDER.is_dir():
            raise Absent("the closed-loop matrices of ../shared/data are not here")
        facts = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        sd, sign = facts["reference_sd"], 1 if facts["higher_is_better"] else -1
        with np.load(FOLDER / f"{name}.npz") as arrays:
            drift = {how: arrays[f"{how}_share"] for how in ("evidently", "psi")}
            usual = sign * facts["reference_mean"] / sd
            return cls(sign * arrays["score"] / sd, arrays["label_avail_window"], drift, usual, sd)

    @classmethod
    def noise(cls, sigma: float, delay: int, seed: int, windows: int = 52) -> "Stream":
        """Windows in which no model differs from another but by chance; labels come `delay` windows later."""
        score = np.random.default_rng(seed).normal(0.0, sigma / np.sqrt(2), (windows + 1, windows))
        return cls(score, np.arange(windows) + delay, {}, 0.0)

    def __len__(self) -> int:
        return len(self.known)

    def champions(self, schedule: Sequence[int]) -> np.ndarray:
        """Which model serves each window, as a row of `score`."""
        serving = np.zeros(len(self), int)
        for window in schedule:
            serving[window + 1:] = window + 1
        return serving

    def paid(self, schedule: Sequence[int], price: float = 0.0) -> np.ndarray:
        """Per window, what it gains over never retraining, less the price where it ends in a retrain."""
        windows = np.arange(len(self))
        spent = np.isin(windows, schedule) * price
        return np.asarray(self.score[self.champions(schedule), windows] - self.score[0] - spent)

    def best(self, price: float) -> Schedule:
        """The best schedule in hindsight at this price, by dynamic programming."""
        ahead, then = np.zeros(len(self) + 1), [0] * len(self)
        for now in range(len(self) - 1, -1, -1):        # the best from a retrain before `now` on
            served = np.cumsum(self.score[now, now:] - self.score[0, now:])
            total = served + np.append(ahead[now + 1:len(self)] - price, 0.0)
            then[now] = now + int(np.argmax(total))
            ahead[now] = total.max()
        schedule, now = [], then[0]
        while now < len(self) - 1:
            schedule.append(now)
            now = then[now + 1]
        return schedule

    def most(self, retrains: int) -> float:
        """The gain of the best schedule with exactly so many retrains."""
        ahead = np.array([np.sum(self.score[now, now:] - self.score[0, now:]) for now in range(len(self))])
        for _ in range(retrains):
            ahead = np.array([self._once_more(ahead, now) for now in range(len(self))])
        return float(ahead[0])

    def _once_more(self, ahead: np.ndarray, now: int) -> float:
        served = np.cumsum(self.score[now, now:-1] - self.score[0, now:-1])
        return float(np.max(served + ahead[now + 1:], initial=-np.inf))

    def calendar(self, retrains: int) -> float:
        """The mean gain of equally spaced retrains over nine phases."""
        space = len(self) / max(1, retrains)
        gains = [
            self.paid([min(len(self) - 2, int(((phase + 0.5) / PHASES + i) * space)) for i in range(retrains)]).sum()
            for phase in range(PHASES)
        ]
        return float(np.mean(gains))
