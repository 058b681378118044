"""A trial of a candidate: rows with labels, what champion and candidate say of them, and what may be said of both."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.config import Facts, ModelSection, Roles, Task, find_roles
from monitor.config.column_roles import USUAL_NAMES
from monitor.config.sections import Columns
from monitor.drift.column_scores import Side, TableSide
from monitor.errors import CannotJudge, UsageError
from monitor.gate.paired_difference import Pair, improvements, pair_of, rested_on
from monitor.gate.prediction_files import (
    Predictions,
    aligned,
    in_order,
    places,
    read_file,
    read_predictions,
    with_column,
)
from monitor.metric_catalogue import METRICS, default_metric
from monitor.performance.class_evidence import is_of_predicted, score_column, settle
from monitor.performance.formulas import value_of
from monitor.performance.group_rates import rate_scores
from monitor.performance.labelled_rows import answers, classes_of, guess_task, holds_scores, is_score, word
from monitor.performance.performance_scores import metrics_for, score_of, values_of
from monitor.private import quoted
from monitor.quality.column_checks import has_value, missing_score, schema_changes
from monitor.records import Score, ScoreStatus
from monitor.reference.role_evidence import Evidence
from monitor.sources.ids import row_ids
from monitor.sources.log import facts
from monitor.sources.moments import in_utc
from monitor.tables.columns import Numbers, counts, missing, type_name
from monitor.tables.groups import divide
from monitor.times import format_moment


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """`champion` and `candidate`: the same rows in the same order, each with its own predictions."""

    model: ModelSection
    roles: Roles
    champion: pa.Table
    candidate: pa.Table
    trained_until: dict[str, datetime | None]        # who → where its training data end, as its file says
    reference: tuple[Side, pa.Schema] | None = None  # what the rows are held against, if anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All numbers of a trial. `performance`: the candidate's, with the champion's as reference."""

    task: Task
    metric: str
    rows: int
    labelled: int
    first: datetime | None
    last: datetime | None
    overall: Score
    segments: tuple[Score, ...]
    performance: tuple[Score, ...]
    rates: tuple[Score, ...]
    contract: tuple[Score, ...]


def trial_of_files(
    model: ModelSection, data: Path, champion: Path | None, candidate: Path, reference: Path | None
) -> Trial:
    """Bring files together; without a champion's file its predictions stand in the data."""
    table = read_file(data)
    id, trained_until = _id(model, table), None
    table = read_file(data, id)          # again, now that it is known which column has to keep its digits
    there = {*table.column_names, *(name for names in USUAL_NAMES.values() for name in names)}
    if champion is not None and champion.absolute() != data.absolute():
        own = read_predictions(champion, model.columns, id)
        table, trained_until = _with(table, model, own, id), own.trained_until
    roles = _roles(model, table, str(data))
    needed = {*there, roles.prediction, roles.probability, *(column for _, column in roles.per_class)}
    table = table.select([name for name in table.column_names if name in needed])
    roles = replace(roles, features={name: kind for name, kind in roles.features.items() if name in needed})
    table = in_utc(table, [roles.timestamp], model.timezone, data)
    beside = None
    if reference is not None:
        held = read_file(reference)
        beside = TableSide(held), held.schema
    found = read_predictions(candidate, names_in(model, roles), roles.id)
    return trial_of(model, roles, table, found, trained_until, beside)


def names_in(model: ModelSection, roles: Roles) -> Columns:
    """The columns of the model as they are named in files of predictions: as in the log."""
    return model.columns.model_copy(update={"prediction": roles.prediction, "probability": roles.probability})


