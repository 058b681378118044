"""Files and JSON of others: only regular files are opened, and every refusal is of the announced kind."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import SourceSection, load
from monitor.config.values import Secret
from monitor.config.web_file import TlsSection, read_web_file
from monitor.errors import ConfigError, SourceError
from monitor.outgoing import trust
from monitor.sources import open_source
from monitor.untrusted import open_file, parse_json, parse_yaml, read_bytes, read_text
from monitor.web.tls import tls_context


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


IRREGULAR: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "FIFO": os.mkfifo,
    "socket": _socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("kind", IRREGULAR)
def test_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    """What is no regular file is refused at once, and the refusal says why."""
    IRREGULAR[kind](tmp_path / "it")
    with pytest.raises(OSError, match=r"it is no regular file|symbolic links|No such file"):
        open_file(tmp_path / "it")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 5000])
def test_impossible_names(name: str, tmp_path: Path) -> None:
    """A name that no file can have is a file that cannot be read."""
    with pytest.raises(OSError, match=r"no file can have this name|too long"):
        read_bytes(tmp_path / name)


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    """A file as long as the limit is read, a longer one is refused, also one without a size."""
    (tmp_path / "it").write_bytes(b"abc")
    assert read_bytes(tmp_path / "it", 3) == b"abc"
    for place in (tmp_path / "it", Path("/proc/self/maps")):
        with pytest.raises(OSError, match="it is longer than 2 bytes"):
            read_bytes(place, 2)


def test_text_has_no_mark(tmp_path: Path) -> None:
    """The byte order mark that editors of Windows put first is no part of the text."""
    (tmp_path / "it").write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(tmp_path / "it") == "abc"


@pytest.mark.parametrize("text", [
    "[" * 100_000, '{"a":' * 100_000, "9" * 5000, "", "\0", "\ud800", b"\xff", '["\\ud800"]', '{"\\uDFff": 1}',
    '"\ud800"', b'"\xed\xa0\x80"',
])
def test_json_that_cannot_be_parsed(text: str | bytes) -> None:
    """JSON that is too deep, too long a number, or no JSON is always the same kind of error."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


REPEATED = st.builds(lambda sign, count: sign * count, st.sampled_from('[{"0'), st.integers(0, 9999))


@given(st.binary() | st.text() | REPEATED)
def test_any_json(text: bytes | str) -> None:
    """Whatever the text is, it is refused with ValueError or parsed; what was parsed can be written and read again."""
    try:
        parsed = parse_json(text)
    except ValueError:
        parsed = None
    assert repr(parse_json(json.dumps(parsed))) == repr(parsed)


def _ten(at: int) -> str:
    return f"[{', '.join([f'*a{at}'] * 10)}]"


YAML_BOMBS = {
    "anchors": "a0: &a0 [x, x]\n" + "".join(f"a{at}: &a{at} {_ten(at - 1)}\n" for at in range(1, 10)),
    "merged": "a0: &a0 {x: 1}\n" + "".join(f"a{at}: &a{at} {{<<: {_ten(at - 1)}}}\n" for at in range(1, 10)),
    "in itself": "&a [*a, *a]",
    "deep": "[" * 50_000,
    "long": "x" * 300_000,
    "another type": "!!python/object/apply:os.system ['false']",
    "not closed": "{",
    "a zero byte": "\0",
    "two documents": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("bomb", YAML_BOMBS)
def test_yaml_bombs(bomb: str, texts: bool) -> None:
    """YAML that would exhaust the parser, or that is none, is refused; no object is made from it."""
    if texts and bomb == "another type":
        assert parse_yaml(YAML_BOMBS[bomb], texts=texts) == ["false"]
        return
    with pytest.raises(ValueError, match=r"^it "):
        parse_yaml(YAML_BOMBS[bomb], texts=texts)


READERS: dict[str, Callable[[Path], object]] = {
    "a secret": lambda path: Secret("file", str(path)).reveal(),
    "certificates to trust": trust.context,
    "a certificate": lambda path: tls_context(TlsSection(cert_file=path, key_file=path), "web.yml"),
    "a web configuration": read_web_file,
    "a configuration": load,
    "a log": lambda path: open_source(SourceSection(path=str(path), format="csv"), ZoneInfo("UTC")).read(None),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", [kind for kind in IRREGULAR if kind != "folder"])
def test_every_reader_refuses_what_is_no_file(reader: str, kind: str, tmp_path: Path) -> None:
    """No reader waits for a FIFO or reads a device; each says in one line what it could not read."""
    IRREGULAR[kind](tmp_path / "it")
    with pytest.raises((ConfigError, SourceError, OSError), match="it") as refused:
        READERS[reader](tmp_path / "it")
    assert str(refused.value).count("\n") == 0
