"""When things run: named tasks, each on a thread of its own, never twice at once. APScheduler lives here.

APScheduler says when; its own threads only begin a run here and are free again.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import structlog
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.util import undefined

from monitor.config import cron
from monitor.errors import StateError, Stopping
from monitor.times import Clock, utcnow

_log = structlog.get_logger("driftd.schedule")

_PULSE = 5.0
_JUMP = timedelta(seconds=30)  # a clock that slews or is set by less than this needs no new schedule
_BEGINNINGS = 1000  # of one task that APScheduler may ask for at once: `_Threads` lets one of them through


class Schedule:
    """Runs each named task at its times; late is better than never, and a missed run is made up once.

    A task that is still running when its next time comes is not started a second time. The wall clock may
    jump: `tick`, called every second or so, notices and reckons all times anew.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._wall_minus_monotonic()
        self._beaten = time.monotonic()
        self._threads = _Threads()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": _BEGINNINGS},
        )
        self._wanted: set[str] = set()  # tasks of which a run must begin after now

    def every(self, name: str, seconds: float, function: Callable[[], None]) -> None:
        """Run the function now and then every so many seconds; replaces a task of the same name."""
        self._wanted.add(name)
        self._add(name, _Every(timedelta(seconds=seconds)), function, utcnow())

    def cron(
        self, name: str, expression: str, zone: tzinfo, function: Callable[[], None], *, missed: bool = False
    ) -> None:
        """Run the function at the times of a cron expression, and now where one was `missed` while nobody ran it."""
        if missed:
            self._wanted.add(name)
        self._add(name, _Cron(expression, zone), function, utcnow() if missed else undefined)

    def remove(self, name: str) -> None:
        """Forget a task; a run under way goes on to its end."""
        self._wanted.discard(name)
        with suppress(JobLookupError):  # nothing to forget
            self._scheduler.remove_job(name)

    def next_time(self, name: str) -> datetime | None:
        """When a task runs next; None where it never will, or is unknown."""
        job = self._scheduler.get_job(name)
        return getattr(job, "next_run_time", None)       # a job has none before the scheduler has started

    def soon(self, name: str) -> None:
        """Run a task as soon as possible, besides its own times; nothing when it is unknown."""
        self._wanted.add(name)
        self._run_at(name, utcnow())

    def _run_at(self, name: str, moment: datetime) -> None:
        with suppress(JobLookupError):  # removed by a reload meanwhile
            self._scheduler.modify_job(name, next_run_time=moment)

    def _ended(self, name: str) -> None:
        """What was wanted while a run was under way could not start beside it, and starts now."""
        if name in self._wanted:
            self._run_at(name, utcnow())

    def start(self) -> None:
        """Begin to run tasks, in threads of the scheduler's own."""
        self._offset = self._wall_minus_monotonic()
        self.every("pulse", _PULSE, self._beat)
        self._scheduler.start()

    def stop(self, wait: timedelta) -> bool:
        """Start nothing more and wait at most so long for what runs; return whether all came to its end."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        return self._threads.join(wait)

    def alive(self) -> bool:
        """Return whether the scheduler still starts what is due: its own pulse is a task like any other."""
        return bool(self._scheduler.running) and time.monotonic() - self._beaten < 12 * _PULSE

    def tick(self) -> bool:
        """Reckon all times anew when the wall clock has jumped; return whether it had."""
        offset = self._wall_minus_monotonic()
        jump = offset - self._offset
        if abs(jump) < _JUMP:
            return False
        self._offset = offset
        _log.warning("The system clock jumped; every task is scheduled anew.", seconds=jump.total_seconds())
        now = utcnow()
        for job in self._scheduler.get_jobs():
            with suppress(JobLookupError):  # removed by a reload meanwhile
                if not job.trigger.makes_up or job.next_run_time > now:      # else the scheduler runs it, once
                    due = job.trigger.after_jump(now)
                    if due == now:
                        self._wanted.add(job.id)
                    job.modify(next_run_time=due)
        self._scheduler.wakeup()
        return True

    def _beat(self) -> None:
        self._beaten = time.monotonic()

    def _wall_minus_monotonic(self) -> timedelta:
        return self._clock() - datetime.fromtimestamp(time.monotonic(), UTC)

    def _add(self, name: str, trigger: BaseTrigger, function: Callable[[], None], first: Any) -> None:
        run = self._logged(name, function)
        self._scheduler.add_job(
            lambda: self._threads.begin(name, run, self._ended), trigger, id=name, name=name, next_run_time=first,
            replace_existing=True,
        )

    def _logged(self, name: str, function: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            self._wanted.discard(name)
            try:
                function()
            except Stopping:  # it was abandoned, and is done again after the next start
                pass
            except StateError:  # said once by who watches the state; the task runs again at its next time
                pass
            except Exception:  # noqa: BLE001 - a fault in one task must not end the thread silently, nor the daemon
                _log.exception("A task failed unexpectedly; it runs again at its next time.", task=name)

        return run


class _Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types; the same below
    """Every so often, counted from the last run, or from now when that is long past: no run is enumerated."""

    makes_up = False

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        due = (previous or now) + self._interval
        return due if due > now else now + self._interval

    def after_jump(self, now: datetime) -> datetime:
        return now


class _Cron(BaseTrigger):  # type: ignore[misc]
    """The times of a cron expression after now; those that passed meanwhile are made up by one run."""

    makes_up = True

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self._expression, self._zone = expression, zone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        return cron.next_time(self._expression, self._zone, max(previous or now, now))

    def after_jump(self, now: datetime) -> datetime | None:
        return self.get_next_fire_time(None, now)


class _Threads:
    """A daemon thread for each run, so that a slow one delays no other and none can hold up the exit."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Thread] = {}
        self._closed = False
        self._lock = threading.Lock()

    def begin(self, name: str, run: Callable[[], None], ended: Callable[[str], None]) -> None:
        """Run a task, and say when it has ended; nothing while it runs already, or after `join`."""
        def whole() -> None:
            try:
                run()
            finally:
                with self._lock:
                    del self._running[name]
                ended(name)

        with self._lock:
            if name not in self._running and not self._closed:
                thread = threading.Thread(target=whole, name=name, daemon=True)
                thread.start()
                self._running[name] = thread

    def join(self, wait: timedelta) -> bool:
        """Begin nothing more and wait at most so long for what runs; return whether all came to its end."""
        with self._lock:
            self._closed, running = True, list(self._running.values())
        deadline = time.monotonic() + wait.total_seconds()
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in running)
