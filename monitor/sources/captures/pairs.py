"""The inputs and the answers of a request, one of each for each instance, however each side has put them together."""

from typing import Any

from monitor.records import Json
from monitor.sources.captures.answers import failed, ranks
from monitor.sources.captures.bodies import MANY
from monitor.sources.captures.unusable import Unusable


def paired(asked: list[Any], said: list[Any]) -> list[tuple[Any, Any]]:
    """Return each instance with its answer. Raises Unusable."""
    if any(map(failed, said)):
        raise Unusable("a request that failed")
    if len(asked) == 1:
        asked = _rows_of(asked[0], len(said[0]) if len(said) == 1 and isinstance(said[0], list) else len(said))
    if len(said) == 1 and len(asked) > 1:
        said = _answers_of(said[0], len(asked))
    if len(asked) == 1 and ranks(said):
        said = [said]            # the classes of one input, each with its score
    if len(asked) != len(said):
        raise Unusable("a request with another number of answers than of inputs")
    return list(zip(asked, said, strict=True))


def _rows_of(asked: Any, answers: int) -> list[Any]:
    """Return the rows of one input that holds lists by column, as many as there are answers, or numbered values."""
    columns = _columns(asked)
    [rows, *others] = {len(values) for values in columns.values()} or {0}
    if others or len(columns) < len(asked if isinstance(asked, dict) else ()) or not 0 < rows <= MANY:
        return [asked]
    is_numbered = not any(isinstance(values, list) for values in asked.values())
    return _by_row(columns, {}, rows) if is_numbered or (len(columns) > 1 and rows in (1, answers)) else [asked]


def _answers_of(said: Any, inputs: int) -> list[Any]:
    """Return the answers to so many inputs that one list holds, or one dict by column."""
    if isinstance(said, list):
        return said
    columns = {name: values for name, values in _columns(said).items() if len(values) == inputs}
    return _by_row(columns, {name: said[name] for name in said if name not in columns}, inputs) if columns else [said]


def _columns(body: Any) -> dict[str, list[Any]]:
    """Return the values of a body that are lists, or numbered from 0 as pandas writes them."""
    if not isinstance(body, dict):
        return {}
    found = {name: list(values.values()) if _is_numbered(values) else values for name, values in body.items()}
    return {name: values for name, values in found.items() if isinstance(values, list)}


def _is_numbered(values: Any) -> bool:
    return isinstance(values, dict) and bool(values) and list(values) == [str(place) for place in range(len(values))]


def _by_row(columns: dict[str, list[Any]], same: Json, rows: int) -> list[Any]:
    return [{**same, **{name: values[row] for name, values in columns.items()}} for row in range(rows)]
