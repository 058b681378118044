"""The service: puts the parts together, keeps them running, reloads, stops.

It decides nothing and remembers nothing; what counts is in the store before it takes effect.
"""

import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import structlog

from monitor import __version__
from monitor.config import Loaded, ModelSection, cron, load, missing_secrets, state_dir
from monitor.daemon import systemd
from monitor.daemon.http_side import HttpSide
from monitor.daemon.parts import Build, Parts, build
from monitor.daemon.schedule import Schedule
from monitor.daemon.signals import Signals, Watch
from monitor.daemon.state_care import StateCare
from monitor.errors import CannotJudge, DriftdError, StateError, Stopping
from monitor.expose import logs
from monitor.expose.prometheus import Metrics
from monitor.expose.view import View, read_view
from monitor.govern.retention import tidy
from monitor.notify.heartbeat import heartbeat
from monitor.outgoing import guard
from monitor.records import Json, Verdict
from monitor.sources import copies
from monitor.store import Store
from monitor.times import Clock, WatchedClock, format_moment, utcnow
from monitor.web.actions import Actions
from monitor.web.app import App
from monitor.web.intake import Intake
from monitor.web.pages import Pages
from monitor.web.posts import Posts
from monitor.web.running import Looks, Running
from monitor.web.settings import read_settings
from monitor.workers.pool import Workers

_log = structlog.get_logger("driftd")

_HOUR = timedelta(hours=1)
_PATIENCE = timedelta(seconds=5)  # for what is under way when told to stop; then it is abandoned
_STUCK = 120.0                    # seconds without a turn of the main loop
_REST = timedelta(minutes=1)      # without a task, after which a worker's memory is given back
_RESTAMPS = 12                    # looks at stamps from the future after the clock was set back
_SIGN_EVERY = 60.0                # seconds between signs of life while a round of checks lasts
_AGAIN = 30.0                     # seconds until what was refused is read again, though no file of it has changed
_TIDY_EVERY = 6 * 3600.0          # seconds between looks at what has grown old
_NEED_RESTART = (
    "state_dir", "listen", "health_listen", "workers", "worker_memory_mb", "worker_timeout", "log_format",
    "allow_inner",
)


def run(config_path: Path, clock: Clock = utcnow, *, ends_with_terminal: bool = False) -> int:
    """Run the service until SIGTERM or SIGINT; return the exit code.

    `ends_with_terminal`: SIGHUP ends it too, which a terminal sends when it is closed.
    Raises ConfigError, StateLocked or StateError when it cannot start.
    """
    logs.configure("text")
    with Signals() as signals:           # first of all: one that comes while it starts is answered when it has
        loaded = load(config_path)
        logs.configure(loaded.config.daemon.log_format)
        with Daemon(loaded, build, clock) as daemon:
            daemon.start()
            _serve(daemon, signals, ends_with_terminal=ends_with_terminal)
    return 0


def _serve(daemon: "Daemon", signals: Signals, *, ends_with_terminal: bool) -> None:
    """The main loop: a look every second at signals, the clock and the configuration's files."""
    while True:
        match signals.wait(1.0):
            case signal.SIGTERM | signal.SIGINT:
                return
            case signal.SIGHUP if ends_with_terminal:
                return
            case signal.SIGHUP:
                daemon.reload()
            case signal.SIGUSR1:
                daemon.look_now()
        daemon.tick()


