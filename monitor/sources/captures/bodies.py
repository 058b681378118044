"""Bodies of requests and answers in the forms that serving platforms take, as one row for each instance.

Forms: the Open Inference Protocol (V2), the V1 protocol of TensorFlow Serving and KServe (`instances`, `predictions`,
by column `inputs`, `outputs`), MLflow (`dataframe_split`, `dataframe_records`, `inputs`), Azure ML (`input_data`,
`data`), Seldon's `data`, CSV, JSON lines, and plain JSON.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from monitor.records import Json
from monitor.sources.captures.answers import ANSWERS
from monitor.sources.captures.text_rows import rows_of_csv
from monitor.sources.captures.unusable import Unusable
from monitor.untrusted import parse_json

MANY = 100_000                   # instances in one body
_HOLDERS = {"instances", "predictions", "inputs", "outputs", "data", "dataframe_split", "dataframe_records"}
_CLASS = re.compile(r"t:\d+")     # what Seldon's servers call the classes of a model that names none


def instances(body: Any) -> list[Any]:
    """Return the instances of a body: each a dict by name, a list by place, or one value. Raises Unusable."""
    found = _instances(body)
    if not found or body in ([], {}) or _is_hollow(body):
        raise Unusable("a body without content")
    if len(found) > MANY:
        raise Unusable("too many instances")
    return found


def _is_hollow(body: Any) -> bool:
    """Tell whether a body has the keys of one, and nothing in them; inputs that are all missing are some."""
    return isinstance(body, dict) and bool(_HOLDERS & body.keys()) and all(value is None for value in body.values())


def _instances(body: Any) -> list[Any]:
    if isinstance(body, dict):
        for fits, read in _FORMS:
            if fits(body):
                return read(body)
        return [body]
    if isinstance(body, list):
        return body if body and isinstance(body[0], dict | list) else [body]
    if isinstance(body, str | int | float):
        return [body]
    raise Unusable("a body without content")


def from_text(text: str, *, kind: str = "") -> list[Any]:
    """Return the instances of a body of text: JSON, JSON lines, or CSV. Raises Unusable.

    `kind`: its content type; with `csv` in it only a list or an object is read as JSON.
    """
    if "csv" not in kind.lower() or text.lstrip().startswith(("[", "{")):
        parsed = _parsed(text)
        if parsed is not None:
            return [one for body in parsed for one in instances(body)]
        if "json" in kind.lower():
            raise Unusable("a body that is no JSON")
    if "libsvm" in kind.lower():
        raise Unusable("a body of libsvm, which is not read")
    return rows_of_csv(text)


def _parsed(text: str) -> list[Any] | None:
    """Return the JSON of a text, or of each of its lines; None where it is no JSON."""
    lines = [line for line in text.splitlines() if line.strip()]
    for parts in ([text], lines if len(lines) > 1 else []):
        try:
            return [parse_json(part) for part in parts] or None
        except ValueError:
            pass
    return None


def _tensors(tensors: list[Json], answers: bool = False) -> list[Any]:
    """Return the rows of tensors of the Open Inference Protocol; the first number of a shape counts the rows.

    The values of the one tensor of an answer stay together.
    """
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        name, shape, values = tensor.get("name"), tensor.get("shape"), _values(tensor)
        if not isinstance(name, str) or not isinstance(shape, list) or not shape:
            raise Unusable("a tensor without name or shape")
        rows = int(shape[0]) if len(shape) > 1 or len(tensors) > 1 else len(values)
        if rows < 1 or rows > MANY or len(values) % rows:
            raise Unusable("a tensor whose data do not fit its shape")
        wide = len(values) // rows
        parts = [values[row * wide : (row + 1) * wide] for row in range(rows)]
        found = {name: parts} if answers and len(tensors) == 1 else _spread(name, parts)
        if found.keys() & columns:
            raise Unusable("two tensors for one column")
        columns |= found
    return _as_rows(columns)


def _values(tensor: Json) -> list[Any]:
    values = _flat(tensor.get("data"))
    parameters = tensor.get("parameters")
    if isinstance(parameters, dict) and parameters.get("content_type") == "base64":
        return [_text_in_base64(value) for value in values]
    return values


def _text_in_base64(value: Any) -> Any:
    try:
        return base64.b64decode(value, validate=True).decode() if isinstance(value, str) else value
    except (binascii.Error, ValueError):
        return value


def _spread(name: str, values: list[Any]) -> dict[str, list[Any]]:
    """Return one column of values for each place of lists of one length; lists of probabilities stay together."""
    [wide, *others] = {len(value) if isinstance(value, list) else -1 for value in values} or {-1}
    if wide == 1 and not others:
        return {name: [value[0] for value in values]}
    if wide < 2 or others or ANSWERS.get(name) == "probability":
        return {name: values}
    return {f"{name}_{place}": [value[place] for value in values] for place in range(wide)}


def _by_column(columns: dict[str, list[Any]], answers: bool = False) -> list[Any]:
    if answers and len(columns) == 1:
        return _as_rows(columns)
    spread: dict[str, list[Any]] = {}
    for name, values in columns.items():
        spread |= _spread(name, values)
    return _as_rows(spread)


def _as_rows(columns: dict[str, list[Any]]) -> list[Any]:
    if len({len(values) for values in columns.values()}) != 1:
        raise Unusable("columns of different lengths")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise Unusable("a tensor without data in JSON")
    return [leaf for value in values for leaf in (_flat(value) if isinstance(value, list) else [value])]


def _split(frame: Json) -> list[Any]:
    names, rows = frame.get("columns"), frame.get("data")
    if not isinstance(names, list) or not isinstance(rows, list) or any(len(row) != len(names) for row in rows):
        raise Unusable("a data frame whose rows do not fit its columns")
    return [_named(list(map(str, names)), row) for row in rows]


def _named(names: list[str], row: list[Any]) -> Json:
    if len(set(names)) < len(names):
        raise Unusable("two columns of one name")
    return dict(zip(names, row, strict=True))


def _beside(body: Json) -> dict[str, list[Any]]:
    """Return the lists beside `predictions` that have as many values, such as the probabilities of each."""
    count = len(body["predictions"])
    return {name: value for name, value in body.items()
            if name != "predictions" and isinstance(value, list) and len(value) == count}


def _seldon(data: Json) -> list[Any]:
    names, tensor = data.get("names") or [], data.get("tensor")
    if isinstance(tensor, dict):
        rows, wide = tensor["shape"][0], max(1, len(tensor["values"]) // max(1, tensor["shape"][0]))
        table = [tensor["values"][row * wide : (row + 1) * wide] for row in range(rows)]
    else:
        table = data["ndarray"]
    plain = [row if isinstance(row, list) else [row] for row in table]
    if all(_CLASS.fullmatch(str(name)) for name in names):
        return plain
    return [_named(list(map(str, names)), row) if len(names) == len(row) else row for row in plain]


def _is_tensors(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "datatype" in one for one in value)


def _is_columns(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(one, list) for one in value.values())


def _listed(name: str) -> tuple[Callable[[Json], bool], Callable[[Json], list[Any]]]:
    """A key that holds the instances, one each."""
    return lambda body: isinstance(body.get(name), list), lambda body: list(body[name])


def _columnar(name: str) -> tuple[Callable[[Json], bool], Callable[[Json], list[Any]]]:
    """A key that holds a list of values for each column."""
    return lambda body: _is_columns(body.get(name)), lambda body: _by_column(body[name], answers=name != "inputs")


def _wrapping(name: str) -> tuple[Callable[[Json], bool], Callable[[Json], list[Any]]]:
    """A key that holds a body of its own."""
    return lambda body: isinstance(body.get(name), dict | list), lambda body: _instances(body[name])


# The first form that fits a body reads it.
_FORMS: tuple[tuple[Callable[[Json], bool], Callable[[Json], list[Any]]], ...] = (
    (lambda body: _is_tensors(body.get("inputs")), lambda body: _tensors(body["inputs"])),
    (lambda body: _is_tensors(body.get("outputs")), lambda body: _tensors(body["outputs"], answers=True)),
    _listed("instances"),
    (lambda body: isinstance(body.get("predictions"), list) and bool(_beside(body))
     and not any(isinstance(one, dict | list) for one in body["predictions"]),
     lambda body: _by_column({"prediction": body["predictions"], **_beside(body)})),
    _listed("predictions"),
    (lambda body: isinstance(body.get("dataframe_split"), dict), lambda body: _split(body["dataframe_split"])),
    _listed("dataframe_records"),
    (lambda body: isinstance(body.get("data"), dict) and bool({"ndarray", "tensor"} & set(body["data"])),
     lambda body: _seldon(body["data"])),
    (lambda body: isinstance(body.get("columns"), list) and isinstance(body.get("data"), list), _split),
    _listed("inputs"), _columnar("inputs"), _listed("outputs"), _columnar("outputs"), _columnar("predictions"),
    *(_wrapping(name) for name in ("input_data", "Inputs", "jsonData", "data", "Results", "results", "result")),
)
