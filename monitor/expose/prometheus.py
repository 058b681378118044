"""Prometheus metrics: what the store knows, as of the last check, and what this process counted itself.

A scrape reads neither store nor clock and waits for no check: the view is handed over whole, and its
rendering is kept until the next one. Every metric is described in docs/metrics.md.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from monitor.decide.episodes import STANDING
from monitor.decide.triggers import SOURCE, SOURCE_DOWN
from monitor.escape import label
from monitor.expose.view import BUILT_IN, ModelView, View
from monitor.records import DispatchState, Ledger, Recovery, Score, ScoreStatus, Snapshot

MAX_COLUMNS = 200       # of a model, as series of their own
ALL_BAD = 700           # scores of columns that drifted or broke, of all models together …
LEAST_BAD = 5           # … but so many of each

_SCORE = ("model", "metric", "method", "column", "segment")
_MODEL = ("model",)

# name → (what it says, labels); the text in docs/metrics.md says more
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "driftd_score": ("Value of a score in the newest window.", _SCORE),
    "driftd_score_reference": ("The same score on the reference.", _SCORE),
    "driftd_score_low": ("Lower end of the score's 95 % confidence interval.", _SCORE),
    "driftd_score_high": ("Upper end of the score's 95 % confidence interval.", _SCORE),
    "driftd_score_threshold": ("Threshold the score is compared with.", _SCORE),
    "driftd_score_drifted": ("1 when the score drifted or broke the data contract, else 0.", _SCORE),
    "driftd_mature_score": ("Value of a label-based score in the newest mature window.", _SCORE),
    "driftd_scores": ("Scores of the newest window by status.", ("model", "status")),
    "driftd_columns_dropped": ("Columns of the newest window without series of their own.", _MODEL),
    "driftd_window_end_timestamp_seconds": ("End of the newest window.", _MODEL),
    "driftd_window_rows": ("Rows in the newest window.", _MODEL),
    "driftd_window_late_rows": ("Rows of the newest window that came after its first check.", _MODEL),
    "driftd_window_lost_rows": ("Rows of the newest window that could not be used, by reason.", ("model", "reason")),
    "driftd_window_rows_left_out": ("Rows of the newest window that later rows repeat.", _MODEL),
    "driftd_window_rows_without_id": ("Rows of the newest window without an id.", _MODEL),
    "driftd_log_lost_rows": (
        "Rows of the log, of all times, that no window holds, by reason.", ("model", "reason")),
    "driftd_labels_without_row": ("Ids with a label, kept apart, that no row of the log has.", _MODEL),
    "driftd_window_mature": ("1 when nearly all labels of the newest window are known.", _MODEL),
    "driftd_mature_window_end_timestamp_seconds": ("End of the newest mature window.", _MODEL),
    "driftd_label_coverage_ratio": ("Share of labelled rows in the newest window.", _MODEL),
    "driftd_source_up": ("0 while the model's source fails, is empty or stale.", _MODEL),
    "driftd_trigger_firing": ("1 while the trigger fires.", ("model", "trigger")),
    "driftd_trigger_change_timestamp_seconds": (
        "End of the window in which the trigger last began or ceased to fire.", ("model", "trigger")),
    "driftd_episode_state": ("1 for the state of the need to retrain that stands.", ("model", "state")),
    "driftd_paused": ("1 while retrain requests of the model are paused by a person.", _MODEL),
    "driftd_silenced": (
        "1 while messages about the model (trigger empty), or about the trigger, are silenced.", ("model", "trigger")),
    "driftd_maintenance": ("1 while a maintenance window holds back retrain requests.", _MODEL),
    "driftd_model_version_info": ("1 for the version of the model in service.", ("model", "version")),
    "driftd_promotions_waiting": ("1 while a new version awaits a person's word.", _MODEL),
    "driftd_recovery": (
        "1 for what is known of the need that led to the version in service.", ("model", "state")),
    "driftd_acting": ("1 when the model may ask for retrains, 0 when it only observes.", _MODEL),
    "driftd_dispatches": ("Retrain requests by state.", ("model", "pipeline", "state")),
    "driftd_dispatch_requests_total": ("Retrain requests ever written.", ("model", "pipeline")),
    "driftd_dispatch_tries_total": ("Tries to hand retrain requests over.", ("model", "pipeline")),
    "driftd_messages_pending": ("Messages to people not delivered yet.", ()),
}
_BAD = (ScoreStatus.DRIFTED, ScoreStatus.BREACHED)
_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)

Sample = tuple[str, tuple[str, ...], float]  # family, label values, value
Seconds = Callable[[], Iterable[tuple[str, float]]]     # of each model now


class Metrics:
    """All metrics of one daemon. Thread safe."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left the type out
        own = self._own = CollectorRegistry()
        ProcessCollector(registry=own)
        Gauge("driftd_build_info", "The running version.", ["version"], registry=own).labels(version).set(1)
        self._checks = Counter("driftd_checks", "Checks by outcome.", ["model", "outcome"], registry=own)
        self._verdicts = Counter("driftd_verdicts", "Verdicts by action.", ["model", "action"], registry=own)
        self._seconds = Histogram(
            "driftd_check_duration_seconds", "How long checks took.", _MODEL, buckets=_BUCKETS, registry=own
        )
        self._last = Gauge(
            "driftd_last_check_timestamp_seconds", "End of the last check.", _MODEL, registry=own
        )
        self._good = Gauge(
            "driftd_config_last_reload_successful", "1 when the last load was accepted.", registry=own
        )
        self._good_at = Gauge(
            "driftd_config_last_reload_success_timestamp_seconds", "Last accepted load.", registry=own
        )
        self._web_good = Gauge(
            "driftd_web_config_last_reload_successful", "1 when TLS, users and tokens were read last.", registry=own
        )
        self._web_good_at = Gauge(
            "driftd_web_config_last_reload_success_timestamp_seconds", "When they were read last.", registry=own
        )
        self._state_ok = Gauge(
            "driftd_state_ok", "0 while the state could not be used when that was last tried.", registry=own
        )
        self._state_ok.set(1)
        self._state_faults = Counter(
            "driftd_state_faults", "How often reading or writing the state failed.", registry=own
        )
        self._damaged = Gauge(
            "driftd_state_damaged", "1 when the last look at the whole state found it damaged.", registry=own
        )
        self._backed_up_at = Gauge(
            "driftd_backup_last_success_timestamp_seconds", "When the newest good backup was taken.", registry=own
        )
        self._backup_every = Gauge(
            "driftd_backup_interval_seconds", "daemon.backup.every; 0 where no backups are configured.", registry=own
        )
        self._jumps = Counter(
            "driftd_clock_jumps", "How often the system clock was set by more than 30 seconds.", registry=own
        )
        self._refused = Counter(
            "driftd_http_refused", "Requests and connections that were refused or ended.", ["reason"], registry=own
        )
        self._waits = _Waits()
        own.register(self._waits)
        self._shown = _Shown(View())

    def count_waits(self, waiting: Seconds, silent: Seconds) -> None:
        """Expose at each scrape for how long models wait for a worker, and for how long their sources are silent."""
        self._waits.waiting, self._waits.silent = waiting, silent

    def show(self, view: View) -> None:
        """Expose a new view; series of models that are not in it vanish."""
        if view != self._shown.view:
            self._shown = _Shown(view)

    def checked(
        self, model: str, outcome: str, seconds: float, at: datetime, actions: Iterable[str] = ()
    ) -> None:
        """Count a check that came to its end."""
        model = label(model)
        for action in actions:
            self._verdicts.labels(model, action).inc()
        self._seconds.labels(model).observe(seconds)
        self._last.labels(model).set(at.timestamp())
        self._checks.labels(model, outcome).inc()  # last: who sees the check counted sees the rest too

    def forget(self, model: str) -> None:
        """Drop what this process counted of a model that is no longer configured."""
        for family in (self._checks, self._seconds, self._last, self._verdicts):
            family.remove_by_labels({"model": label(model)})

    def reloaded(self, good: bool, at: datetime) -> None:
        """Note that a configuration was accepted or refused."""
        self._good.set(good)
        if good:
            self._good_at.set(at.timestamp())

    def web_reloaded(self, good: bool, at: datetime) -> None:
        """Note that what the HTTP side asks of clients was read, or could not be."""
        self._web_good.set(good)
        if good:
            self._web_good_at.set(at.timestamp())

    def state_used(self, fault: str | None) -> None:
        """Count a fault of the state; None: a write has succeeded since."""
        self._state_ok.set(fault is None)
        if fault is not None:
            self._state_faults.inc()

    def state_examined(self, problem: str | None) -> None:
        """Note what a look at the whole state found."""
        self._damaged.set(problem is not None)

    def backed_up(self, at: datetime) -> None:
        """Note when the newest good backup of the state was taken."""
        self._backed_up_at.set(at.timestamp())

    def backup_every(self, span: timedelta | None) -> None:
        """Note how often a backup is asked for; None: never."""
        self._backup_every.set(span.total_seconds() if span else 0)

    def clock_jumped(self) -> None:
        """Count that the system clock was set."""
        self._jumps.inc()

    def refused(self, reason: str) -> None:
        """Count a request or connection that was refused."""
        self._refused.labels(label(reason)).inc()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics where asked for, else Prometheus text."""
        parts, kind = self.parts(accept)
        return b"".join(parts), kind

    def parts(self, accept: str) -> tuple[tuple[bytes, ...], str]:
        """The same in parts, the long one of which all scrapes of a view share."""
        if "application/openmetrics-text" in accept:
            return (self._shown.rendered(True), _openmetrics(self._own)), openmetrics.CONTENT_TYPE_LATEST
        return (self._shown.rendered(False), generate_latest(self._own)), CONTENT_TYPE_PLAIN_0_0_4


class _Waits(Collector):
    """Which models wait for a worker now, and which for their source."""

    def __init__(self) -> None:
        self.waiting: Seconds = tuple
        self.silent: Seconds = tuple

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        for name, text, seconds in (
            ("driftd_worker_wait_seconds", "How long the model has waited for a worker.", self.waiting),
            ("driftd_source_silent_seconds", "How long a worker has waited for the model's source.", self.silent),
        ):
            family = GaugeMetricFamily(name, text, labels=_MODEL)
            for model, value in seconds():
                family.add_metric((model,), value)
            yield family


class _Shown(Collector):
    """One view and its renderings, each made once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._kept: dict[bool, bytes] = {}
        self._lock = threading.Lock()

    def rendered(self, as_openmetrics: bool) -> bytes:
        with self._lock:
            if as_openmetrics not in self._kept:
                render = _openmetrics if as_openmetrics else generate_latest
                self._kept[as_openmetrics] = render(self._registry).removesuffix(b"# EOF\n")    # what follows ends it
            return self._kept[as_openmetrics]

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        families = {name: _family(name) for name in FAMILIES}
        values = {(name, tuple(map(label, labels))): value for name, labels, value in _samples(self.view)}
        for (name, labels), value in values.items():
            families[name].add_metric(labels, value)
        return families.values()


