"""Local copies of rows that cannot be read where they are, each made once and written atomically.

They lie below the state folder, or in a temporary folder of this process where there is no state.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

FOLDER = "source-copies"         # below the state folder
_NAME = "DRIFTD_COPIES"          # in the environment, so that worker processes use the same folder
_UNFINISHED = ".tmp"


def keep_in(state: Path) -> None:
    """Keep the copies below the state folder from now on, also those of child processes started later."""
    os.environ[_NAME] = str(state / FOLDER)


def folder_of(what: str) -> Path:
    """Return the folder for the copies of one source; made for the owner alone. Raises OSError."""
    if _NAME not in os.environ:
        made = tempfile.mkdtemp(prefix="driftd-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        os.environ[_NAME] = made
    folder = Path(os.environ[_NAME], what)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def written(path: Path, write: Callable[[Path], None], *, anew: bool = False) -> Path:
    """Return the path, written first if it is not there, or anew: whoever looks sees a whole file or none."""
    if anew or not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=_UNFINISHED, delete=False) as unfinished:
            part = Path(unfinished.name)
        try:
            write(part)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return path


def forget_others(folder: Path, wanted: Collection[Path]) -> None:
    """Remove the copies in a folder that are no longer wanted; unfinished ones belong to whoever writes them."""
    for path in folder.rglob("*"):
        if path not in wanted and path.is_file() and path.suffix != _UNFINISHED:
            path.unlink(missing_ok=True)
