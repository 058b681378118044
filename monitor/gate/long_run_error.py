"""How far the mean of a series in the order of time may be from its expectation, if neighbouring values may be alike.

A mean of values that depend on one another is less sure than their spread says. How much less is read from the data:
the series becomes cosine coefficients, from slow to fast, and slow ones larger than fast ones are the trace of
dependence. Each of a number of spectra (independent values; these plus a first-order autoregression, of several
durations and strengths) is weighted by how well it explains the coefficients. Given a spectrum, the mean's distance
from its expectation has Student's t distribution; the whole is the mixture of these (Müller and Watson 2016, Measuring
Uncertainty about Long-Run Predictions, Review of Economic Studies 83). Independent values give nearly Student's t.

The prior weights are chosen by simulation (`benchmarks gate`). With several series each takes half of what the others
show for its prior: one that is like all others loses little, one that is not is still seen.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from monitor.tables.columns import Floats

INDEPENDENT = 0.9                        # prior weight of independent values
DURATIONS = np.geomspace(1, 100, 6)      # length of the series over how long values stay alike, 1 / (1 − φ)
STRENGTHS = np.geomspace(1, 1e4, 6)      # of the autoregression beside the independent part, at frequency zero
_ROUNDS = 3                              # of what the series tell one another
_HALVINGS = 40


@dataclass(frozen=True, slots=True, eq=False)
class LongRunError:
    """`weights` and `scales`: of each spectrum its weight and the mean's standard error, (series, spectra)."""

    weights: Floats
    scales: Floats
    length: int

    def distance(self, chance: float) -> Floats:
        """Return of each series the distance of mean and expectation that is exceeded, on one side, by `chance`."""
        from scipy.special import stdtr

        low: Floats = np.zeros(len(self.scales))
        high: Floats = self.scales.max(axis=1) * 1e3
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            beyond = (self.weights * stdtr(self.length - 1, -middle[:, None] / self.scales)).sum(axis=1) > chance
            low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
        return high

    @property
    def independent(self) -> Floats:
        """Return how many independent values would say as much as each series does."""
        spectra = _spectra(self.length)
        worth: Floats = self.weights @ (self.length * spectra[:, 1:].mean(axis=1) / spectra[:, 0])
        return worth


def long_run_error(series: Floats) -> LongRunError:
    """Work out the uncertainty of each series' mean; `series`: (series, at least 10 values in the order of time), none
    of them constant."""
    length = series.shape[1]
    spectra = _spectra(length)
    squares = (series @ _cosines(length)) ** 2
    sums = squares @ (1 / spectra[:, 1:]).T
    likelihood = -(np.log(spectra[:, 1:]).sum(axis=1) + (length - 1) * np.log(sums)) / 2
    likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    prior = _prior()
    weights = _normed(prior * likelihood)
    for _ in range(_ROUNDS if len(series) > 1 else 0):
        others = (weights.sum(axis=0) - weights) / (len(series) - 1)
        weights = _normed((prior + others) / 2 * likelihood)
    return LongRunError(weights, np.sqrt(spectra[:, 0] * sums / (length - 1) / length), length)


@cache
def _spectra(length: int) -> Floats:
    """Return each spectrum at frequency zero and those of the coefficients, (spectra, length)."""
    frequency = np.pi * np.arange(length)
    like = 1 / (1 + (frequency / DURATIONS[:, None]) ** 2)
    alike = 1 + STRENGTHS[None, :, None] * like[:, None, :]
    return np.vstack([np.ones(length), alike.reshape(-1, length)])


@cache
def _prior() -> Floats:
    """Long durations weigh more: the data show too little of them."""
    weight = np.repeat(DURATIONS**-0.5, len(STRENGTHS))
    return np.append(INDEPENDENT, weight / weight.sum() * (1 - INDEPENDENT))


@cache
def _cosines(length: int) -> Floats:
    """Return the orthonormal cosine transform without its mean, (length, length − 1)."""
    places, frequencies = np.arange(length) + 0.5, np.arange(1, length)
    cosines: Floats = np.sqrt(2 / length) * np.cos(np.pi * places[:, None] * frequencies / length)
    return cosines


def _normed(weights: Floats) -> Floats:
    normed: Floats = weights / weights.sum(axis=1, keepdims=True)
    return normed
