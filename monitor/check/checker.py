"""The story of a check, top to bottom: survey, due windows, observe, decide, commit."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from monitor import __version__
from monitor.check.due_windows import Due, counted, due_windows, first_start, look_back, stale
from monitor.check.requests import (
    CONTENTS,
    EVIDENTLY,
    OBSERVE,
    SPREAD,
    SURVEY,
    ContentsRequest,
    EvidentlyRequest,
    Look,
    ObserveRequest,
    SpreadRequest,
    SurveyRequest,
)
from monitor.check.shadow_check import check_shadow
from monitor.config import Loaded, ModelSection
from monitor.decide.decision import decide
from monitor.decide.episodes import person_request
from monitor.decide.messages import note_approval, note_look
from monitor.decide.recovery import measurable
from monitor.decide.triggers import REFERENCE_GONE, SHADOW, SOURCE_DOWN
from monitor.errors import CannotJudge, DriftdError, SourceError, SourceSilent, Stopping, UsageError
from monitor.history import SCALE, History, primary_metric, remembered
from monitor.promotion.versions import as_in_service, collect, served_before
from monitor.records import (
    Dispatch,
    Episode,
    EpisodeState,
    Reference,
    Snapshot,
    SnapshotStatus,
    Spread,
    Survey,
    Verdict,
    Window,
)
from monitor.retrain.approval import lapse
from monitor.retrain.outbox import new_dispatch
from monitor.sources.windows import first_stretch, spec
from monitor.store import Known, Store
from monitor.times import BEGINNING, Clock, format_duration, format_moment, utcnow
from monitor.workers.task import Runner

FIRST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(hours=1)
NO_TIMEOUT = timedelta(days=1)       # of a run, where the model has no [retrain]

_log = logging.getLogger(__name__)


class Checker:
    """Checks models. All memory is in the store, so that any process may go on where another stopped."""

    def __init__(self, loaded: Loaded, store: Store, workers: Runner, clock: Clock = utcnow) -> None:
        self._loaded = loaded
        self._store = store
        self._workers = workers
        self._clock = clock
        self._resting: dict[Window, Rest] = {}       # windows that could not be measured
        self._schemas: dict[str, str] = {}           # of each model's log at the last look

    def reload(self, loaded: Loaded) -> None:
        """Go on with another configuration; a round under way ends with the one it began with."""
        self._loaded = loaded

    def check(self, name: str) -> list[Verdict]:
        """Check every window of the model that is due, oldest first; return the verdicts.

        What keeps the source from being read is recorded and told once, then raised (SourceError, ConfigError,
        TaskFailed); CannotJudge while there is no reference yet.
        """
        model, now = self._model(name), self._clock()
        lapse(self._store, model, now)
        try:
            reference, survey = self._look(model, now)
        except Stopping:
            raise
        except DriftdError as error:
            if not isinstance(error, CannotJudge) or isinstance(error, SourceError):
                self._note_source(model, now, str(error))
            raise
        self._note(model, REFERENCE_GONE, now, survey.gone)
        known = self._known(model, reference, now)
        rules, judged_by = self._rules(name), self._store.moments.judged_by(name)
        first = self._store.windows.newest(name, spec(model.window, model.timezone)) is None
        due = due_windows(
            model, reference, survey, known, now, first=first, resting=self._at_rest(name, known, survey, now),
            other_columns=self._schemas.get(name) != survey.schema, other_rules=judged_by not in (None, rules),
            seen=self._store.as_of_now,
        )
        silent = stale(model, survey.newest, now, survey.pause)
        if silent or not due:            # else the source answers once a window has been measured
            self._note_source(model, now, silent)
        try:
            verdicts = [self._check_window(model, reference, one, survey, now, newest=one is due[-1]) for one in due]
        except SourceSilent as error:    # the windows that are left are due at the next look
            self._note_source(model, now, str(error))
            raise
        self._schemas[name] = survey.schema
        if judged_by != rules:
            self._store.moments.note_judged(name, rules, now)
        self._look_at_shadow(model, reference, now, measured=bool(due))
        if due:
            self._note_data(model, reference, survey.timestamp, [one.window for one in due], now)
        return [verdict for verdict in verdicts if verdict is not None]

    def request(self, name: str, by: str, reason: str) -> Dispatch | Episode:
        """Ask for a retrain on a person's word; the episode alone where it waits for another person's.

        Raises UsageError where there is nothing to ask or nobody.
        """
        model, now = self._model(name), self._clock()
        reference, newest = self._store.references.current(name), self._store.snapshots.newest(name, until=now)
        if model.retrain is None:
            raise UsageError(f"{name} has no [models.{name}.retrain] that names a pipeline")
        if reference is None or newest is None:
            raise UsageError(f"{name} has not been checked yet, run driftd check --model {name} first")
        episode = person_request(model, reference, newest.window, by, reason, now)
        if episode.state is EpisodeState.AWAITING_APPROVAL:
            with self._store.transaction():
                self._store.requests.add_for_approval(episode, now)
                self._store.messages.add(note_approval(model, episode, now))
            return episode
        dispatch = new_dispatch(model, episode, newest, None, reference, now, self._loaded.config.daemon.url)
        self._store.requests.add(dispatch, episode)
        return dispatch

    def spread(self, window: Window, column: str) -> Spread:
        """How a column's values are spread in a window and in the reference now. Raises DriftdError."""
        model, now = self._model(window.model), self._clock()
        reference = self._store.references.current(model.name)
        return self._workers.run(SPREAD, SpreadRequest(
            model=model, as_of=now, stretch=stretch_of(model, reference), taken=taken_of(reference),
            profiles=self._profiles, window=window,
            column=column,
        ))

    def evidently_page(self, window: Window) -> str:
        """Evidently's own report of a window beside the reference now, as HTML. Raises DriftdError."""
        model, now = self._model(window.model), self._clock()
        reference = self._store.references.current(model.name)
        return self._workers.run(EVIDENTLY, EvidentlyRequest(
            model=model, as_of=now, stretch=stretch_of(model, reference), taken=taken_of(reference),
            profiles=self._profiles, window=window,
        )).html

    def in_service(self, name: str) -> ModelSection:
        """The model's configuration with the version and reference that are in service. Raises UsageError."""
        return self._model(name)

    def _rules(self, name: str) -> str:
        """The hash of the model's section of the configuration."""
        return hashlib.sha256(self._loaded.config.models[name].model_dump_json().encode()).hexdigest()

    def _model(self, name: str) -> ModelSection:
        if name not in self._loaded.config.models:
            known = ", ".join(self._loaded.config.models)
            raise UsageError(f"there is no model {name} in the configuration, expected one of: {known}")
        return self._in_service(self._loaded.config.models[name])

    def _in_service(self, model: ModelSection) -> ModelSection:
        """The model as configured, or as later runs, the registry or a person left it."""
        collect(self._store, model, self._clock())
        return as_in_service(self._store, model, self._loaded.path.parent)

    def _look(self, model: ModelSection, now: datetime) -> tuple[Reference, Survey]:
        """Find the reference, and count the rows of every window that may be due."""
        current = self._promoted(model, now)
        recount = tuple(counted(known_window) for known_window in self._known(model, current, now))
        survey = self._workers.run(SURVEY, SurveyRequest(
            model=model, as_of=now, stretch=stretch_of(model, current), taken=taken_of(current),
            profiles=self._profiles,
            since=first_start(model, now), last=self._last(model), recount=recount,
        ))
        return self._reference(model, current, survey, now), survey

    def _promoted(self, model: ModelSection, now: datetime) -> Reference | None:
        """The current reference; where the version changed and it is "the first 90d", the new stretch begins now."""
        current, span = self._store.references.current(model.name), model.reference.first
        if current is None or span is None or current.model_version == model.version:
            return current
        return self._install(model, current, Reference.new_id(first_stretch(span, now), model.version), now + span, now)

    def _reference(
        self, model: ModelSection, current: Reference | None, survey: Survey, now: datetime
    ) -> Reference:
        if current is not None and current.id == survey.reference_id:
            return current if current.rows is not None else self._store.references.pin(current, survey.reference_rows)
        if survey.stretch is not None and model.reference.first is not None:
            since = survey.stretch + model.reference.first
        else:
            since = BEGINNING if current is None else self._came_back(current, survey.reference_id) or now
        return self._install(model, current, survey.reference_id, since, now, survey.reference_rows)

    def _came_back(self, current: Reference, id: str) -> datetime | None:
        """Since when the data `id` were the reference before files of the same version were harmed; None if never."""
        for earlier in reversed(self._store.references.all(current.model)):
            if earlier.model_version != current.model_version:
                return None              # another version has served since
            if earlier.id == id:
                return earlier.since
        return None

    def _install(
        self, model: ModelSection, current: Reference | None, id: str, since: datetime, now: datetime,
        rows: int | None = None,
    ) -> Reference:
        source, span = model.reference.source, model.reference.first
        origin = f"first {format_duration(span)}" if span else str(source.path or source.table if source else "")
        reference = Reference(
            model=model.name, id=id, model_version=model.version, origin=origin, since=since, rows=rows
        )
        self._store.references.install(
            reference, current.id if current else None, now, needs=measurable(model),
            configured=self._loaded.config.models[model.name].version,
        )
        _log.info("%s: new reference %s from %s, for windows from %s on", model.name, id, origin, format_moment(since))
        return reference

    def _known(self, model: ModelSection, reference: Reference | None, now: datetime) -> list[Known]:
        """Recent windows judged against this reference: those whose rows and labels may still grow."""
        cut = spec(model.window, model.timezone)
        since, last = look_back(model.window, model.label_delay, now), self._last(model)
        known = self._store.windows.known(model.name, cut, min(since, last.end) if last else since)
        if reference is None:
            return []
        return [window for window in known if window.reference_id == reference.id]

    def _last(self, model: ModelSection) -> Window | None:
        """Where to go on: behind the newest window with rows; of those without, not every one is checked.

        Where only such were checked, and `since` was then set to a time before them, the check begins there.
        """
        cut = spec(model.window, model.timezone)
        if filled := self._store.windows.newest(model.name, cut, filled=True):
            return filled
        empty = self._store.windows.newest(model.name, cut)
        return None if empty and model.since and model.since < empty.start else empty

    @property
    def _profiles(self) -> Path | None:
        return self._store.folder / "profiles" if self._store.folder else None

    def _check_window(
        self, model: ModelSection, reference: Reference, due: Due, survey: Survey, now: datetime, *, newest: bool
    ) -> Verdict | None:
        """Measure, decide, commit. None when the reference was replaced meanwhile: the verdict is void then."""
        snapshot = self._observe(model, reference, due, survey, now)
        if not is_unmeasured(snapshot):
            self._note_source(model, now, stale(model, survey.newest, now, survey.pause))
        if due.again and (snapshot.status, snapshot.reason) == (due.again.status, due.again.reason):
            return None                  # no news
        history = self._history(model, reference, snapshot, now)
        decision = decide(model, history, snapshot, now, newest=newest)
        snapshot = replace(snapshot, scores=(*snapshot.scores, *decision.scores))
        dispatch = None
        if decision.request and decision.episode is not None:
            url = self._loaded.config.daemon.url
            dispatch = new_dispatch(model, decision.episode, snapshot, decision.verdict, reference, now, url)
        taken = self._store.checks.commit(
            snapshot,
            expected_reference=reference.id,
            verdict=decision.verdict,
            firing=decision.firing,
            episode=decision.episode,
            ended=decision.ended,
            dispatch=dispatch,
            withdraw=decision.withdraw,
            messages=decision.messages,
            recovery=decision.recovery,
        )
        return decision.verdict if taken else None

    def _at_rest(self, name: str, known: list[Known], survey: Survey, now: datetime) -> list[Window]:
        """Windows that could not be measured and are left alone for now; those that are too old are forgotten."""
        asked = {one.window for one in known}
        for window in [one for one in list(self._resting) if one.model == name and one not in asked]:
            del self._resting[window]
        return [window for window in asked & self._resting.keys() if self._resting[window].lasts(now, survey.files)]

    def _observe(
        self, model: ModelSection, reference: Reference, due: Due, survey: Survey, now: datetime
    ) -> Snapshot:
        request = ObserveRequest(
            model=model, as_of=now, stretch=stretch_of(model, reference), taken=taken_of(reference),
            profiles=self._profiles,
            window=due.window, revision=due.revision, mature=due.mature, first_rows=due.first_rows,
            corrected=due.corrected, earlier=due.earlier, newest=due.last_row, paused=due.paused,
            config_hash=self._loaded.hash, versions=served_before(self._store, model),
        )
        try:
            snapshot = self._workers.run(OBSERVE, request)
        except (Stopping, SourceSilent):
            raise
        except DriftdError as error:
            files = survey.files if isinstance(error, SourceError) else None
            rest = self._resting[due.window] = Rest.after(self._resting.get(due.window), now, files)
            _log.error("%s: window %s could not be measured, and is measured again after %s: %s", model.name,
                       format_moment(due.window.start), format_moment(rest.until), error)
            return self._unmeasured(reference, due, now, str(error))

        self._resting.pop(due.window, None)
        return snapshot

    def _unmeasured(self, reference: Reference, due: Due, now: datetime, reason: str) -> Snapshot:
        """A window that cannot be measured (time, memory, a source gone) is said to be so; the next one goes on."""
        return Snapshot(
            window=due.window,
            revision=due.revision,
            taken_at=now,
            reference_id=reference.id,
            model_version=reference.model_version,
            config_hash=self._loaded.hash,
            code_version=__version__,
            rows=due.rows,
            labelled=0,
            late=0,
            sampled=0.0,
            mature=due.mature,
            status=SnapshotStatus.SOURCE_FAILED,
            reason=reason,
            scores=(),
        )

    def _history(self, model: ModelSection, reference: Reference, snapshot: Snapshot, now: datetime) -> History:
        timeout, spec = model.retrain.run_timeout if model.retrain else NO_TIMEOUT, snapshot.window.spec
        newest = self._store.snapshots.newest(model.name, metrics=(SCALE,), until=now)
        judged_by = {primary_metric(one) for one in (snapshot, newest or snapshot)}
        return self._store.checks.history(
            model.name, reference, remembered(model, judged_by.pop() if len(judged_by) == 1 else None),
            now=now, run_timeout=timeout, spec=spec,
            silences=self._store.silences.in_force(self._loaded.config, model.name, now),
        )

    def _look_at_shadow(self, model: ModelSection, reference: Reference, now: datetime, *, measured: bool) -> None:
        if model.promotion.shadow is None:
            self._note(model, SHADOW, now, None)
            return
        look = Look(model=model, as_of=now, stretch=stretch_of(model, reference), taken=taken_of(reference),
                    profiles=self._profiles)
        check_shadow(self._store, self._workers, look, reference,
                     lambda failure: self._note(model, SHADOW, now, failure), measured=measured)

    def _note_data(
        self, model: ModelSection, reference: Reference, timestamp: str, windows: Sequence[Window], now: datetime
    ) -> None:
        """Keep the content hashes of the data the windows came from; no lineage where nothing is kept at all."""
        if self._store.folder is None:
            return
        seen = (seen.content for seen in self._store.lineage.data_seen(model.name) if seen.reference_id == reference.id)
        try:
            contents = self._workers.run(CONTENTS, ContentsRequest(
                model=model, as_of=now, stretch=stretch_of(model, reference), profiles=self._profiles,
                known=tuple(seen), timestamp=timestamp, windows=tuple(windows),
            ))
        except Stopping:
            raise
        except DriftdError as error:
            _log.warning("%s: the data's content could not be noted: %s", model.name, error)
            return
        self._store.lineage.note_data(model.name, reference.id, contents.changed, now)

    def _note_source(self, model: ModelSection, now: datetime, failure: str | None) -> None:
        self._note(model, SOURCE_DOWN, now, failure)

    def _note(self, model: ModelSection, trigger: str, now: datetime, failure: str | None) -> None:
        before = {firing.trigger: firing for firing in self._store.firings.all(model.name)}.get(trigger)
        noted = note_look(model.name, trigger, before, failure, now)
        if noted is not None:
            self._store.checks.note(*noted)


