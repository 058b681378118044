import json
import logging
import re
import socket
import threading

import pytest
import structlog

from monitor.daemon import systemd
from monitor.expose import logs


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_json_lines_hold_the_words_and_the_facts(capsys):
    """With `log_format = "json"` each line is one document with time, level and all keys."""
    logs.configure("json")
    structlog.get_logger("driftd").warning("Checked.", model="flights", rows=3)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("Checked.", "warning")
    assert (line["model"], line["rows"]) == ("flights", 3)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["text", "json"])
def test_passwords_in_addresses_are_not_logged(form, capsys):
    """Addresses with a password lose it, in our lines, in those of libraries and in tracebacks."""
    logs.configure(form)
    log = structlog.get_logger("driftd")
    log.info("Reading postgres://bob:hunter2@db/x", places=["https://bob:hunter2@host/"])
    logging.getLogger("some.library").warning("cannot reach %s", "mailto://bob:hunter2@mail")
    try:
        raise RuntimeError("postgres://bob:hunter2@db/x refused")
    except RuntimeError:
        log.exception("It failed.")
    text = capsys.readouterr().err
    assert "hunter2" not in text
    assert "refused" in text
    assert "cannot reach" in text


def test_text_lines_are_for_people(capsys):
    """The text form is one readable line without colours when nobody looks."""
    logs.configure("text")
    structlog.get_logger("driftd").info("Checked.", model="flights")
    text = capsys.readouterr().err
    assert "Checked." in text
    assert "model=flights" in text
    assert "\\x1b" not in text


def test_words_to_systemd_arrive(tmp_path, monkeypatch):
    """The lines go as one datagram to the socket that systemd names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.notify("READY=1", "STATUS=2 models")
        assert listener.recv(100) == b"READY=1\nSTATUS=2 models"


def test_no_systemd_is_no_error(monkeypatch, tmp_path):
    """Without a socket, or with one that is gone, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.notify("READY=1")


HOSTILE = "a\n2026-01-01T00:00:00Z [info] FORGED\r\x1b[2J\x1b]0;t\x07\x85\u2028\u202e\ud800" + "M" * 300_000


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_is_one_bounded_line(form, capsys):
    """Hostile texts, exceptions that quote them, stacks, libraries, threads and warnings: one line a record, no signs
    that act, JSON that is JSON."""
    logs.configure(form)
    log, library = structlog.get_logger("driftd"), logging.getLogger("some.library")
    log.info(HOSTILE, reason=HOSTILE, problems=[HOSTILE], facts={HOSTILE: HOSTILE}, other=object(), nan=float("nan"))
    library.warning("cannot read %s", HOSTILE)
    for logger in (log, library):
        try:
            raise RuntimeError(HOSTILE)
        except RuntimeError:
            logger.exception("It failed.")
    log.info("Here.", stack_info=True)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    written = capsys.readouterr().err
    lines = written.removesuffix("\n").split("\n")
    assert len(lines) == len(written.splitlines()) == 6
    assert written.replace("\n", "").isprintable()
    assert max(map(len, lines)) < 40_000
    assert sum("RuntimeError" in line for line in lines) == 2
    assert "ZeroDivisionError" in lines[-1]
    if form == "json":
        assert json.loads(lines[0])["event"].startswith("a\n2026")
        assert all("event" in json.loads(line) for line in lines)
    else:
        assert all(re.match(r"20\d\d-\d\d-\d\dT", line) for line in lines)
