"""How one window votes on a trigger: yes, no or not at all, and what it saw in words.

Dates and new rows lie in no window: both count from where the model's data ended.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.config import cron
from monitor.config.sections import ModelSection, TriggerSection
from monitor.config.values import Change
from monitor.decide import going_back, going_back_words
from monitor.decide.going_back import GoingBack
from monitor.decide.particulars import MOST, by_missing_or_new, few, most_drifted
from monitor.decide.regret import Regret, Step
from monitor.decide.regret_words import cost, figures, price_of
from monitor.escape import name
from monitor.estimation.skill import Skill
from monitor.history import History, disjoint, is_broken, usable
from monitor.metric_catalogue import CATALOGUE, OF_GROUPS, Group, names
from monitor.records import Firing, Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.times import format_duration
from monitor.wording import day, number, several, shown

_QUALITY = names(Group.QUALITY)     # these keep their votes where the data are broken; for alerts only
_TOLD = ("performance_lost", "labels_lost", "prediction_collapse")     # their reasons say it all


@dataclass(frozen=True, slots=True)
class Vote:
    """One window's vote on one trigger: yes, no, or none (None).

    `words` say what it saw; `figures` how that was worked out, for who knows the method.
    """

    yes: bool | None
    words: str
    figures: str = ""
    version: str | None = None      # that served before and is to serve again


@dataclass(frozen=True, slots=True)
class Case:
    """What all triggers look at."""

    model: ModelSection
    known: Sequence[Snapshot]           # oldest first, the snapshot at hand among them
    snapshot: Snapshot
    regret: Regret
    skills: Mapping[str, Skill]         # by the name of the estimate
    was: Mapping[str, Firing]
    newest: bool                        # no newer window is still to be checked
    since: datetime                     # the model's data ended: rows and dates count from here …
    declined: Mapping[str, datetime] = field(default_factory=dict)     # … or, by trigger, from a need declined since
    back: GoingBack | None = None       # where versions that served before are compared

    @property
    def at_newest(self) -> bool:
        return self.known[-1] is self.snapshot

    def begun(self, trigger: TriggerSection) -> datetime:
        """Where dates and new rows count from."""
        return max(self.since, self.declined.get(trigger.name, self.since))


def vote(case: Case, trigger: TriggerSection, snapshot: Snapshot, fired: bool) -> Vote:
    """One window's vote on a configured trigger; while it fires, against its clearing level."""
    if snapshot.status is SnapshotStatus.SOURCE_FAILED:
        return Vote(None, "the window does not vote, because its source failed")
    if is_broken(snapshot) and not heard_when_broken(trigger):
        return Vote(None, "the window does not vote, because its data are broken")
    if trigger.metric == "regret":
        return _regret_vote(case, trigger, snapshot, fired)
    if trigger.metric == going_back.METRIC:
        return _back_vote(case, trigger, snapshot)
    if trigger.metric == "new_rows":
        return _rows_vote(case, trigger, snapshot, fired)
    if trigger.every is not None or trigger.cron is not None:
        return Vote(*due(trigger, case.begun(trigger), snapshot.window.end, case.model.timezone))
    return vote_on_scores(trigger, snapshot.scores, fired, case.skills.get(trigger.metric))


def vote_on_scores(
    trigger: TriggerSection, scores: Iterable[Score], fired: bool, skill: Skill | None = None
) -> Vote:
    """The vote on a metric that is measured in each window by itself. `skill` is that of an estimated metric."""
    scores_given = list(scores)
    scores = [s for s in scores_given if _matches(trigger, s)]
    heard = [s for s in scores if usable(s) and not (s.provisional and trigger.action == "retrain")]
    held = [s for s in heard if _held(trigger, s) is not None]
    limits = [(s, limit) for s in held if (limit := _limit(trigger, s, fired)) is not None]
    if not limits:
        return Vote(None, _unheard(trigger, scores))
    yes = [(s, limit) for s, limit in limits if _passes(trigger, s, limit) or (fired and still_lost(s))]
    worst = sorted(yes or limits, key=lambda pair: _excess(trigger, *pair), reverse=True)
    if trigger.action == "retrain" and yes and _by_threshold(trigger) and all(s.uncalibrated for s, _ in yes):
        why = "uncalibrated, as the reference is too short: it may alert, never retrain by itself"
        return Vote(None, f"{_shown(trigger, worst)}, {why}")
    words = _shown(trigger, worst) + (f" ({skill.words})" if skill else "")
    return Vote(bool(yes), words + _columns(trigger, scores_given))


