"""The models that a backtest assumes accepted requests to bring: each the challenger of its moment.

A request that is accepted when a window closes puts into service, from the next window on, the challenger fitted on the
labels known then. The scores of later windows are those that this challenger would have had, and gains are what a still
newer one would have had over it. Without them a log whose model never changes would need a retrain for ever.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from monitor.backtest.simulation import Values, World, watched_metrics
from monitor.check.requests import AHEAD, Ahead, AheadRequest
from monitor.config.sections import ModelSection
from monitor.errors import CannotJudge
from monitor.records import Snapshot, Window
from monitor.workers.task import Runner

_CHALLENGER = (
    "Assumed: each accepted request puts the challenger of that moment into service with the next window; data drift "
    "is still measured against the first reference."
)
_NEW_START = (
    "Assumed: each accepted request puts a new model into service with the next window, so regret starts from zero; "
    "all scores stay those of the model in the log, because {lack}."
)


class AssumedModels:
    """Fits and scores the challenger of each accepted request; `world` where a rehearsal has done so already."""

    def __init__(
        self, model: ModelSection, workers: Runner, windows: Sequence[Window], until: datetime,
        stretch: datetime | None, world: World | None = None,
    ) -> None:
        self._model, self._workers, self._windows = model, workers, tuple(windows)
        self._until, self._stretch = until, stretch
        self._rehearsed, self._world = world is not None, world
        self._moments: list[int] = []           # the first window of each model that came
        self._lack = None if model.rehearsal.enabled else "rehearsal.enabled is false and nothing may be fitted"

    @property
    def sentence(self) -> str:
        """What is assumed, in a line."""
        return _CHALLENGER if self._lack is None else _NEW_START.format(lack=self._lack)

    def accepted(self, since: datetime) -> None:
        """A request was accepted: another model serves all windows that start at `since` or later."""
        first = next((at for at, window in enumerate(self._windows) if window.start >= since), None)
        if first is None or not first or self._lack is not None:
            return
        try:
            self._fit(first)
        except CannotJudge as error:
            self._lack = f"no challenger can be fitted: {error}"
            return
        self._moments.append(first)

    def as_served(self, snapshot: Snapshot) -> Snapshot:
        """Return a window's snapshot with the performance and gains of the model that is assumed to serve it."""
        if self._world is None or not self._moments or snapshot.window not in self._windows:
            return snapshot
        at = self._windows.index(snapshot.window)
        return self._world.as_served(snapshot, max((first for first in self._moments if first <= at), default=0))

    def _fit(self, first: int) -> None:
        """Score the challenger of the moment at which that window starts on this and all later windows."""
        if self._rehearsed:
            return
        world = self._world or self._original(first)
        found = self._ahead(first, self._windows[first].start)
        fitted = list(world.fitted)
        fitted[first] = dict(enumerate(found.values, first))
        self._world = replace(world, fitted=tuple(fitted))

    def _original(self, first: int) -> World:
        """Score the model of the log on all windows from one on."""
        found, nothing = self._ahead(first, None), [Values() for _ in self._windows]
        served, of_age = ((*nothing[:first], *told) for told in (found.values, found.of_age))
        return World(self._windows, found.metric, served, tuple({} for _ in self._windows), of_age)

    def _ahead(self, first: int, moment: datetime | None) -> Ahead:
        return self._workers.run(AHEAD, AheadRequest(
            model=self._model, as_of=self._until, stretch=self._stretch, hold=True, moment=moment,
            windows=self._windows[first:],
            metrics=watched_metrics(self._model),
        ))
