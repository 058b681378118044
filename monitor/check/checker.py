"""The story of a check, top to bottom: survey, due windows, observe, decide, commit."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from monitor import __version__
from monitor.config import Loaded, ModelSection
from monitor.decide.decision import decide
from monitor.decide.episodes import person_request
from monitor.decide.messages import note_approval, note_source
from monitor.decide.recovery import measurable
from monitor.decide.triggers import SOURCE_DOWN
from monitor.errors import CannotJudge, DriftdError, SourceError, Stopping, UsageError
from monitor.history import History, remembered
from monitor.promotion.versions import as_in_service, collect
from monitor.records import (
    Content,
    Counted,
    Dispatch,
    Episode,
    EpisodeState,
    Reference,
    Snapshot,
    SnapshotStatus,
    Survey,
    Tally,
    Verdict,
    Window,
    from_json,
    to_json,
)
from monitor.retrain.approval import lapse
from monitor.retrain.outbox import new_dispatch
from monitor.sources.windows import first_stretch, newest_closed, spec
from monitor.store import Known, Store
from monitor.times import Clock, format_duration, format_moment, utcnow

BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
COVERAGE_STEP = 0.1  # a provisional window is measured again when so much more of it is labelled
LOOK_BACK = 5        # windows that may still be revised for rows that come late …
LOOK_BACK_SPAN = timedelta(days=35)  # … and at least this long: a clinic may sync three weeks late
NO_TIMEOUT = timedelta(days=1)       # of a run, where the model has no [retrain]

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """Where the reading and measuring is done: `workers.Workers`, or the process itself in a backtest."""

    def run(self, task: str, payload: Any) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One revision of one window that is to be measured now."""

    window: Window
    revision: int
    rows: int
    mature: bool
    first_rows: int | None               # what revision 0 counted: what is more now came late
    earlier: datetime | None             # start of the window before, whose challenger is the placebo
    last_row: datetime | None            # timestamp of the log's newest row
    corrected: bool = False              # labels that were known before are others now


