"""driftd beside its peers: the same columns of the same files, each peer in an environment of its own.

Counted on both sides: everything from the window's file to the numbers. Not counted: imports, and whatever is made
once from the reference (a fit, a profile, frames in memory).
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.check import COLUMNS, LARGE, USUAL
from benchmarks.data import Made, Size, made
from benchmarks.rows import Absent, Asked, Row
from benchmarks.running import Cost, Runner, in_turns, runner
from monitor.cli.terminal import progress

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent / ".bench"      # environments, made once for each list of versions
OWN = "driftd"                     # whose environment has the peer already
AHEAD = "> 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer: its runner, its list of versions (or OWN), and which work of driftd's and which goal stand beside each
    of its works."""

    name: str
    script: str
    versions: str
    works: Mapping[str, tuple[str, str]]
    slow: bool = False


PEERS = (
    Peer(name="Evidently", script="evidently", versions=OWN, works={
        "psi": ("psi", "≥ 10"),
        "wasserstein + jensenshannon": ("wasserstein + jensenshannon", "≥ 8"),
        "ks + chisquare": ("ks + chisquare", "≥ 2.5"),
    }),
    Peer(name="Evidently", script="evidently", versions=OWN, slow=True, works={
        "DataDriftPreset": ("wasserstein + jensenshannon", "≥ 60"),
    }),
    Peer(name="NannyML", script="nannyml", versions="nannyml", works={
        "jensen_shannon": ("jensenshannon", AHEAD),
    }),
    Peer(name="alibi-detect", script="alibi_detect", versions="alibi-detect", works={
        "ks + chi2": ("ks + chisquare", AHEAD),
    }),
    Peer(name="whylogs", script="whylogs", versions="whylogs", works={
        "profile, ks + chi-square": ("ks + chisquare", AHEAD),
    }),
    Peer(name="frouros", script="frouros", versions="frouros", works={
        "psi + chi-square": ("psi + chisquare", AHEAD),
        "js + chi-square": ("jensenshannon + chisquare", AHEAD),
        "ks + chi-square": ("ks + chisquare", AHEAD),
    }),
)


def usual(asked: Asked) -> list[Row]:
    """Each peer and driftd in turns, a window of 100,000 rows. Raises Absent where no peer can be had."""
    return _peers(Size(rows=asked.rows or USUAL, columns=COLUMNS), asked)


def large(asked: Asked) -> list[Row]:
    """The same for a window of a million rows."""
    return _peers(Size(rows=LARGE, columns=COLUMNS), asked)


def _peers(size: Size, asked: Asked) -> list[Row]:
    rows: list[Row] = []
    with made(size) as files, runner(sys.executable, "driftd", files) as ours:
        for peer in PEERS:
            if peer.slow and not asked.slow:
                continue
            try:
                rows += _beside(peer, ours, files, 1 if peer.slow else asked.runs)
            except Absent as reason:
                click.echo(f"{peer.name}: skipped, {reason}", err=True)
    if not rows:
        raise Absent("no peer could be installed")
    return rows


def _beside(peer: Peer, ours: Runner, files: Made, runs: int) -> list[Row]:
    python = environment(peer.versions)
    with progress(f"{peer.name}, {files.size}") as report, runner(str(python), peer.script, files) as theirs:
        pairs = [(work, own) for work, (own, _) in peer.works.items()]
        turns = [turn for work, own in pairs for turn in ((theirs, work), (ours, own))]
        costs = in_turns(turns, files, runs, report)
    held = files.size.rows in (USUAL, LARGE)      # the goals are for these
    return [
        _row(f"{peer.name}, {work}", goal if held else "", *costs[2 * place : 2 * place + 2])
        for place, (work, (_, goal)) in enumerate(peer.works.items())
    ]


def _row(what: str, goal: str, theirs: Cost, ours: Cost) -> Row:
    return Row(
        what=what, value=theirs.seconds, ratio=theirs.seconds / ours.seconds, goal=goal,
        also={"reading": theirs.reading, "driftd": ours.seconds, "differs": difference(theirs.values, ours.values)},
    )


def difference(theirs: Mapping[str, float], ours: Mapping[str, float]) -> str:
    """The largest relative difference of the numbers both have; empty where there are none."""
    held = theirs.keys() & ours.keys()
    apart = [abs(theirs[key] - ours[key]) / max(abs(theirs[key]), abs(ours[key])) for key in held
             if theirs[key] != ours[key]]
    return f"{max(apart, default=0.0):.1g}" if held else ""


def environment(versions: str) -> Path:
    """Return the Python that has a peer, installing it on first use and when its list of versions has changed.

    Raises Absent where it cannot be installed.
    """
    if versions == OWN:
        return Path(sys.executable)
    wanted = HERE / "environments" / f"{versions}.txt"
    folder, done = KEPT / versions, KEPT / f"{versions}.txt"
    python = folder / "bin/python"
    if not done.exists() or done.read_bytes() != wanted.read_bytes():
        click.echo(f"installing {versions} into {folder.relative_to(HERE.parent)} …", err=True)
        done.unlink(missing_ok=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r",
              str(wanted)])
        done.write_bytes(wanted.read_bytes())
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise Absent(f"it cannot be installed: {words[-1]}")
