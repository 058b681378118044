"""The folder of a stream, and the collector that fills it from a stream of this file: each row once, whatever comes."""

import errno
import json
import os
import random
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from monitor.collect import collector as collecting
from monitor.collect import folder as keeping
from monitor.collect.collector import Collector
from monitor.collect.folder import Folder
from monitor.collect.stream import Away, Message, message
from monitor.errors import SourceError, StateError, StateLocked

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.truncate"}


class Numbers:
    """A stream of two partitions that holds {"n": 0}, {"n": 1}, …; every seventh message is no row."""

    def __init__(self, size: int, at_once: int = 10) -> None:
        self.name, self.gaps = "stream numbers", list[str]()
        self.size, self._at_once, self.is_open = size, at_once, False

    def open(self, after: Mapping[str, str]) -> None:
        self.is_open, self._next = True, {part: int(after.get(part, -1)) + 1 for part in "01"}

    def read(self) -> Sequence[Message]:
        found = [(part, place) for part in "01" for place in range(self._next[part], self.size // 2)][: self._at_once]
        self._next.update({part: place + 1 for part, place in found})
        return [message(part, str(place), sent(part, place)) for part, place in found]

    @property
    def drained(self) -> bool:
        return all(place >= self.size // 2 for place in self._next.values())

    def note(self, after: Mapping[str, str]) -> None:
        assert self.is_open

    def close(self) -> None:
        self.is_open = False


def sent(part: str, place: int) -> bytes:
    number = 2 * place + int(part)
    return b"no row" if number % 7 == 0 else json.dumps({"n": number}).encode()


def drain(folder: Path, size: int, pause: Callable[[float], bool] = lambda _: False) -> None:
    with Folder(folder, "numbers") as kept:
        Collector(Numbers(size), kept, timedelta(minutes=5), pause, lambda _: None).drain()


def kept(folder: Path) -> tuple[list[int], list[int]]:
    """The numbers of all rows, and those of the messages that are none."""
    rows, apart = ([json.loads(line) for file in folder.glob(f"*/{name}-*.jsonl")
                    for line in file.read_text().splitlines()] for name in ("numbers", "_numbers"))
    return sorted(one["n"] for one in rows), sorted(2 * int(one["position"]) + int(one["partition"]) for one in apart)


def wanted(size: int) -> tuple[list[int], list[int]]:
    return [n for n in range(size) if n % 7], [n for n in range(size) if n % 7 == 0]


def in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(step: int) -> None:
    """Die before the file system is asked for the so-manieth thing."""
    left = iter(range(step))

    def hook(event: str, _: Any) -> None:
        if event in EVENTS and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file holds about ten rows."""
    monkeypatch.setattr(collecting, "LARGEST", 100)


@pytest.mark.usefixtures("small")
def test_killed_at_any_step_each_row_is_there_once(tmp_path: Path) -> None:
    """Whichever step on the file system is its last, the next run makes the folder whole, and so do two such ends."""
    def killed_at(step: int, folder: Path) -> None:
        die_at(step)
        drain(folder, 24)

    for step in range(1000):
        folder = tmp_path / str(step)
        folder.mkdir()
        ends = [in_child(partial(killed_at, step, folder)) for _ in range(2)]
        drain(folder, 24)
        assert kept(folder) == wanted(24), step
        assert not list(folder.rglob("*.tmp")), step
        if not any(ends):
            break
    assert 20 < step < 999


@pytest.mark.usefixtures("small")
def test_killed_at_random_moments_each_row_is_there_once(tmp_path: Path) -> None:
    """Twenty times in one folder, while the stream grows."""
    chance = random.Random(13)
    for turn in range(1, 21):
        child = os.fork()
        if not child:
            drain(tmp_path, 40 * turn)
            os._exit(0)
        ended = os.pidfd_open(child)
        select.select([ended], [], [], chance.uniform(0, 0.02))
        os.close(ended)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    drain(tmp_path, 40 * turn)
    assert kept(tmp_path) == wanted(40 * turn)


@pytest.mark.usefixtures("small")
def test_a_file_that_was_removed_is_read_again_if_it_was_the_newest(tmp_path: Path) -> None:
    """The folder says where to go on: without its newest files there, without older ones where it was."""
    drain(tmp_path, 60)
    oldest, *_, newest = sorted(tmp_path.glob("*/numbers-*.jsonl"))
    newest.unlink()
    drain(tmp_path, 60)
    assert kept(tmp_path) == wanted(60)
    gone = [json.loads(line)["n"] for line in oldest.read_text().splitlines()]
    oldest.unlink()
    drain(tmp_path, 80)
    assert kept(tmp_path)[0] == [n for n in wanted(80)[0] if n not in gone]


def test_half_a_line_of_the_journal_is_nothing(tmp_path: Path) -> None:
    """What a crash left at its end is passed over; damage before it is one sentence."""
    drain(tmp_path, 20)
    journal = tmp_path / "_numbers.journal"
    whole = journal.read_bytes()
    for end in (b'{"file": "2026', b"\0" * 50, b"{}\n"):
        journal.write_bytes(whole + end)
        drain(tmp_path, 20)
        assert kept(tmp_path) == wanted(20)
    journal.write_bytes(b"?\n" + b"{}\n")
    with pytest.raises(StateError, match=r"_numbers.journal is damaged; restore it, or collect into another folder"):
        drain(tmp_path, 20)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second one for the same stream is refused; another stream may go into the same folder."""
    held = [Folder(tmp_path, name) for name in ("numbers", "others")]
    with pytest.raises(StateLocked, match="another process collects numbers into it"):
        Folder(tmp_path, "numbers")
    for one in held:
        one.close()
    Folder(tmp_path, "numbers").close()


@pytest.mark.parametrize("name", ["_hidden", ".hidden", "a/b", "prediction s", "é*[x]", "a-b"])
def test_any_name_of_a_stream_is_a_name_of_files(tmp_path: Path, name: str) -> None:
    """They are not hidden, lie below the folder, and are found again."""
    with Folder(tmp_path, name) as folder:
        file = folder.add([b"{}"], [], {"0": "1"}, [])
    assert file.parent.parent == tmp_path
    assert file.name[0] not in "._"
    with Folder(tmp_path, name) as folder:
        assert folder.after == {"0": "1"}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("function", ["_write", "sync_folder"])
def test_a_full_disk_is_waited_for(tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile one sentence says so; then every row is there once. Without waiting it is one sentence."""
    works, said, asked = getattr(keeping, function), list[str](), list[float]()

    def full(*given: Any) -> None:
        if len(asked) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        works(*given)

    def pause(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) > 60 and kept(tmp_path)[0] == wanted(60)[0]

    monkeypatch.setattr(keeping, function, full)
    with Folder(tmp_path, "numbers") as folder:
        Collector(Numbers(60), folder, timedelta(microseconds=1), pause, said.append).follow()
    assert kept(tmp_path) == wanted(60)
    assert said[0] == (f"{tmp_path}: rows could not be written (no space left on device); they stay in stream numbers; "
                       "trying again")
    assert sum("trying again" in one for one in said) == 1
    assert "stream numbers: going on" in said
    asked.clear()
    with pytest.raises(SourceError, match=r"rows could not be written \(no space left"):
        drain(tmp_path, 80)


def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """Longer each time; what was read before is kept, and the end comes when it is asked for."""
    class Gone(Numbers):
        def read(self) -> Sequence[Message]:
            if pauses.count(0.0) > 2:
                raise Away("stream numbers: the server cannot be reached")
            return super().read()

    pauses, said = list[float](), list[str]()

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) > 20

    with Folder(tmp_path, "numbers") as folder:
        Collector(Gone(60), folder, timedelta(minutes=5), pause, said.append).follow()
        assert len(kept(tmp_path)[0]) + len(kept(tmp_path)[1]) == 20
    assert [seconds for seconds in pauses if seconds][:7] == [1, 2, 4, 8, 16, 32, 60]
    assert said[0] == "stream numbers: the server cannot be reached; trying again"


@pytest.mark.parametrize(("value", "row", "wrong"), [
    (b'{"a": 1}', b'{"a": 1}', ""),
    (b'\xef\xbb\xbf{\r\n "a":\n 1.10}\n', b'{   "a":  1.10}', ""),
    (b'{"a": "\\n", "a\\u00e9": 12345678901234567890}', b'{"a": "\\n", "a\\u00e9": 12345678901234567890}', ""),
    (b"{}", b"{}", ""),
    (None, None, "has no value"),
    (b"", None, "is not JSON"),
    (b"{", None, "is not JSON"),
    (b"[1]", None, "is not a JSON object"),
    (b'"{}"', None, "is not a JSON object"),
    (b'{"a": 1, "a": 2}', None, "has the key 'a' twice"),
    (b'{"a": "\xff"}', None, "is not UTF-8"),
    (b'{"a": "\\ud800"}', None, "is not JSON"),
    (b'{"a": "\n"}', None, "is not JSON"),
    (b'{"a": ' + b"[" * 1100 + b"]" * 1100 + b"}", None, "is nested deeper than 1000 objects and lists|is not JSON"),
    (b'{"a": "' + b"x" * (16 << 20) + b'"}', None, "is longer than 16777216 bytes"),
])
def test_what_is_a_row(value: bytes | None, row: bytes | None, wrong: str) -> None:
    """A JSON object, as it was sent, on one line; of anything else it is said why it is none."""
    made = message("0", "1", value)
    assert made.row == row
    assert made.wrong in wrong.split("|")
