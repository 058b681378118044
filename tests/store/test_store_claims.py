"""Each request is handed to one sender."""

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.records import DispatchState
from monitor.store import Store

T0 = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
CLAIMER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from monitor.store import Store
with Store.open(Path(sys.argv[1]), exclusive=False) as store:
    while (claimed := store.requests.claim(datetime(2027, 1, 1, tzinfo=UTC))) is not None:
        print(claimed.id)
"""


def test_threads_never_claim_one_request_twice(tmp_path: Path, made: Any) -> None:
    """Eight threads and one store: every request is claimed once."""
    with Store.open(tmp_path / "state") as store:
        wanted = _many(store, 20, made)
        got: list[str] = []
        threads = [threading.Thread(target=lambda: got.extend(_claim_all(store))) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert sorted(got) == sorted(wanted)


def test_processes_never_claim_one_request_twice(tmp_path: Path, made: Any) -> None:
    """Eight processes on one file: every request is claimed once."""
    with Store.open(tmp_path / "state") as store:
        wanted = _many(store, 20, made)
        senders = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIMER, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
            )
            for _ in range(8)
        ]
        got = [line for sender in senders for line in sender.communicate(timeout=60)[0].split()]
    assert sorted(got) == sorted(wanted)


def test_an_ambiguous_request_is_looked_for_by_one(store: Store, made: Any) -> None:
    """A claimed ambiguous request stays ambiguous and out of the others' sight for a while."""
    made.requested(store)
    assert store.requests.claim(T0) is None
    claimed = store.requests.claim(T0 + WEEK)
    assert (claimed.state, claimed.tries, claimed.sent_at) == (DispatchState.SENDING, 1, T0 + WEEK)
    lost = store.requests.recover(T0 + WEEK)
    assert [(one.state, one.unclear) for one in lost] == [(DispatchState.AMBIGUOUS, 1)]
    assert store.requests.claim(T0 + WEEK).state == DispatchState.AMBIGUOUS
    assert store.requests.claim(T0 + WEEK) is None
    assert not store.requests.record(claimed, was=DispatchState.SENDING)


def _many(store: Store, count: int, made: Any) -> list[str]:
    made.requested(store)
    claimed = store.requests.claim(T0 + WEEK)
    store.requests.record(replace(claimed, state=DispatchState.FAILED), was=DispatchState.SENDING)
    need = made.episode()
    made = [made.dispatch(need, attempt) for attempt in range(2, count + 2)]
    with store.transaction():
        for one in made:
            store.requests.add(replace(one, state=DispatchState.FAILED))
    for one in made:
        store.requests.record(one, was=DispatchState.FAILED)
    return [one.id for one in made]


def _claim_all(store: Store) -> list[str]:
    got = []
    while (claimed := store.requests.claim(T0 + WEEK)) is not None:
        got.append(claimed.id)
    return got
