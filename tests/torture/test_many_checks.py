"""Row 10: thousands of checks of one daemon's checker: its memory, handles and threads stay as they are."""

import gc
import os
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.store import Store
from monitor.workers.pool import Workers
from tests.torture.test_data_harm import DAY, Model


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held() -> tuple[int, int, int]:
    """Bytes of Python's objects, open handles and threads of this process."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len(os.listdir("/proc/self/fd")), threading.active_count()


@pytest.mark.torture(10)
@pytest.mark.usefixtures("traced")
def test_checks_leave_nothing_behind(tmp_path: Path, effort: Any, figure: Any) -> None:
    """Looks at a log whose windows are measured, minute by minute; children are recycled meanwhile in the long form."""
    times, warm = effort(40, 10_000), effort(15, 1000)
    model = Model(tmp_path, "parquet", workers := Workers(1, 2048, timedelta(minutes=2)))
    model.write()
    with workers, Store.open(tmp_path / "state") as store:
        checker = model.checker(store, 3)
        for turn in range(warm + times):
            if turn == warm:
                memory, handles, threads = held()
            model.now += DAY / 1440 / 10
            checker.check("m")
        after = held()
    grown = (after[0] - memory) / times
    figure(f"{times} checks after {warm}: {grown:.0f} bytes a check, {after[1]} handles, {after[2]} threads as before")
    assert grown < effort(1000, 100)
    assert after[1:] == (handles, threads)
