"""What people are told: messages, once per event, and why a check ended as it did, stored with its verdict."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.config.sections import ModelSection
from monitor.decide.episodes import lapses_at
from monitor.decide.guards import GUARDS
from monitor.decide.particulars import columns_line, metric_line
from monitor.decide.recovery import NO_RECOVERY
from monitor.decide.triggers import BROKEN_DATA, REFERENCE_GONE, SHADOW, SOURCE, SOURCE_DOWN, Judgement
from monitor.decide.why_it_fell import why_it_fell
from monitor.escape import name
from monitor.history import History
from monitor.metric_catalogue import DRIFT
from monitor.records import Action, Episode, EpisodeState, Firing, Message, Promotion, Snapshot, Verdict, Window
from monitor.times import format_moment
from monitor.wording import day, listed, stretch

_VERBS = {"retrain": "retrain", "rollback": "go back"}
_ANSWERS = {
    EpisodeState.AWAITING_APPROVAL: "waits for approval: `driftd approve` sends the request",
    EpisodeState.REJECTED: "was rejected; it asks again only after it has cleared",
    EpisodeState.LAPSED: "was not approved in time; it asks again only after it has cleared",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """Writes the messages about one snapshot."""

    model: ModelSection
    history: History
    snapshot: Snapshot
    now: datetime

    def of_trigger(self, judgement: Judgement) -> Message:
        """A trigger has begun to fire, or has cleared."""
        name, event = judgement.name, "fires" if judgement.firing else "clears"
        kind = "source" if name == SOURCE else "firing" if judgement.firing else "cleared"
        said = judgement.words if self._at_newest else judgement.newest
        lines = [f"{name} {event}: {said}.", *self._before(judgement), *self._figures(name), *self._next(judgement)]
        return self._message((name, event, self.snapshot.window), kind, _headline(judgement), lines)

    def requested(self, episode: Episode, why: str) -> Message:
        """A retrain is asked for, or to go back."""
        lines = [f"{asked_for(self.model, episode)} because {episode.trigger} fires: {why}.", *self._figures(),
                 "driftd follows the run, and tells how it ends."]
        about = (episode.trigger, "requested", episode.window)
        return self._message(about, "requested", f"{episode.asks} is requested", lines)

    def awaiting(self, episode: Episode) -> Message:
        """A retrain is needed, or to go back, and a person must approve it."""
        lines = [f"{episode.trigger} fires: {episode.reason}.", *self._figures(), *how_to_answer(self.model, episode)]
        about = (episode.trigger, "approval", episode.window)
        return self._message(about, "approval", f"{episode.asks} awaits approval", lines)

    def suppressed(self, episode: Episode, why: str, said: dict[str, str]) -> Message:
        """A retrain is needed, or to go back, but guards object."""
        headline = f"{episode.asks} is needed, but suppressed by {listed(list(said))}"
        guards = [f"{name}: {sentence}." for name, sentence in said.items()]
        again = "This is decided again at every window."
        lines = [f"{episode.trigger} fires: {why}.", *self._figures(), *guards, again]
        return self._message((episode.trigger, "suppressed", episode.window), "suppressed", headline, lines)

    def recovered(self, promotion: Promotion) -> Message:
        """The need that led to the version in service has gone away."""
        ended = f"Version {promotion.version} has ended the need that {promotion.need} showed"
        words = f"{ended}: {promotion.recovery_reason}."
        about = (NO_RECOVERY, f"recovered {promotion.seq}", self.snapshot.window)
        return self._message(about, "recovered", f"version {promotion.version} has brought recovery", [words])

    @property
    def _at_newest(self) -> bool:
        return self.history.known(self.snapshot)[-1] is self.snapshot

    def _figures(self, trigger: str | None = None) -> list[str]:
        """The metric now and before, why it fell, the columns that drifted most; first what the trigger is about."""
        metric, columns = metric_line(self.model.metric, self.snapshot.scores), columns_line(self.snapshot.scores)
        fell = f"{words}." if (words := why_it_fell(self.snapshot.scores)) else None
        if trigger in (BROKEN_DATA, SOURCE):
            return []
        drifts = trigger is not None and self._watches_drift(trigger)
        lines = (columns, metric, fell) if drifts else (metric, fell, columns)
        return [line for line in lines if line]

    def _watches_drift(self, name: str) -> bool:
        return any(trigger.name == name and trigger.metric in DRIFT for trigger in self.model.triggers)

    def _next(self, judgement: Judgement) -> list[str]:
        """What driftd will do."""
        if not judgement.firing:
            return []
        if judgement.name == SOURCE:
            return ["driftd looks again at every check; until then nothing is judged."]
        if judgement.name == BROKEN_DATA:
            return ["driftd asks for no retrain while the data are broken."]
        if judgement.action == "alert":
            return ["driftd asks for no retrain because of this."]
        if self.model.mode != "act" or self.model.retrain is None:
            return [f"driftd asks nobody to {_VERBS[judgement.action]}: it only observes this model."]
        asked = f"{whom(self.model, judgement.version)} to {_VERBS[judgement.action]}"
        return [f"driftd asks {asked}, unless a guard objects."]

    def _before(self, judgement: Judgement) -> list[str]:
        was = self.history.firing.get(judgement.name)
        if judgement.firing or was is None or judgement.name in (SOURCE, BROKEN_DATA):
            return []
        return [f"It had been firing since {day(was.since, self.model.timezone)}: {was.reason}."]

    def _message(self, about: tuple[str, str, Window], kind: str, headline: str, lines: list[str]) -> Message:
        """`about`: trigger, event and window, which make the id."""
        trigger, event, window = about
        place = (window.start.isoformat(), window.start_id, window.spec)
        return Message(
            id=_hash(self.model.name, trigger, event, *place),
            model=self.model.name,
            kind=kind,
            title=f"{self.model.name}: {headline}",
            body="\n".join([*lines, self._where()]),
            created_at=self.now,
            next_try_at=self.now,
            trigger=trigger,
        )

    def _where(self) -> str:
        one, version = self.snapshot, self.snapshot.model_version
        again = f", measured again (revision {one.revision})" if one.revision else ""
        rows = f"{one.rows:,} rows, {one.labelled:,} of them labelled{again}"
        beside = f"reference {self.history.reference.origin}{f', model {version}' if version else ''}"
        return f"Window {stretch(one.window, self.model.timezone)}, {rows}; {beside}."


def whom(model: ModelSection, version: str | None) -> str:
    """Who is asked: the pipeline, or, to go back where there is one, the registry."""
    if version is not None and model.registry is not None:
        return "the registry"
    return model.retrain.pipeline if model.retrain else "a pipeline"


def asked_for(model: ModelSection, episode: Episode, would: str = "is asked") -> str:
    """CI is asked to retrain; the registry is asked to go back to version 3."""
    wish = "retrain" if episode.version is None else f"go back to version {name(episode.version)}"
    return f"{whom(model, episode.version)} {would} to {wish}"


def how_to_answer(model: ModelSection, episode: Episode) -> list[str]:
    """The commands that approve and reject, and until when."""
    until = lapses_at(model, episode)
    say = [f'`driftd {word} --model {model.name} --reason "…"`' for word in ("approve", "reject")]
    lapses = [f"It lapses on {day(until, model.timezone)}."] if until else []
    return [f"{say[0]} sends the request, {say[1]} turns it down.", *lapses]


def note_approval(model: ModelSection, episode: Episode, now: datetime) -> Message:
    """What people are told of a person's request that waits for another's word, or of one that has lapsed."""
    waits = episode.state is EpisodeState.AWAITING_APPROVAL
    headline = f"{episode.asks} {'awaits approval' if waits else 'was not approved in time'}"
    then = how_to_answer(model, episode) if waits else ["The trigger asks again only after it has cleared."]
    key = _hash(episode.id, episode.state, format_moment(now))
    body = "\n".join([f"{episode.reason}.", *then])
    return Message(
        id=key, model=model.name, kind="approval", title=f"{model.name}: {headline}", body=body, created_at=now,
        next_try_at=now, trigger=episode.trigger,
    )


_NOTICED = {                            # at a look: its titles, and what is said once it is over
    SOURCE_DOWN: ("the source is down", "the source is back", "the source has fresh rows again", "it had been down"),
    REFERENCE_GONE: ("rows of the reference are gone", "the reference is whole", "the reference has all its rows again",
                     "some had been missing"),
    SHADOW: ("the candidate in shadow cannot be judged", "the candidate in shadow can be judged",
             "its predictions can be used again", "they could not be used"),
}


def note_look(
    model: str, trigger: str, before: Firing | None, failure: str | None, now: datetime
) -> tuple[Firing, Message | None] | None:
    """What to remember and tell when a look finds that the source or the reference fails, or is back; None without a
    change.

    Where it goes on for another reason the new one is remembered, and nothing told again.
    """
    failing = failure is not None
    if failure is not None and before is not None and before.firing:
        return None if before.reason == failure else (replace(before, reason=failure), None)
    if failure is None and (before is None or not before.firing):
        return None
    begun, ended, over, before_that = _NOTICED[trigger]
    words = failure or over
    title = f"{model}: {begun if failing else ended}"
    firing = Firing(model=model, trigger=trigger, firing=failing, since=now, reason=words)
    began = now if before is None or failing else before.since
    then = "\ndriftd looks again at every check; until then nothing is judged." if trigger == SOURCE_DOWN else ""
    body = f"{words}.{then}" if failing else f"{words}; {before_that} since {format_moment(began)}."
    key = _hash(model, trigger, str(failing), format_moment(began))
    message = Message(
        id=key, model=model, kind="source", title=title, body=body, created_at=now, next_try_at=now, trigger=trigger
    )
    return firing, message


def standing(verdict: Verdict | None, firing: Iterable[Firing]) -> Action | None:
    """What the newest window's verdict comes to now: what has begun to fire since, or cleared, changes it."""
    if verdict is None or verdict.action not in (Action.HOLD, Action.ALERT):
        return None if verdict is None else verdict.action
    return Action.ALERT if any(one.firing for one in firing) else Action.HOLD


