"""The role of each column: as named in the configuration, else found by its usual name. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from monitor import escape
from monitor.config.keys import did_you_mean
from monitor.config.sections import Columns
from monitor.errors import ConfigError
from monitor.private import quoted

FeatureKind = Literal["numerical", "categorical", "text"]
Scale = Literal["probability", "percent", "score"]       # of a classifier's scores; a "score" only ranks the rows

INTEGER_CATEGORIES = 10      # integers with at most so many values are categories, as Evidently guesses
TEXT_SHARE = 0.5             # strings with a larger share of distinct values are text, as Evidently guesses
TELL_APART = 30              # rows, at least, of which it is told whether a column tells them apart
KEY_TOLD = "columns.types, drift.columns or a trigger that names it has it watched"
KEY = f"nearly each row has a value of its own, as ids and running numbers have; {KEY_TOLD}"

# The first name of each is the one that `monitor.client` writes: if it is there, the others are plain columns.
USUAL_NAMES = {
    "timestamp": ("timestamp", "ts", "time", "datetime", "date", "event_time", "event_timestamp",
                  "created_at", "predicted_at", "prediction_time"),
    "id": ("prediction_id", "id", "request_id", "event_id", "uuid"),
    "prediction": ("prediction", "predicted", "pred", "y_pred", "prediction_label", "predicted_label"),
    "probability": ("prediction_proba", "probability", "proba", "score", "y_pred_proba", "y_proba"),
    "label": ("label", "actual", "y_true", "ground_truth", "outcome", "target"),
    "label_timestamp": ("label_timestamp", "labeled_at", "labelled_at", "label_time"),
    "model_version": ("model_version", "model"),
}
RARER_NAMES = {          # which count where none of the usual ones is there
    "timestamp": ("inference_time", "logged_at"),
    "id": ("inference_id",),
    "prediction": ("predicted_class", "predicted_value", "y_hat", "yhat"),
    "probability": ("y_score", "prediction_probability", "predicted_probability", "prediction_score"),
    "label": ("true_label", "actual_label", "true_class"),
}
KINDS = {"timestamp": ("timestamp",), "label_timestamp": ("timestamp",), "probability": ("float",)}
NEEDED = ("timestamp", "prediction")
IN_LABELS = ("label", "label_timestamp")     # looked for among the labels, if those are stored separately

_DECLARED: dict[str, FeatureKind] = {"number": "numerical", "category": "categorical", "text": "text"}
_ROW_NUMBERS = re.compile(r"__index_level_\d+__|Unnamed: \d+(_level_\d+)?")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a column: its kind, its number of distinct values, its number of rows that are not missing."""

    kind: Literal["integer", "float", "boolean", "string", "timestamp", "other"]
    distinct: int
    rows: int
    rises: bool = False          # no value is below that of the row before
    single: bool = False         # texts without blanks that are no numbers: codes, addresses, hashes

    def tells_apart(self, in_order: bool) -> bool:
        """Tell whether the column says which row it is and nothing else: ids, or numbers that only grow.

        `in_order`: the rows are in order of time, so that numbers may grow with it.
        """
        if self.rows < TELL_APART:
            return False
        if self.kind == "string":
            return self.single and self.distinct > self.rows * TEXT_SHARE
        return in_order and self.rises and self.distinct == self.rows and self.kind in ("integer", "float")


@dataclass(frozen=True, slots=True)
class Roles:
    """The column of each role, features in the order of the data; and what a classifier's scores are."""

    timestamp: str
    id: str | None
    prediction: str
    probability: str | None
    label: str | None
    label_timestamp: str | None
    model_version: str | None
    features: dict[str, FeatureKind]
    words: tuple[str, ...] = ()          # columns that hold words in the reference: no cell of them is a number
    positive: str | None = None          # the class that scores are of; this and what follows: of a binary model, …
    scored: bool | None = None           # the prediction column holds scores and not classes
    scale: Scale | None = None           # … as its reference shows it; None: not looked at
    of_predicted: bool = False           # … and the scores are of the class that was predicted, not of the positive one
    keys: tuple[str, ...] = ()           # columns that are no features since they only tell rows apart
    why: tuple[str, ...] = ()            # usual names that what the columns hold speaks against
    per_class: tuple[tuple[str, str], ...] = ()      # of more than two classes, each with the column of its probability


def why_no_feature(facts: Facts) -> str:
    """Return why a column without another role is no feature."""
    if facts.kind == "timestamp":
        return "it holds times"
    return "no row has a value in it" if facts.kind == "other" else KEY


class Evidence(Protocol):
    """What the data say against a usual name."""

    def against(self, role: str, name: str, timestamp: str | None, prediction: str | None) -> str | None:
        """Return why a column is not of this role; None where nothing says so."""

    def per_class(self, prediction: str, label: str | None) -> dict[str, str]:
        """Return the column of each class's probability; empty unless every class has one."""


