"""Row 10: thousands of checks of one daemon's checker: its memory, handles and threads stay as they are."""

import gc
import os
import resource
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from monitor.store import Store
from monitor.workers.pool import Workers
from tests.torture.test_data_harm import DAY, Model, rows

LOOKS = 25       # a day


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held() -> tuple[int, int, int, int]:
    """Bytes of Python's objects, bytes of the whole process, open handles and threads."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return tracemalloc.get_traced_memory()[0], resident, len(os.listdir("/proc/self/fd")), threading.active_count()


@pytest.mark.torture(10)
@pytest.mark.usefixtures("traced")
def test_checks_leave_nothing_behind(tmp_path: Path, effort: Any, figure: Any) -> None:
    """Twenty-five looks a day at a log that grows, one of which measures a window; workers are replaced meanwhile."""
    times, warm = effort(50, 10_000), effort(25, 2000)
    model = Model(tmp_path, "parquet", workers := Workers(1, 2048, timedelta(minutes=30)))
    model.write()
    served = rows(0, (warm + times) // LOOKS, 1)
    pq.write_table(served.drop_columns(["label"]), model.paths["log"])
    pq.write_table(served.select(["prediction_id", "label"]), model.paths["labels"])
    with workers, Store.open(tmp_path / "state") as store:
        checker = model.checker(store, 0)
        for turn in range(warm + times):
            if turn == warm:
                before = held()
            model.now += DAY / LOOKS
            checker.check("m")
        after, measured = held(), len(store.snapshots.newest_revisions("m"))
    objects, resident = ((after[at] - before[at]) / times for at in (0, 1))
    figure(f"{times} checks after {warm}, {measured} windows measured in all: {objects:.0f} bytes a check of Python's "
           f"objects, {resident:.0f} of the process; {after[2]} handles, {after[3]} threads as before")
    assert measured == (warm + times) // LOOKS
    assert objects < effort(1500, 100)
    assert resident < effort(100_000, 100)
    assert after[2:] == before[2:]
