"""How driftd measures a window's file, for the benchmarks: the one place that knows which functions do it."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.measure import column_drift
from monitor.measure.methods import Kind


@dataclass(frozen=True, slots=True)
class Kept:
    """What is made once from the reference."""

    table: pa.Table
    numbers: list[str]
    words: list[str]


def keep(reference: Path, numbers: list[str], words: list[str]) -> Kept:
    """Digest the reference."""
    return Kept(pq.read_table(reference, columns=[*numbers, *words]), numbers, words)


def measure(file: Path, kept: Kept, numbers: list[str], words: list[str]) -> dict[str, float]:
    """Return the number of each method for each column ("column method"): `numbers` for numeric columns, `words`
    for those of strings."""
    found = {}
    asked: list[tuple[Kind, list[str], list[str]]] = [
        ("numerical", kept.numbers, numbers), ("categorical", kept.words, words)
    ]
    for kind, names, methods in asked:
        for name in names:
            window = pq.read_table(file, columns=[name])[name]
            for method in methods:
                found[f"{name} {method}"] = column_drift(kept.table[name], window, kind, method)[1]
    return found
