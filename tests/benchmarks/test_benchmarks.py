"""The benchmarks can be run by anyone, on data they make themselves."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = [sys.executable, "-m", "benchmarks"]


def _say(*words: str) -> str:
    return subprocess.run([*BENCHMARKS, *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_sections_and_options_are_told() -> None:
    """`--help` names every section that has a place in docs/benchmarks.md."""
    told = "".join(_say("--help").split())
    places = re.findall(r"<!-- (\S+) -->", (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8"))
    assert [name for name in places if name not in told and name not in ("machine", "end")] == []


def test_a_small_window_is_measured_beside_reading_it() -> None:
    """The section `check` gives driftd's processor seconds as multiples of what Arrow takes to read the window."""
    rows = json.loads(_say("check", "--rows", "1000", "--runs", "1", "--json"))["sections"]["check"]["rows"]
    assert [row["what"] for row in rows if row["ratio"] == 1] == ["reading, strings as dictionaries"]
    assert next(row for row in rows if row["what"] == "driftd, one pass")["ratio"] > 0


def test_figures_of_another_size_are_not_written_into_the_docs() -> None:
    """`--write` with `--rows` is refused."""
    done = subprocess.run([*BENCHMARKS, "--rows", "1000", "--write"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "leave out --rows" in done.stderr) == (2, True)
