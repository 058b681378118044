"""Looks after one command, apart from the daemon; a script of its own: `python -I run_command.py <run folder>`.

Ends as soon as the command is about to start (0), or was started before (ALREADY); a child stays with it,
keeps its output, ends it when it runs over its time, and writes how it ended. With STAY behind the folder there is no
child: it stays itself.
"""

import base64
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

ALREADY = 3
STAY = "stay"
OUTPUT_LIMIT = 10_000_000                    # bytes of output that are kept
SHORTEST_SECRET = 4                          # what is shorter is no secret, and would garble the output
REDACTED = b"[a secret]"
WRITE_AGAIN = 5.0                            # seconds between two tries to write how it ended
HINTS = {                                    # where the command itself is found
    errno.ENOEXEC: ", a script needs a first line such as #!/bin/sh",
    errno.ENOENT: ", look at the first line of the script: what it names, and whether the line ends in CR LF",
}
GRACE_SECONDS = 10.0                         # between asking a command to end and killing it; for its last output


def main(folder: Path, *, stay: bool = False) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(folder / "started", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except (BlockingIOError, FileExistsError):
        return ALREADY
    _sync(folder)
    if not stay and os.fork():
        return 0
    try:
        _tell(folder / "exit.json", json.dumps(_run(folder, lock)))
    finally:
        os._exit(0)


def _tell(path: Path, ended: str) -> None:
    """Write how it ended; where the disk is full, again until there is room: until then it counts as running."""
    while path.parent.exists():
        with suppress(OSError):
            write_private(path, ended)
            break
        time.sleep(WRITE_AGAIN)


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync(path.parent)


def _run(folder: Path, lock: int) -> dict[str, Any]:
    """Run the plan to its end; the command shares the lock, so it counts as running even if this one dies."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    try:
        process = subprocess.Popen(
            plan["command"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, pass_fds=(lock,),
        )
    except OSError as error:
        hint = HINTS.get(error.errno or 0, "") if shutil.which(plan["command"][0]) else ""
        return {"code": None, "reason": f"the command could not be started: {error.strerror}{hint}"}
    assert process.stdout is not None
    hidden = Hidden([os.environ[name] for name in plan["secrets"]])
    reader = threading.Thread(target=_keep_output, args=(process.stdout, folder / "output.log", hidden), daemon=True)
    reader.start()
    overdue = _wait(process, plan["timeout"])
    reader.join(GRACE_SECONDS)               # not longer: a grandchild may hold the pipe open for ever
    return {"code": process.returncode, "reason": _words(process.returncode, overdue, plan["timeout"])}


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end; end the whole process group when the time is over. True when it was."""
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        pass
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):      # nobody is left, or they are another user's
            os.killpg(process.pid, how)
            _until_gone(process)
    return True


def _until_gone(process: subprocess.Popen[bytes]) -> None:
    """Wait until nobody of the group is left, which raises ProcessLookupError, or the grace is over."""
    over = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < over:
        process.poll()
        os.killpg(process.pid, 0)
        time.sleep(0.05)


def _words(code: int, overdue: bool, seconds: float) -> str:
    if overdue:
        return f"the command ran over its time ({seconds:g} s) and was ended"
    return f"the command was killed by signal {-code}" if code < 0 else f"the command ended with exit code {code}"


def _keep_output(pipe: IO[bytes], path: Path, hidden: "Hidden") -> None:
    """Read all of it, so that the command never waits for a reader; what a full disk does not take is left out."""
    room, more = OUTPUT_LIMIT, True
    with _log(path) as log:
        while more:
            more = bool(chunk := os.read(pipe.fileno(), 65_536))
            shown = hidden.take_out(chunk) if more else hidden.rest()
            with suppress(OSError):
                room -= log.write(shown[:room])


def _log(path: Path) -> FileIO:
    try:
        return FileIO(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w")
    except OSError:
        return FileIO(os.devnull, "w")


class Hidden:
    """Takes secrets out of a stream, also where one lies across two pieces of it.

    A secret is known as it is, as base64, in a URL, in JSON, and line by line. What may be the beginning of one is kept
    back until it is known.
    """

    def __init__(self, secrets: list[str]) -> None:
        forms = {form.encode() for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST_SECRET}
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)) or b"(?!)")
        self._kept = b""

    def take_out(self, chunk: bytes) -> bytes:
        """What may be shown so far."""
        text = self._kept + chunk
        open_from = len(text) - self._beginning(text)
        shown, at = [], 0
        for secret in self._pattern.finditer(text):
            if secret.start() >= open_from:
                break                        # perhaps a longer one begins there
            shown += [text[at:secret.start()], REDACTED]
            at = secret.end()
        end = max(at, open_from)
        self._kept = text[end:]
        return b"".join((*shown, text[at:end]))

    def rest(self) -> bytes:
        """What was kept back, at the end."""
        return self._pattern.sub(REDACTED, self._kept)

    def _beginning(self, text: bytes) -> int:
        """How many of the last bytes may be the beginning of a secret."""
        return max((_overlap(text, form) for form in self._forms), default=0)


def _overlap(text: bytes, form: bytes) -> int:
    """How many of the last bytes are the first ones of a form, but not all of it; the time is linear for most texts."""
    at, head = max(0, len(text) - len(form) + 1) - 1, form[:SHORTEST_SECRET]
    while (at := text.find(head, at + 1)) >= 0:
        if form.startswith(text[at:]):
            return len(text) - at
    return next((size for size in range(len(head) - 1, 0, -1) if text.endswith(form[:size])), 0)


def _forms(secret: str) -> list[str]:
    whole = base64.b64encode(secret.encode()).decode()
    return [secret, *secret.splitlines(), whole, whole.rstrip("="), quote(secret, safe=""), json.dumps(secret)[1:-1]]


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), stay=STAY in sys.argv[2:]))
