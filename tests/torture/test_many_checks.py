"""Row 10: thousands of checks of one daemon's checker: its memory, handles and threads stay as they are."""

import gc
import os
import resource
import threading
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from monitor.store import Store
from monitor.workers.pool import Workers
from tests.torture.test_data_harm import DAY, Model, rows

LOOKS = 25       # a day


def held() -> tuple[int, int, int]:
    """Bytes of the whole process, open handles and threads."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return resident, len(os.listdir("/proc/self/fd")), threading.active_count()


def objects() -> int:
    """Bytes of Python's objects, of those made since they are traced."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.torture(10)
def test_checks_leave_nothing_behind(tmp_path: Path, effort: Any, figure: Any) -> None:
    """Twenty-five looks a day at a log that grows, one of which measures a window; workers are replaced meanwhile.

    Python's objects are traced afterwards, on their own: the traces take memory too, a megabyte in a thousand checks.
    """
    warm, times, traced = effort(25, 2000), effort(25, 10_000), effort(25, 500)
    model = Model(tmp_path, "parquet", workers := Workers(1, 2048, timedelta(minutes=30)))
    model.write()
    served = rows(0, (warm + times + 2 * traced) // LOOKS, 1)
    pq.write_table(served.drop_columns(["label"]), model.paths["log"])
    pq.write_table(served.select(["prediction_id", "label"]), model.paths["labels"])
    with workers, Store.open(tmp_path / "state") as store:
        checker = model.checker(store, 0)

        def check(looks: int) -> None:
            for _ in range(looks):
                model.now += DAY / LOOKS
                checker.check("m")

        check(warm)
        before = held()
        check(times)
        after = held()
        tracemalloc.start()
        try:
            check(traced)
            known = objects()
            check(traced)
            grown = (objects() - known) / traced
        finally:
            tracemalloc.stop()
        measured = len(store.snapshots.newest_revisions("m"))
    resident = (after[0] - before[0]) / times
    figure(f"{times} checks after {warm}, {measured} windows measured in all: {grown:.0f} bytes a check of Python's "
           f"objects, {resident:.0f} of the process; {after[1]} handles, {after[2]} threads as before")
    assert measured == (warm + times + 2 * traced) // LOOKS
    assert grown < effort(1500, 100)
    assert resident < effort(100_000, 100)
    assert after[1:] == before[1:]