def is_unmeasured(snapshot: Snapshot) -> bool:
    return snapshot.status is SnapshotStatus.SOURCE_FAILED and snapshot.sampled == 0.0


@dataclass(frozen=True, slots=True)
class Rest:
    """How long a window that could not be measured is left alone: a minute, then twice as long each time."""

    until: datetime
    span: timedelta
    files: str | None = None             # as they were when they could not be read; None: it was no matter of files

    @classmethod
    def after(cls, before: "Rest | None", now: datetime, files: str | None = None) -> "Rest":
        span = min(2 * before.span, LONGEST_REST) if before else FIRST_REST
        return cls(now + span, span, files)

    def lasts(self, now: datetime, files: str | None) -> bool:
        """Whether the window is still left alone: not once its time is over, or its damaged files are others.

        A clock set back does not prolong it.
        """
        return self.until - self.span <= now < self.until and self.files in (None, files)


def stretch_of(model: ModelSection, reference: Reference | None) -> datetime | None:
    """Where a reference of the form "first 90d" begins; None of another form, and as long as there is none."""
    span = model.reference.first
    return reference.since - span if reference and span else None


def taken_of(reference: Reference | None) -> int | None:
    """How many rows the reference had when it was taken, as far as that is known."""
    return reference.rows if reference else None


def dry_run(loaded: Loaded, name: str, at: datetime, workers: Runner) -> list[tuple[Snapshot, Verdict]]:
    """What a check at `at` would have said of the newest window closed then; nothing is recorded."""
    with Store.memory() as store:
        Checker(loaded, store, workers, lambda: at).check(name)
        snapshots = store.snapshots.newest_revisions(name)
        said = [(snapshot, store.verdicts.newest_on(snapshot.window)) for snapshot in snapshots]
    return [(snapshot, verdict) for snapshot, verdict in said if verdict is not None]
