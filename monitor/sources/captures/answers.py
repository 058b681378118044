"""What a model was asked and what it answered, under the names that driftd's columns have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monitor.records import Json
from monitor.sources.captures.unusable import Unusable

ANSWERS = {                      # names that platforms give to what a model answers
    "predict": "prediction", "predicted_label": "prediction", "predicted_class": "prediction", "class": "prediction",
    "label": "prediction", "output_label": "prediction", "value": "prediction",
    "predict_proba": "probability", "probabilities": "probability", "score": "probability",
    "output_probability": "probability",
}
_OWN = ("timestamp", "id", "prediction", "probability", "label", "model_version")
_ANSWERED = ("prediction", "probability")
_PLACES = {name: place for place, name in enumerate(
    name for own in _ANSWERED for name in (own, *(name for name in ANSWERS if ANSWERS[name] == own)))}
_RANKED = (("classes", "scores"), ("labels", "scores"), ("displayNames", "confidences"))    # probability of each class
_FAILED = {"error", "error_code", "ErrorCode", "detail"}
_OF_FAILURE = _FAILED | {"message", "Message", "errorMessage", "code", "status", "status_code", "stack_trace"}
_NEARLY = 1e-2                   # softmax in half precision does not add up to 1 exactly
MOST = 0.9                       # of a capture's answers decide what these are


@dataclass(frozen=True, slots=True)
class Manner:
    """What all answers of a capture together show: one of them alone may add up to 1 by chance."""

    lists_are_probabilities: bool = True
    scores_are_probabilities: bool = True


def manner_of(answers: Iterable[Any]) -> Manner:
    """Return what the answers of a capture, of all instances, are."""
    lists: list[bool] = []
    scores: list[bool] = []
    for said in answers:
        if isinstance(said, list) and len(said) > 1:
            lists.append(_adds_up(said))
        elif isinstance(said, dict):
            named = [value for name, value in said.items() if ANSWERS.get(name, name) == "probability"]
            lists += [_adds_up(value) for value in named if isinstance(value, list) and len(value) > 1]
            scores += [-1e-9 <= value <= 1 + 1e-9 for value in named if isinstance(value, int | float)]
    return Manner(sum(lists) >= MOST * len(lists), sum(scores) >= MOST * len(scores))


def features(instance: Any) -> Json:
    """Return the columns of an input; values by place are called f0, f1, …, or by the one name that holds them."""
    named = instance if isinstance(instance, dict) else dict(_by_place(instance, "f"))
    if isinstance(instance, dict) and len(named) == 1 and isinstance(value := next(iter(named.values())), list):
        named = dict(_by_place(value, f"{next(iter(named))}_"))
    return {f"input.{name}" if name in _OWN else name: value for name, value in named.items()}


def answer(instance: Any, manner: Manner) -> Json:
    """Return what a model answered: its prediction, a probability or one for each class, else what it is called.

    Raises Unusable where it answered that it failed.
    """
    if isinstance(instance, dict):
        return _of_names(instance, manner)
    if not isinstance(instance, list):
        return {"prediction": instance}
    if len(instance) == 1:
        return answer(instance[0], manner)
    if manner.lists_are_probabilities and (found := _probabilities(instance)):
        return {"prediction": _largest(instance), **found}
    return dict(_by_place(instance, "output_"))


def failed(instance: Any) -> bool:
    """Tell whether an answer says that the request failed."""
    return isinstance(instance, dict) and bool(_FAILED & instance.keys()) and instance.keys() <= _OF_FAILURE


def _of_names(said: Json, manner: Manner) -> Json:
    if failed(said):
        raise Unusable("a request that failed")
    if ranked := _ranked(said):
        return ranked
    named: Json = {}
    largest: Json = {}
    for name in sorted(said, key=lambda name: _PLACES.get(name, len(_PLACES))):     # the surest names first
        own, value = ANSWERS.get(name, name), said[name]
        if own in _ANSWERED and isinstance(value, list) and len(value) == 1:
            value = value[0]
        if own == "probability" and isinstance(value, list):
            found = _probabilities(value) if manner.lists_are_probabilities else {}
            largest = largest or ({"prediction": _largest(value)} if found else {})
            found = found or dict(_by_place(value, f"{name}_"))
        else:
            found = {name if own == "probability" and not manner.scores_are_probabilities else own: value}
        for column, one in found.items():
            named[_free(column, name, named)] = one
    named = largest | named
    others = [name for name in named if name not in _OWN and not name.startswith("output.")]
    if "prediction" not in named and len(others) == 1 and not isinstance(named[others[0]], list):
        named["prediction"] = named.pop(others[0])
    return named


def _free(column: str, name: str, taken: Json) -> str:
    """Return the column, or what the answer itself calls it where it is taken or not an answer's to tell."""
    if column not in taken and (column in _ANSWERED or column not in _OWN):
        return column
    return name if name not in (*_OWN, *taken) else f"output.{name}"


def _ranked(said: Json) -> Json:
    """Return the class of the largest probability, and that of each class by its name, where both are listed."""
    for names, scores in _RANKED:
        classes, chances = said.get(names), said.get(scores)
        if isinstance(classes, list) and isinstance(chances, list) and len(classes) == len(chances) > 1 and all(
            isinstance(name, str | int) for name in classes
        ) and (_probabilities(chances) or _adds_up(chances)):
            return {"prediction": classes[_largest(chances)],
                    **{f"probability_{name}": chance for name, chance in zip(classes, chances, strict=True)}}
    return {}


def _probabilities(values: list[Any]) -> Json:
    """Return the probability of class 1 of two, or of each class; nothing where these are no probabilities."""
    if len(values) < 2 or not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
        return {}
    return {"probability": values[1]} if len(values) == 2 else dict(_by_place(values, "probability_"))


def _adds_up(values: list[Any]) -> bool:
    return bool(_probabilities(values)) and abs(sum(values) - 1) <= _NEARLY


def _largest(values: list[Any]) -> int:
    return max(range(len(values)), key=lambda place: values[place])


def _by_place(values: Any, name: str) -> list[tuple[str, Any]]:
    return [(f"{name}{place}", value) for place, value in enumerate(values if isinstance(values, list) else [values])]
