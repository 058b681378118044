"""Bodies of requests and answers in the forms that serving platforms take, as one row for each instance.

Forms: the Open Inference Protocol (V2), the V1 protocol of TensorFlow Serving and KServe (`instances`, `predictions`),
MLflow (`dataframe_split`, `dataframe_records`, `inputs`), Seldon's `data`, CSV, and plain JSON.
"""

import csv
import io
import math
from collections.abc import Callable
from typing import Any

from monitor.records import Json
from monitor.untrusted import parse_json

MANY = 100_000                   # instances in one body
ANSWERS = {                      # names that platforms give to what a model answers
    "predict": "prediction", "predicted_label": "prediction", "predicted_class": "prediction", "class": "prediction",
    "predict_proba": "probability", "probabilities": "probability", "score": "probability",
}
_OWN = ("timestamp", "id", "prediction", "probability", "label", "model_version")


class Unusable(ValueError):
    """A record is not what its platform writes; the text says why, for all such records alike."""


def instances(body: Any) -> list[Any]:
    """Return the instances of a body: each a dict by name, a list by place, or one value. Raises Unusable."""
    found = _instances(body)
    if len(found) > MANY:
        raise Unusable("too many instances")
    return found


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
    """Return the instances of a body of text: JSON, or CSV with `csv` in its content type. Raises Unusable."""
    if "csv" not in kind.lower():
        try:
            return instances(parse_json(text))
        except ValueError as error:
            if isinstance(error, Unusable) or "json" in kind.lower():
                raise Unusable("a body that is no JSON") from None
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if not rows:
        raise Unusable("an empty body")
    return [[_number(cell) for cell in row] for row in rows]


def features(instance: Any) -> Json:
    """Return the columns of an input; values by place are called f0, f1, …."""
    named = instance if isinstance(instance, dict) else dict(_by_place(instance, "f"))
    return {f"input.{name}" if name in _OWN else name: value for name, value in named.items()}


def answer(instance: Any) -> Json:
    """Return what a model answered: its prediction, a probability or one for each class, else what it is called."""
    if isinstance(instance, dict):
        named: Json = {}
        for name, value in instance.items():
            own = ANSWERS.get(str(name), str(name))
            named |= _probabilities(value) if own == "probability" and isinstance(value, list) else {own: value}
        others = [name for name in named if name not in _OWN]
        if "prediction" not in named and len(others) == 1 and not isinstance(named[others[0]], list):
            named["prediction"] = named.pop(others[0])
        return named
    if not isinstance(instance, list):
        return {"prediction": instance}
    if len(instance) == 1:
        return answer(instance[0])
    if found := _probabilities(instance):
        return {"prediction": max(range(len(instance)), key=lambda place: instance[place]), **found}
    return dict(_by_place(instance, "output_"))


def _probabilities(values: list[Any]) -> Json:
    """Return the probability of class 1 of two, or of each class; nothing where these are no probabilities."""
    if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
        return {}
    if len(values) < 2 or not math.isclose(sum(values), 1, abs_tol=1e-3):
        return {"probability": values[0]} if len(values) == 1 else {}
    return {"probability": values[1]} if len(values) == 2 else dict(_by_place(values, "probability_"))


def _by_place(values: Any, name: str) -> list[tuple[str, Any]]:
    return [(f"{name}{place}", value) for place, value in enumerate(values if isinstance(values, list) else [values])]


def _number(cell: str) -> str | int | float | None:
    text = cell.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text or None


def _tensors(tensors: list[Json]) -> list[Any]:
    """Return the rows of tensors of the Open Inference Protocol; the first number of a shape counts the rows."""
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        name, shape, values = tensor.get("name"), tensor.get("shape"), _flat(tensor.get("data"))
        if not isinstance(name, str) or not isinstance(shape, list) or not shape:
            raise Unusable("a tensor without name or shape")
        rows = int(shape[0]) if len(shape) > 1 or len(tensors) > 1 else len(values)
        if rows < 1 or rows > MANY or len(values) % rows:
            raise Unusable("a tensor whose data do not fit its shape")
        wide = len(values) // rows
        if wide == 1:
            columns[name] = values
        elif ANSWERS.get(name) == "probability":
            columns[name] = [values[row * wide : (row + 1) * wide] for row in range(rows)]
        else:
            columns |= {f"{name}_{place}": values[place::wide] for place in range(wide)}
    return _as_rows(columns)


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
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def _seldon(data: Json) -> list[Any]:
    names, tensor = data.get("names") or [], data.get("tensor")
    if isinstance(tensor, dict):
        rows, wide = tensor["shape"][0], max(1, len(tensor["values"]) // max(1, tensor["shape"][0]))
        table = [tensor["values"][row * wide : (row + 1) * wide] for row in range(rows)]
    else:
        table = data["ndarray"]
    plain = [row if isinstance(row, list) else [row] for row in table]
    return [dict(zip(names, row, strict=True)) if len(names) == len(row) else row for row in plain]


def _is_tensors(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "datatype" in one for one in value)


# The first form that fits a body reads it.
_FORMS: tuple[tuple[Callable[[Json], bool], Callable[[Json], list[Any]]], ...] = (
    (lambda body: _is_tensors(body.get("outputs")) and "data" in body["outputs"][0],
     lambda body: _tensors(body["outputs"])),
    (lambda body: _is_tensors(body.get("inputs")), lambda body: _tensors(body["inputs"])),
    (lambda body: isinstance(body.get("instances"), list), lambda body: list(body["instances"])),
    (lambda body: isinstance(body.get("predictions"), list), lambda body: list(body["predictions"])),
    (lambda body: isinstance(body.get("dataframe_split"), dict), lambda body: _split(body["dataframe_split"])),
    (lambda body: isinstance(body.get("dataframe_records"), list), lambda body: list(body["dataframe_records"])),
    (lambda body: isinstance(body.get("data"), dict) and bool({"ndarray", "tensor"} & set(body["data"])),
     lambda body: _seldon(body["data"])),
    (lambda body: isinstance(body.get("inputs"), list), lambda body: list(body["inputs"])),
    (lambda body: isinstance(body.get("inputs"), dict) and all(isinstance(v, list) for v in body["inputs"].values()),
     lambda body: _as_rows(body["inputs"])),
)
