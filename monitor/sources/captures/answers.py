"""What a model was asked and what it answered, under the names that driftd's columns have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.records import Json
from monitor.sources.captures.text_rows import number_of
from monitor.sources.captures.unusable import Unusable

ANSWERS = {                      # names that platforms give to what a model answers
    "predict": "prediction", "predicted_label": "prediction", "predicted_class": "prediction", "class": "prediction",
    "label": "prediction", "output_label": "prediction", "value": "prediction",
    "predict_proba": "probability", "probabilities": "probability", "score": "probability", "scores": "probability",
    "proba": "probability", "class_probabilities": "probability", "output_probability": "probability",
}
_OWN = ("timestamp", "id", "prediction", "probability", "label", "model_version")
_ANSWERED = ("prediction", "probability")
_PLACES = {name: place for place, name in enumerate(
    name for own in _ANSWERED for name in (own, *(name for name in ANSWERS if ANSWERS[name] == own)))}
_RANKED = (("classes", "scores"), ("labels", "scores"), ("displayNames", "confidences"))    # probability of each class
_CLASS = {"prediction", "name", *(name for name in ANSWERS if ANSWERS[name] == "prediction")}
_SCORE = {"probability", "confidence", *(name for name in ANSWERS if ANSWERS[name] == "probability")}
_FAILED = {"error", "error_code", "ErrorCode", "errorMessage", "errorType", "detail", "message", "Message"}
_OF_FAILURE = _FAILED | {
    "code", "status", "status_code", "statusCode", "stack_trace", "stackTrace", "requestId", "request_id", "timestamp",
    "path", "type", "title",
}
_NO_SUCCESS = {"error", "fail", "failed", "failure"}
_ROUNDED = 1e-9
_NEARLY = 1e-2                   # softmax in half precision does not add up to 1 exactly
MOST = 0.9                       # of a capture's answers decide what these are


@dataclass(frozen=True, slots=True)
class Manner:
    """What all answers of a capture together show: one of them alone may add up to 1 by chance."""

    lists_are_probabilities: bool = True
    maps_are_probabilities: bool = True          # of a number to each name, without a word of what they are
    scores_are_probabilities: bool = True


def manner_of(answers: Iterable[Any]) -> Manner:
    """Return what the answers of a capture, of all instances, are."""
    lists: list[bool] = []
    maps: list[bool] = []
    scores: list[bool] = []
    for said in map(_plain, answers):
        if ranked := _ranked(said):
            scores += map(_is_share, ranked.values())
        elif isinstance(said, list):
            lists.append(_adds_up(said))
        elif isinstance(said, dict):
            named = [_plain(value) for name, value in said.items() if ANSWERS.get(name, name) == "probability"]
            if not named and (only := _sole_list(said)):
                named = [only]
            lists += [_adds_up(value) for value in named if isinstance(value, list)]
            scores += [_is_share(one) for value in named for one in (_scores_of(value) or {"": value}).values()
                       if _is_number(one)]
            if _is_map(said):
                maps.append(_adds_up(list(said.values())))
    return Manner(*(sum(found) >= MOST * len(found) for found in (lists, maps, scores)))


def features(instance: Any) -> Json:
    """Return the columns of an input; values by place are called f0, f1, …, or by the one name that holds them."""
    named = instance if isinstance(instance, dict) else dict(_by_place(instance, "f"))
    if isinstance(instance, dict) and len(named) == 1 and isinstance(value := next(iter(named.values())), list):
        named = dict(_by_place(value, f"{next(iter(named))}_"))
    return {f"input.{name}" if name in _OWN else name: _alone(value) for name, value in named.items()}


def answer(instance: Any, manner: Manner) -> Json:
    """Return what a model answered: its prediction, a probability or one for each class, else what it is called.

    Raises Unusable where it answered that it failed.
    """
    said = _plain(instance)
    if failed(said):
        raise Unusable("a request that failed")
    if ranked := _ranked(said):
        named = [said[name] for name in _PLACES if name in said and name in _CLASS] if isinstance(said, dict) else []
        return _of_classes(ranked, "score", manner) | ({"prediction": named[0]} if named else {})
    if isinstance(said, dict):
        return _of_names(said, manner)
    if not isinstance(said, list):
        return {"prediction": said}
    return _of_list(said, manner) or dict(_by_place(said, "output_"))


def failed(instance: Any) -> bool:
    """Tell whether an answer says that the request failed: it has an error, and nothing that a model says."""
    if not isinstance(instance, dict) or not (
        any(instance.get(name) for name in _FAILED) or str(instance.get("status")).lower() in _NO_SUCCESS
    ):
        return False
    return all(name in _OF_FAILURE or value in (None, [], {}) for name, value in instance.items())


def ranks(answers: list[Any]) -> bool:
    """Tell whether answers are classes of one input, each with its score."""
    return bool(_ranked(answers))


def _plain(said: Any) -> Any:
    """Return an answer without what only wraps it: a list of one, or the one name of a dict that holds the rest."""
    while True:
        if isinstance(said, list) and len(said) == 1:
            said = said[0]
        elif isinstance(said, dict) and len(said) == 1 and _wraps(*next(iter(said.items()))):
            [said] = said.values()
        else:
            return said


def _wraps(name: str, value: Any) -> bool:
    own = ANSWERS.get(name, name)
    is_list = isinstance(value, list) and (own == "prediction" or len(value) == 1)
    return own != "probability" and (is_list or isinstance(value, dict))


def _of_names(said: Json, manner: Manner) -> Json:
    if manner.maps_are_probabilities and _is_map(said):
        return _of_classes(_scores_of(said), "score", manner)
    if (only := _sole_list(said)) is not None:
        return _of_list(only, manner) or dict(_by_place(only, f"{next(iter(said))}_"))
    named: Json = {}
    largest: Json = {}
    for name in sorted(said, key=lambda name: _PLACES.get(name, len(_PLACES))):     # the surest names first
        own, value = ANSWERS.get(name, name), _alone(said[name])
        if own == "probability" and (scores := _scores_of(value)):
            found = _of_classes(scores, name, manner)
            largest = largest or {"prediction": found.pop("prediction")}
        elif own == "probability" and isinstance(value, list):
            found = _of_list(value, manner)
            largest = largest or ({"prediction": found.pop("prediction")} if found else {})
            found = {column: one for column, one in found.items() if column != "prediction"} \
                or dict(_by_place(value, f"{name}_"))
        elif own == "prediction" and isinstance(value, dict | list) and value:
            found = answer(value, manner)
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


def _of_classes(scores: dict[str, float], name: str, manner: Manner) -> Json:
    """Return the class with the largest score, and the score of each class under its name."""
    column = "probability" if manner.scores_are_probabilities else name
    return {"prediction": max(scores, key=lambda one: scores[one]),
            **{f"{column}_{one}": score for one, score in scores.items()}}


def _of_list(values: list[Any], manner: Manner) -> Json:
    """Return the place of the largest of probabilities, and these; nothing where a capture's lists are none."""
    found = _probabilities(values) if manner.lists_are_probabilities else {}
    return {"prediction": _largest(values), **found} if found else {}


