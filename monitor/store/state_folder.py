"""The state folder: private, held by one daemon, migrated with a copy kept, refused when damaged or newer."""

import fcntl
import json
import os
import socket
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path

from monitor.durable import sync_folder
from monitor.errors import StateError, StateLocked
from monitor.store.audit import adopt, write_head
from monitor.store.database import Database, statements
from monitor.store.head_file import REMEDY, write_state_head
from monitor.store.proof import Heads, prove
from monitor.times import format_moment, utcnow
from monitor.untrusted import parse_json

DATABASE = "driftd.db"
LOCK = "driftd.lock"
SUMMED = 7               # since this version the rows add up to sums
DAMAGED = "restore a backup with driftd state restore"
CHAINS = "_audit.sql"    # how the migration is named that makes the audit a chain, whatever its number


class Lock:
    """An flock on a file that names its holder, gone with the process, however it ends.

    The folder is locked too, where its file system can: the file may be removed, and another one made.
    """

    def __init__(self, folder: Path) -> None:
        if (folder / LOCK).exists() and not (folder / LOCK).is_file():
            raise StateError(f"{folder / LOCK} is no file, so it cannot be held; remove it")
        self._fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _lock_folder(self._folder)
        except BlockingIOError:
            holder = _holder(self._fd)
            self.release()
            raise StateLocked(
                f"the state {folder} is held by {holder}; stop that one first, or use another state_dir"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(_me()).encode(), 0)

    def release(self) -> None:
        os.close(self._fd)
        os.close(self._folder)


def _lock_folder(fd: int) -> None:
    """Raises BlockingIOError where another process has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:          # not on every network file system
        return


def prepare(folder: Path) -> None:
    """Create the folder (0700) where it is missing. Raises StateError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be created: {error.strerror}") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise StateError(f"the state folder {folder} cannot be read and written by this user")


def open_database(folder: Path, *, locked: bool) -> Database:
    """Open the state in `folder`, made or migrated if need be. Raises StateError, StateLocked.

    Only a holder of the lock migrates; where `locked` is false an older state takes it for that long.
    """
    path, heads = folder / DATABASE, Heads.of(folder)
    if not path.exists():
        _create(path, heads)
    if path.stat().st_size == 0:
        raise StateError(f"the state {path} is empty, it was cut short; {DAMAGED}, or remove it to begin anew")
    database = Database(str(path))
    try:
        _check(database, heads)
        if _version(database) < newest_version():
            _migrate_held(database, folder, locked)
        _watch(database, folder)
    except BaseException:
        database.close()
        raise
    return database


def migrate(database: Database, since: int = 0) -> None:
    """Bring the schema from version `since` to the newest, one transaction."""
    with database.transaction():
        for number, path in _migrations():
            if number > since:
                database.script(statements(path))
                if path.name.endswith(CHAINS):
                    adopt(database)
        database.run("DELETE FROM meta WHERE name = 'schema_version'")
        database.insert("meta", {"name": "schema_version", "value": str(newest_version())})
        if newest_version() >= SUMMED:
            database.reseal()


def migrate_copy(path: Path) -> None:
    """Bring a database that nobody else has open to the newest version."""
    database = Database(str(path))
    try:
        database.all("PRAGMA journal_mode = WAL")
        version = _version(database)
        if version > newest_version():
            raise StateError(f"{path} has schema version {version}, this driftd knows up to {newest_version()}")
        if version < newest_version():
            migrate(database, version)
    finally:
        database.close()


def newest_version() -> int:
    return _migrations()[-1][0]


def _migrations() -> list[tuple[int, Path]]:
    folder = Path(str(files("monitor.store"))) / "migrations"
    return sorted((int(path.name[:4]), path) for path in folder.glob("[0-9]*.sql"))


def _create(path: Path, heads: Heads) -> None:
    """Build a new database beside its place and link it there whole, so that a half-made one is never met."""
    if heads.commits or heads.audit is not None:
        raise StateError(f"the state {path} is gone, but the files beside it know of it; {REMEDY}")
    if (path.parent / f"{path.name}-wal").exists():
        raise StateError(
            f"the state {path} is gone but its log {path.name}-wal is there; put it back, or remove both"
        )
    draft = path.parent / f".{path.name}.{os.getpid()}.new"
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    database = Database(str(draft))
    database.all("PRAGMA journal_mode = WAL")
    migrate(database)
    database.close()
    with suppress(FileExistsError):              # another process made it first: theirs is as good
        os.link(draft, path)
    draft.unlink()
    sync_folder(path.parent)


def _check(database: Database, heads: Heads) -> None:
    """Raises StateError for a state that is damaged, foreign, newer than this driftd or older than its heads."""
    version = _version(database)
    if version > newest_version():
        raise StateError(
            f"the state {database.where} has schema version {version}, this driftd knows up to "
            f"{newest_version()}; install the newer driftd, or restore the copy kept before it migrated"
        )
    if version >= SUMMED or database.seal() is not None:
        prove(database, heads)
    else:
        _check_unsealed(database, heads)


def _check_unsealed(database: Database, heads: Heads) -> None:
    """A state of a version that kept no sums."""
    problems = [row[0] for row in database.all("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise StateError(f"the state {database.where} is damaged: {'; '.join(problems)}; {DAMAGED}")
    if heads.commits:
        raise StateError(f"the state {database.where} is older than the files beside it; {REMEDY}")


def _watch(database: Database, folder: Path) -> None:
    """Keep the sums and the head of what is written from now on, and see what others write."""
    def keep_head() -> None:
        seal = database.seal()
        assert seal is not None
        write_state_head(folder, seal)

    def prove_anew() -> None:
        heads = Heads.of(folder)
        with closing(Database(database.where)) as beside:        # what this one holds in memory proves nothing
            prove(beside, heads)

    seal = database.seal()
    if seal is None:                 # only where a test goes back to an earlier version
        return
    if seal.commits == 0:
        write_state_head(folder, seal)
    database.watch(keep_head, prove_anew)


def _version(database: Database) -> int:
    if not database.all("SELECT 1 FROM sqlite_master WHERE name = 'meta'"):
        raise StateError(f"{database.where} is a database but not driftd's; use another state_dir")
    row = database.one("SELECT value FROM meta WHERE name = 'schema_version'")
    if row is None:
        raise StateError(f"the state {database.where} has no schema version; {DAMAGED}")
    try:
        return int(row["value"])
    except ValueError:
        raise StateError(f"the state {database.where} is damaged: its schema version is no number; {DAMAGED}") from None


def _migrate_held(database: Database, folder: Path, locked: bool) -> None:
    lock = None if locked else Lock(folder)
    try:
        version = _version(database)
        _keep_copy(database, folder / f"{DATABASE}.before-{newest_version():04d}")
        migrate(database, version)
        if any(number > version and path.name.endswith(CHAINS) for number, path in _migrations()):
            write_head(database, folder)
    finally:
        if lock is not None:
            lock.release()


def _keep_copy(database: Database, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    database.all("VACUUM INTO ?", str(copy))
    sync_folder(copy.parent)



def _me() -> dict[str, object]:
    now = format_moment(utcnow().replace(microsecond=0))
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _holder(fd: int) -> str:
    try:
        said = parse_json(os.pread(fd, 4096, 0))
        return f"process {said['pid']} on {said['host']} since {said['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
