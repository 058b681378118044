"""Harms to the state: it is refused with 5, or it is exactly what it was; a backup brings it back."""

import json
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.records import (
    Action,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Firing,
    Message,
    Reference,
    Score,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store import Store
from monitor.store.backups import back_up

T0, WEEK = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=7)
DATABASE, LOG, INDEX = "driftd.db", "driftd.db-wal", "driftd.db-shm"
CONFIG = '[models.m]\npredictions = "log.csv"\nreference = "log.csv"\n'
ROWS = "timestamp,prediction_id,x,prediction,label\n" + "".join(
    f"2026-01-{day:02},{day},{day % 7},{day % 2},{day % 3 % 2}\n" for day in range(1, 32)
)
PAGE = 4096


def fill(store: Store, first: int, weeks: int) -> None:
    """Windows with scores and verdicts; every third one asks for a retrain, which is sent."""
    for number in range(first, first + weeks):
        window = Window(model="m", start=T0 + number * WEEK, end=T0 + (number + 1) * WEEK, spec="7d")
        at, asks = window.end, number % 3 == 0
        need = Episode(id=Episode.new_id("m", "r", "pays", window), model="m", reference_id="r", trigger="pays",
                       window=window, state=EpisodeState.CLEARED, reason=f"waiting costs {number}")
        request = Dispatch(id=Dispatch.new_id(need.id, 1), episode_id=need.id, attempt=1, model="m", pipeline="p",
                           state=DispatchState.PENDING, body=json.dumps({"n": number}), created_at=at)
        scores = [Score(metric="drift", method="psi", column=f"c{n}", value=random.Random(number * n).random(), n=99)
                  for n in range(20)]
        taken = store.checks.commit(
            Snapshot(window=window, revision=0, taken_at=at, reference_id="r", model_version="1", config_hash="c",
                     code_version="0", rows=1000, labelled=900, late=0, sampled=1.0, mature=True,
                     status=SnapshotStatus.OK, reason=None, scores=tuple(scores)),
            expected_reference="r", episode=need if asks else None, dispatch=request if asks else None,
            verdict=Verdict(window=window, revision=0, at=at, action=Action.RETRAIN if asks else Action.HOLD,
                            fired=("pays",), guards=(), reasons=("3 > 2",)),
            firing=[Firing(model="m", trigger="pays", firing=asks, since=at, reason="3 > 2")],
            messages=[Message(id=f"n{number}", model="m", kind="firing", title="t", body="b", created_at=at)],
        )
        assert taken
        if asks:
            claimed = store.requests.claim(at)
            assert claimed is not None
            assert store.requests.record(_done(claimed), was=DispatchState.SENDING, at=at)