class Daemon:
    """All running parts of one configuration; `start`, then `tick` every second, then `close`."""

    def __init__(self, loaded: Loaded, build: Build, clock: Clock = utcnow) -> None:
        self._loaded, self._build, self._clock = loaded, build, WatchedClock(clock)
        self._metrics = Metrics(__version__)
        self._schedule = Schedule(self._clock)
        self._watch = Watch(loaded.files, patterns=loaded.patterns)
        self._view = View()
        self._publishing, self._counting = threading.Lock(), threading.Lock()
        self._published: Any = None          # what the view was read from
        self._under_way: set[str] = set()    # models that are being checked
        self._looked: dict[str, tuple[datetime, str]] = {}      # when each was checked last, and what came of it
        self._refused: tuple[tuple[str, ...], datetime] | None = None    # a configuration: why, and when
        self._read_at = time.monotonic()     # the configuration, in force or refused
        self._lived = threading.Event()      # a check has ended well since the last sign of life
        self._signed = time.monotonic()
        self._turned = time.monotonic()
        self._set_back = threading.Event()   # the clock was, and what waits does not know it yet
        self._restamps = 0                   # looks at stamps from the future that are still to come
        self._fault_told = False             # the log says that the state cannot be used
        self._unready: str | None = "starting"
        self._web: HttpSide | None = None
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Open the state, begin to listen, put every model on the schedule. Raises DriftdError."""
        settings, folder = self._loaded.config.daemon, state_dir(self._loaded.config, self._loaded.path)
        web = read_settings(self._loaded)
        guard.allow_inner(settings.allow_inner)
        copies.keep_in(folder)
        self._store = self._opened.enter_context(Store.open(folder))
        self._store.on_fault(self._heard_of_state)
        self._store.read_stamps_by(self._clock)
        self._store.future.restamp(self._clock())
        self._care = StateCare(self._store, self._metrics, self._clock)
        self._workers = self._opened.enter_context(
            Workers(settings.workers, settings.worker_memory_mb, settings.worker_timeout)
        )
        self._metrics.count_waits(self._workers.waiting, self._workers.silent)
        self._parts = self._build(self._loaded, self._store, self._workers, self._clock)
        self._parts.outbox.recover()
        self._accept(self._loaded)
        self._publish()
        posts = Posts(self._store, lambda: self._loaded.config, self._clock, self._told)
        probes = (self._sick, lambda: self._unready)
        actions = Actions(
            self._store, lambda: self._loaded.config, self._clock,
            lambda *asked: self._parts.checker.request(*asked), self._acted,
        )
        pages = Pages(
            self._store, lambda: self._loaded.config, lambda: self._view, self._running, self._clock, actions,
            lambda *asked: self._parts.checker.spread(*asked),
            lambda window: self._parts.checker.evidently_page(window),
        )
        intake = Intake(lambda: self._loaded.config.daemon.captures, self._clock)
        app = App(self._metrics, lambda: self._view, *probes, posts, web.policy, self._running, pages, intake)
        self._web = HttpSide(settings, app, web, lambda good: self._metrics.web_reloaded(good, self._clock()))
        self._opened.callback(self._web.close)
        self._opened.callback(self._wind_down)
        self._plan()
        self._schedule.start()
        self._unready = None
        systemd.notify("READY=1", self._status())

    @property
    def address(self) -> str:
        """Where the HTTP side listens, host:port."""
        assert self._web is not None     # it was started
        return self._web.address

    def close(self) -> None:
        """Stop: what is under way may end within seconds, then it is abandoned; nothing is lost by that."""
        self._unready = "stopping"
        systemd.notify("STOPPING=1", "STATUS=stopping")
        self._opened.close()

    def tick(self) -> None:
        """One turn of the main loop."""
        self._turned = time.monotonic()
        self._schedule.tick()
        self._watch_clock()
        if self._watch.changed():
            _log.info("The configuration's files have changed.")
            self.reload()
        elif self._refused is not None and time.monotonic() - self._read_at > _AGAIN:
            self.reload(again=True)          # a file that it names has come, or the state can be written again
        if self._web is not None:
            self._web.look(self._loaded)
        if self._stuck() is None:
            systemd.notify("WATCHDOG=1")

    def _watch_clock(self) -> None:
        """Where the clock was set back, let what waits for the future go on."""
        for jump in self._clock.jumps():
            self._metrics.clock_jumped()
            if jump < timedelta(0):
                self._restamps = _RESTAMPS
                self._set_back.set()
                self._schedule.soon("clock")

    def _mend_stamps(self) -> None:
        """After the clock was set back; a few times, since what was under way then may have been written since."""
        if self._set_back.is_set():
            self._store.future.wake(self._clock())
            self._set_back.clear()
        if self._restamps and self._clock.settled():
            self._store.future.restamp(self._clock())
            self._restamps -= 1

    def look_now(self) -> None:
        """Check every model without waiting for its time."""
        for name in self._loaded.config.models:
            self._schedule.soon(_task(name))

    def reload(self, *, again: bool = False) -> None:
        """Read the configuration again; all is built before anything is touched, else nothing changes.

        `again`: nobody asked for it, so that what was refused before for the same reasons is not said once more.
        """
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._watch.follow(self._loaded.files, self._loaded.patterns)
        self._read_at = time.monotonic()
        try:
            loaded = load(self._loaded.path)
            web = read_settings(loaded)
            parts = self._build(loaded, self._store, self._workers, self._clock)
            self._accept(loaded)
        except DriftdError as error:
            self._refuse(str(error).split("\n"), again=again)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the last good one must stay in force
            _log.exception("Reloading failed unexpectedly.")
            self._refuse([repr(error)], again=again)
        else:
            self._swap(loaded, parts)
            if self._web is not None:
                self._web.use(web)
        systemd.notify("READY=1", self._status())

    def _accept(self, loaded: Loaded) -> None:
        self._store.configurations.accept(loaded.hash, loaded.text, self._clock())
        _log.info("Configuration accepted.", hash=loaded.hash, models=len(loaded.config.models))
        self._metrics.reloaded(True, self._clock())
        self._refused = None
        for sentence in (*loaded.warnings, *missing_secrets(loaded)):
            _log.warning(sentence)

    def _refuse(self, problems: list[str], *, again: bool) -> None:
        if again and self._refused is not None and list(self._refused[0]) == problems:
            return
        _log.error("The configuration is refused; the last good one stays in force.", problems=problems)
        self._metrics.reloaded(False, self._clock())
        self._refused = (tuple(problems), self._clock())

    def _swap(self, loaded: Loaded, parts: Parts) -> None:
        before = self._loaded
        with self._counting:
            self._loaded, self._parts = loaded, parts
            for name in set(before.config.models) - set(loaded.config.models):
                self._schedule.remove(_task(name))
                self._metrics.forget(name)
        for key in _NEED_RESTART:
            if getattr(before.config.daemon, key) != getattr(loaded.config.daemon, key):
                _log.warning("A changed setting takes effect after a restart.", key=f"daemon.{key}")
        if (loaded.files, loaded.patterns) != (before.files, before.patterns):
            self._watch.follow(loaded.files, loaded.patterns)
        self._publish()
        self._plan()
        for name in loaded.config.models:
            if before.config.models.get(name) != loaded.config.models[name]:
                self._schedule.soon(_task(name))         # it is judged by what is new, also where a `cron` comes later

    def _plan(self) -> None:
        for name, model in self._loaded.config.models.items():
            look = partial(self._check, name)
            if model.cron is not None:
                self._schedule.cron(_task(name), model.cron, model.timezone, look, missed=self._missed(model))
            else:
                self._schedule.every(_task(name), (model.every or _HOUR).total_seconds(), look)
        self._schedule.every("requests", 5, lambda: self._publish_if(self._parts.outbox.send_due()))
        self._schedule.every("follow", 15, lambda: self._publish_if(self._parts.outbox.follow()))
        self._schedule.every("moves", 5, lambda: self._new_versions(self._parts.registries.move()))
        self._schedule.every("registry", 60, lambda: self._new_versions(self._parts.registries.look()))
        self._schedule.every("track", 60, lambda: self._parts.registries.track())
        self._schedule.every("messages", 5, lambda: self._publish_if(self._parts.notifier.send_due()))
        self._schedule.every("publish", 30, self._publish)  # what commands changed in the store meanwhile
        self._schedule.every("heartbeat", _SIGN_EVERY, self._sign_of_life)
        self._schedule.every("state", 5, self._try_state)
        self._schedule.every("clock", 5, self._mend_stamps)
        self._schedule.every("rest", 30, partial(self._workers.rest, _REST))
        self._schedule.every("retention", _TIDY_EVERY, self._tidy)
        self._schedule.every("backup", 60, lambda: self._care.back_up(self._loaded.config.daemon.backup))
        self._schedule.every("examination", 600, self._care.examine)

    def _missed(self, model: ModelSection) -> bool:
        """Whether a time of the model's `cron` has passed since it was last checked, or since it was first planned."""
        now, last = self._clock(), self._store.moments.last_check(model.name)
        if last is None:
            self._store.moments.note_check(model.name, now)
        return last is not None and cron.last_time(model.cron or "", model.timezone, min(last, now), now) is not None

    def _new_versions(self, models: list[str]) -> None:
        """A version that has come is looked at now, and not when its model's turn comes."""
        for name in models:
            self._schedule.soon(_task(name))
        self._publish_if(models)

    def _told(self, what: str, model: str | None) -> None:
        """Somebody told us that a run has ended, or that an alias moved."""
        if model is not None:
            self._schedule.soon(_task(model))
        self._schedule.soon("messages" if what == "run" else what)

    def _acted(self) -> None:
        """Somebody did something on a page."""
        self._publish()
        for task in ("requests", "moves", "messages"):
            self._schedule.soon(task)

    def _tidy(self) -> None:
        """Remove what is older than the configuration keeps."""
        removed = tidy(self._store, self._loaded.config.daemon.retention, self._clock.cautious())
        if removed:
            _log.info("What is older than daemon.retention was removed.", **asdict(removed))

    def _check(self, name: str) -> None:
        """One check of a model, its outcome told everywhere."""
        began, at = time.monotonic(), self._clock()
        self._under_way.add(name)
        outcome, verdicts = self._judge(name)
        if outcome not in ("failed", "stopped"):
            self._lived.set()
        self._under_way.discard(name)
        with self._counting:
            if outcome == "stopped" or name not in self._loaded.config.models:
                return
            planned = self._loaded.config.models[name].cron is not None
            actions = [verdict.action for verdict in verdicts]
            self._looked[name] = (self._clock(), outcome)
            self._metrics.checked(name, outcome, time.monotonic() - began, self._clock(), actions)
        if planned and outcome != "failed":
            self._store.moments.note_check(name, at)
        self._publish()
        for task in ("requests", "messages", "track", *(() if self._under_way else ("heartbeat",))):
            self._schedule.soon(task)

    def _sign_of_life(self) -> None:
        """Once after each round of checks; when one of them takes long, once a minute for the others."""
        target, round_over = self._loaded.config.daemon.heartbeat, not self._under_way
        overdue = time.monotonic() - self._signed > _SIGN_EVERY
        if target is not None and self._lived.is_set() and (round_over or overdue):
            self._lived.clear()
            self._signed = time.monotonic()
            heartbeat(target)

    def _judge(self, name: str) -> tuple[str, list[Verdict]]:
        try:
            verdicts = self._parts.checker.check(name)
        except Stopping:
            return "stopped", []
        except StateError:               # said once, when it began
            return "failed", []
        except CannotJudge as error:
            _log.warning(str(error), model=name)
            return "not_judged", []
        except DriftdError as error:
            _log.error(str(error), model=name)
            return "failed", []
        except Exception:  # noqa: BLE001 - a fault of ours is counted and logged, other models go on
            _log.exception("The check failed unexpectedly.", model=name)
            return "failed", []
        for verdict in verdicts:
            _log.info("Checked.", **_words(verdict))
        return ("judged" if verdicts else "nothing_due"), verdicts

    def _running(self) -> Running:
        """What pages tell of the daemon itself."""
        looks = {name: self._looks(name) for name in self._loaded.config.models}
        problems, at = self._refused or ((), None)
        return Running(looks=looks, refused=problems, refused_at=at)

    def _looks(self, name: str) -> Looks:
        """When a model was checked and will be; by the clock of the checks, which may not be the machine's."""
        last, outcome = self._looked.get(name, (None, None))
        due = self._schedule.next_time(_task(name))
        if due is not None:      # to the minute, so that a page is the same until something has happened
            due = (due + (self._clock() - utcnow()) + timedelta(seconds=30)).replace(second=0, microsecond=0)
        return Looks(last=last, outcome=outcome, next=due)

    def _publish_if(self, changed: Any) -> None:
        if changed:
            self._publish()

    def _publish(self) -> None:
        """Show what the store knows now, to scrapes, page and systemd."""
        with self._publishing:
            config, now = self._loaded.config, self._clock()
            silences = [self._store.silences.in_force(config, name, now) for name in config.models]
            source = (self._store.version(), self._loaded, silences)
            if source == self._published:
                return
            view = read_view(self._store, config, now, self._view)
            self._published = source
            if view == self._view:
                return
            self._view = view
            self._metrics.show(view)
        if self._unready is None:
            systemd.notify(self._status())

    def _status(self) -> str:
        firing = sum(firing.firing for model in self._view.models for firing in model.firing)
        return f"STATUS={len(self._view.models)} models watched, {firing} triggers firing"

    def _heard_of_state(self, fault: str | None) -> None:
        """Called at each fault of the state, and with None when a write succeeds again: each is said once."""
        self._metrics.state_used(fault)
        if fault is None:
            _log.info("The state can be written again; what was left undone is done now.")
        elif not self._fault_told:
            _log.error("The state cannot be used; what could not be recorded is tried again.", problem=fault)
        self._fault_told = fault is not None

    def _try_state(self) -> None:
        """See whether the state is what was written, and whether a fault is over, also when nothing is written."""
        self._store.require_whole()
        if self._store.fault is not None:
            self._store.moments.try_to_write()

    def _sick(self) -> str | None:
        """Why this daemon is not healthy; None when it is."""
        return self._stuck() or self._store.fault or self._care.damage

    def _stuck(self) -> str | None:
        """Which part stands still, so that a new start would help; None when none does."""
        if time.monotonic() - self._turned > _STUCK:
            return "the main loop stands still"
        if self._web is not None and not self._web.alive():
            return "the HTTP side stands still"
        return None if self._schedule.alive() else "the scheduler stands still"

    def _wind_down(self) -> None:
        patience = timedelta(0) if self._workers.stuck else _PATIENCE        # sources that hang are not waited for
        if not self._schedule.stop(patience):
            _log.info("What is still under way is abandoned; it is done again after the next start.")
            self._workers.close()
            self._schedule.stop(timedelta(seconds=2))


def _task(model: str) -> str:
    return f"check {model}"


def _words(verdict: Verdict) -> Json:
    words = {"model": verdict.window.model, "window": format_moment(verdict.window.start), "revision": verdict.revision}
    return words | {"action": str(verdict.action), "fired": verdict.fired, "guards": verdict.guards}
