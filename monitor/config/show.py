"""The effective settings with where each comes from: what `driftd validate --show` prints."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from monitor.config.keys import Key, dotted, shown
from monitor.config.load import Loaded, state_dir
from monitor.config.roles import USUAL_NAMES, Roles

FOUND = "found in the data"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force; origin: "file:line", "[defaults] file:line", "default" or "found in the data"."""

    key: str
    value: str
    origin: str


def settings(loaded: Loaded, roles: dict[str, Roles]) -> list[Setting]:
    """Every value in force, with keys as in the file; `roles` by model, as found in the data."""
    effective = loaded.config.model_dump(mode="json")
    effective["daemon"]["state_dir"] = str(state_dir(loaded.config, loaded.path))
    for model in effective["models"].values():
        _fill_in(model)
    found = [setting for name, parts in roles.items() for setting in _columns(name, parts, loaded)]
    known = {setting.key for setting in found}
    written = [_setting(key, value, loaded) for key, value in _leaves(effective, ())]
    return [*(setting for setting in written if setting.key not in known), *found]


def _fill_in(model: dict[str, Any]) -> None:
    """Say what an absent `every` and `step` come to."""
    if model["cron"] is None:
        model["every"] = model["every"] or "1h"
    if isinstance(model["window"]["size"], str):
        model["window"]["step"] = model["window"]["step"] or model["window"]["size"]


def _setting(key: Key, value: Any, loaded: Loaded) -> Setting:
    name = dotted(shown(key))
    return Setting(name, json.dumps(value, ensure_ascii=False), loaded.origins[name])


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """Values in force: scalars, lists of them, references to secrets. A model's name is its table's."""
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


def _columns(name: str, roles: Roles, loaded: Loaded) -> Iterator[Setting]:
    columns = loaded.config.models[name].columns
    for part in USUAL_NAMES:
        value = getattr(roles, part)
        if value is not None and getattr(columns, part) is None:
            key = dotted(("models", name, "columns", part))
            yield Setting(key, json.dumps(value, ensure_ascii=False), FOUND)
    key = dotted(("models", name, "columns", "features"))
    kinds = ", ".join(f"{feature} ({kind})" for feature, kind in roles.features.items())
    yield Setting(key, kinds, FOUND if columns.features is None else loaded.origins[key])
