"""The expected false alarms of a configuration: its triggers are replayed on the reference's own windows.

Nothing has changed there, so every firing is a false alarm. Drift scores come from `calibrate` (each window against
the rest). Performance, group rates, missing values and label coverage are measured on each window as in service.
Years are drawn from these windows (`block_bootstrap.drawn_years`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import exp, isnan

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.calibration.block_bootstrap import Years, by_chance, drawn_years, together
from monitor.calibration.outlook import Expected, Outlook, listed, uncalibrated
from monitor.calibration.reference_blocks import Division, about, asked, calibrate, cut, division, limit_of
from monitor.calibration.smallest_shift import noticed
from monitor.config import ModelSection
from monitor.config.drift_methods import is_p_value
from monitor.config.sections import BUILT_IN_TRIGGERS, DriftSection, QualitySection, TriggerSection
from monitor.decide.fairness import fairness_scores
from monitor.decide.going_back import FALSE_ROLLBACKS
from monitor.decide.going_back import METRIC as VERSION_REGRET
from monitor.decide.regret import false_retrains, price_of
from monitor.decide.triggers import Ballot, ballot
from monitor.drift.column_scores import drifted_share, held_against, prediction_kinds
from monitor.drift.methods import UNCALIBRATED, Calibration
from monitor.errors import CannotJudge
from monitor.history import breaches
from monitor.metric_catalogue import CATALOGUE, DRIFT, OF_GROUPS, PERFORMANCE, Group, Need
from monitor.performance.group_rates import rate_scores
from monitor.performance.labels import delays_of
from monitor.performance.performance_scores import performance_scores, segment_scores
from monitor.quality.column_checks import missing_score, quality_scores
from monitor.records import Score, ScoreStatus, Window
from monitor.reference.reference_data import ReferenceData
from monitor.sources.log import mask_labels, with_attributes
from monitor.tables.columns import Ints
from monitor.tables.digest import digest_of

YEAR = timedelta(days=365)
MOST = 200          # the newest windows, in which more than drift is measured
LABELS = ("label_coverage", "never_labelled_share")
OTHERS = tuple(name for name, row in CATALOGUE.items() if row.replayed)       # metrics other than drift


def outlook(model: ModelSection, reference: ReferenceData) -> Outlook:
    """Return the expected false alarms of each trigger, or why they are not known."""
    divided = division(model, reference)
    calibrated = calibrate(model, divided) if asked(model.drift) else UNCALIBRATED
    yearly = YEAR / divided.pace
    years, expected = {}, {}
    for votes in ballots(model, reference, divided, calibrated):
        for name, (drawn, fired) in drawn_years(model.triggers, votes, yearly, _neighbours(model)).items():
            years[name], expected[name] = drawn, drawn.expected(name, fired)
    by_regret = {trigger.name: _by_regret(trigger, reference, divided) for trigger in model.triggers
                 if trigger.metric == "regret"}
    for name, (unlike, _) in by_regret.items():
        years[name] = by_chance(unlike * yearly / 52)
        expected[name] = years[name].expected(name)
    for name in (trigger.name for trigger in model.triggers if trigger.metric == VERSION_REGRET):
        years[name] = by_chance(FALSE_ROLLBACKS * yearly / 52)
        expected[name] = years[name].expected(name)
    few = model.window.min_rows
    triggers = [
        expected.get(trigger.name) or Expected(trigger=trigger.name, untold=_untold(trigger, reference, divided, few))
        for trigger in model.triggers if trigger not in BUILT_IN_TRIGGERS
    ]
    alike = {name: most * yearly / 52 for name, (_, most) in by_regret.items()}
    notes = (*_notes(divided, calibrated), *(_alike(name, a_year) for name, a_year in alike.items()))
    return Outlook(
        triggers=tuple(triggers), together=_together(triggers, years), notes=notes,
        noticed=tuple(noticed(reference.profile, divided.kinds, calibrated)),
    )


def _by_regret(trigger: TriggerSection, reference: ReferenceData, divided: Division) -> tuple[float, float]:
    """Return how often chance asks in 52 windows, where neighbouring challengers are unlike, and where alike."""
    sd = reference.performance.sd.value if reference.performance else None
    price = None if trigger.above is None else price_of(trigger.above, sd or 0.0, divided.pace)
    return false_retrains(price)


def _alike(name: str, a_year: float) -> str:
    return f"{name}: up to {a_year:.2g} a year where models retrained one window apart are much alike"


def _together(triggers: Sequence[Expected], years: Mapping[str, Years]) -> Expected | None:
    missing = [trigger.trigger for trigger in triggers if trigger.untold]
    name = f"all together, without {listed(missing)}" if missing else "all together"
    return together(list(years.values())).expected(name) if len(years) > 1 else None


def _notes(divided: Division, calibrated: Calibration) -> Iterator[str]:
    yield from uncalibrated(calibrated.lack)
    if calibrated.limits and divided.span < YEAR:
        yield f"the reference spans {about(divided.span)}: seasons it has not seen will count as drift"


def _neighbours(model: ModelSection) -> int:
    """Return how many consecutive windows form one score or vote, and so must be drawn together."""
    pooled = model.fairness.windows if model.fairness else 1
    return max([pooled, *(trigger.windows.n for trigger in model.triggers if trigger not in BUILT_IN_TRIGGERS)])


def ballots(
    model: ModelSection, reference: ReferenceData, divided: Division, calibrated: Calibration
) -> Iterator[dict[str, Ballot]]:
    """Yield the votes of the reference's windows on every trigger that can be replayed.

    Metrics other than drift are measured in the newest `MOST` windows only. If there are more windows, drift votes are
    yielded separately, over all of them; otherwise all votes are in one dict.
    """
    if not (count := len(divided.windows)):
        return
    drifting = [trigger for trigger in model.triggers if trigger.metric in DRIFT]
    others = [trigger for trigger in model.triggers if trigger.metric in OTHERS]
    drift = [_drift_scores(model.drift, divided, calibrated, at) for at in range(count)] if drifting else []
    votes = dict(_votes(drifting, drift))
    more = dict(_votes(others, list(_measured(model, reference, divided, others)) if others else []))
    yield from (cast for cast in ([votes | more] if count <= MOST else [votes, more]) if cast)


def _votes(
    triggers: Sequence[TriggerSection], windows: Sequence[Sequence[Score]]
) -> Iterator[tuple[str, Ballot]]:
    measured = {score.metric for scores in windows for score in scores}
    for trigger in triggers:
        votes = ballot(trigger, windows)
        if trigger.metric in measured and any(vote is not None for vote in votes.votes):
            yield trigger.name, votes


def _untold(trigger: TriggerSection, reference: ReferenceData, divided: Division, min_rows: int) -> str:
    """Return why the reference does not show how often a trigger fires without change."""
    row = CATALOGUE.get(trigger.metric)
    if row and row.untold:
        return row.untold
    if trigger.every or trigger.cron or trigger.metric == "new_rows":
        return "it counts time or rows, and is no alarm"
    if trigger.members:
        return "it depends on a trigger whose rate is not known, or on other windows"
    if trigger.metric not in (*OTHERS, *divided.metrics.values(), "drifted_share"):
        return "it is measured in service only"
    if not divided.windows:
        return f"the reference spans {about(divided.span)} and has no complete window"
    if row and Need.LABELS in row.needs and row.group is not Group.QUALITY and not reference.performance:
        return "the reference has no labels"
    if trigger.metric in LABELS:
        return "the reference does not say when its labels came"
    return f"no window of the reference has a vote: too few rows in each (window.min_rows is {min_rows})"


def _drift_scores(section: DriftSection, divided: Division, calibrated: Calibration, at: int) -> list[Score]:
    scores = [
        _with_missing_and_new(
            held_against(_drift_score(divided, name, at), limit_of(section, divided, name), calibrated),
            divided, calibrated, at,
        )
        for name, blocks in divided.blocks.items() if not isnan(blocks.scores[at])
    ]
    rows = max((int(blocks.sizes[at]) for blocks in divided.blocks.values()), default=0)
    features = [score for score in scores if score.metric == "drift"]
    return [*scores, drifted_share(features, section, rows, calibrated)]


def _with_missing_and_new(score: Score, divided: Division, calibrated: Calibration, at: int) -> Score:
    """Return a score that is drifted also by the window's missing values and new categories, as in service."""
    name = str(score.column)
    if score.uncalibrated or name not in calibrated.missing:
        return score
    missing, new = divided.missing[name], divided.new.get(name)
    beyond = missing.scores[at] >= calibrated.missing[name].at(int(missing.sizes[at]))
    if new is not None:
        beyond |= calibrated.new[name].beyond(int(new.counts[at]), int(new.sizes[at]))
    return replace(score, status=ScoreStatus.DRIFTED) if beyond else score


