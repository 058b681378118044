"""The settings in force and the origin of each, as `driftd validate --show` prints them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from monitor.config.column_roles import USUAL_NAMES, Roles
from monitor.config.keys import Key, dotted, shown
from monitor.config.load import Loaded, state_dir

FOUND = "found in the data"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force; origin: "file:line", "[defaults] file:line", "default" or "found in the data"."""

    key: str
    value: str
    origin: str


def settings(loaded: Loaded, roles: dict[str, Roles]) -> list[Setting]:
    """Return every value in force, with keys as in the file; `roles` are those found in the data, by model."""
    effective = loaded.config.model_dump(mode="json")
    effective["daemon"]["state_dir"] = str(state_dir(loaded.config, loaded.path))
    for name, model in effective["models"].items():
        _fill_in(model)
        model["columns"] |= _found(roles[name]) if name in roles else {}
    found = {("models", name, "columns", part) for name in roles for part in (*USUAL_NAMES, "positive", "features")}
    return [_setting(key, value, loaded.origins[dotted(shown(key))], key in found)
            for key, value in _leaves(effective, ())]


def _fill_in(model: dict[str, Any]) -> None:
    """Fill in the defaults of `every` and `step`, which depend on other keys."""
    if model["cron"] is None:
        model["every"] = model["every"] or "1h"
    if isinstance(model["window"]["size"], str):
        model["window"]["step"] = model["window"]["step"] or model["window"]["size"]


def _found(roles: Roles) -> dict[str, Any]:
    """Return the columns as they were found, each feature with its kind."""
    parts: dict[str, Any] = {part: getattr(roles, part) for part in USUAL_NAMES} | {"positive": roles.positive}
    return parts | {"features": [f"{name} ({kind})" for name, kind in roles.features.items()]}


def _setting(key: Key, value: Any, origin: str, found: bool) -> Setting:
    origin = FOUND if found and origin == "default" else origin
    return Setting(dotted(shown(key)), json.dumps(value, ensure_ascii=False), origin)


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """Yield values in force: scalars, lists of them, references to secrets. A model's `name` is left out."""
    if isinstance(value, dict) and not _is_secret(value):
        for name, child in value.items():
            if (key[:1], len(key), name) != (("models",), 2, "name"):
                yield from _leaves(child, (*key, name))
    elif isinstance(value, list) and any(isinstance(child, dict) for child in value):
        for index, child in enumerate(value):
            yield from _leaves(child, (*key, index))
    elif value not in (None, []):
        yield key, value


def _is_secret(value: dict[str, Any]) -> bool:
    return len(value) == 1 and set(value) <= {"env", "file", "credential"}
