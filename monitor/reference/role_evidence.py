"""The role of each column, by its name and by what the data say against it: a `time` in minutes is no timestamp, a
car's `model` no version.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor import __version__
from monitor.config import USUAL_NAMES, Facts, ModelSection, Roles, find_roles, wrongly_private
from monitor.errors import ConfigError, DriftdError, SourceError
from monitor.performance.class_evidence import follows
from monitor.performance.labelled_rows import HAIR, MOST_CLASSES, is_score, word
from monitor.records import from_json, to_json
from monitor.reference.profile import keep_beside, last_beside
from monitor.sources import Source, open_source
from monitor.sources.column_types import first_rows
from monitor.sources.labels_apart import LabelsApart
from monitor.sources.log import facts, known_types
from monitor.sources.moments import DECIDE, in_utc, to_utc, unit_of
from monitor.tables import columns

LOOKED_AT = 200              # rows whose texts are read as moments
SMALL = 1e7                  # numbers that count seconds are mostly larger
OLDEST, ORDERED = 1990, 0.9  # logs with rows from before this year are in order of time: their ranks, correlated
CHANGES = 0.05               # of rows in order of time, at most, another version than the row before
ROUNDED, MOST = 0.01, 0.99   # probabilities of all classes add up to 1, so nearly, in so many rows
_AFFIX = (r"(?:p|pr|probs?|probas?|probability|probabilities|score|chance|confidence|softmax|class|cls|category|label|"
          r"is|of|y|pred|predicted|prediction|model|output)")
AGREES = 0.9                 # of rows, at least, predicted as the class whose probability is the largest
UNIQUE = 0.5                 # distinct values of an id, at least, as a share of the rows
VALUES = 4_000_000           # of a log or of labels that are looked at: 200,000 rows of 20 columns


def log_roles(model: ModelSection, profiles: Path | None) -> Roles:
    """Return the role of each column, as found in the first rows of the log."""
    return _log_roles(model.model_dump_json(), profiles)


@lru_cache(maxsize=32)
def _log_roles(text: str, profiles: Path | None) -> Roles:
    """Return the roles; later rows do not change them: not in this process, and in no other once the log is large.

    They are not kept where some of the columns are private: they may tell of values.
    """
    model = ModelSection.model_validate_json(text)
    source = open_source(model.predictions, model.timezone, known_types(model))
    keep, key = not model.columns.private, "\x1f".join(("log roles", __version__, text))
    schema = source.schema()
    found = last_beside(profiles, key) if keep else None
    if found is not None and found["columns"] == str(schema) and found["stamp"] in (None, source.fingerprint()):
        return from_json(Roles, found["roles"])
    stamp = source.fingerprint()
    head = source.head(VALUES)
    roles = roles_in(model, Looked(head, model.timezone, source.origin), facts(head), f"predictions {source.origin}")
    if keep:
        whole = len(head) < first_rows(VALUES, len(schema))
        keep_beside(profiles, key, {"columns": str(schema), "stamp": stamp if whole else None, "roles": to_json(roles)})
    return roles


def roles_in(model: ModelSection, rows: "Readable", found: dict[str, Facts], where: str) -> Roles:
    """Return the roles of the columns whose facts are `found`. Raises ConfigError and SourceError."""
    labels = _labels(model, found) if model.labels else None
    protected = model.fairness.columns if model.fairness else ()
    roles = find_roles(
        model.columns,
        found,
        facts(labels.table) if labels else None,
        where,
        protected=protected,
        attributes=_attributes(model, [*found, *protected, *model.columns.private]) if model.attributes else None,
        evidence=Evidence(rows, found, labels),
        watched={*model.drift.columns, *(trigger.column for trigger in model.triggers if trigger.column)},
    )
    if problems := wrongly_private(model, roles):
        raise ConfigError(problems)
    return roles


def _labels(model: ModelSection, found: dict[str, Facts]) -> "Looked":
    """Return labels that are kept apart; the id of the log is not known yet where it is not configured."""
    assert model.labels is not None
    usual = [name for name in found if name.lower() in USUAL_NAMES["id"]]
    id = model.columns.id or (usual[0] if len(usual) == 1 else None)
    source = open_source(model.labels, model.timezone, known_types(model))
    head = LabelsApart(source, model.columns.label_id, id).head(VALUES)
    return Looked(head, model.timezone, source.origin)


def _attributes(model: ModelSection, otherwise: list[str]) -> list[str]:
    """Return the columns of the attributes, or `otherwise` if they cannot be read, so that only fairness fails."""
    assert model.attributes is not None
    try:
        return list(open_source(model.attributes, model.timezone).schema().names)
    except SourceError:
        return otherwise


def looked_at(source: Source | LabelsApart, names: Sequence[str] | None = None) -> pa.Table:
    """Return columns of all rows for somebody's first look at a log; of a database's table those of its first rows."""
    if not source.costs:
        return source.read(names)
    head = source.head(VALUES)
    return head if names is None else head.select(names)


def is_sample(source: Source, looked: pa.Table) -> bool:
    """Tell whether the source may have more rows than were looked at."""
    return source.costs and len(looked) >= first_rows(VALUES, len(looked.schema))


class Readable(Protocol):
    """Rows of which columns are read."""

    def read(self, columns: Sequence[str] | None, *, timestamp: str | None = None) -> pa.Table: ...


class Looked:
    """Some rows of a source, read as it is."""

    def __init__(self, table: pa.Table, zone: ZoneInfo, origin: str) -> None:
        self.table = table
        self._zone, self._origin = zone, origin

    def read(self, columns: Sequence[str] | None, *, timestamp: str | None = None) -> pa.Table:
        times = [timestamp] if timestamp else []
        table = self.table if columns is None else self.table.select(list(dict.fromkeys([*columns, *times])))
        return in_utc(table, times, self._zone, self._origin)


def at_hand(source: Source | LabelsApart, looked: pa.Table) -> Readable:
    """Return what reads columns of the rows that were `looked_at`."""
    return Looked(looked, ZoneInfo("UTC"), source.origin) if source.costs else source


class Evidence:
    """The columns of a log and of labels that are stored apart, read where a name alone does not tell."""

    def __init__(self, log: Readable, facts: dict[str, Facts], labels: Readable | None = None) -> None:
        self._log = log
        self._labels = labels
        self._facts = facts

    def against(self, role: str, name: str, timestamp: str | None, prediction: str | None) -> str | None:
        """Return why a column with a usual name is not of this role; None where nothing says so."""
        judge = _JUDGES.get(role)
        try:
            return judge(self, name, timestamp, prediction) if judge else None
        except (DriftdError, pa.ArrowException, KeyError):
            return None                  # what cannot be read says nothing; it is told where it is used

    def per_class(self, prediction: str, label: str | None) -> dict[str, str]:
        """Return the column of each class's probability, by class: columns that name the classes and add up to 1."""
        try:
            classes = self._classes(prediction, label)
        except (DriftdError, pa.ArrowException, KeyError):
            return {}
        if not 2 <= len(classes) <= MOST_CLASSES:
            return {}
        floats = [name for name, one in self._facts.items() if one.kind in ("float", "integer")]
        named = {one: [name for name in floats if _names(name, one)] for one in classes}
        if all(len(of) == 1 for of in named.values()):
            found = {one: of[0] for one, of in named.items()}
            return found if self._add_up(found) else {}
        found = _numbered(floats, sorted(classes))
        return found if found and self._add_up(found) and self._agree(found, prediction) else {}

    def _agree(self, found: dict[str, str], prediction: str) -> bool:
        """Tell whether the class with the largest probability is the one that is predicted."""
        table = self._log.read([*found.values(), prediction])
        shares = np.column_stack([columns.numeric(table[name]) for name in found.values()])
        said = np.array([None if one is None else word(one) for one in table[prediction].to_pylist()])
        there = ~np.isnan(shares).any(axis=1)
        largest = np.array(list(found))[shares[there].argmax(axis=1)]
        return bool(there.any()) and float(np.mean(largest == said[there])) >= AGREES

    def _add_up(self, found: dict[str, str]) -> bool:
        """Tell whether columns hold shares of a whole."""
        table = self._log.read(sorted(found.values()))
        shares = np.column_stack([columns.numeric(table[name]) for name in found.values()])
        shares = shares[~np.isnan(shares).any(axis=1)]
        return bool(len(shares) and shares.min() >= -HAIR and np.mean(abs(shares.sum(axis=1) - 1) < ROUNDED) > MOST)

    def _classes(self, prediction: str, label: str | None) -> set[str]:
        of_log = [name for name in (prediction, label) if name in self._facts]
        if any(self._facts[name].distinct > MOST_CLASSES for name in of_log):
            return set()
        return {word(key) for name in of_log for key in columns.counts(self.column(name))}

    def column(self, name: str, *, of_labels: bool = False) -> pa.ChunkedArray:
        source = self._labels if of_labels and self._labels is not None else self._log
        return source.read([name])[name]

    @property
    def labels_apart(self) -> bool:
        return self._labels is not None

    def facts(self, name: str) -> Facts:
        return self._facts[name]

    def pair(self, one: str, other: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        table = self._log.read([one, other])
        return table[one], table[other]

    def by_time(self, name: str, timestamp: str) -> pa.ChunkedArray:
        table = self._log.read([name], timestamp=timestamp)
        return table.sort_by(timestamp)[name]


def _names(column: str, name: str) -> bool:
    """Tell whether a column is named as the probability of a class: `p_cat`, `class_0_prob`, `P(cat)`, `cat_score`."""
    named = re.escape(name.lower())
    return bool(re.fullmatch(rf"(?:{_AFFIX}[\W_]*)*{named}(?:[\W_]*{_AFFIX})*[\W_]*", column.lower()))


def _numbered(names: list[str], classes: list[str]) -> dict[str, str]:
    """Return the columns that are numbered from 0 or 1 on, `prob_0`, `prob_1`, …, for the classes in their order."""
    for first in (0, 1):
        found = {one: [name for name in names if _names(name, str(at))] for at, one in enumerate(classes, first)}
        if all(len(of) == 1 for of in found.values()):
            return {one: of[0] for one, of in found.items()}
    return {}


def _no_moment(data: Evidence, name: str, timestamp: str | None, prediction: str | None) -> str | None:
    column = data.column(name)
    known = column.filter(columns.is_present(column))
    if not len(known):
        return None
    kind = columns.type_name(column.type)
    if kind == "number" and unit_of(known) != "julian" and np.quantile(np.abs(columns.numeric(known)), DECIDE) < SMALL:
        low, high = float(pc.min(known).as_py()), float(pc.max(known).as_py())
        return f"holds numbers from {low:g} to {high:g}, which are no moments"
    try:
        times = to_utc(known.slice(0, LOOKED_AT) if kind == "text" else known, ZoneInfo("UTC"), where=name)
    except DriftdError:
        return "holds text that is no moment"
    oldest, at = pc.min(times).as_py(), times.drop_null().cast(pa.int64()).to_numpy()
    if oldest is None or oldest.year >= OLDEST or _in_order(at):
        return None
    return f"begins in {oldest.year}, and its rows are not in order of time"


def _in_order(at: npt.NDArray[np.int64]) -> bool:
    """Tell whether the rows are in order of time, or nearly so, the newest last or first."""
    ranks = np.argsort(np.argsort(at, kind="stable"))
    return len(at) < 2 or bool(abs(np.corrcoef(ranks, np.arange(len(at)))[0, 1]) >= ORDERED)


def _no_id(data: Evidence, name: str, timestamp: str | None, prediction: str | None) -> str | None:
    facts = data.facts(name)
    if facts.distinct >= facts.rows * UNIQUE:
        return None
    return f"has {facts.distinct} values in {facts.rows} rows, so it does not tell them apart"


def _no_version(data: Evidence, name: str, timestamp: str | None, prediction: str | None) -> str | None:
    if timestamp is None or data.facts(name).distinct <= 1:
        return None
    if data.facts(name).kind == "float":
        return "holds fractions"
    coded = pc.dictionary_encode(data.by_time(name, timestamp)).combine_chunks().indices
    changes = int(np.sum(np.diff(pc.fill_null(coded, -1).to_numpy(zero_copy_only=False)) != 0))
    return None if changes <= CHANGES * len(coded) else f"changes {changes} times in {len(coded)} rows"


def _no_score(data: Evidence, name: str, timestamp: str | None, prediction: str | None) -> str | None:
    if prediction is None or prediction == name:
        return None
    score, said = data.pair(name, prediction)
    if columns.type_name(said.type) == "number" and not is_score(said) and data.facts(prediction).distinct > 20:
        return f"{prediction} holds quantities, which have no probability"
    if data.facts(prediction).distinct == 2 and follows(score, said) is False:
        return f"neither rises nor falls with {prediction}"
    values = columns.present(score) if data.facts(prediction).distinct > 2 else np.empty(0)
    outside = len(values) and not is_score(said) and (values.min() < 0 or values.max() > 1)
    return "holds numbers outside 0 to 1" if outside else None


def _no_label(data: Evidence, name: str, timestamp: str | None, prediction: str | None) -> str | None:
    if prediction is None:
        return None
    label, said = data.column(name, of_labels=True), data.column(prediction)
    kinds = columns.type_name(label.type), columns.type_name(said.type)
    if kinds[0] == "time":
        return "holds moments"
    if kinds == ("number", "number") or "nothing" in kinds:
        return None
    classes = {word(key) for key in columns.counts(label)}
    if kinds[1] == "number" and data.facts(prediction).distinct > 20:        # scores, or quantities
        fine = len(classes) <= 2 and is_score(said)
        return None if fine else f"holds {len(classes)} words, and {prediction} holds numbers"
    answers = {word(key) for key in columns.counts(said)}
    return None if classes & answers else f"has no value that {prediction} has"


_JUDGES: dict[str, Callable[[Evidence, str, str | None, str | None], str | None]] = {
    "timestamp": _no_moment,
    "label_timestamp": lambda data, name, *_: None if data.labels_apart else _no_moment(data, name, None, None),
    "id": _no_id,
    "model_version": _no_version,
    "probability": _no_score,
    "label": _no_label,
}