def since_then(verdict: Verdict, firing: Iterable[Firing], zone: ZoneInfo) -> Verdict:
    """The verdict with what its triggers show now: an older window, measured again, or a look may have changed it."""
    now = {one.trigger: one for one in firing}
    if SOURCE_DOWN in now and now[SOURCE_DOWN].firing:
        now[SOURCE] = now[SOURCE_DOWN]
    told = [_as_of_now(sentence, now, zone) for sentence in verdict.reasons]
    if told == list(verdict.reasons):
        return verdict
    fired = tuple(dict.fromkeys([*(name for name in verdict.fired if name not in now or now[name].firing),
                                 *(name for name, one in now.items() if one.firing and name != SOURCE)]))
    concluded = 1 if verdict.action in (Action.HOLD, Action.ALERT) else 0      # "no retrain is needed": of then
    return replace(verdict, fired=fired, reasons=tuple(told[:len(told) - concluded]))


def _as_of_now(sentence: str, now: Mapping[str, Firing], zone: ZoneInfo) -> str:
    one = now.get(sentence.partition(": ")[0])
    if one is None or sentence.startswith(f"{one.trigger}: {one.reason}. "):
        return sentence
    state = f"It fires since {day(one.since, zone)}" if one.firing else "It does not fire"
    return f"{one.trigger}: {one.reason}. {state}."