def _ranked(said: Any) -> dict[str, float]:
    """Return the score of each class, where an answer names both, by list or one by one; nothing where it does not."""
    if isinstance(said, dict):
        listed = [(said[names], said[scores]) for names, scores in _RANKED if names in said and scores in said]
        fitting = (list(zip(*both, strict=True)) for both in listed
                   if all(isinstance(one, list) for one in both) and len(both[0]) == len(both[1]))
        return _scores_by_class(next(fitting, []))
    if not isinstance(said, list) or len(said) < 2:
        return {}
    if all(isinstance(one, dict) for one in said):
        named = [([one[name] for name in one if name in _CLASS], [one[name] for name in one if name in _SCORE])
                 for one in said]
        single = all(len(classes) == len(scores) == 1 for classes, scores in named)
        return _scores_by_class([(classes[0], scores[0]) for classes, scores in named]) if single else {}
    pairs = all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in said)
    return _scores_by_class(said) if pairs else {}


def _scores_by_class(pairs: Sequence[Any]) -> dict[str, float]:
    if not all(isinstance(name, str | int) for name, _ in pairs):
        return {}
    found = dict(pairs)
    return _scores_of(found) if len(found) == len(pairs) else {}


def _scores_of(value: Any) -> dict[str, float]:
    """Return a map of two or more names to numbers, also to texts of them; nothing where it is none."""
    if not isinstance(value, dict) or len(value) < 2:
        return {}
    numbers = _numbers(list(value.values()))
    return dict(zip(value, numbers, strict=True)) if numbers else {}


def _is_map(said: Json) -> bool:
    """Tell whether an answer has nothing but a number for each of several names that say nothing else."""
    return not (_PLACES.keys() | set(_OWN)) & said.keys() and bool(_scores_of(said))


def _sole_list(said: Json) -> list[Any] | None:
    """Return the values under the one name of an answer that is not of its own kind."""
    [value, *others] = said.values() or [None]
    return value if isinstance(value, list) and not others and not _PLACES.keys() & said.keys() else None


def _probabilities(values: list[Any]) -> Json:
    """Return the probability of class 1 of two, or of each class; nothing where these are no probabilities."""
    numbers = _numbers(values)
    if len(numbers) < 2 or not all(map(_is_share, numbers)):
        return {}
    return {"probability": numbers[1]} if len(numbers) == 2 else dict(_by_place(numbers, "probability_"))


def _numbers(values: list[Any]) -> list[Any]:
    """Return the numbers that values are or write; nothing where one is none."""
    found = [number_of(value) if isinstance(value, str) else value for value in map(_alone, values)]
    return found if all(map(_is_number, found)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: float) -> bool:
    return -_ROUNDED <= value <= 1 + _ROUNDED


def _adds_up(values: list[Any]) -> bool:
    return bool(_probabilities(values)) and abs(sum(_numbers(values)) - 1) <= _NEARLY


def _largest(values: list[Any]) -> int:
    numbers = _numbers(values)
    return max(range(len(numbers)), key=lambda place: numbers[place])


def _alone(value: Any) -> Any:
    """Return the value that lists of one hold."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _by_place(values: Any, name: str) -> list[tuple[str, Any]]:
    listed = values if isinstance(values, list) else [values]
    return [(f"{name}{place}", _alone(value)) for place, value in enumerate(listed)]
