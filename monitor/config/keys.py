"""Keys of a TOML document as tuples: ("models", "malaria", "triggers", 0, "name")."""

import difflib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from monitor.escape import toml_key

Step = str | int
Key = tuple[Step, ...]

_SOURCE = ("reference", "source")


def dotted(key: Key) -> str:
    """Write a key as TOML does ("models.malaria.window.size"); elements of arrays by their number, from 1."""
    parts = [str(step + 1) if isinstance(step, int) else step for step in key]
    return ".".join(map(toml_key, parts))


def shown(key: Key) -> Key:
    """Return the key as users write it: the keys of a reference's source are directly in its table."""
    at_source = 2 if key[0] == "defaults" else 3
    return (*key[:at_source], *key[at_source + 1:]) if key[at_source - 1: at_source + 1] == _SOURCE else key


def walk(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key below a table or list, with its value, parents first."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in pairs:
        yield (*key, step), child
        yield from walk(child, (*key, step))


def at(data: Any, key: Key) -> Any:
    """The value at a key, None where there is none."""
    for step in key:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def matches(key: Key, pattern: str) -> bool:
    """Whether a key fits a dotted pattern in which * stands for one step."""
    wanted = _steps(pattern)
    return len(wanted) == len(key) and all(
        want in ("*", step) for want, step in zip(wanted, key, strict=True)
    )


@cache
def _steps(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split(".")) if pattern else ()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """", did you mean \"x\"?" for the known name that is nearest, if any is near."""
    near = difflib.get_close_matches(name.lower(), {each.lower(): each for each in known}, n=1, cutoff=0.6)
    return f', did you mean "{next(each for each in known if each.lower() == near[0])}"?' if near else ""
