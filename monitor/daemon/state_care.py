"""The daemon's care for its state: a copy of it every so often, and once a day a look at all of it."""

import os
import shutil
import threading
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from monitor.config.sections import BackupSection
from monitor.errors import DriftdError, StateError
from monitor.expose.prometheus import Metrics
from monitor.store import Store, backups
from monitor.times import Clock

_log = structlog.get_logger("driftd.state")

RETRY = timedelta(minutes=10)            # after a copy that failed; earlier where copies are made more often
EXAMINE = timedelta(days=1)              # between looks at the whole state
_NAME = "driftd-*Z"
_DRAFTS = ".driftd-*.new"                # what a copy left that was killed


class StateCare:
    """Copies and examines the state of one daemon."""

    def __init__(self, store: Store, metrics: Metrics, clock: Clock) -> None:
        assert store.folder is not None      # a daemon's state is a folder
        self._folder, self._seal = store.folder, store.seal
        self._metrics, self._clock = metrics, clock
        self._failed_at: datetime | None = None
        self._one = threading.Lock()
        self._looked_at: datetime | None = None
        self.damage: str | None = None       # what the last look found wrong

    def back_up(self, section: BackupSection | None) -> None:
        """Make a copy where one is due, and remove the oldest ones beyond `keep`; a failure is logged and counted."""
        with self._one:
            self._metrics.backup_every(section.every if section else None)
            if section is None:
                return
            now, copies = self._clock(), self._copies(section.folder)
            good = max((at for at, _ in copies if at <= now), default=None)
            if good is not None:
                self._metrics.backed_up(good)
            if (good is None or good + section.every <= now) and self._may_try(section, now):
                self._copy(section, now)

    def examine(self) -> None:
        """Look at every row, page and entry of the state, once a day; again at each call while it is damaged."""
        now = self._clock()
        if self.damage is None and self._looked_at is not None and abs(now - self._looked_at) < EXAMINE:
            return
        found = self._problem()
        if found is not None and found != self.damage:
            _log.error("The state is damaged; stop driftd and restore a backup.", problem=found)
        self.damage, self._looked_at = found, now
        self._metrics.state_examined(found)

    def _problem(self) -> str | None:
        try:
            return next((one.problem for one in backups.examine(self._folder) if one.problem), None)
        except StateError as error:
            return str(error)

    def _copy(self, section: BackupSection, now: datetime) -> None:
        try:
            section.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for draft in section.folder.glob(_DRAFTS):
                shutil.rmtree(draft, ignore_errors=True)
            backups.back_up(self._folder, section.folder / f"driftd-{now:%Y%m%dT%H%M%SZ}", now)
            for _, old in self._copies(section.folder)[:-section.keep]:
                self._remove(old)
        except (DriftdError, OSError) as error:
            self._failed_at = now
            _log.error("The state could not be backed up.", folder=str(section.folder), problem=str(error))
        else:
            self._failed_at = None
            self._metrics.backed_up(now)
            _log.info("The state was backed up.", folder=str(section.folder))

    def _may_try(self, section: BackupSection, now: datetime) -> bool:
        return self._failed_at is None or abs(now - self._failed_at) >= min(section.every, RETRY)

    def _copies(self, folder: Path) -> list[tuple[datetime, Path]]:
        """The copies of this state, not of one that it replaced nor of another daemon; oldest first."""
        state = self._seal().state
        found = [(backups.taken_at(path, state), path) for path in folder.glob(_NAME)]
        return sorted((at, path) for at, path in found if at is not None)

    def _remove(self, path: Path) -> None:
        """Under a draft's name first, so that no half of a copy is ever taken for one."""
        aside = path.with_name(f".{path.name}.{os.getpid()}.new")
        path.rename(aside)
        shutil.rmtree(aside)
