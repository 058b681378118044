"""The calibrated thresholds of a model, from its reference.

The reference is divided as windows are cut, and each part is scored against the rest. Votes are counted by `decide`'s
rule, so a trigger "2 of 3" gets lower thresholds than "1 of 1" at the same false-alarm rate.
"""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa

from monitor.calibration.block_scores import scorer
from monitor.calibration.calibrated_thresholds import FEWEST, Blocks, NewValues, Null, factor, largest
from monitor.calibration.dependence import autocorrelations, inflations
from monitor.config import ModelSection
from monitor.config.column_roles import FeatureKind
from monitor.config.sections import DriftSection, TriggerSection, WindowSection
from monitor.config.values import Budget, Persistence
from monitor.decide.triggers import fires
from monitor.drift.column_scores import Threshold, chosen, prediction_kinds, wanted
from monitor.drift.count_tests import ordered
from monitor.drift.methods import UNCALIBRATED, Calibration
from monitor.drift.multivariate import one_by_one
from monitor.errors import CannotJudge
from monitor.metric_catalogue import DRIFT
from monitor.private import is_quiet, words
from monitor.records import Window, from_json, to_json
from monitor.reference.reference_data import ReferenceData
from monitor.sources.windows import closed_windows, spec
from monitor.tables import columns
from monitor.tables.columns import Floats, Ints, Numbers
from monitor.tables.digest import Pieces, digest_of
from monitor.times import LONGEST, format_duration

MOST = 0.1                     # share of windows in alarm by chance, however long they are
WEEK = timedelta(days=7)       # a reference must contain every weekday, because most logs have a weekly cycle

FORMAT = "4"                   # version of the stored calibration; another version is computed again

_log = logging.getLogger(__name__)

_kept: OrderedDict[tuple[str, str], Calibration] = OrderedDict()
_MOST_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """The reference divided into complete windows, with every watched column's scores of them."""

    windows: tuple[Window, ...]
    span: timedelta                      # of the reference
    pace: timedelta                      # between the starts of consecutive windows in service
    blocks: dict[str, Blocks]
    lack: dict[str, str]                 # why a column has no blocks
    missing: dict[str, Blocks]           # by their shares of missing values
    new: dict[str, NewValues]            # of categorical columns
    metrics: dict[str, str]              # the drift metric of each watched column …
    kinds: dict[str, FeatureKind]               # … and its kind

    def judging(self, name: str) -> Iterator[Blocks | NewValues]:
        """Yield all that a column is judged by."""
        yield self.blocks[name]
        yield self.missing[name]
        if name in self.new:
            yield self.new[name]


def calibration(model: ModelSection, reference: ReferenceData) -> Calibration:
    """Return the thresholds for a model's drift scores, computed once per reference and configuration.

    None of a reference whose rows are gone, unless they were computed before.
    """
    if not asked(model.drift):
        return UNCALIBRATED
    try:
        return _calibration(model, reference)
    except CannotJudge as error:
        if reference.gone is None:
            raise
        return Calibration(limits={}, lack=dict.fromkeys(watched(model, reference), str(error)))


def key_of(model: ModelSection, reference: ReferenceData) -> str:
    """Return what the thresholds depend on besides the reference's rows."""
    window, drift = model.window.model_dump_json(), model.drift.model_dump_json()
    triggers = "".join(trigger.model_dump_json() for trigger in model.triggers)
    parts = str(to_json(reference.roles))
    return "\x1f".join(("calibration", FORMAT, window, drift, triggers, parts, str(model.task), model.timezone.key))


def _calibration(model: ModelSection, reference: ReferenceData) -> Calibration:
    key = key_of(model, reference)
    if (reference.id, key) not in _kept:
        stored = reference.profile.kept(key, lambda: to_json(calibrate(model, division(model, reference))))
        _kept[reference.id, key] = from_json(Calibration, stored)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return _kept[reference.id, key]


def division(model: ModelSection, reference: ReferenceData) -> Division:
    """Divide a reference as windows are cut, and score each part against the rest."""
    predictions = _predictions(reference)
    kinds = {name: kind for name, kind in watched(model, reference).items() if name not in predictions}
    return divide(model, reference.answers[reference.roles.timestamp], kinds, predictions, reference.profile.pieces)


def watched(model: ModelSection, reference: ReferenceData) -> dict[str, FeatureKind]:
    """Return the columns whose drift has thresholds, with their kinds."""
    features = one_by_one(reference.roles, model.drift).features
    return {name: kind for name, kind in features.items() if kind != "text"} | _predictions(reference)


def _predictions(reference: ReferenceData) -> dict[str, FeatureKind]:
    task = reference.performance.task if reference.performance else None
    return dict(prediction_kinds(reference.answers, reference.roles, task))


def asked(section: DriftSection) -> bool:
    """Tell whether any threshold is configured as "calibrated"."""
    own = (column.threshold for column in section.columns.values())
    return "calibrated" in (section.threshold, *own)