def passing(trigger: TriggerSection, scores: Iterable[Score]) -> list[Score]:
    """The scores of a window that pass the limit of a trigger while it does not fire, the worst first."""
    heard = [s for s in scores if _matches(trigger, s) and usable(s) and _held(trigger, s) is not None]
    limits = [(s, limit) for s in heard if (limit := _limit(trigger, s, fired=False)) is not None]
    yes = [pair for pair in limits if _passes(trigger, *pair)]
    return [s for s, _ in sorted(yes, key=lambda pair: _excess(trigger, *pair), reverse=True)]


def heard_when_broken(trigger: TriggerSection) -> bool:
    """Whether windows whose data are broken vote on it too."""
    return trigger.action == "alert" and trigger.metric in _QUALITY


def _by_threshold(trigger: TriggerSection) -> bool:
    """Whether the vote follows the scores' own thresholds, and not a number in the trigger."""
    return trigger.drifted is not None or trigger.metric == "drifted_share"


def _regret_vote(case: Case, trigger: TriggerSection, snapshot: Snapshot, fired: bool) -> Vote:
    step = _step(case.regret, snapshot)
    if step is None:
        nothing = "the window says nothing yet: its labels are still to come, or it lies before the last request"
        return Vote(None, case.regret.lack or nothing)
    score = Score(metric="regret", value=step.total)
    limit = _limit(trigger, score, fired, case.regret)
    if limit is None:
        return Vote(None, "the price of a retrain cannot be computed yet")
    price, zone = price_of(trigger, case.regret), case.model.timezone
    enough = step.sure and _passes(trigger, score, limit)
    yes = None if step.ahead and not enough else enough      # labels to come may fire it, never clear it
    return Vote(yes, cost(case.regret, step, price, zone), figures(case.regret, step, price, zone))


def _back_vote(case: Case, trigger: TriggerSection, snapshot: Snapshot) -> Vote:
    price = price_of(trigger, case.regret)
    best = None if case.back is None or price is None else case.back.best(snapshot, price)
    if case.back is None or price is None or best is None:
        nothing = "the window does not tell how versions that served before would do"
        return Vote(None, case.regret.lack or nothing)
    if best.pays and best.step.total - price < _retrain_gains(case, snapshot):
        best = replace(best, doubt="a retrain would gain more, beyond what it costs")
    words = going_back_words.words(case.back, best, price, case.model.timezone)
    yes = None if best.step.ahead and not best.pays else best.pays      # as for regret
    return Vote(yes, words, going_back_words.figures(best, price), best.version if best.pays else None)


def _retrain_gains(case: Case, snapshot: Snapshot) -> float:
    """What a retrain would gain beyond its price, where regret asks for one."""
    step, asking = _step(case.regret, snapshot), (t for t in case.model.triggers if t.metric == "regret")
    prices = (price_of(trigger, case.regret) for trigger in asking if trigger.action == "retrain")
    gains = (step.total - price for price in prices if step is not None and step.sure and price is not None)
    return max((gain for gain in gains if gain > 0), default=0.0)


def _rows_vote(case: Case, trigger: TriggerSection, snapshot: Snapshot, fired: bool) -> Vote:
    since = case.begun(trigger)
    count = new_rows(case.known, since, snapshot)
    if count is None:
        return Vote(None, "the window adds no new rows: its labels are not mature, or the model was fitted on it")
    score = Score(metric="new_rows", value=count)
    limit = _limit(trigger, score, fired)
    assert limit is not None
    words = f"{rows_words(count, since, case.model.timezone)} (limit {number(limit)})"
    return Vote(_passes(trigger, score, limit), words)