def trial_of(
    model: ModelSection, roles: Roles, rows: pa.Table, found: Predictions, trained_until: datetime | None = None,
    reference: tuple[Side, pa.Schema] | None = None,
) -> Trial:
    """Set the candidate's predictions beside the champion's, which stand in the rows."""
    said, chance = aligned(found, _ids(rows, roles.id), len(rows))
    if roles.probability is None and chance is not None and is_score(rows[roles.prediction]):
        said, chance = chance, None          # probabilities alone on both sides
    elif roles.probability is not None and chance is None and is_score(said):
        chance = said
    other = with_column(rows, roles.prediction, said)
    chances = [column for _, column in roles.per_class]
    if set(chances) <= set(found.others.column_names):
        other = _with_others(other, found, chances, roles.id)
    else:                                    # the candidate gives no probability of each class: neither is asked for
        roles = replace(roles, per_class=())
    if roles.probability is not None and chance is not None:
        other = with_column(other, roles.probability, chance)
    elif roles.probability is not None:
        rows, other = (table.drop_columns(roles.probability) for table in (rows, other))
        roles = replace(roles, probability=None)
    until = {"champion": trained_until, "candidate": found.trained_until}
    champion, other = (in_order(table, roles.timestamp, roles.id) for table in (rows, other))
    return Trial(model, roles, champion, other, until, reference)


def _id(model: ModelSection, table: pa.Table) -> str | None:
    named = [model.columns.id] if model.columns.id else USUAL_NAMES["id"]
    return next((name for name in table.column_names if name in named or name.lower() in named), None)


def _ids(table: pa.Table, id: str | None) -> pa.ChunkedArray | None:
    return table[id] if id in table.column_names else None


def _with(table: pa.Table, model: ModelSection, own: Predictions, id: str | None) -> pa.Table:
    """The rows with the champion's predictions under the names the configuration has for them, or the usual ones."""
    said = aligned(own, _ids(table, id), len(table))
    for role, values in zip(("prediction", "probability"), said, strict=True):
        name = getattr(model.columns, role) or USUAL_NAMES[role][0]
        if values is not None:
            table = with_column(table, name, values)
        elif name in table.column_names:
            table = table.drop_columns(name)
    new = [name for name in own.others.column_names if name not in table.column_names]
    return _with_others(table, own, new, id)


def _with_others(table: pa.Table, found: Predictions, names: Iterable[str], id: str | None) -> pa.Table:
    """Return the rows with more columns of a file of predictions."""
    place = places(found, _ids(table, id), len(table))
    for name in names:
        table = with_column(table, name, found.others[name] if place is None else found.others[name].take(place))
    return table


