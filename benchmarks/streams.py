"""Streams of windows with the scores that any schedule of retrains would have had there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.rows import Absent
from monitor.backtest.schedules import Scores

FOLDER = (Path(__file__).resolve().parents[1] / "../shared/data/closed_loop").resolve()
SHARED = ("bike_sharing", "elec2", "flights_nyc13", "car_loan")
KINDS = ("", "_linear", "_boosting_small")          # of model, each retrained on the same stream
NULLS = ("bike_sharing_null", "car_loan_null")      # the order of time destroyed: only more data helps


@dataclass(frozen=True, eq=False)
class Stream(Scores):
    """The scores of a stream, and what else is known of its windows."""

    known: np.ndarray       # the window by whose end the labels of each window are known; never falls
    name: str = ""
    family: str = ""        # the stream without the kind of model; left out as a whole
    drift: Mapping[str, np.ndarray] = field(default_factory=dict)   # by method, each model's reference and window
    usual: float | None = None      # mean score on the reference
    sd: float = 1.0         # of the reference, in the metric's unit

    @classmethod
    def read(cls, name: str) -> "Stream":
        """Raises Absent where the shared data are not there."""
        if not FOLDER.is_dir():
            raise Absent("the closed-loop matrices of ../shared/data are not here")
        facts = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        family = next(one for one in SHARED if name.startswith(one))
        with np.load(FOLDER / f"{name}.npz") as arrays:
            if "reference_sd_of_the_metric" in facts:       # in reference sd already, higher is better
                sd = facts["reference_sd_of_the_metric"]
                return cls(arrays["score"], arrays["label_avail_window"], name, family, sd=sd)
            sd, sign = facts["reference_sd"], 1 if facts["higher_is_better"] else -1
            drift = {how: arrays[f"{how}_share"] for how in ("evidently", "psi")}
            usual = sign * facts["reference_mean"] / sd
            return cls(sign * arrays["score"] / sd, arrays["label_avail_window"], name, family, drift, usual, sd)

    @classmethod
    def noise(
        cls, sigma: float, delay: int, seed: int, windows: int = 52, likeness: float = 0.0, persistence: float = 0.0
    ) -> "Stream":
        """Windows in which no model differs from another but by chance; labels come `delay` windows later.

        Scores are N(0, σ²/2), so that the gain of one model over an unlike one has the sd σ. Those of neighbouring
        models correlate by `likeness`, those of neighbouring windows by `persistence`, both as an AR(1).
        """
        score = np.random.default_rng(seed).normal(0.0, sigma / np.sqrt(2), (windows + 1, windows))
        _correlate(score, likeness)
        _correlate(score.T, persistence)
        return cls(score, np.arange(windows) + delay, name="noise", family="noise")


def _correlate(values: np.ndarray, by: float) -> None:
    """Make each row an AR(1) step of the row before, in place, with the variance kept."""
    for row in range(1, len(values)):
        values[row] = by * values[row - 1] + np.sqrt(1 - by**2) * values[row]
