"""Looks after one command, apart from the daemon; a script of its own: `python -I run_command.py <run folder>`.

Ends as soon as the command is about to start (0), or was started before (ALREADY); a child stays with it,
keeps its output, ends it when it runs over its time, and writes how it ended.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ALREADY = 3
OUTPUT_LIMIT = 10_000_000                    # bytes of output that are kept
GRACE_SECONDS = 10.0                         # between asking a command to end and killing it; for its last output


def main(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(folder / "started", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except (BlockingIOError, FileExistsError):
        return ALREADY
    _sync(folder)
    if os.fork():
        return 0
    try:
        write_private(folder / "exit.json", json.dumps(_run(folder, lock)))
    finally:
        os._exit(0)


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
        return {"code": None, "reason": f"the command could not be started: {error.strerror}"}
    assert process.stdout is not None
    reader = threading.Thread(target=_keep_output, args=(process.stdout, folder / "output.log"), daemon=True)
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
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            break
    return True


def _words(code: int, overdue: bool, seconds: float) -> str:
    if overdue:
        return f"the command ran over its time ({seconds:g} s) and was ended"
    return f"the command was killed by signal {-code}" if code < 0 else f"the command ended with exit code {code}"


def _keep_output(pipe: IO[bytes], path: Path) -> None:
    room = OUTPUT_LIMIT
    with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb", buffering=0) as log:
        while chunk := os.read(pipe.fileno(), 65_536):
            log.write(chunk[:room])
            room -= min(room, len(chunk))


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