class _Held:
    """Rows in memory, as evidence of their columns' roles."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def read(self, columns: Sequence[str] | None, *, timestamp: str | None = None) -> pa.Table:
        return self._table.select([*(columns or ()), *([timestamp] if timestamp else [])])


def _roles(model: ModelSection, table: pa.Table, where: str) -> Roles:
    """The part of each column. Rows without times are fine here: one is promised to `find_roles`."""
    found = facts(table)
    times = [name for name in found if name.lower() in USUAL_NAMES["timestamp"]]
    if not times and model.columns.timestamp is None:
        found |= {USUAL_NAMES["timestamp"][0]: Facts(kind="timestamp", distinct=0, rows=0)}
    protected = model.fairness.columns if model.fairness else ()
    evidence = Evidence(_Held(table), found)
    return find_roles(model.columns, found, None, where, protected=protected, evidence=evidence)


def require_unseen(trial: Trial, until: dict[str, datetime | None], trained_on: Path | None) -> tuple[str, ...]:
    """Raise CannotJudge where a model was fitted on the rows; return in words what could not be looked at.

    `until` (who → where its training data end) goes before what the models' files say.
    """
    told = {who: until.get(who) or trial.trained_until.get(who) for who in ("champion", "candidate")}
    if told["candidate"] is None and trained_on is None:
        raise CannotJudge("nothing says which data the candidate was fitted on: give --trained-until TIME or "
                          "--trained-on FILE, or write driftd.trained_until into the Parquet file's metadata")
    for who, moment in told.items():
        if moment is not None:
            _require_newer(trial, who, moment)
    if trained_on is not None:
        _require_apart(trial, trained_on)
    return () if told["champion"] else ("where the champion's training data end is not known, and was not looked at",)


def _require_newer(trial: Trial, who: str, until: datetime) -> None:
    name, rows = trial.roles.timestamp, len(trial.champion)
    if name not in trial.champion.column_names:
        raise CannotJudge(f"the rows have no time that could be newer than the {who}'s training data: name the column "
                          "with --timestamp, or give --trained-on FILE instead")
    newer = pc.greater_equal(trial.champion[name], pa.scalar(until, pa.timestamp("us", "UTC")))
    if old := rows - (pc.sum(newer).as_py() or 0):
        raise CannotJudge(f"{old} of {rows} rows are older than {format_moment(until)}, where the {who}'s training "
                          "data end: expected newer ones only, for a model is not judged on what it may have seen")


def _require_apart(trial: Trial, trained_on: Path) -> None:
    """By id where both have it, else by all columns both have but the answers'."""
    rows, roles = trial.champion, trial.roles
    seen = read_file(trained_on, roles.id)
    if roles.id is not None and roles.id in seen.column_names:
        how, known, own = f"by {roles.id}", row_ids(seen, roles.id), row_ids(rows, roles.id)
    else:
        said = {roles.prediction, roles.probability, roles.label_timestamp, roles.model_version, roles.id}
        both = [name for name in rows.column_names if name in seen.column_names and name not in said]
        if not set(both) & set(roles.features):
            raise UsageError(f"--trained-on {trained_on}: has neither the id nor a feature of the rows to be judged")
        seen = in_utc(seen.select(both), [roles.timestamp], ZoneInfo("UTC"), trained_on)
        how, known, own = f"by {', '.join(both)}"[:200], row_ids(seen, None), row_ids(rows.select(both), None)
    if shared := pc.sum(pc.is_in(own, value_set=known)).as_py():
        raise CannotJudge(f"{shared} of {len(rows)} rows are among those the candidate was fitted on ({how}): expected "
                          "none, for a model is not judged on what it has seen")


def measure(trial: Trial) -> Measured:
    """Measure the candidate beside the champion. Raises CannotJudge where there are no labels."""
    model, roles = trial.model, trial.roles
    if roles.label is None or missing(trial.champion[roles.label]) == len(trial.champion):
        raise CannotJudge("no row has a label, so nothing can be said of the candidate")
    label = trial.champion[roles.label]
    task = model.task or guess_task(label, trial.champion[roles.prediction])
    if roles.scored is None:             # rows of a log come with what the model's reference said
        roles = settle(roles, trial.champion, task, model.columns.positive)[0]
        trial = replace(trial, roles=roles)
    metric = model.metric or default_metric(task, score_column(roles) is not None)
    if task not in METRICS[metric].tasks:
        raise UsageError(f"{metric} is no metric of the task {task}")
    times = trial.champion[roles.timestamp] if roles.timestamp in trial.champion.column_names else None
    contract = tuple(_contract(trial, task))
    overall, segments, performance = _performance(trial, task, metric)
    return Measured(
        task=task,
        metric=metric,
        rows=len(label),
        labelled=len(label) - missing(label),
        first=None if times is None else pc.min(times).as_py(),
        last=None if times is None else pc.max(times).as_py(),
        overall=overall,
        segments=segments,
        performance=performance,
        rates=tuple(_rates(trial, task)),
        contract=contract,
    )


def _performance(trial: Trial, task: Task, metric: str) -> tuple[Score, tuple[Score, ...], tuple[Score, ...]]:
    rules, roles = trial.model.gate, trial.roles
    try:
        classes = classes_of([trial.champion, trial.candidate], roles, task)
        own = replace(roles, of_predicted=is_of_predicted(roles, trial.candidate))
        both = [answers(trial.champion, roles, task, classes), answers(trial.candidate, own, task, classes)]
        pair = pair_of(*both)
        segments = list(_segments(trial))
        overall, found = improvements(metric, pair, segments, rules.min_rows, always_valid=rules.always_valid)
    except CannotJudge as error:
        return Score(metric="improvement", method=metric, status=ScoreStatus.INSUFFICIENT, reason=str(error)), (), ()
    masks = dict(segments)
    performance = [*_whole(pair, roles, metric), *(
        one for score in found if score.value is not None and score.segment
        if (one := _side_by_side(metric, score.segment, pair.take(masks[score.segment][pair.champion.at])))
    )]
    return overall, found, tuple(performance)