def need_words(episode: Episode, firing: Iterable[Firing]) -> str:
    """Why a need stands: what its trigger shows now, and what a person answered; else what opened it."""
    now = next((one.reason for one in firing if one.firing and one.trigger == episode.trigger), None)
    if now is None:
        return episode.reason
    approval = episode.approval
    if episode.state not in (EpisodeState.REJECTED, EpisodeState.LAPSED) or approval is None:
        return now
    by = f"rejected by {approval.decided_by}: " if approval.decided_by else ""
    return f"{now}; {by}{approval.reason}"


def _headline(judgement: Judgement) -> str:
    if judgement.name == SOURCE:
        return "the source is silent" if judgement.firing else "the source has returned"
    if judgement.name == BROKEN_DATA:
        return "the data are broken" if judgement.firing else "the data are whole again"
    if judgement.name == NO_RECOVERY:
        return "the new version has not helped" if judgement.firing else "the new version is no longer questioned"
    return f"{judgement.name} {'fires' if judgement.firing else 'has cleared'}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sentences are made from.

    `said`: the guards that object, each with its sentence; `asked`: a request is made now.
    """

    model: ModelSection
    judged: Sequence[Judgement]
    said: dict[str, str]
    episode: Episode | None
    asked: bool

    @property
    def fired(self) -> tuple[str, ...]:
        return tuple(judgement.name for judgement in self.judged if judgement.firing)

    @property
    def suppressed(self) -> bool:
        return self.episode is not None and self.episode.state is EpisodeState.SUPPRESSED

    @property
    def action(self) -> Action:
        if self.asked and self.episode is not None:
            return Action.RETRAIN if self.episode.version is None else Action.ROLLBACK
        if self.suppressed and self.said:
            return Action.SUPPRESS
        return Action.ALERT if self.fired else Action.HOLD


def reasons(outcome: Outcome) -> tuple[str, ...]:
    """Return one sentence for each trigger, one for each guard where a retrain is needed, and the conclusion."""
    triggers = (f"{judgement.sentence}." for judgement in outcome.judged)
    return (*triggers, *_guards(outcome), _conclusion(outcome))


def explain(verdict: Verdict, model: ModelSection) -> str:
    """The verdict as a page of text."""
    window = f"{verdict.window.model}, window {stretch(verdict.window, model.timezone)}"
    head = f"{window}, revision {verdict.revision}: {verdict.action.value}"
    return "\n".join([head, *(f"  {sentence}" for sentence in verdict.reasons)])


def _guards(outcome: Outcome) -> list[str]:
    if not (outcome.asked or outcome.suppressed):
        return []
    spoke = [f"guard {name}: {sentence}." for name, sentence in outcome.said.items()]
    silent = [name for name in GUARDS if name not in outcome.said]
    return [*spoke, *([f"These guards do not object: {listed(silent)}."] if silent else [])]


def _conclusion(outcome: Outcome) -> str:
    if outcome.episode is not None and outcome.asked:
        asked = f"{asked_for(outcome.model, outcome.episode)} because of {outcome.episode.trigger}"
        return f"{asked}. One guard that objects would have suppressed the request."
    if outcome.episode is not None and outcome.suppressed and outcome.said:
        asked = asked_for(outcome.model, outcome.episode, "would have been asked")
        return f"Without {listed(list(outcome.said))}, {asked} because of {outcome.episode.trigger}."
    if outcome.episode is not None and outcome.episode.state in _ANSWERS:
        return f"{outcome.episode.trigger} {_ANSWERS[outcome.episode.state]}."
    if outcome.episode is not None and outcome.episode.state is EpisodeState.REQUESTED:
        return (
            f"{outcome.episode.trigger} has already asked. It asks again once its run has ended well and the cooldown "
            "is over, or after it has cleared and fires again."
        )
    asking = [judgement for judgement in outcome.judged if judgement.action != "alert"]
    if any(judgement.firing for judgement in asking):
        return "A retrain trigger still fires, but this window adds no vote, or has opened a need before."
    if not asking:
        return 'No trigger has action = "retrain", so nothing can ask for a retrain.'
    names = [judgement.name for judgement in asking]
    would = [f"{judgement.name} would fire {judgement.lacks}" for judgement in asking if judgement.lacks]
    none = f"No retrain is needed: {listed(names)} {'does' if len(names) == 1 else 'do'} not fire."
    return f"{none} {listed(would)}." if would else none
