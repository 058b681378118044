"""Replay of a model's triggers over measured windows, as if each retrain put a new model into service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.config.sections import ModelSection
from monitor.decide.decision import Decision, decide
from monitor.history import History, Remembered, remembered
from monitor.records import Reference, Score, Snapshot, Window

Served = Callable[[Snapshot, int], Snapshot]    # a window as it would be with the model fitted after so many of them
MOST_BEFORE = 60        # windows of earlier models, whose placebos tell the noise


@dataclass(frozen=True, slots=True)
class Round:
    """The snapshots judged when a window closes: older windows that changed or matured since, and that window last."""

    now: datetime
    snapshots: tuple[Snapshot, ...]

    @property
    def window(self) -> Window:
        return self.snapshots[-1].window


@dataclass(frozen=True, slots=True)
class Played:
    """The rounds at whose end a retrain was asked for, and the score of regret after each round."""

    schedule: list[int]
    regret: tuple[Score | None, ...]


def play(model: ModelSection, rounds: Sequence[Round], served: Served) -> Played:
    """Decide round by round. Each request takes effect at once: the next window has a new model and reference."""
    past, champion, keep = _began(model.name, 0, rounds[0].window.start), 0, remembered(model)
    schedule: list[int] = []
    regret: list[Score | None] = []
    for number, step in enumerate(rounds):
        asked, told = False, None
        for before in step.snapshots:
            if before.window.start < past.reference.since:
                continue
            snapshot = replace(served(before, champion), reference_id=past.reference.id)
            decision = decide(model, past, snapshot, step.now, newest=before is step.snapshots[-1])
            past, asked = _after(past, snapshot, decision, keep), asked or decision.request
            told = next((score for score in decision.scores if score.metric == "regret"), told)
        regret.append(told)
        if asked:
            schedule.append(number)
            champion = number + 1
            past = _renewed(past, champion, rounds)
    return Played(schedule, tuple(regret))


def _began(model: str, champion: int, since: datetime) -> History:
    reference = Reference(model=model, id=f"played-{champion}", model_version=None, origin="played", since=since)
    return History(reference=reference)


def _renewed(past: History, champion: int, rounds: Sequence[Round]) -> History:
    """Return the history after a retrain: a new reference; accepted requests, placebos and triggers are kept."""
    since = rounds[champion].window.start if champion < len(rounds) else rounds[-1].window.end
    return replace(
        _began(past.reference.model, champion, since), before=(*past.before, *past.snapshots)[-MOST_BEFORE:],
        firing=past.firing, episode=past.episode, accepted=(*past.accepted, rounds[champion - 1].now),
    )


def _after(past: History, judged: Snapshot, decision: Decision, keep: Remembered) -> History:
    scores = (score for score in (*judged.scores, *decision.scores) if keep.keeps(score))
    others = (snapshot for snapshot in past.snapshots if snapshot.window != judged.window)
    kept = replace(judged, scores=tuple(scores))
    return replace(
        past, snapshots=tuple(sorted((*others, kept), key=lambda one: (one.window.start, one.window.start_id))),
        firing={**past.firing, **{firing.trigger: firing for firing in decision.firing}},
        episode=decision.episode or decision.ended or past.episode,
    )
