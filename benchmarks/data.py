"""A reference and a window in Parquet files, written as a service would: four columns of five numbers, one strings.

pyarrow's own settings (dictionaries where they fit, snappy), row groups of 262,144 rows at most, as Polars writes
them, rows in the order of time. Row groups are made and written one by one, so that any number of rows fits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 262_144
REFERENCE = 1_000_000      # rows at most
CATEGORIES = 30
SHIFT = 0.1                # standard deviations, of every fifth column
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Rows of the window, and columns without the timestamp."""

    rows: int
    columns: int

    @property
    def numbers(self) -> list[str]:
        return [f"number_{index}" for index in range(self.columns - len(self.words))]

    @property
    def words(self) -> list[str]:
        return [f"word_{index}" for index in range(self.columns // 5)]

    def __str__(self) -> str:
        return f"{self.rows:,} rows × {self.columns} columns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The two files; `small` holds the window's first thousand rows, to pay for imports with."""

    size: Size
    reference: Path
    window: Path
    small: Path


@contextmanager
def made(size: Size) -> Iterator[Made]:
    """Write the files; they are gone afterwards."""
    with TemporaryDirectory(prefix="driftd-bench-") as name:
        folder = Path(name)
        files = Made(size=size, reference=folder / "reference.parquet", window=folder / "window.parquet",
                     small=folder / "small.parquet")
        _write(files.reference, size, min(size.rows, REFERENCE), seed=1, shift=0.0)
        _write(files.window, size, size.rows, seed=2, shift=SHIFT)
        _write(files.small, size, min(size.rows, 1000), seed=3, shift=SHIFT)
        yield files


def _write(file: Path, size: Size, rows: int, seed: int, shift: float) -> None:
    with pq.ParquetWriter(file, _group(size, np.random.default_rng(seed), 0, 0, shift).schema) as writer:
        for first in range(0, rows, GROUP):
            chance = np.random.default_rng([seed, first])
            writer.write_table(_group(size, chance, first, min(GROUP, rows - first), shift))


def _group(size: Size, chance: np.random.Generator, first: int, rows: int, shift: float) -> pa.Table:
    seconds = np.arange(first, first + rows).astype("timedelta64[s]")
    times = pa.array(np.datetime64(START.replace(tzinfo=None), "us") + seconds, pa.timestamp("us", "UTC"))
    numbers = {name: chance.normal(moved, 1, rows) for name, moved in _moved(size.numbers, shift)}
    words = {name: _words(chance, moved, rows) for name, moved in _moved(size.words, shift)}
    return pa.table({"timestamp": times} | numbers | words)


def _moved(names: Sequence[str], shift: float) -> Iterator[tuple[str, float]]:
    return ((name, 0.0 if place % 5 else shift) for place, name in enumerate(names))


def _words(chance: np.random.Generator, shift: float, rows: int) -> pa.Array:
    shares = np.exp(-np.arange(CATEGORIES) / (8 + 10 * shift))
    names = pa.array([f"category {index}" for index in range(CATEGORIES)])
    return names.take(pa.array(chance.choice(CATEGORIES, rows, p=shares / shares.sum())))