def _openmetrics(registry: CollectorRegistry) -> bytes:
    text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # as above
    return text


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily:
    text, labels = FAMILIES[name]
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(name, text, labels=labels)


def _samples(view: View) -> Iterator[Sample]:
    yield "driftd_messages_pending", (), view.messages_pending
    for model in view.models:
        yield "driftd_paused", (model.name,), model.paused is not None
        yield from _version(model)
        yield "driftd_acting", (model.name,), model.mode == "act"
        yield "driftd_maintenance", (model.name,), any(silence.maintenance for silence in model.silences)
        for trigger in (None, *model.triggers, *BUILT_IN):
            silent = any(silence.trigger == trigger for silence in model.silences)
            yield "driftd_silenced", (model.name, trigger or ""), silent
        yield from _firing(model)
        yield from _requests(model)
        if model.newest:
            yield from _window(model.newest)
            yield from _scores(model.newest, _exported(model, model.newest.scores, view))
        if model.mature:
            yield from _mature(model.mature)


def _version(model: ModelView) -> Iterator[Sample]:
    if model.reference is not None:
        yield "driftd_model_version_info", (model.name, model.reference.model_version or ""), 1
    yield "driftd_promotions_waiting", (model.name,), model.waiting is not None
    known = model.promotion.recovery if model.promotion else None
    for state in Recovery:
        yield "driftd_recovery", (model.name, state), known is state