def calibrate(model: ModelSection, division: Division) -> Calibration:
    """Return each column's threshold, so that all drift triggers together hold the configured false-alarm rate."""
    wished = [name for name in division.metrics if limit_of(model.drift, division, name) == "calibrated"]
    lack = {name: why for name in wished if (why := _lack(model.window.size, division, name))}
    able = [name for name in wished if name not in lack]
    levels: dict[str, float] = {}
    for rate, windows, watched in _watches(model.drift.false_alarms, model.triggers, division, able):
        judging = [one for name in watched for one in division.judging(name)]
        level = factor(largest(judging), rate, partial(fires, windows))
        for name in watched:
            if level is None:
                lack[name] = _short_for(model.drift.false_alarms, division, rate)
            else:
                levels[name] = max(level, levels.get(name, 0.0))
    held = {name: level for name, level in levels.items() if name not in lack}
    return Calibration(
        limits={name: division.blocks[name].limit(level) for name, level in held.items()},
        missing={name: division.missing[name].limit(level) for name, level in held.items()},
        new={name: division.new[name].limit(level) for name, level in held.items() if name in division.new},
        lack=lack,
    )


def limit_of(section: DriftSection, division: Division, name: str) -> Threshold:
    """Return a column's configured threshold."""
    return wanted(name, division.kinds[name], section)[1]


def _lack(size: timedelta | int, division: Division, name: str) -> str | None:
    """Return why a column has no calibrated threshold for windows of this size, at any rate; None if it has one."""
    shortest = division.span < WEEK and (isinstance(size, int) or size < WEEK)
    if shortest:
        return f"the reference spans {about(division.span)}, less than a week, so it does not contain every weekday"
    if len(division.windows) < FEWEST:
        return f"the reference has {len(division.windows)} complete windows, {FEWEST} are needed"
    return division.lack.get(name) or division.blocks[name].lack


def _short_for(allowed: Budget, division: Division, rate: float) -> str:
    needed = math.ceil(1 / rate - 1e-9) - 1
    return f"the reference has {len(division.windows)} windows, {allowed} needs {needed}"


def _watches(
    allowed: Budget, triggers: Sequence[TriggerSection], division: Division, able: Sequence[str]
) -> Iterator[tuple[float, Persistence, list[str]]]:
    """Yield the share of the rate, the persistence and the columns of each trigger on calibrated thresholds.

    Scores that no trigger uses get the whole rate, as if one trigger did. The rate is at most one window in ten, which
    limits "1 per 90d" for windows of a month.
    """
    rate = min(allowed.count * (division.pace / allowed.span), MOST)
    follow = [(trigger, seen) for trigger in triggers if (seen := _seen(trigger, division, able))]
    for trigger, seen in follow:
        yield rate / len(follow), trigger.windows, seen
    left = set(able) - {name for _, seen in follow for name in seen}
    for metric in dict.fromkeys(division.metrics.values()):
        if alone := [name for name in able if name in left and division.metrics[name] == metric]:
            yield rate, Persistence(1, 1), alone


def _seen(trigger: TriggerSection, division: Division, able: Sequence[str]) -> list[str]:
    """Return the columns whose thresholds a trigger uses."""
    if not (trigger.metric in DRIFT and (trigger.drifted or trigger.metric == "drifted_share")):
        return []
    metric = "drift" if trigger.metric == "drifted_share" else trigger.metric
    return [
        name for name in able
        if division.metrics[name] == metric and trigger.column in (None, name)
        and trigger.method in (None, division.blocks[name].method)
    ]


