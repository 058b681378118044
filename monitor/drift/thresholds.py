"""Calibrated thresholds as drift scores are held against them; `calibration` finds them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from monitor.drift.methods import is_p_value
from monitor.tables.columns import Floats, Ints

AS_SQUARES = ("psi", "psi_quantile", "kl_div")      # grow with 1/n + 1/m by chance alone; distances with its root

Rows = int | Ints


@dataclass(frozen=True, slots=True)
class Limit:
    """A column's calibrated threshold for windows of `rows` values beside a reference of `reference` values.

    `value` is higher the further away: −log p for a p-value.
    """

    method: str
    value: float
    rows: int
    reference: int

    def at(self, rows: int) -> float:
        """Return the threshold for a window with `rows` values, in the method's own number.

        A smaller window scatters more: its threshold grows as the method does where nothing changed. That of a
        larger one stays: how much of a block's distance is chance and how much its time is not known. p-values
        know the rows themselves.
        """
        value = self.value * float(grows(self.method, self.reference, self.rows, rows))
        return math.exp(-value) if is_p_value(self.method) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The limits by column, and why other columns have none."""

    limits: Mapping[str, Limit] = field(default_factory=dict)
    lack: Mapping[str, str] = field(default_factory=dict)


UNCALIBRATED = Calibration()


def grows(method: str, reference: int, usual: int, rows: Rows) -> Floats:
    """How much more windows of `rows` values scatter than one of `usual` many; at least 1."""
    found: Floats = np.maximum(1.0, spread(method, reference, rows) / spread(method, reference, usual))
    return found


def spread(method: str, reference: Rows, rows: Rows) -> Floats:
    """How a method's number grows as both sides become smaller, where nothing changed; 1 for a p-value."""
    both: Floats = 1 / np.asarray(reference) + 1 / np.asarray(rows)
    if is_p_value(method):
        return np.ones_like(both)
    return both if method in AS_SQUARES else np.sqrt(both)
