"""`state.head`, beside the database: which state it is and how many commits it had; so a database that is older shows.

It is written in place after each commit, without waiting for the disk: after a loss of power it may be behind, never
ahead. It has always the same length, within one sector, and a check of its own.
"""

import logging
import os
from hashlib import blake2b
from pathlib import Path

from monitor.errors import StateError
from monitor.store.sums import Seal
from monitor.untrusted import read_text

STATE_HEAD = "state.head"
_LOOKS = 5
_LENGTH = 32 + 1 + 20 + 1 + 16 + 1

_log = logging.getLogger(__name__)


def read_state_head(folder: Path) -> tuple[str, int] | None:
    """The state's name and its commits; None where there is no such file. Raises StateError."""
    place = folder / STATE_HEAD
    for _ in range(_LOOKS):              # another process may be writing it at this moment
        try:
            text = read_text(place)
            state, commits, _check = text.split(" ")
            if _text(state, int(commits)) == text:
                return state, int(commits)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{place} cannot be read: {error.strerror}") from None
        except ValueError:
            continue
    raise StateError(f"{place} is damaged, so nothing shows that the state is the newest; {REMEDY}")


def write_state_head(folder: Path, seal: Seal) -> None:
    """Keep what the seal says outside the database too. What is committed stays so if this fails."""
    try:
        # a FIFO in its place would wait for a reader; a link leads out of the folder
        fd = os.open(folder / STATE_HEAD, os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW, 0o600)
        try:
            new = os.fstat(fd).st_size != _LENGTH
            os.pwrite(fd, _text(seal.state, seal.commits).encode(), 0)
            if new:
                os.ftruncate(fd, _LENGTH)
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        _log.error("%s cannot be written: %s", folder / STATE_HEAD, error.strerror)


def _text(state: str, commits: int) -> str:
    said = f"{state} {commits:020d}"
    return f"{said} {blake2b(said.encode(), digest_size=8).hexdigest()}\n"


REMEDY = (
    "put back the files that are missing, or a backup with driftd state restore; driftd state accept goes on with what "
    "there is"
)