def _window(snapshot: Snapshot) -> Iterator[Sample]:
    model = (snapshot.window.model,)
    yield "driftd_window_end_timestamp_seconds", model, snapshot.window.end.timestamp()
    yield "driftd_window_rows", model, snapshot.rows
    yield "driftd_window_late_rows", model, snapshot.late
    yield "driftd_window_mature", model, snapshot.mature
    if snapshot.label_coverage is not None:
        yield "driftd_label_coverage_ratio", model, snapshot.label_coverage
    if snapshot.ledger is not None:
        yield from _ledger(model[0], snapshot.ledger)
    for status in ScoreStatus:
        count = sum(score.status == status for score in snapshot.scores)
        yield "driftd_scores", (*model, status), count


def _ledger(model: str, ledger: Ledger) -> Iterator[Sample]:
    yield "driftd_window_lost_rows", (model, "timestamp"), ledger.astray
    yield "driftd_window_lost_rows", (model, "contradicting"), ledger.contradicting
    yield "driftd_window_rows_left_out", (model,), ledger.repeated
    yield "driftd_window_rows_without_id", (model,), ledger.without_id
    yield "driftd_log_lost_rows", (model, "without timestamp"), ledger.untimed
    yield "driftd_log_lost_rows", (model, "far from all others"), ledger.apart
    if ledger.labels_without_row is not None:
        yield "driftd_labels_without_row", (model,), ledger.labels_without_row