def _step(regret: Regret, snapshot: Snapshot) -> Step | None:
    return next((step for step in regret.steps if step.snapshot is snapshot), None)


def _matches(trigger: TriggerSection, score: Score) -> bool:
    return (
        score.metric == trigger.metric
        and _of_segment(trigger, score.segment)
        and trigger.column in (None, score.column)
        and trigger.method in (None, score.method)
    )


def _of_segment(trigger: TriggerSection, segment: str | None) -> bool:
    """A trigger looks at one segment, or all of a column; without `segment` at the whole model, and fairness at all."""
    if trigger.segment is None:
        return segment is None or trigger.metric in OF_GROUPS
    return segment is not None and (segment == trigger.segment or segment.startswith(f"{trigger.segment}="))


def _held(trigger: TriggerSection, score: Score) -> float | None:
    """The number that must pass the limit: the value; of a group the bound that holds for all groups at once."""
    if score.segment is None:
        return score.value
    return score.low if trigger.above or trigger.rise else score.high


def _limit(
    trigger: TriggerSection, score: Score, fired: bool, regret: Regret | None = None
) -> float | None:
    """The number a value is held against; None with nothing to compare; NaN for `drifted` without one."""
    clear = trigger.clear if fired else None
    level = trigger.above or trigger.below
    if level is not None:
        number_now = level.number if regret is None else regret.price(level)
        return number_now if clear is None or number_now is None else clear
    change = trigger.rise or trigger.drop
    if change is None:
        return float("nan") if score.threshold is None else score.threshold
    if score.reference is None:
        return None
    amount = _amount(change if clear is None else Change(clear, change.relative), score.reference)
    return score.reference + (amount if trigger.rise else -amount)


def _amount(change: Change, reference: float) -> float:
    return change.amount * abs(reference) if change.relative else change.amount


def _passes(trigger: TriggerSection, score: Score, limit: float) -> bool:
    if trigger.drifted:
        return score.status is ScoreStatus.DRIFTED
    held = _held(trigger, score)
    assert held is not None
    return held > limit if trigger.above or trigger.rise else held < limit


def still_lost(score: Score) -> bool:
    """Whether performance that was lost is not back: its interval does not hold the reference's value."""
    if score.metric != "performance_lost" or None in (score.low, score.high, score.reference) or not score.method:
        return False
    assert score.low is not None
    assert score.high is not None
    assert score.reference is not None
    if CATALOGUE[score.method].signed:
        return abs(score.reference) < min(abs(score.low), abs(score.high)) and score.low * score.high > 0
    return score.high < score.reference if CATALOGUE[score.method].higher_is_better else score.low > score.reference


def _excess(trigger: TriggerSection, score: Score, limit: float) -> float:
    """How far beyond its limit, relative to it; sorts the worst first."""
    held = _held(trigger, score)
    assert held is not None
    if limit != limit:
        return abs(held)
    far = (held - limit) / (abs(limit) or 1.0)
    return abs(far) if trigger.drifted else far if trigger.above or trigger.rise else -far


def _shown(trigger: TriggerSection, pairs: Sequence[tuple[Score, float]]) -> str:
    """The worst scores in words, each with its limit and its reference value."""
    return few([_one(trigger, score, limit) for score, limit in pairs[:MOST]], len(pairs))


def _columns(trigger: TriggerSection, scores: Iterable[Score]) -> str:
    """Of a share of columns the names of those that drifted most."""
    if trigger.metric != "drifted_share":
        return ""
    drifted = [name(score.column or "") for score in most_drifted(scores)]
    return f", most: {few(drifted)}" if drifted else ""


