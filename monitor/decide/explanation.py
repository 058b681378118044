"""Why a check ended as it did, in sentences that are stored with the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.config.sections import ModelSection
from monitor.decide.guards import GUARDS
from monitor.decide.triggers import Judgement
from monitor.records import Action, Episode, EpisodeState, Verdict
from monitor.wording import listed, stretch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sentences are made of; `said`: guards that would speak; `asked`: a request is made now."""

    model: ModelSection
    judged: Sequence[Judgement]
    said: dict[str, str]
    episode: Episode | None
    asked: bool

    @property
    def fired(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.judged if one.firing)

    @property
    def suppressed(self) -> bool:
        return self.episode is not None and self.episode.state is EpisodeState.SUPPRESSED

    @property
    def action(self) -> Action:
        if self.asked:
            return Action.RETRAIN
        if self.suppressed and self.said:
            return Action.SUPPRESS
        return Action.ALERT if self.fired else Action.HOLD


def reasons(outcome: Outcome) -> tuple[str, ...]:
    """A sentence on each trigger, each guard where a need stands, and what would have changed the end."""
    triggers = (f"{one.sentence}." for one in outcome.judged)
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
    return [*spoke, *([f"These guards have nothing against it: {listed(silent)}."] if silent else [])]


_ANSWERS = {
    EpisodeState.AWAITING_APPROVAL: "waits for a person's word: `driftd approve` asks for the retrain",
    EpisodeState.REJECTED: "was rejected, and is silent until it has cleared",
    EpisodeState.LAPSED: "lapsed, nobody approved it in time, and is silent until it has cleared",
}


def _conclusion(outcome: Outcome) -> str:
    section = outcome.model.retrain
    pipeline = section.pipeline if section else "a pipeline"
    if outcome.episode is not None and outcome.asked:
        because = f"because of {outcome.episode.trigger}"
        return f"{pipeline} is asked to retrain {because}; any guard that spoke would have kept it back."
    if outcome.episode is not None and outcome.suppressed and outcome.said:
        because = f"because of {outcome.episode.trigger}"
        return f"{pipeline} would have been asked to retrain {because}, but for {listed(list(outcome.said))}."
    if outcome.episode is not None and outcome.episode.state in _ANSWERS:
        return f"{outcome.episode.trigger} {_ANSWERS[outcome.episode.state]}."
    if outcome.episode is not None and outcome.episode.state is EpisodeState.REQUESTED:
        return (
            f"{outcome.episode.trigger} has asked already; it asks again once its run has ended well and the "
            "cooldown is over, or once it has cleared and returned."
        )
    asking = [one for one in outcome.judged if one.action == "retrain"]
    if any(one.firing for one in asking):
        return "A retrain trigger fires, but no vote known now opens a need, or one was opened here before."
    if not asking:
        return 'No trigger has action = "retrain", so nothing can ask for a retrain.'
    names = [one.name for one in asking]
    would = [f"{one.name} would with {one.lacks}" for one in asking if one.lacks]
    none = f"No retrain is needed: {listed(names)} {'does' if len(names) == 1 else 'do'} not fire"
    return f"{none}; {listed(would)}." if would else f"{none}."