def _done(claimed: Dispatch) -> Dispatch:
    return replace(claimed, state=DispatchState.SUCCEEDED, accepted_at=claimed.sent_at, ended_at=claimed.sent_at)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A state as a kill leaves it, an older one of the same, and another state."""
    base = tmp_path_factory.mktemp("states")
    for name in ("work", "other"):
        with Store.open(base / name) as store:
            first = Reference(model="m", id="r", model_version="1", origin="log.csv", since=T0)
            assert store.references.install(first, None, T0)
            fill(store, 0, 12)
            shutil.copytree(base / name, base / f"{name}-older")
    with Store.open(base / "work") as store:
        fill(store, 12, 9)
        shutil.copytree(base / "work", base / "state")
        back_up(base / "work", base / "backup", T0 + 30 * WEEK)
    return {"backup": base / "backup", "state": base / "state", "older": base / "work-older", "other": base / "other"}


def flip(data: bytearray, pick: random.Random) -> None:
    data[pick.randrange(len(data))] ^= 1 << pick.randrange(8)


def scribble(data: bytearray, pick: random.Random) -> None:
    for _ in range(200):
        data[pick.randrange(len(data))] = pick.randrange(256)


def cut(data: bytearray, pick: random.Random) -> None:
    del data[pick.randrange(len(data)):]


def blank_page(data: bytearray, pick: random.Random) -> None:
    at = pick.randrange(len(data)) // PAGE * PAGE
    data[at:at + PAGE] = bytes(len(data[at:at + PAGE]))


def copy_page(data: bytearray, pick: random.Random) -> None:
    one, two = (pick.randrange(len(data) // PAGE) * PAGE for _ in "ab") if len(data) >= PAGE else (0, 0)
    data[one:one + PAGE] = data[two:two + PAGE]


def flip_header(data: bytearray, pick: random.Random) -> None:
    data[pick.randrange(min(100, len(data)))] ^= 1 << pick.randrange(8)


def empty(data: bytearray, pick: random.Random) -> None:
    data.clear()


def garbage(data: bytearray, pick: random.Random) -> None:
    data[:] = pick.randbytes(32768)


BYTES: list[Callable[[bytearray, random.Random], None]] = [
    flip, flip, flip, scribble, cut, blank_page, copy_page, flip_header, empty, garbage,
]
FILES = [DATABASE, DATABASE, DATABASE, LOG, LOG, INDEX, "audit.head", "state.head"]


def harm(state: Path, places: dict[str, Path], pick: random.Random) -> str:
    """Do one harm; return what it was."""
    name = pick.choice(FILES)
    kind = pick.choice(["bytes"] * 5 + ["gone", "swapped"])
    if kind == "gone":
        (state / name).unlink()
    elif kind == "swapped":
        source = pick.choice(("older", "other"))
        names = pick.choice([(name,), (DATABASE, LOG, INDEX), (DATABASE, LOG), (LOG, INDEX)])
        for one in names:
            (state / one).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copy(places[source] / one, state / one)
        return f"{', '.join(names)} of the {source} one"
    else:
        change = pick.choice(BYTES)
        data = bytearray((state / name).read_bytes())
        if data:
            change(data, pick)
        (state / name).write_bytes(data)
        return f"{change.__name__} in {name}"
    return f"{name} gone"


def dump(state: Path) -> list[str]:
    with sqlite3.connect(state / DATABASE) as database:
        rows = list(database.iterdump())
    database.close()
    return rows


def said(folder: Path, capsys: Any) -> dict[str, tuple[int, str, str]]:
    """What commands end with and say about the state in a folder."""
    (folder / "driftd.toml").write_text(CONFIG)
    (folder / "log.csv").write_text(ROWS)
    found = {}
    for command in ("status --json", "history --json", "audit verify"):
        capsys.readouterr()
        code = main([*command.split(), "-c", str(folder / "driftd.toml")])
        found[command] = code, *capsys.readouterr()
    return found


@pytest.mark.torture(5)
def test_a_harmed_state_is_refused_or_exact(
    places: dict[str, Path], tmp_path: Path, effort: Any, seed: int, figure: Any, capsys: Any
) -> None:
    """Whatever happens to its files, no command takes it for something it is not, and none ends with a traceback."""
    pick, times = random.Random(seed), effort(25, 200)
    state = tmp_path / "state"
    shutil.copytree(places["state"], state)
    expected, expected_dump = said(tmp_path, capsys), dump(state)
    assert [code for code, _, _ in expected.values()] == [0, 0, 0]
    found: Counter[str] = Counter()
    for _ in range(times):
        shutil.rmtree(state)
        shutil.copytree(places["state"], state)
        what = harm(state, places, pick)
        heard = said(tmp_path, capsys)
        codes = [code for code, _, _ in heard.values()]
        assert not any("Traceback" in err for _, _, err in heard.values()), (what, heard)
        if set(codes) == {5}:
            found["refused"] += 1
        else:                                # a head alone may be missing or old: that is what the audit says, with 3
            shown = {name: answer for name, answer in heard.items() if name != "audit verify" or answer[0] != 3}
            assert shown == {name: expected[name] for name in shown}, what
            assert dump(state) == expected_dump, what
            found["exact"] += 1
        assert main(["state", "restore", str(places["backup"]), "-c", str(tmp_path / "driftd.toml")]) == 0, what
        again = said(tmp_path, capsys)
        assert again["history --json"] == expected["history --json"], what
        assert [code for code, _, _ in again.values()] == [0, 0, 0], what
    assert min(found["refused"], found["exact"]) > 0
    figure(f"{times} harms: {found['refused']} refused, {found['exact']} exact, 0 accepted otherwise, 0 tracebacks; a "
           "backup brought each back")


def a_fifo(place: Path) -> None:
    os.mkfifo(place)


def a_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def a_folder(place: Path) -> None:
    place.mkdir()


@pytest.mark.torture(5)
@pytest.mark.parametrize("put", [a_fifo, a_device, a_folder])
def test_what_is_no_file_is_not_read_as_one(
    places: dict[str, Path], tmp_path: Path, put: Callable[[Path], None], capsys: Any
) -> None:
    """A FIFO would keep the reader waiting for ever, a device never ends: neither in place of any file of the state."""
    state = tmp_path / "state"
    (tmp_path / "driftd.toml").write_text(CONFIG)
    for name in (*dict.fromkeys(FILES), "driftd.lock"):
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(places["state"], state)
        (state / name).unlink(missing_ok=True)
        put(state / name)
        assert main(["status", "-c", str(tmp_path / "driftd.toml")]) in (0, 5), (name, capsys.readouterr())
        assert main(["run", "-c", str(tmp_path / "driftd.toml")]) == 5, (name, capsys.readouterr())
        back = main(["state", "restore", str(places["backup"]), "-c", str(tmp_path / "driftd.toml")])
        assert back == (5 if name == "driftd.lock" else 0), (name, capsys.readouterr())