def _scores(snapshot: Snapshot, shown: Sequence[Score]) -> Iterator[Sample]:
    model = snapshot.window.model
    left_out = {score.column for score in snapshot.scores} - {score.column for score in shown}
    yield "driftd_columns_dropped", (model,), len(left_out - {None})
    for score in shown:
        yield from _score(model, score)


def _score(model: str, score: Score) -> Iterator[Sample]:
    labels = _labels(model, score)
    numbers = {
        "driftd_score": score.value,
        "driftd_score_reference": score.reference,
        "driftd_score_low": score.low,
        "driftd_score_high": score.high,
        "driftd_score_threshold": score.threshold,
    }
    yield from ((name, labels, value) for name, value in numbers.items() if value is not None)
    if score.status in (ScoreStatus.OK, ScoreStatus.DRIFTED, ScoreStatus.BREACHED):
        yield "driftd_score_drifted", labels, score.status != ScoreStatus.OK


def _mature(snapshot: Snapshot) -> Iterator[Sample]:
    """Scores of the whole model only: what columns did is a matter of the newest window."""
    model = snapshot.window.model
    yield "driftd_mature_window_end_timestamp_seconds", (model,), snapshot.window.end.timestamp()
    for score in snapshot.scores:
        if score.column is None and score.value is not None:
            yield "driftd_mature_score", _labels(model, score), score.value


def _labels(model: str, score: Score) -> tuple[str, ...]:
    return (model, score.metric, score.method or "", score.column or "", score.segment or "")


def _exported(model: ModelView, scores: Sequence[Score], view: View) -> list[Score]:
    """The scores that get series: of the model as a whole, of named columns, and what drifted or broke; or all.

    At most MAX_COLUMNS columns, the named ones first, then those that drifted or broke.
    """
    bad = [score for score in scores if score.status in _BAD and score.column is not None]
    named = [score for score in scores if score.column in model.named]
    share = max(LEAST_BAD, ALL_BAD // len(view.models))
    chosen = [*named, *(bad if view.all_columns else bad[:share]), *(scores if view.all_columns else ())]
    kept = {None, *_columns(chosen)[:MAX_COLUMNS]}
    whole = [score for score in scores if score.column is None]
    return list(dict.fromkeys([*whole, *(score for score in chosen if score.column in kept)]))


def _columns(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.column for score in scores if score.column is not None))


def _firing(model: ModelView) -> Iterator[Sample]:
    firing = {firing.trigger: firing.firing for firing in model.firing}
    down = firing.get(SOURCE, False) or firing.get(SOURCE_DOWN, False)
    yield "driftd_source_up", (model.name,), not down
    for trigger in (*model.triggers, *BUILT_IN):
        yield "driftd_trigger_firing", (model.name, trigger), firing.get(trigger, False)
    for one in model.firing:
        yield "driftd_trigger_change_timestamp_seconds", (model.name, one.trigger), one.since.timestamp()


def _requests(model: ModelView) -> Iterator[Sample]:
    state = model.episode.state if model.episode else None
    for standing in STANDING:
        yield "driftd_episode_state", (model.name, standing), state == standing
    for pipeline in {dispatch.pipeline for dispatch in model.dispatches}:
        own = [dispatch for dispatch in model.dispatches if dispatch.pipeline == pipeline]
        yield "driftd_dispatch_requests_total", (model.name, pipeline), len(own)
        yield "driftd_dispatch_tries_total", (model.name, pipeline), sum(request.tries for request in own)
        for one in DispatchState:
            yield "driftd_dispatches", (model.name, pipeline, one), sum(d.state == one for d in own)