def _segments(trial: Trial) -> Iterator[tuple[str, Numbers]]:
    """Each segment of each column, and which rows are its."""
    gate, columns = trial.model.gate, trial.model.columns
    for column in columns.segments if gate.segments is None else gate.segments:
        groups = divide(column, trial.champion, trial.champion)
        for place in range(len(groups.names)):
            yield groups.segment(place), groups.now == place


def _whole(pair: Pair, roles: Roles, metric: str) -> Iterator[Score]:
    """Every metric of the task on all rows."""
    before = values_of(pair.champion)
    for name in metrics_for(pair.champion.task, roles, metric):
        yield score_of(name, pair.candidate, before.get(name), provisional=False)


def _side_by_side(metric: str, segment: str, pair: Pair) -> Score:
    pair = rested_on(metric, pair)
    values = [value_of(metric, answers) for answers in (pair.candidate, pair.champion)]
    return Score(metric=metric, segment=segment, value=values[0], reference=values[1], n=len(pair))


def _rates(trial: Trial, task: Task) -> list[Score]:
    """How often each group gets the positive answer, from the candidate; the champion's beside it."""
    model = trial.model
    if not model.gate.limits or model.fairness is None:
        return []
    if task != "binary":
        raise UsageError(f"fairness limits are for binary models, but the task is {task}")
    rows = trial.champion, trial.candidate
    return rate_scores(*rows, trial.roles, model.fairness, model.gate.min_rows, provisional=False)


def _contract(trial: Trial, task: Task) -> Iterator[Score]:
    """Whether the data and the candidate's predictions are what they should be."""
    yield Score(metric="rows", value=float(len(trial.champion)), n=len(trial.champion))
    for name in (trial.roles.prediction, trial.roles.probability):
        if name is not None:
            yield _unpredicted(trial, name)
    yield _misspoken(trial, task)
    if trial.reference is not None:
        side, schema = trial.reference
        yield schema_changes(
            schema, trial.champion.schema, trial.roles, holds=lambda name: has_value(trial.champion[name]))
        own = TableSide(trial.champion)
        for name, kind in trial.roles.features.items():
            yield missing_score(name, side.column(name, kind), own.column(name, kind), own.rows, trial.model.quality)


def _unpredicted(trial: Trial, name: str) -> Score:
    """Rows the candidate leaves out: those it would be wrong on would look like no error."""
    said, other = missing(trial.champion[name]), trial.candidate[name]
    left = max(0, missing(other) - said)
    score = Score(metric="missing_share", column=name, value=missing(other) / len(other), n=len(other),
                  reference=said / len(other), threshold=said / len(other))
    reason = f"the candidate says nothing of {left} of {len(other)} rows that the champion answers"
    return replace(score, status=ScoreStatus.BREACHED, reason=reason) if left else score


def _misspoken(trial: Trial, task: Task) -> Score:
    """Whether the candidate answers with what no label can be."""
    name, said = trial.roles.prediction, trial.candidate[trial.roles.prediction]
    score = Score(metric="schema_changes", column=name, value=0.0)
    if task == "regression":
        held = type_name(said.type)
        odd = "" if held in ("number", "nothing") else f"the candidate's predictions hold {held}, expected numbers"
    else:
        known = classes_of([trial.champion], trial.roles, task)
        scored = holds_scores(said, trial.roles) or is_score(said)
        others = [] if scored else sorted({word(key) for key in counts(said)} - set(known))
        wrong, right = quoted(escape.names(others[:5])), quoted(escape.names(known[:20]))
        told = f"the candidate answers {wrong}; labels and the champion have {right}"
        odd = told if others else ""
    return replace(score, value=1.0, status=ScoreStatus.BREACHED, reason=odd) if odd else score
