"""Retention: what is older than `daemon.retention` goes, a little at a time. The audit and the lineage stay."""

import os
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from monitor.records import DispatchState
from monitor.store import Store
from monitor.times import format_moment

ENDED = (
    DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.CANCELLED, DispatchState.WITHDRAWN,
    DispatchState.UNKNOWN,
)
COPIES = "driftd.db.before-*"     # of the state, from before it was migrated


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How much was removed."""

    windows: int = 0
    messages: int = 0
    runs: int = 0
    copies: int = 0

    def __bool__(self) -> bool:
        return bool(self.windows or self.messages or self.runs or self.copies)


def tidy(store: Store, retention: timedelta | None, now: datetime) -> Removed:
    """Remove what is older: windows with scores and verdicts, messages, ended runs, copies of the state; audited."""
    if retention is None:
        return Removed()
    before = now - retention
    windows = 0
    while some := store.tidy.remove_windows(before):      # a transaction each: nobody waits long
        windows += some
    store.tidy.remove_silences(before)
    removed = Removed(
        windows=windows, messages=store.tidy.remove_messages(before), runs=_remove_runs(store, before),
        copies=_remove_copies(store.folder, before),
    )
    if removed:
        details = {"before": format_moment(before), **asdict(removed)}
        store.audit.note(now, "driftd", "retention", "state", details=details)
    return removed


def _remove_runs(store: Store, before: datetime) -> int:
    removed = 0
    for request in store.requests.all(states=ENDED) if store.folder else ():
        folder = run_folder(store, request.id)
        if request.ended_at is not None and request.ended_at < before and folder.is_dir():
            shutil.rmtree(folder)
            removed += 1
    return removed


def run_folder(store: Store, dispatch_id: str) -> Path:
    """Where a command's run has left what it printed."""
    assert store.folder is not None
    return store.folder / "runs" / dispatch_id


def _remove_copies(folder: Path | None, before: datetime) -> int:
    old = [path for path in folder.glob(COPIES) if path.stat().st_mtime < before.timestamp()] if folder else []
    for path in old:
        os.unlink(path)
    return len(old)
