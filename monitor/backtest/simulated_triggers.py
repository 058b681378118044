"""Replay of a model's triggers over measured windows, as if each retrain put a new model into service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from monitor.config.sections import ModelSection
from monitor.decide.decision import Decision, decide
from monitor.history import History, Remembered, remembered
from monitor.records import Episode, Reference, Score, Snapshot, Window

# A window as it would be with the model fitted after so many of them in service, and others that had served before.
Served = Callable[[Snapshot, int, Sequence[int]], Snapshot]
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
    """The rounds at whose end a retrain was asked for, or to go `back`, and the score of regret after each round."""

    schedule: list[int]
    regret: tuple[Score | None, ...]
    back: Mapping[int, int] = field(default_factory=dict)


def play(model: ModelSection, rounds: Sequence[Round], served: Served) -> Played:
    """Decide round by round. Each request takes effect at once: the next window has a new model and reference.

    With `versions` the models that served before are compared with the one in service.
    """
    past, champion, keep = _began(model.name, 0, rounds[0].window.start), 0, remembered(model)
    schedule: list[int] = []
    back: dict[int, int] = {}
    served_before: list[int] = []
    regret: list[Score | None] = []
    kept = model.versions.keep if model.versions else 0
    for number, step in enumerate(rounds):
        asked: Episode | None = None
        told, earlier = None, [row for row in served_before if row != champion][:kept]
        for before in step.snapshots:
            if before.window.start < past.reference.since:
                continue
            snapshot = replace(
                served(before, champion, earlier), reference_id=past.reference.id, model_version=str(champion)
            )
            decision = decide(model, past, snapshot, step.now, newest=before is step.snapshots[-1])
            past, asked = _after(past, snapshot, decision, keep), decision.episode if decision.request else asked
            told = next((score for score in decision.scores if score.metric == "regret"), told)
        regret.append(told)
        if asked is not None:
            schedule.append(number)
            served_before = [champion, *(row for row in served_before if row != champion)]
            champion = number + 1 if asked.version is None else int(asked.version)
            if asked.version is not None:
                back[number] = champion
            past = _renewed(past, champion, rounds, number + 1)
    return Played(schedule, tuple(regret), back)


def _began(model: str, champion: int, since: datetime) -> History:
    version = str(champion)
    reference = Reference(model=model, id=f"played-{champion}", model_version=version, origin="played", since=since)
    return History(reference=reference)


def _renewed(past: History, champion: int, rounds: Sequence[Round], coming: int) -> History:
    """Return the history after a request: a new reference; accepted requests, placebos and triggers are kept."""
    since = rounds[coming].window.start if coming < len(rounds) else rounds[-1].window.end
    return replace(
        _began(past.reference.model, champion, since), before=(*past.before, *past.snapshots)[-MOST_BEFORE:],
        firing=past.firing, episode=past.episode, accepted=(*past.accepted, rounds[coming - 1].now),
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
