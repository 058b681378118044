"""Data files made to exhaust the reader or to run something in it."""

import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DEADLINE = 60                    # seconds, on a busy machine
# Protocol 0 of pickle: os.mkdir("ran") when it is loaded.
PICKLE = b"cos\nmkdir\n(S'ran'\ntR."


def _parquet(path: Path, metadata: dict[str, str]) -> None:
    table = pa.table({"x": pa.array([PICKLE] * 50, pa.binary())})
    pq.write_table(table.replace_schema_metadata(metadata), path)


def _words(path: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(30_000_000, np.int32)), pa.array(["y" * 1_000]))
    pq.write_table(pa.table({"x": words}), path)


def _numpy(path: Path) -> None:
    np.save(path.open("wb"), np.array([object()], dtype=object))


def _cut(path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(10_000)}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"\xff" * 200 + whole[400:])


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a pickle called Parquet": ("parquet", lambda path: path.write_bytes(PICKLE)),
    "a pickle called CSV": ("csv", lambda path: path.write_bytes(b"x,y\n" + PICKLE)),
    "a pickle called JSON lines": ("jsonl", lambda path: path.write_bytes(PICKLE)),
    "pickles as values": ("parquet", lambda path: _parquet(path, {"pandas": PICKLE.decode()})),
    "an Arrow schema that is none": ("parquet", lambda path: _parquet(path, {"ARROW:schema": "AAAA"})),
    "NumPy objects called Parquet": ("parquet", _numpy),
    "harmed pages": ("parquet", _cut),
    "a line of 40 MB": ("jsonl", lambda path: path.write_bytes(b'{"x": "' + b"y" * 40_000_000 + b'"}\n')),
    "a deep line": ("jsonl", lambda path: path.write_bytes(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")),
    "a deep line that never ends": ("jsonl", lambda path: path.write_bytes(b'{"x": ' * 100_000)),
    "a field of 40 MB": ("csv", lambda path: path.write_bytes(b'x,y\n1,"' + b"y" * 40_000_000 + b'"\n')),
    "200,000 columns": ("csv", lambda path: path.write_text(",".join(f"c{at}" for at in range(200_000)) + "\n")),
    "a quotation mark that never closes": ("csv", lambda path: path.write_bytes(b'x,y\n1,"' + b"2\n" * 3_000_000)),
    "zero bytes": ("csv", lambda path: path.write_bytes(b"\0" * 10_000_000)),
}
SLOW: dict[str, tuple[str, Callable[[Path], object]]] = {
    "words of 30 GB in kilobytes": ("parquet", _words),
    "CSV of 2 GB in 2 MB": ("csv.gz", lambda path: path.write_bytes(gzip.compress(b"x\n" + b"1\n" * 10**9, 1))),
}


@pytest.mark.torture(18)
def test_hostile_files(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """A file that would exhaust its reader ends `compare` in a sentence within limits; nothing in a file runs."""
    (tmp_path / "reference.csv").write_text("x\n" + "1\n" * 50)
    names = [*FILES, *SLOW][: effort(len(FILES), len(FILES) + len(SLOW))]
    names = names if effort(0, 1) else [names[(seed + step * 3) % len(names)] for step in range(2)]
    slowest = 0.0
    for name in names:
        ending, make = (FILES | SLOW)[name]
        make(tmp_path / f"bait.{ending}")
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "monitor", "compare", "reference.csv", f"bait.{ending}"], cwd=tmp_path, text=True,
            capture_output=True, timeout=300, errors="replace", check=False,
        )
        slowest = max(slowest, time.monotonic() - begun)
        assert ended.returncode in (0, 3, 4), (name, ended.stderr[-500:])
        assert "Traceback" not in ended.stderr, (name, ended.stderr[-500:])
        assert len(ended.stdout + ended.stderr) < 100_000, name
        assert not (tmp_path / "ran").exists(), name
    figure(f"{len(names)} hostile files: each judged or refused in a sentence, the slowest after {slowest:.1f} s")
    assert slowest < DEADLINE
