"""Features as the matrix a learner reads: numbers, or places among the categories known when it was fitted."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.tables import columns
from monitor.tables.columns import Category, Floats

MOST_CATEGORIES = 255      # of one column, the most frequent ones; the limit of scikit-learn's bins


@dataclass(frozen=True, slots=True)
class Features:
    """The columns a learner reads, in order, and the places of the categories of those that hold some."""

    names: tuple[str, ...] = ()
    places: dict[str, dict[Category, int]] | None = None

    @property
    def categorical(self) -> list[bool]:
        """Which of the matrix's columns hold places."""
        return [name in (self.places or {}) for name in self.names]

    def matrix(self, table: pa.Table) -> Floats:
        """Rows × features; NaN for the missing, the unknown, and columns that are not there."""
        found = np.full((table.num_rows, len(self.names)), np.nan)
        for at, name in enumerate(self.names):
            if name in table.column_names:
                found[:, at] = self._column(table[name], name)
        return found

    def _column(self, column: pa.ChunkedArray, name: str) -> Floats:
        places = (self.places or {}).get(name)
        if places is None:
            return columns.numeric(column)
        codes = columns.codes(column, places)
        return np.where(codes < 0, np.nan, codes)


def features_of(table: pa.Table, roles: Roles) -> Features:
    """Find the features that a table has; texts are left out, nothing here reads them."""
    kinds = {n: kind for n, kind in roles.features.items() if kind != "text" and n in table.column_names}
    places = {name: _places(table[name]) for name, kind in kinds.items() if kind == "categorical"}
    return Features(tuple(kinds), places)


def _places(column: pa.ChunkedArray) -> dict[Category, int]:
    often = sorted(columns.counts(column).items(), key=lambda pair: (-pair[1], str(pair[0])))
    return {key: place for place, (key, _) in enumerate(often[:MOST_CATEGORIES])}