def divide(
    model: ModelSection, times: pa.ChunkedArray, features: Mapping[str, FeatureKind],
    predictions: Mapping[str, FeatureKind], pieces: Callable[[str], Pieces | None],
) -> Division:
    """Divide rows with these times as windows are cut, and score each part's columns against the rest.

    `pieces` returns a column's values in the order of `times`; None if there is no such column.
    """
    moments = times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    windows, block = cut(model, moments)
    span = timedelta(microseconds=int(moments.max() - moments.min())) if len(moments) else timedelta(0)
    judged: dict[str, _Column] = {}
    lack: dict[str, str] = {}
    for name, kind in {**features, **predictions}.items():
        if (values := pieces(name)) is not None:
            try:
                column, method = pa.chunked_array(list(values)), wanted(name, kind, model.drift)[0]
                judged[name] = _column(method, kind, column, block, len(windows), model.window.min_rows)
            except CannotJudge as error:
                lack[name] = str(error)
            except Exception as error:  # noqa: BLE001  a method may raise anything; one column must not cost the others
                lack[name] = words(error)
                _log.error("%s: %s is not calibrated: %s", model.name, name, lack[name], exc_info=not is_quiet())
    alike = {(name, part): found for name, one in judged.items() for part, found in one.alike.items()}
    grown = inflations(alike, len(windows))
    return Division(
        windows=tuple(windows), span=span, pace=_pace(model.window, span, len(moments)), lack=lack,
        blocks={name: one.blocks.inflated(grown[name, "values"]) for name, one in judged.items()},
        missing={name: one.missing.inflated(grown[name, "missing"]) for name, one in judged.items()},
        new={name: one.new for name, one in judged.items() if one.new},
        kinds={**features, **predictions},
        metrics=dict.fromkeys(features, "drift") | dict.fromkeys(predictions, "prediction_drift"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    blocks: Blocks
    missing: Blocks
    new: NewValues | None
    alike: Mapping[str, Floats | None]       # autocorrelations of the two kinds of blocks


def _column(
    method: str, kind: FeatureKind, column: pa.ChunkedArray, block: Ints, count: int, min_rows: int
) -> _Column:
    if columns.missing(column) == len(column):
        raise CannotJudge("every value in the reference is missing")
    if method == "auto":
        whole = digest_of(column.chunks, len(column), kind)
        method = chosen(whole, whole, kind)
    present, values = _values(kind, column)
    if not len(values):
        raise CannotJudge("no value in the reference is a number")
    categorical = kind == "categorical"
    lies = block if len(values) == len(block) else block[present]      # a copy only where values are missing
    blocks, alike = _scored(method, values, lies, count, min_rows, categorical=categorical)
    gone = (~present).astype(np.int64)
    missing, missed = _scored("jensenshannon", gone, block, count, min_rows, categorical=True)
    return _Column(
        blocks=blocks, missing=missing, alike={"values": alike, "missing": missed},
        new=NewValues.of(values, lies, count) if categorical else None,
    )


def _scored(
    method: str, values: Numbers, block: Ints, count: int, min_rows: int, *, categorical: bool
) -> tuple[Blocks, Floats | None]:
    """Score the blocks of present values or category codes, whose blocks' numbers `block` has."""
    column_scorer = scorer(method, values, categorical=categorical, blocks=count)
    if column_scorer is None:
        raise CannotJudge(f"{method} takes too long for {count} windows")
    sizes = np.bincount(block[block >= 0], minlength=count)
    judged = sizes >= min_rows
    scores = np.where(judged, column_scorer.of_blocks(block, count), np.nan)
    rows = int(np.median(sizes[judged])) if judged.any() else min_rows
    chance = Null.of(method, column_scorer.by_chance(rows))
    alike = autocorrelations(values, block, sizes, categorical=categorical)
    return Blocks.beside_the_rest(method, scores, sizes, len(values), chance), alike


def _values(kind: FeatureKind, column: pa.ChunkedArray) -> tuple[Numbers, Numbers]:
    """Return which rows are present, and their values or category codes."""
    if kind == "numerical":
        return columns.is_present(column).to_numpy(), columns.present(column)
    keys = ordered({*columns.counts(column)})
    codes = columns.codes(column, {key: place for place, key in enumerate(keys)})
    return codes >= 0, codes[codes >= 0]


def cut(model: ModelSection, moments: Ints) -> tuple[list[Window], Ints]:
    """Return the reference's complete windows, and the number of each row's window, −1 for none."""
    block = np.full(len(moments), -1, dtype=np.int64)
    size, order = model.window.size, np.argsort(moments, kind="stable")
    if not len(moments):
        return [], block
    if isinstance(size, int):
        whole = len(moments) // size * size
        block[order[:whole]] = np.arange(whole) // size
        cut = spec(model.window, model.timezone)
        keys = [(_moment(moments[order[at]]), f"{at:012d}") for at in [*range(0, whole, size), whole - 1]]
        return [
            Window(model=model.name, start=a[0], start_id=a[1], end=b[0], end_id=b[1], spec=cut)
            for a, b in pairwise(keys)
        ], block
    windows = list(_whole_windows(model, moments))
    starts = np.array([_number(window.start) for window in windows], dtype=np.int64)
    ends = np.array([_number(window.end) for window in windows], dtype=np.int64)
    place = np.searchsorted(starts, moments, "right") - 1
    inside = (place >= 0) & (moments < ends[place]) if len(ends) else np.zeros(len(moments), bool)
    block[inside] = place[inside]
    return windows, block


def _whole_windows(model: ModelSection, moments: Ints) -> Iterator[Window]:
    """Yield windows within the reference; at its ends a mean gap between rows or a twentieth of a window may lack."""
    assert isinstance(model.window.size, timedelta)
    section = model.window.model_copy(update={"step": None, "lateness": timedelta(0)})
    first, last = _moment(moments.min()), _moment(moments.max())
    slack = max(model.window.size / 20, (last - first) / max(1, len(np.unique(moments)) - 1))
    for window in closed_windows(
        section, model.timezone, model.name, after=None, first=first, until=last + slack
    ):
        if window.start >= first - slack:
            yield window


def _pace(window: WindowSection, span: timedelta, rows: int) -> timedelta:
    """Return the time between the starts of consecutive windows."""
    if isinstance(window.size, timedelta):
        return window.step or window.size
    seconds = span.total_seconds() * window.size / max(1, rows)
    return timedelta(seconds=min(max(seconds, 1e-6), LONGEST.total_seconds()))


def _moment(number: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(number))


def _number(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def about(span: timedelta) -> str:
    """Return a duration as text in whole days, or in hours if it is short."""
    unit = timedelta(days=1) if span > 3 * timedelta(days=1) else timedelta(hours=1)
    return format_duration(unit * max(1, round(span / unit)))