def find_roles(
    columns: Columns,
    facts: dict[str, Facts],
    label_columns: dict[str, Facts] | None,
    where: str,
    protected: Collection[str] = (),
    attributes: Collection[str] | None = None,
    evidence: Evidence | None = None,
    watched: Collection[str] = (),
) -> Roles:
    """Return the role of each column of the data that `facts` describes.

    `label_columns` describes labels that are stored separately, `attributes` the columns of protected attributes that
    are stored separately; `where` names the data in errors; `evidence` may speak against a usual name. `protected`
    columns are not features unless `columns.features` lists them; what only tells rows apart is none unless it is
    `watched` or named under columns. Raises ConfigError with every problem: a named
    column that does not exist, two columns that could have one role, no timestamp, no prediction, separate labels but
    no id to join them on.
    """
    everything = {*facts, *(label_columns or ()), *(attributes or ())}
    facts = {name: one for name, one in facts.items() if name not in columns.ignore}
    finder = _Finder(columns, facts, label_columns, where, evidence, watched)
    finder.check_there("ignore", columns.ignore, everything)
    finder.check_there("types", columns.types, everything)
    found = {role: finder.find(role) for role in USUAL_NAMES}
    if found["prediction"] == found["probability"]:      # a log of probabilities alone
        found["probability"] = None
    if label_columns is not None:
        finder.check_join(found["id"], label_columns, "labels")
    if attributes is not None:
        finder.check_join(found["id"], attributes, "attributes")
    finder.check_there("segments", columns.segments, facts)
    finder.check_there("fairness", protected, {*facts, *(attributes or ())})
    finder.check_there("private", columns.private, {*facts, *(attributes or ()), *(label_columns or ())})
    per_class = _per_class(columns, found, evidence)
    features = finder.features({name for name in found.values() if name is not None}, set(protected))
    features = {name: kind for name, kind in features.items() if name not in per_class.values()}
    if per_class:
        finder.why.append(f"{_listed(sorted(per_class.values()))}: the probability of each class, no features")
    timestamp, prediction = found["timestamp"], found["prediction"]
    if finder.problems or timestamp is None or prediction is None:
        raise ConfigError(finder.problems)
    return Roles(
        timestamp=timestamp, id=found["id"], prediction=prediction, probability=found["probability"],
        label=found["label"], label_timestamp=found["label_timestamp"], model_version=found["model_version"],
        features=features, keys=tuple(finder.keys), why=tuple(finder.why),
        per_class=tuple(sorted(per_class.items())) if len(per_class) > 2 else (),
    )


def _per_class(columns: Columns, found: dict[str, str | None], evidence: Evidence | None) -> dict[str, str]:
    """Return the column of each class's probability; of two classes one of them is the probability, or becomes it."""
    prediction, probability = found["prediction"], found["probability"]
    if evidence is None or prediction is None:
        return {}
    per_class = evidence.per_class(prediction, found["label"])
    if probability is not None and (len(per_class) != 2 or probability not in per_class.values()):
        return {}
    others = {name for role, name in found.items() if role != "probability"}
    if set(per_class.values()) & {*(columns.features or ()), *others}:
        return {}
    if len(per_class) == 2 and probability is None:
        wished = None if columns.positive is None else per_class.get(str(columns.positive))
        found["probability"] = wished or per_class[max(per_class)]
    return per_class


def is_row_number(name: str) -> bool:
    """Tell whether a column holds a data frame's row numbers, by the names that pandas gives them."""
    return bool(_ROW_NUMBERS.fullmatch(name))


def feature_kind(facts: Facts, declared_categorical: bool) -> FeatureKind | None:
    """Return the kind of a column as a feature, guessed as Evidently guesses; None if it cannot be a feature."""
    if facts.kind in ("timestamp", "other"):
        return None
    if declared_categorical or facts.kind == "boolean":
        return "categorical"
    if facts.kind == "string":
        return "text" if facts.distinct > facts.rows * TEXT_SHARE else "categorical"
    return "categorical" if facts.kind == "integer" and facts.distinct <= INTEGER_CATEGORIES else "numerical"


