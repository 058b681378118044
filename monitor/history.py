"""All that is remembered about one model and may be looked at when deciding."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from monitor.config.sections import ModelSection
from monitor.metric_catalogue import CATALOGUE, ESTIMATED, ESTIMATES, RATES, Group
from monitor.records import (
    Dispatch,
    Episode,
    Firing,
    Promotion,
    Reference,
    Score,
    ScoreStatus,
    Silence,
    Snapshot,
    SnapshotStatus,
    Window,
)

_ALWAYS = tuple(name for name, row in CATALOGUE.items() if row.remembered and row.group is not Group.QUALITY)
_IF_BREACHED = frozenset(name for name, row in CATALOGUE.items() if row.remembered and row.group is Group.QUALITY)
SCALE = "metric_sd"     # its method is the metric that the model is judged by
_SILENCE = tuple(name for name, row in CATALOGUE.items() if row.of_source)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the store remembers of one model.

    `snapshots`: the newest revision of each earlier window judged against the current reference, oldest
    first, without the one being judged; its scores may be narrowed to `remembered(model)`.
    `before`: the newest windows judged against earlier references, oldest first, with what rehearsals said only.
    `accepted`: moments of accepted requests, failed runs and manual ones included, oldest first.
    `paid_until`: end of the newest window judged when the last accepted request was made.
    `declined`: by trigger the end of the newest window whose need was rejected, or not approved in time.
    """

    reference: Reference
    snapshots: tuple[Snapshot, ...] = ()
    before: tuple[Snapshot, ...] = ()
    firing: Mapping[str, Firing] = field(default_factory=dict)
    episode: Episode | None = None           # the model's newest
    accepted: tuple[datetime, ...] = ()
    paid_until: datetime | None = None
    declined: Mapping[str, datetime] = field(default_factory=dict)
    in_flight: Dispatch | None = None
    answered: bool = False                   # the newest episode's request has come to a good end
    paused: str | None = None                # by whom and why
    silences: tuple[Silence, ...] = ()       # in force now
    promotion: Promotion | None = None       # the version that came with the reference

    @property
    def since(self) -> datetime:
        """Windows that start from here on belong to the next retrain: nobody has asked for them yet."""
        return max(self.reference.since, self.paid_until or self.reference.since)

    def known(self, snapshot: Snapshot) -> tuple[Snapshot, ...]:
        """Every window cut like the snapshot's, oldest first; the snapshot replaces its earlier revision."""
        place, spec = _place(snapshot.window), snapshot.window.spec
        others = (s for s in self.snapshots if s.window.spec == spec and _place(s.window) != place)
        return tuple(sorted((*others, snapshot), key=lambda s: _place(s.window)))


@dataclass(frozen=True, slots=True)
class Remembered:
    """The metrics whose scores `History.snapshots` must hold: of `metrics` all, of the others those in breach."""

    metrics: frozenset[str]
    if_breached: frozenset[str]

    def keeps(self, score: Score) -> bool:
        breached = score.status is ScoreStatus.BREACHED and score.metric in self.if_breached
        return breached or score.metric in self.metrics


def remembered(model: ModelSection, judged_by: str | None = None) -> Remembered:
    """Return what `History.snapshots` must hold. `judged_by`: the primary metric, where windows have told it."""
    triggers = {trigger.metric for trigger in model.triggers}
    rates = RATES if model.fairness else ()
    metrics = frozenset((*_ALWAYS, *rates, *triggers, *_estimated(judged_by or model.metric, triggers)))
    return Remembered(metrics, _IF_BREACHED - metrics)


def primary_metric(snapshot: Snapshot) -> str | None:
    """Return the metric that the model was judged by in a window; None where it was not measured."""
    return next((score.method for score in snapshot.scores if score.metric == SCALE), None)


def _estimated(judged_by: str | None, triggers: set[str]) -> Iterator[str]:
    """Estimates and what they are held against: of the model's metric, and of those that triggers name."""
    names = {ESTIMATED + judged_by} if judged_by else set(ESTIMATES)
    for name in sorted(names | (triggers & set(ESTIMATES))):
        yield from (name, name.removeprefix(ESTIMATED))


def disjoint(snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
    """Leave out windows that overlap the last one taken; they come in order, forwards or backwards."""
    taken: Snapshot | None = None
    for snapshot in snapshots:
        if taken is None or _apart(snapshot.window, taken.window):
            taken = snapshot
            yield snapshot


def is_broken(snapshot: Snapshot) -> bool:
    """Whether the data break their contract: columns or types changed, a burst of nulls."""
    return snapshot.status is SnapshotStatus.SCHEMA_CHANGED or breaches(snapshot.scores)


def breaches(scores: Iterable[Score]) -> bool:
    """Whether one of a window's scores says that the data break their contract."""
    return any(s.status is ScoreStatus.BREACHED and s.metric not in _SILENCE for s in scores)


def usable(score: Score) -> bool:
    """Whether the score says anything: not insufficient, not failed, and a number."""
    failed = score.status in (ScoreStatus.INSUFFICIENT, ScoreStatus.FAILED)
    return not failed and score.value is not None and not math.isnan(score.value)


def _place(window: Window) -> tuple[datetime, str]:
    return window.start, window.start_id


def _apart(a: Window, b: Window) -> bool:
    return (a.end, a.end_id) <= (b.start, b.start_id) or (b.end, b.end_id) <= (a.start, a.start_id)