class Checker:
    """Checks models. All memory is in the store, so that any process may go on where another stopped."""

    def __init__(self, loaded: Loaded, store: Store, workers: Runner, clock: Clock = utcnow) -> None:
        self._loaded = loaded
        self._store = store
        self._workers = workers
        self._clock = clock

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
        self._note_source(model, now, stale(model, survey, now))
        known = self._known(model, reference, now)
        first = self._store.last_window(name, spec(model.window, model.timezone)) is None
        due = due_windows(model, reference, survey, known, now, first=first)
        verdicts = [self._check_window(model, reference, one, now, newest=one is due[-1]) for one in due]
        if due:
            self._note_data(model, reference, now)
        return [verdict for verdict in verdicts if verdict is not None]

    def request(self, name: str, by: str, reason: str) -> Dispatch | Episode:
        """Ask for a retrain on a person's word; the episode alone where it waits for another person's.

        Raises UsageError where there is nothing to ask or nobody.
        """
        model, now = self._model(name), self._clock()
        reference, snapshots = self._store.reference(name), self._store.snapshots(name, limit=1)
        if model.retrain is None:
            raise UsageError(f"{name} has no [models.{name}.retrain] that names a pipeline")
        if reference is None or not snapshots:
            raise UsageError(f"{name} has not been checked yet, run driftd check --model {name} first")
        episode = person_request(model, reference, snapshots[-1].window, by, reason, now)
        if episode.state is EpisodeState.AWAITING_APPROVAL:
            with self._store.transaction():
                self._store.add_need(episode, now)
                self._store.add_message(note_approval(model, episode, now))
            return episode
        dispatch = new_dispatch(model, episode, snapshots[-1], None, reference, now)
        self._store.add_dispatch(dispatch, episode)
        return dispatch

    def in_service(self, name: str) -> ModelSection:
        """The model's configuration with the version and reference that are in service. Raises UsageError."""
        return self._model(name)

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
        known = self._known(model, current, now)
        last = self._last(model)
        payload = self._payload(model, now, current) | {
            "recount": [to_json(_counted(one)) for one in known],
            "last": to_json(last) if last else None,
            "since": _first_start(model, now).isoformat(),
        }
        survey = from_json(Survey, self._workers.run("monitor.check.tasks:survey", payload))
        return self._reference(model, current, survey, now), survey

    def _promoted(self, model: ModelSection, now: datetime) -> Reference | None:
        """The current reference; where the version changed and it is "the first 90d", the new stretch begins now."""
        current, span = self._store.reference(model.name), model.reference.first
        if current is None or span is None or current.model_version == model.version:
            return current
        return self._install(model, current, Reference.new_id(first_stretch(span, now), model.version), now + span, now)

    def _reference(
        self, model: ModelSection, current: Reference | None, survey: Survey, now: datetime
    ) -> Reference:
        if current is not None and current.id == survey.reference_id:
            return current
        if survey.stretch is not None and model.reference.first is not None:
            since = survey.stretch + model.reference.first
        else:
            since = BEGINNING if current is None else now
        return self._install(model, current, survey.reference_id, since, now)

    def _install(
        self, model: ModelSection, current: Reference | None, id: str, since: datetime, now: datetime
    ) -> Reference:
        source, span = model.reference.source, model.reference.first
        origin = f"first {format_duration(span)}" if span else str(source.path or source.table if source else "")
        reference = Reference(model=model.name, id=id, model_version=model.version, origin=origin, since=since)
        self._store.install_reference(
            reference, current.id if current else None, now, needs=measurable(model),
            configured=self._loaded.config.models[model.name].version,
        )
        _log.info("%s: new reference %s from %s, for windows from %s on", model.name, id, origin, format_moment(since))
        return reference

    def _known(self, model: ModelSection, reference: Reference | None, now: datetime) -> list[Known]:
        """Recent windows judged against this reference: those whose rows and labels may still grow."""
        size = model.window.size
        span = LOOK_BACK_SPAN if isinstance(size, int) else max(LOOK_BACK_SPAN, LOOK_BACK * size)
        cut = spec(model.window, model.timezone)
        since, last = now - span - model.label_delay, self._last(model)
        known = self._store.known_windows(model.name, cut, min(since, last.end) if last else since)
        return [one for one in known if reference is not None and one.reference_id == reference.id]

    def _last(self, model: ModelSection) -> Window | None:
        """Where to go on: behind the newest window with rows; of those without, not every one is checked."""
        cut = spec(model.window, model.timezone)
        return self._store.last_window(model.name, cut, filled=True) or self._store.last_window(model.name, cut)

    def _payload(self, model: ModelSection, now: datetime, reference: Reference | None) -> dict[str, Any]:
        span = model.reference.first
        stretch = reference.since - span if reference and span else None
        return {
            "model": model.model_dump(mode="json"),
            "as_of": now.isoformat(),
            "stretch": stretch.isoformat() if stretch else None,
            "profiles": str(self._store.folder / "profiles") if self._store.folder else None,
        }

    def _check_window(
        self, model: ModelSection, reference: Reference, due: Due, now: datetime, *, newest: bool
    ) -> Verdict | None:
        """Measure, decide, commit. None when the reference was replaced meanwhile: the verdict is void then."""
        snapshot = self._observe(model, reference, due, now)
        history = self._history(model, reference, due.window, now)
        decision = decide(model, history, snapshot, now, newest=newest)
        snapshot = replace(snapshot, scores=(*snapshot.scores, *decision.scores))
        dispatch = None
        if decision.request and decision.episode is not None:
            dispatch = new_dispatch(model, decision.episode, snapshot, decision.verdict, reference, now)
        taken = self._store.commit(
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

    def _observe(self, model: ModelSection, reference: Reference, due: Due, now: datetime) -> Snapshot:
        payload = self._payload(model, now, reference) | {
            "window": to_json(due.window),
            "revision": due.revision,
            "mature": due.mature,
            "first_rows": due.first_rows,
            "corrected": due.corrected,
            "earlier": due.earlier.isoformat() if due.earlier else None,
            "newest": due.last_row.isoformat() if due.last_row else None,
            "config_hash": self._loaded.hash,
        }
        try:
            return from_json(Snapshot, self._workers.run("monitor.check.tasks:observe", payload))
        except Stopping:
            raise
        except DriftdError as error:
            _log.error("%s: window %s could not be measured: %s", model.name, format_moment(due.window.start), error)
            return self._unmeasured(reference, due, now, str(error))

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

    def _history(self, model: ModelSection, reference: Reference, window: Window, now: datetime) -> History:
        timeout = model.retrain.run_timeout if model.retrain else NO_TIMEOUT
        return self._store.history(
            model.name, reference, remembered(model), now=now, run_timeout=timeout, spec=window.spec,
            silences=self._store.silences(self._loaded.config, model.name, now),
        )

    def _note_data(self, model: ModelSection, reference: Reference, now: datetime) -> None:
        """Keep the content hashes of the data the windows came from; no lineage where nothing is kept at all."""
        if self._store.folder is None:
            return
        seen = [one.content for one in self._store.data_seen(model.name) if one.reference_id == reference.id]
        payload = {"model": model.model_dump(mode="json"), "known": [(c.place, c.name, c.stamp) for c in seen]}
        try:
            found = self._workers.run("monitor.check.data_seen:contents", payload)
        except Stopping:
            raise
        except DriftdError as error:
            _log.warning("%s: the data's content could not be noted: %s", model.name, error)
            return
        self._store.note_data(model.name, reference.id, [from_json(Content, one) for one in found], now)

    def _note_source(self, model: ModelSection, now: datetime, failure: str | None) -> None:
        before = {one.trigger: one for one in self._store.firing(model.name)}.get(SOURCE_DOWN)
        noted = note_source(model.name, before, failure, now)
        if noted is not None:
            self._store.note(*noted)


def dry_run(loaded: Loaded, name: str, at: datetime, workers: Runner) -> list[tuple[Snapshot, Verdict]]:
    """What a check at `at` would have said of the newest window closed then; nothing is recorded."""
    with Store.memory() as store:
        Checker(loaded, store, workers, lambda: at).check(name)
        said = [(snapshot, store.verdict(snapshot.window)) for snapshot in store.snapshots(name)]
    return [(snapshot, verdict) for snapshot, verdict in said if verdict is not None]


def due_windows(
    model: ModelSection, reference: Reference, survey: Survey, known: Iterable[Known], now: datetime, *, first: bool
) -> list[Due]:
    """Which windows are to be measured, oldest first: each closed one once, and revisions of those that grew.

    At the `first` start only the newest closed one is, unless the configuration says since when.
    """
    before = {one.window: one for one in known}
    starts = sorted(tally.window.start for tally in survey.tallies)
    due = []
    for tally in sorted(survey.tallies, key=lambda one: (one.window.start, one.window.start_id)):
        if tally.window.start < reference.since:
            continue
        mature = now >= tally.window.end + survey.maturity
        earlier = max((start for start in starts if start < tally.window.start), default=None)
        one = _due(tally, before.get(tally.window), mature, earlier, survey.newest)
        due += [one] if one else []
    return due[-1:] if first and model.since is None else due


def _due(
    tally: Tally, known: Known | None, mature: bool, earlier: datetime | None, last_row: datetime | None
) -> Due | None:
    if known is not None and not _grew(tally, known, mature):
        return None
    return Due(
        window=tally.window,
        revision=known.revision + 1 if known else 0,
        rows=tally.rows,
        mature=mature,
        first_rows=known.first_rows if known else None,
        earlier=earlier,
        last_row=last_row,
        corrected=known is not None and _corrected(tally, known),
    )


def _counted(known: Known) -> Counted:
    return Counted(window=known.window, at=known.taken_at, labelled=known.labelled, labels=known.labels)


def _grew(tally: Tally, known: Known, mature: bool) -> bool:
    """Rows that vanish (old files are tidied away) are no news; rows and labels that come or are corrected are."""
    if tally.rows > known.rows or (mature and not known.mature) or _corrected(tally, known):
        return True
    return not known.mature and tally.labelled >= known.labelled + COVERAGE_STEP * tally.rows > known.labelled


def _corrected(tally: Tally, known: Known) -> bool:
    return tally.corrected and tally.rows == known.rows


def stale(model: ModelSection, survey: Survey, now: datetime) -> str | None:
    """Say that the newest row is too old, by `quality.stale`, else by the length of a window; None where it is not."""
    size = model.window.size
    limit = model.quality.stale or (None if isinstance(size, int) else size + model.window.lateness)
    if limit is None or survey.newest is None or now - survey.newest <= limit:
        return None
    return (
        f"{model.name}: the newest row is from {format_moment(survey.newest)}, expected one within "
        f"{format_duration(limit)}; is the service still writing its log? (replay an old log with driftd backtest)"
    )


def _first_start(model: ModelSection, now: datetime) -> datetime:
    """Where to look on a first start: `since`, else at the newest closed window."""
    if model.since is not None:
        return model.since
    if isinstance(model.window.size, int):
        return BEGINNING
    return newest_closed(model.window, model.timezone, model.name, now).start
