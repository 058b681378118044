"""What the types of a model's `gate` cannot say."""

import math
from collections.abc import Iterator, Mapping

from monitor.config.keys import Key, did_you_mean
from monitor.config.sections import ModelSection
from monitor.metric_catalogue import Use, names_for

MOST_COLUMNS = 10     # with segments of their own: each has up to twenty, and each of these every metric
LIMITED = names_for(Use.LIMIT)


def check(model: ModelSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with the gate of a model."""
    gate = model.gate
    for name in ("margin", "delta"):
        if not math.isfinite(getattr(gate, name)):
            yield ("gate", name), f"expected a finite number, got {getattr(gate, name)}"
    if len(gate.segments or ()) > MOST_COLUMNS:
        yield ("gate", "segments"), f"expected at most {MOST_COLUMNS} columns"
    if gate.limits and model.fairness is None:
        table = f"[models.{model.name}.fairness]"
        yield ("gate", "limits"), f"hold for protected columns, expected a table {table} that names them"
    for name, text in wrong_limits(gate.limits):
        yield ("gate", "limits", name), text


def wrong_limits(limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Yield each limit that is none, and why."""
    for name, limit in limits.items():
        if name not in LIMITED:
            near = did_you_mean(name, LIMITED) or ", expected one of " + ", ".join(LIMITED)
            yield name, f'"{name}" is no fairness metric{near}'
        elif not 0 <= limit <= 1:
            yield name, f"expected a number from 0 to 1, got {limit:g}"