def _drift_score(divided: Division, name: str, at: int) -> Score:
    blocks = divided.blocks[name]
    value = float(blocks.scores[at])
    return Score(metric=divided.metrics[name], method=blocks.method, column=name, status=ScoreStatus.OK,
                 value=exp(-value) if is_p_value(blocks.method) else value, n=int(blocks.sizes[at]))


def _measured(
    model: ModelSection, reference: ReferenceData, divided: Division, triggers: Sequence[TriggerSection]
) -> Iterator[list[Score]]:
    """Yield the scores of these triggers' metrics in the reference's newest windows, oldest window first."""
    answers, metrics = reference.answers, {trigger.metric for trigger in triggers}
    times = answers[reference.roles.timestamp].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    block = cut(model, times)[1]
    missing = _missing(model.quality, reference, block, len(divided.windows)) if "missing_share" in metrics else {}
    whole: list[list[Score]] = []            # so far, the windows without quality breaches
    for at in range(max(0, len(divided.windows) - MOST), len(divided.windows)):
        rows = answers.take(np.flatnonzero(block == at))
        scores = [*_of_rows(model, reference, rows, triggers), *missing.get(at, ()),
                  *_of_labels(model, reference, rows, divided.windows[at], metrics)]
        scores.append(Score(metric="rows", value=float(len(rows)), n=len(rows)))
        if model.fairness and metrics & {*OF_GROUPS}:
            whole += [] if breaches(scores) else [scores]
            scores = [*scores, *fairness_scores(model.fairness, model.window.min_rows, whole[::-1])]
        yield scores


