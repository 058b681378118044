"""How many files somebody reads to follow one check."""

import gc
import inspect
import logging
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import FrameType

import pyarrow as pa

import monitor

FILES = 99    # in which a function runs; a file that a reader always opens together with another belongs into it


def _import_all() -> None:
    """What merely runs because a module is imported is no part of a check."""
    for module in pkgutil.walk_packages(monitor.__path__, "monitor."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


@contextmanager
def _noting(files: set[str]) -> Iterator[None]:
    """Note each file below monitor/ in which a function runs."""
    root, ran = f"{Path(monitor.__file__).parent}/", set[str]()

    def call(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:      # not the body of a class
            ran.add(frame.f_code.co_filename)

    sys.setprofile(call)
    try:
        yield
    finally:
        sys.setprofile(None)
    files |= {name.removeprefix(root) for name in ran if name.startswith(root) and not name.endswith("/__init__.py")}


def _with_plan(table: pa.Table) -> pa.Table:
    return table.append_column("plan", pa.array(["free" if row % 3 else "paid" for row in range(len(table))]))


def test_one_check_runs_in_few_files(world, made, caplog) -> None:
    """A window with drift, performance, segments, a rehearsal and estimates is checked in no more files than that."""
    world.write("reference.parquet", _with_plan(made.rows(-20, 20, label_after=made.HOUR, per_day=48)))
    world.write("log.parquet", _with_plan(made.rows(0, 1, label_after=made.HOUR, per_day=200)))
    world.model(
        {"name": "worse", "metric": "rmse", "rise": "20%"}, rehearsal={"enabled": True},
        columns={"segments": ["plan"]}, estimation={"enabled": True}, window=made.DAILY | {"lateness": "1h"},
    )
    _import_all()
    gc.collect()                             # what other tests left behind ends now, and not amid the check
    caplog.set_level(logging.CRITICAL)       # whoever set up the log before, how it is written is not counted
    files: set[str] = set()
    with _noting(files):
        verdicts = world.checker(1 + timedelta(hours=3) / made.DAY).check("m")
    assert world.days(verdicts) == [0]
    scored = {score.metric for score in world.snapshots()[0].scores if score.value is not None}
    assert {"drift", "rmse", "estimated_rmse", "challenger_gain"} <= scored
    assert any(score.segment == "plan=paid" for score in world.snapshots()[0].scores)
    assert len(files) <= FILES, "\n".join(sorted(files))