class _Finder:
    def __init__(
        self, columns: Columns, facts: dict[str, Facts], labels: dict[str, Facts] | None, where: str,
        evidence: Evidence | None = None, watched: Collection[str] = (),
    ) -> None:
        self.columns = columns
        self.facts = facts
        self.labels = labels
        self.where = where
        self.problems: list[str] = []
        self.why: list[str] = []
        self.evidence = evidence
        self.found: dict[str, str | None] = {}
        self.keys: list[str] = []
        self.watched = {*watched, *columns.types, *columns.segments, *(columns.categorical or ())}
        self.named = {name for role in USUAL_NAMES if (name := getattr(columns, role)) is not None}

    def problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.where}: columns.{key}: {text}")

    def find(self, role: str) -> str | None:
        self.found[role] = self._find(role)
        return self.found[role]

    def _find(self, role: str) -> str | None:
        place = self.labels if self.labels is not None and role in IN_LABELS else self.facts
        name: str | None = getattr(self.columns, role)
        if name is not None:
            return name if self._is_there(role, name, place) else None
        candidates = self._candidates(role, place)
        if role == "prediction" and not candidates:
            candidates = self._candidates("probability", place)
        if len(candidates) > 1:
            self.problem(role, f"{_listed(candidates)} could each be it, expected one of them under columns")
        elif not candidates and role in NEEDED:
            usual = ", ".join(USUAL_NAMES[role][:4])
            spoken = "".join(f"; {text}" for text in self.why if f"no {role}" in text)
            times = [name for name, facts in place.items() if role == "timestamp" and facts.kind == "timestamp"]
            expected = f"one that holds times: {_listed(times)}" if times else f"one of {_listed(place)}"
            self.problem(role, f"no column has a usual name for it ({usual}, …){spoken}, expected {expected}")
        return candidates[0] if len(candidates) == 1 else None

    def _candidates(self, role: str, place: dict[str, Facts]) -> list[str]:
        first, *usual = USUAL_NAMES[role]
        free = [name for name in place if name not in self.named]
        best = [name for name in free if name.lower() == first]
        rarer = RARER_NAMES.get(role, ())
        names = best or [name for name in free if name.lower() in usual] or [
            name for name in free if name.lower() in rarer]
        if role == "probability":            # an integer named score is a feature
            names = [name for name in names if best or place[name].kind in KINDS[role]]
        return self._heard(role, [name for name in names if place[name].kind in KINDS.get(role, ())] or names)

    def _heard(self, role: str, names: list[str]) -> list[str]:
        """Leave out names that the data speak against; the first usual name, our client's, is taken as it is."""
        kept = []
        for name in names:
            doubtful = self.evidence is not None and name.lower() != USUAL_NAMES[role][0]
            prediction = self.columns.prediction or self.found.get("prediction")
            reason = self.evidence.against(role, name, self.found.get("timestamp"), prediction) \
                if doubtful and self.evidence is not None else None
            if reason is None:
                kept.append(name)
            else:
                self.why.append(f"{escape.name(name)} is no {role}: it {quoted(reason)}")
        return kept

    def check_there(self, key: str, names: Iterable[str], place: Collection[str]) -> None:
        for name in names:
            self._is_there(key, name, place)

    def _is_there(self, key: str, name: str, place: Collection[str]) -> bool:
        if name not in place:
            near = did_you_mean(name, place)
            self.problem(key, f'there is no column "{name}"{near or ","} there are {_listed(place)}')
        return name in place

    def check_join(self, name: str | None, place: Collection[str], what: str) -> None:
        if name is None and not self.problems:
            self.problem("id", f"{what} in a place of their own are joined on it, expected one of "
                               f"{_listed(self.facts)}")
        elif name is not None and name not in place:
            other = "; if the id has another name there, columns.label_id says so" if what == "labels" else ""
            self.problem("id", f'the {what} have no "{name}" to be joined on, they have {_listed(place)}{other}')

    def features(self, taken: set[str], protected: set[str]) -> dict[str, FeatureKind]:
        """Return the kind of each feature: of those listed, else of every suitable column without another role."""
        declared = self.columns.categorical or ()
        kinds = {name: self._kind(name, facts) for name, facts in self.facts.items()}
        if self.columns.features is None:
            apart = taken | protected
            names = [name for name, kind in kinds.items()
                     if name not in apart and kind is not None and not is_row_number(name)]
            self.keys = [name for name in names if name not in self.watched and self._tells_apart(name)]
            names = [name for name in names if name not in self.keys]
        else:
            names = [name for name in self.columns.features if self._may_be_feature(name, taken, kinds)]
        for name in declared:
            if self._is_there("categorical", name, self.facts) and name not in names:
                self.problem("categorical", f'"{name}" is not a feature')
        return {name: kind for name in names if (kind := kinds[name]) is not None}

    def _tells_apart(self, name: str) -> bool:
        timestamp = self.facts.get(self.found["timestamp"] or "")
        return self.facts[name].tells_apart(in_order=timestamp is not None and timestamp.rises)

    def _kind(self, name: str, facts: Facts) -> FeatureKind | None:
        guessed = feature_kind(facts, name in (self.columns.categorical or ()))
        declared = self.columns.types.get(name)
        return guessed if guessed is None or declared is None else _DECLARED[declared]

    def _may_be_feature(self, name: str, taken: set[str], kinds: dict[str, FeatureKind | None]) -> bool:
        if not self._is_there("features", name, self.facts):
            return False
        if name in taken:
            self.problem("features", f'"{name}" already has another role')
        elif kinds[name] is None:
            kind = self.facts[name].kind
            self.problem("features", f'"{name}" is of kind {kind}, expected numbers, text or booleans')
        return name not in taken and kinds[name] is not None


def _listed(names: Collection[str]) -> str:
    return quoted(escape.names(names)) if names else "none"      # in a file without a header these are values
