"""Keys and values of later versions, which this version refuses by name and never ignores."""

from collections.abc import Iterator
from typing import Any

from monitor.config.keys import Key, matches, walk

LATER_KEYS = (
    "about",
    "mlflow",
    "daemon.database",
    "models.*.about",
    "models.*.false_alarms",
    "models.*.private",
)
LATER_VALUES = {
    "pipelines.*.kind": (
        "dagster", "mlflow", "tekton",
    ),
}


def refused(data: dict[str, Any]) -> Iterator[tuple[Key, str]]:
    """Yield each key that belongs to a later version, and the sentence that says so."""
    for key, value in walk(data):
        if any(matches(key, pattern) for pattern in LATER_KEYS):
            yield key, "not in this version"
        elif any(matches(key, pattern) and value in values for pattern, values in LATER_VALUES.items()):
            yield key, f'"{value}" is not in this version'
