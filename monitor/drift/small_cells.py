"""Small cells of Evidently's numbers: what is about fewer than ten rows is about people, and is not told."""

from collections.abc import Sequence

import pyarrow as pa

from monitor.drift.evidently import Value
from monitor.performance.labelled_rows import word
from monitor.tables import columns
from monitor.tables.groups import SMALLEST_CELL

_OF_VALUES = ("CategoryCount", "InListValueCount", "OutListValueCount", "InRangeValueCount", "OutRangeValueCount")


def large_enough(metric: str, found: Sequence[Value], window: pa.Table, label: str | None) -> list[Value]:
    """Leave out of a metric's numbers those that are about some rows, but fewer than ten, on either side."""
    if metric in _OF_VALUES:
        return [] if any(part == "count" and _small(now, before) for part, now, before in found) else list(found)
    if metric == "UniqueValueCount":
        few = {part.partition(".")[2] for part, now, before in found
               if part.startswith("counts.") and _small(now, before)}
        return [one for one in found if one[0].partition(".")[2] not in few]
    if metric.endswith("ByLabel") and label in window.column_names:
        few = {word(key) for key, rows in columns.counts(window[label]).items() if rows < SMALLEST_CELL}
        return [one for one in found if one[0] not in few]
    return list(found)


def _small(*counts: float | None) -> bool:
    return any(count is not None and 0 < count < SMALLEST_CELL for count in counts)
