"""What serving platforms post of their requests and answers, as CloudEvents, kept in a folder that a model reads.

An event is acknowledged once its line is on disk. The three forms are those of the CloudEvents HTTP binding:
https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md
"""

import base64
import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from monitor.durable import sync_folder
from monitor.escape import json_text
from monitor.records import Json
from monitor.times import Clock
from monitor.untrusted import parse_json
from monitor.web.posts import Told

CAPTURES = "/v1/captures/"
EVENT_LIMIT = 1 << 20            # bytes of one request
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NEEDED = ("specversion", "id", "type", "source")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)     # RFC 3339


class Intake:
    """Appends the events posted under a name to the folder of that name, in a file for each day."""

    def __init__(self, folder: Callable[[], Path | None], clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()

    def takes(self, name: str) -> bool:
        return self._folder() is not None and _NAME.fullmatch(name) is not None

    def answer(self, name: str, headers: Mapping[str, str], body: bytes) -> Told:
        """Answer a POST of events under a name that it `takes`. Raises OSError where they cannot be kept."""
        folder, now = self._folder(), self._clock()
        if folder is None:      # taken out of the configuration this moment
            return Told(HTTPStatus.NOT_FOUND, "captures are not taken here")
        try:
            events = _events(headers, body)
            lines = "".join(f"{json_text({'time': now.isoformat(), **event})}\n" for event in events).encode()
        except ValueError as error:
            return Told(HTTPStatus.BAD_REQUEST, f"this is no CloudEvent: {error}")
        with self._lock:
            _append(folder / name / f"{now:%Y-%m-%d}.jsonl", lines)
        return Told(HTTPStatus.ACCEPTED, "kept")


def _events(headers: Mapping[str, str], body: bytes) -> list[Json]:
    """Return the events of a request. Raises ValueError with what is wrong."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/cloudevents-batch+json":
        found = parse_json(body)
        events = found if isinstance(found, list) else [found]
    elif kind == "application/cloudevents+json":
        events = [parse_json(body)]
    else:
        events = [_binary(headers, kind, body)]
    if not events:
        raise ValueError("the batch holds none")
    for event in events:
        _require_event(event)
    return events


def _require_event(event: Any) -> None:
    """Raise ValueError for what is no event; one with an absurd time would keep all others from being read."""
    given = event if isinstance(event, dict) else {}
    if missing := [name for name in _NEEDED if not given.get(name)]:
        raise ValueError(f"it has no {', '.join(missing)}")
    if wrong := [name for name in (*_NEEDED, "time") if name in given and not isinstance(given[name], str)]:
        raise ValueError(f"its {wrong[0]} is no text")
    if not _is_time(given.get("time")):
        raise ValueError("its time is none, expected one such as 2026-03-31T12:00:00Z")


def _is_time(text: str | None) -> bool:
    try:
        return text is None or (_TIME.fullmatch(text) is not None and bool(datetime.fromisoformat(text)))
    except ValueError:           # the 30th of February
        return False


def _binary(headers: Mapping[str, str], kind: str, body: bytes) -> Json:
    """The event whose attributes are headers and whose data are the body."""
    event: Json = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    return event | ({"datacontenttype": kind} if kind else {}) | _data(kind, body)


def _data(kind: str, body: bytes) -> dict[str, Any]:
    try:
        return {"data": parse_json(body) if kind.endswith("json") or not kind else body.decode()}
    except ValueError:
        return {"data_base64": base64.b64encode(body).decode()}


def _append(path: Path, lines: bytes) -> None:
    """Append lines and wait until they are on disk; what was written of them in vain is taken back. Raises OSError."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags, 0o640)
    try:
        there = os.fstat(file)
        if not stat.S_ISREG(there.st_mode):
            raise FileExistsError(17, "is no file", str(path))
        cut = there.st_size and os.pread(file, 1, there.st_size - 1) != b"\n"       # by an end amid a line
        try:
            _write(file, b"\n" + lines if cut else lines)
            os.fdatasync(file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, there.st_size)
            raise
        if not there.st_size:
            sync_folder(path.parent)
    finally:
        os.close(file)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data):]
