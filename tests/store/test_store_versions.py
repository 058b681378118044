"""What the daemon's polling and its stopping rest on."""

from datetime import UTC, datetime

import pytest

from monitor.errors import Stopping
from monitor.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_version_changes_with_every_write_and_only_then(tmp_path):
    """Reading leaves the version as it is; a write of ours, or of another process, makes it another."""
    with Store.open(tmp_path) as ours, Store.open(tmp_path, exclusive=False) as theirs:
        seen = [ours.version()]
        ours.requests.all()
        assert ours.version() == seen[-1]
        for number, store in enumerate((ours, theirs, theirs, ours)):
            store.pauses.begin(f"model-{number}", "somebody", "why", NOW)
            theirs.pauses.current("model-0")
            seen.append(ours.version())
            assert ours.version() == seen[-1]
        assert len(set(seen)) == 5


def test_a_closed_store_says_stopping(tmp_path):
    """Who is still at work when the daemon closes the state is told that it stops, not that it failed."""
    store = Store.open(tmp_path)
    store.close()
    for work in (store.requests.all, lambda: store.pauses.end("m", "somebody", "why", NOW)):
        with pytest.raises(Stopping):
            work()
