import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from monitor import client
from monitor.client import PredictionLog
from monitor.config.sections import SourceSection
from monitor.sources import open_source
from monitor.sources.ids import join_labels


def rows(folder: Path, kind: str = "predictions") -> list[dict[str, Any]]:
    files = sorted((folder / kind).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_prediction_and_its_label_come_back_as_a_source(tmp_path: Path) -> None:
    """What a service logs, driftd reads and joins."""
    with PredictionLog(tmp_path) as log:
        first = log.log({"age": 41, "town": "Évry"}, 1, probability=0.8, model_version="v1")
        log.log({"age": 7.5}, 0, id=17, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        log.label(first, 0)
        log.label(first, 1)
        log.label(17, 0, datetime(2026, 1, 2, tzinfo=UTC))
    zone = ZoneInfo("UTC")
    table = open_source(SourceSection(path=str(tmp_path / "predictions")), zone).read(None, timestamp="timestamp")
    labels = open_source(SourceSection(path=str(tmp_path / "labels")), zone).read(None, moments=["label_timestamp"])
    joined = join_labels(table, labels, "prediction_id", "label", "label_timestamp")
    assert joined["label"].to_pylist() == [1, 0]
    assert joined["age"].to_pylist() == [41.0, 7.5]
    assert joined["prediction_id"].to_pylist() == [first, "17"]
    assert joined["prediction_proba"].to_pylist() == [0.8, None]
    assert joined["timestamp"][1].as_py() == datetime(2026, 1, 1, tzinfo=UTC)


def test_rows_are_there_soon_without_closing(tmp_path: Path) -> None:
    """The daemon sees a row without waiting for a rotation."""
    with PredictionLog(tmp_path) as log:
        log.log({"a": 1}, 1)
        until(lambda: bool(rows(tmp_path)))


def test_values_json_does_not_know_are_written_all_the_same(tmp_path: Path) -> None:
    """NaN and infinity are null, NumPy numbers are numbers, moments are text, and own columns come first."""
    with PredictionLog(tmp_path) as log:
        log.log({"n": float("nan"), "i": np.float32("inf"), "k": np.int64(3), "b": np.bool_(True), "o": object,
                 "t": datetime(2026, 1, 1), "d": {"x": (1, 2)}, 5: "five", "prediction": "feature"}, np.float64(1.5))  # type: ignore[dict-item]  # a key that is no text
    row = rows(tmp_path)[0]
    assert [row[name] for name in ("n", "i", "k", "b", "t", "d", "5", "prediction")] == [
        None, None, 3, True, "2026-01-01T00:00:00", {"x": [1, 2]}, "five", 1.5,
    ]


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_nothing_the_caller_hands_over_can_hurt_it(tmp_path: Path) -> None:
    """Rows that cannot be written are counted; the next ones are."""
    with PredictionLog(tmp_path) as log:
        log.log({"a": Hostile()}, 1)
        log.log(None, 1)  # type: ignore[arg-type]  # what a careless service does
        log.log({"a": 1}, 1)
        assert log.flush()
        assert log.dropped == 2
        assert len(rows(tmp_path)) == 1


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk hangs, the service goes on."""
    disk = threading.Event()
    monkeypatch.setattr(client._Stream, "_append", lambda self, data: disk.wait(10) and None)
    log = PredictionLog(tmp_path, queue_size=5)
    for n in range(100):
        log.log({"n": n}, 1)
    assert log.dropped >= 100 - 2 * 5 - 1
    disk.set()
    log.close()


def test_a_folder_that_cannot_be_written_is_no_failure_of_the_service(tmp_path: Path) -> None:
    """Rows are counted as dropped, and written again once the folder can be."""
    (tmp_path / "log").write_text("a file is in the way")
    with PredictionLog(tmp_path / "log") as log:
        log.log({"a": 1}, 1)
        assert log.flush()
        assert log.dropped == 1
        (tmp_path / "log").unlink()
        log.log({"a": 2}, 1)
    assert [row["a"] for row in rows(tmp_path / "log")] == [2]


def test_files_rotate_by_size_and_by_age(tmp_path: Path) -> None:
    """A full or an old file is closed, and the next row begins another."""
    with PredictionLog(tmp_path / "size", rotate_bytes=1) as log:
        for n in range(3):
            log.log({"n": n}, 1)
            log.flush()
    assert len(list((tmp_path / "size/predictions").iterdir())) == 3
    assert [row["n"] for row in rows(tmp_path / "size")] == [0, 1, 2]
    with PredictionLog(tmp_path / "age", rotate_seconds=0) as log:
        log.log({}, 1)
        log.flush()
        log.log({}, 1)
    assert len(list((tmp_path / "age/predictions").iterdir())) == 2


def test_many_threads_share_one_log(tmp_path: Path) -> None:
    """Every row of every thread is there once, whole."""
    with PredictionLog(tmp_path) as log:
        threads = [threading.Thread(target=lambda: [log.log({"a": 1}, n) for n in range(200)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({row["prediction_id"] for row in rows(tmp_path)}) == 1600


def test_a_closed_log_counts_what_comes_later(tmp_path: Path) -> None:
    """Closing twice is fine; a late row is dropped, not an error."""
    log = PredictionLog(tmp_path)
    log.close()
    log.close()
    log.log({}, 1)
    assert log.flush()
    assert log.dropped == 1


SERVICE = """
import itertools, sys
from monitor.client import PredictionLog
log = PredictionLog(sys.argv[1], queue_size=10**9)
for n in itertools.count():
    log.log({"n": n, "text": "x" * 50}, 1)
    if n % 100 == 99:
        log.flush()
        print(n, flush=True)
"""


def test_a_killed_service_loses_only_what_was_not_written(tmp_path: Path) -> None:
    """After SIGKILL everything flushed is read back; half a line and a new process do no harm."""
    for _ in range(2):
        service = subprocess.Popen([sys.executable, "-c", SERVICE, tmp_path], stdout=subprocess.PIPE, text=True)
        assert service.stdout is not None
        acknowledged = [int(service.stdout.readline()) for _ in range(5)][-1]
        service.send_signal(signal.SIGKILL)
        service.wait()
        service.stdout.close()
    files = sorted((tmp_path / "predictions").iterdir())
    assert len(files) == 2
    with files[0].open("a") as file:
        file.write('{"timestamp": "2026-01-01T00:0')
    table = open_source(SourceSection(path=str(tmp_path / "predictions")), ZoneInfo("UTC")).read(["n"])
    assert table.num_rows >= 2 * (acknowledged + 1)
    assert sorted(table["n"].to_pylist())[: 2 * 500 : 2] == list(range(500))


def test_a_forked_worker_has_files_of_its_own(tmp_path: Path) -> None:
    """A log made before the fork works in parent and child, and no row is written twice."""
    program = (
        "import os, sys\n"
        "from monitor.client import PredictionLog\n"
        "log = PredictionLog(sys.argv[1])\n"
        "log.log({'who': 'before'}, 1)\n"
        "log.flush()\n"
        "child = os.fork()\n"
        "log.log({'who': 'parent' if child else 'child'}, 1)\n"
        "log.close()\n"
        "if child: os.waitpid(child, 0)\n"
        "os._exit(0) if not child else None\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=30)
    assert sorted(row["who"] for row in rows(tmp_path)) == ["before", "child", "parent"]
    assert len(list((tmp_path / "predictions").iterdir())) == 2


def test_preforked_workers_write_what_waits(tmp_path: Path) -> None:
    """Forked while rows wait, as gunicorn forks with --preload, and ended by sys.exit: each row is there once."""
    program = (
        "import os, sys\n"
        "from monitor.client import PredictionLog\n"
        "log = PredictionLog(sys.argv[1])\n"
        "for n in range(500): log.log({'who': -1, 'n': n}, 1)\n"
        "children = []\n"
        "for who in range(3):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        for n in range(500): log.log({'who': who, 'n': n}, 1)\n"
        "        sys.exit(log.dropped)\n"
        "    children.append(child)\n"
        "assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=30)
    logged = Counter((row["who"], row["n"]) for row in rows(tmp_path))
    assert logged == Counter((who, n) for who in range(-1, 3) for n in range(500))


FLEET = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from monitor.client import PredictionLog

folder, method, log = sys.argv[1], sys.argv[2], None

def serve(who):
    global log
    log = log or PredictionLog(folder)
    for n in range(500):
        log.log({"who": who, "n": n}, 1)

if __name__ == "__main__":
    context = multiprocessing.get_context(method)
    if "before" in sys.argv:
        serve("parent")
    processes = [context.Process(target=serve, args=(f"process {n}",)) for n in range(2)]
    for process in processes:
        process.start()
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(serve, "pool").result()
    for process in processes:
        process.join()
    if "after" in sys.argv:
        serve("parent")
"""


@pytest.mark.parametrize(
    ("method", "parent"), [("fork", "before"), ("fork", "after"), ("spawn", "before"), ("forkserver", "after")]
)
def test_processes_of_multiprocessing_write_what_waits(tmp_path: Path, method: str, parent: str) -> None:
    """They end without what atexit knows: each row of each of them is there once, and of the parent too."""
    program = tmp_path / "fleet.py"
    program.write_text(FLEET)
    environment = os.environ | {"PYTHONPATH": str(Path(client.__file__).parents[1])}
    command = [sys.executable, str(program), str(tmp_path / "log"), method, parent]
    subprocess.run(command, check=True, timeout=120, env=environment)
    logged = Counter((row["who"], row["n"]) for row in rows(tmp_path / "log"))
    assert logged == Counter((who, n) for who in ("process 0", "process 1", "pool", "parent") for n in range(500))


def test_an_interpreter_that_ends_writes_what_waits(tmp_path: Path) -> None:
    """Nobody has to call close."""
    program = (
        "import sys; from monitor.client import PredictionLog\n"
        "log = PredictionLog(sys.argv[1])\n"
        "for n in range(2500): log.log({'n': n}, 1)\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=30)
    assert len(rows(tmp_path)) == 2500


def test_the_client_needs_the_standard_library_only() -> None:
    """A service pays for no pyarrow, no pandas and no other part of driftd."""
    program = (
        "import sys; import monitor.client\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('numpy', 'pandas', 'pyarrow', 'pydantic')"
        " or name.startswith('monitor.') and name != 'monitor.client'])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_files_are_not_for_everyone(tmp_path: Path) -> None:
    """Predictions are about people: the owner and the group may read, others may not."""
    with PredictionLog(tmp_path) as log:
        log.log({}, 1)
    (file,) = (tmp_path / "predictions").iterdir()
    assert os.stat(file).st_mode & 0o007 == 0
