"""Streams of windows with the scores that any schedule of retrains would have had there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rows import Absent
from monitor.backtest.schedules import Scores

FOLDER = (Path(__file__).resolve().parents[1] / "../shared/data/closed_loop").resolve()


@dataclass(frozen=True, eq=False)
class Stream(Scores):
    """The scores of a stream, and what else is known of its windows."""

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