def _one(trigger: TriggerSection, score: Score, limit: float) -> str:
    assert score.value is not None
    if score.metric in _TOLD and score.status is ScoreStatus.DRIFTED and score.reason:
        return f"{score.reason}{', provisional' if score.provisional else ''}"
    method = f" ({score.method})" if score.method else ""
    subject = f"{score.metric}{method}{_whose(score.column, score.segment)}"
    bound = _held(trigger, score) if score.segment else None
    side = "at least" if trigger.above or trigger.rise else "at most"
    held = [] if bound is None else [f"{side} {shown(score.metric, bound)} by the interval for all groups at once"]
    held += [] if limit != limit else [f"limit {shown(score.metric, limit)}"]
    held += [] if score.reference is None else [f"reference {shown(score.metric, score.reference)}"]
    held += [] if (why := by_missing_or_new(score)) is None else [why]
    beside = f" ({', '.join(held)})" if held else ""
    return f"{subject} is {shown(score.metric, score.value)}{beside}{', provisional' if score.provisional else ''}"


def _whose(column: str | None, segment: str | None) -> str:
    return "".join(f" of {name}" for name in (column, segment) if name)


def _unheard(trigger: TriggerSection, scores: Sequence[Score]) -> str:
    """Why no score of a window counts."""
    subject = trigger.metric + _whose(trigger.column, trigger.segment)
    if not scores:
        return f"{subject} was not measured"
    if any(usable(s) and s.provisional for s in scores):
        return f"{subject} is provisional until its labels are mature: it may alert, never retrain"
    reason = next((s.reason for s in scores if s.reason), None)
    if any(usable(s) for s in scores):
        return f"{subject} has no reference value to compare with"
    return f"{subject} could not be judged{f' ({reason})' if reason else ''}"


def data_ended(history: History, known: Sequence[Snapshot]) -> datetime:
    """Where dates and new rows count from: the last request or the reference, and not before the first window."""
    return max(history.since, known[0].window.start)


def due(trigger: TriggerSection, since: datetime, until: datetime, zone: ZoneInfo) -> tuple[bool, str]:
    """Whether a date of the trigger lies in (since, until], and what that says in words."""
    if trigger.every is not None:
        date = since + trigger.every
        over = "were over on" if date <= until else "last until"
        return date <= until, f"{format_duration(trigger.every)} since {day(since, zone)} {over} {day(date, zone)}"
    last = cron.last_time(trigger.cron or "", zone, since, until)
    if last is None:
        return False, f'no date of "{trigger.cron}" since {day(since, zone)}'
    return True, f'{day(last, zone)} is a date of "{trigger.cron}"'


def awaited_date(trigger: TriggerSection, since: datetime, zone: ZoneInfo) -> str:
    """When it would be due, in words."""
    if trigger.every is not None:
        return f"with a window that ends on {day(since + trigger.every, zone)} or later"
    return f'at the next date of "{trigger.cron}"'


def new_rows(known: Sequence[Snapshot], since: datetime, snapshot: Snapshot) -> int | None:
    """Mature labelled rows from `since` up to this window, each once; None where the window adds none."""
    total = 0
    for one in disjoint(s for s in known if s.window.start >= since and _counts(s)):
        total += one.labelled
        if one is snapshot:
            return total
    return None


def rows_words(count: int, since: datetime, zone: ZoneInfo) -> str:
    return f"{several(count, 'new mature row')} since {day(since, zone)}"


def rows_score(
    model: ModelSection, known: Sequence[Snapshot], since: datetime, declined: Mapping[str, datetime]
) -> Score | None:
    """The Score `new_rows`, where a trigger asks for it."""
    counting = (trigger for trigger in model.triggers if trigger.metric == "new_rows")
    trigger = next((trigger for trigger in counting if trigger.above is not None), None)
    if trigger is None or trigger.above is None:
        return None
    since = max(since, declined.get(trigger.name, since))
    threshold = trigger.above.number
    counts = [count for s in reversed(known) if (count := new_rows(known, since, s)) is not None]
    if not counts:
        lack = f"no window since {day(since, model.timezone)} has mature labels yet"
        return Score(metric="new_rows", threshold=threshold, status=ScoreStatus.INSUFFICIENT, reason=lack)
    words = rows_words(counts[0], since, model.timezone)
    return Score(metric="new_rows", value=counts[0], threshold=threshold, n=counts[0], reason=words)


def _counts(snapshot: Snapshot) -> bool:
    return snapshot.mature and snapshot.status is SnapshotStatus.OK and not is_broken(snapshot)