def _of_rows(
    model: ModelSection, reference: ReferenceData, rows: pa.Table, triggers: Sequence[TriggerSection]
) -> Iterator[Score]:
    """Yield performance on these rows, overall and by segment, and the rates of protected groups."""
    judged, metrics = reference.performance, {trigger.metric for trigger in triggers}
    if len(rows) < model.window.min_rows:
        return
    if judged and metrics & {*PERFORMANCE}:
        yield from performance_scores(judged.reference, rows, judged.metric, False)
        if any(trigger.segment for trigger in triggers):
            yield from segment_scores(judged.segments, rows, model.columns.segments, provisional=False)
    if model.fairness and metrics & {*OF_GROUPS}:
        yield from _rates(model, reference, rows)


def _of_labels(
    model: ModelSection, reference: ReferenceData, rows: pa.Table, window: Window, metrics: set[str]
) -> Iterator[Score]:
    """Yield label coverage when the window closes, and the never-labelled share once labels are mature."""
    roles = reference.roles
    if roles.label is None or not (model.label_delay or delays_of(reference.answers, roles)):
        return
    ripe = window.end + reference.maturity
    for metric, moment in zip(LABELS, (window.end + model.window.lateness, ripe), strict=True):
        if metric in metrics:
            known = mask_labels(rows, roles, moment, model.label_delay)
            scores = quality_scores(reference.answers, known, roles, max(ripe, _end(reference)), reference.maturity)
            yield from (score for score in scores if score.metric == metric)


def _end(reference: ReferenceData) -> datetime:
    """Return the time at which every row of the reference is old enough for its label to be overdue."""
    newest: datetime = pc.max(reference.answers[reference.roles.timestamp]).as_py()
    return newest + reference.maturity


def _rates(model: ModelSection, reference: ReferenceData, rows: pa.Table) -> Iterable[Score]:
    assert model.fairness
    roles, columns = reference.roles, model.fairness.columns
    try:
        before, now = (with_attributes(model, table, roles, columns) for table in (reference.answers, rows))
        return rate_scores(before, now, roles, model.fairness, model.window.min_rows, provisional=False)
    except CannotJudge:
        return ()


def _missing(
    section: QualitySection, reference: ReferenceData, block: Ints, count: int
) -> dict[int, list[Score]]:
    """Return the missing-value scores of every watched column, by window."""
    order, ends = np.argsort(block, kind="stable"), np.searchsorted(np.sort(block), np.arange(count + 1))
    task = reference.performance.task if reference.performance else None
    kinds = {**reference.roles.features, **prediction_kinds(reference.answers, reference.roles, task)}
    scores: dict[int, list[Score]] = {at: [] for at in range(count)}
    for name, kind in kinds.items():
        before, pieces = reference.profile.column(name, kind), reference.profile.pieces(name)
        if before is None or pieces is None:
            continue
        ordered = pa.chunked_array(list(pieces)).take(pa.array(order))
        for at in scores:
            part = ordered.slice(ends[at], ends[at + 1] - ends[at])
            now = digest_of(part.chunks, len(part), kind)
            scores[at].append(missing_score(name, before, now, len(part), section))
    return scores
