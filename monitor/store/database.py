"""One SQLite connection, shared by threads, with nested transactions; nothing here knows a table."""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.errors import StateError, Stopping
from monitor.store import sums

Row = sqlite3.Row
PAGES_KIB = 512        # of the file in memory; the system's cache has the others
BUSY_SECONDS = 30.0    # how long a writer waits for another process's transaction

# Device, inode, bytes, when it was last written (ns): not its ctime, which SQLite changes when root opens it.
_File = tuple[int, int, int, int]
_Files = dict[str, _File | None]
_NO_FILE = (0, 0, 0, 0)
_PUT_BACK = "put it back, or stop driftd and restore a backup with driftd state restore"

Heard = Callable[[str | None], None]    # is told why the database could not be used, and None once a write succeeds


class Database:
    """Statements run one at a time under a lock; `transaction` nests, only the outermost commits.

    `frozen`: a file that nobody writes is only read, and nothing is made beside it.
    """

    def __init__(self, where: str, *, frozen: bool = False) -> None:
        self.where = where
        self._lock = threading.RLock()
        self._depth = 0
        self._closed = False
        self._afterwards: list[Callable[[], None]] = []
        self.fault: str | None = None        # why it could not be used; None again once a write has succeeded
        self.on_fault: Heard = lambda fault: None
        self.as_of_now: Callable[[datetime], datetime] = lambda stamp: stamp    # how stamps are read, see `times`
        self._kept = 0                       # changes that are on disk, or were rolled back
        self._sums: sums.Sums | None = None
        self._committed: Callable[[], None] | None = None
        self._commits = 0                    # that it is known to have had
        self._set_back: str | None = None    # it had fewer; commits of others do not bring back what was lost
        self._prove: Callable[[], None] | None = None    # raises StateError where the files do not hold what they must
        self._files: _Files = {}             # as they were after the last change that is known to be sound
        self._suspect: tuple[_Files, str | None] = {}, None      # as they were when proved last, and what was wrong
        address = f"{Path(where).absolute().as_uri()}?mode=ro&immutable=1" if frozen else where
        with _as_state_error(where):
            self._connection = sqlite3.connect(
                address, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=frozen
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.execute(f"PRAGMA cache_size = {-PAGES_KIB}")

    def all(self, sql: str, *values: Any) -> list[Row]:
        with self._using() as connection:
            return connection.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Row | None:
        rows = self.all(sql, *values)
        return rows[0] if rows else None

    def run(self, sql: str, *values: Any) -> int:
        """Run one statement that writes; return how many rows it changed."""
        with self.transaction(), self._writing() as connection:
            return connection.execute(sql, values).rowcount

    def insert(self, table: str, row: dict[str, Any], ending: str = "") -> int:
        """Insert one row; `ending` is an ON CONFLICT clause. Return how many rows were written."""
        return self.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks(row)}) {ending}", *row.values())

    def insert_many(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows that have the same columns."""
        if rows:
            names = ", ".join(rows[0])
            with self.transaction(), self._writing() as connection:
                connection.executemany(
                    f"INSERT INTO {table} ({names}) VALUES ({marks(rows[0])})", [tuple(row.values()) for row in rows]
                )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside together, or nothing of it."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self.all("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                if outermost:
                    self.require_whole()
                yield
                if outermost:
                    self._commit()
            except BaseException:
                if outermost:
                    self._roll_back()
                raise
            finally:
                self._depth -= 1
            if outermost:
                while self._afterwards:
                    self._afterwards.pop()()

    def afterwards(self, do: Callable[[], None]) -> None:
        """Have `do` called, once, when the transaction under way is committed; not when it is rolled back."""
        if do not in self._afterwards:
            self._afterwards.append(do)

    def watch(self, committed: Callable[[], None], prove: Callable[[], None]) -> None:
        """From now on keep the sums of what is written, and see who else changes the files.

        `committed` is called after each commit that wrote rows; `prove` raises StateError where the files do not hold
        what they must, seen through a connection of its own.
        """
        with self._using() as connection:
            self._sums, self._committed, self._prove = sums.Sums(connection), committed, prove
            self._commits = _commits(connection)
        self._files = self._found()

    def require_whole(self, *, anew: bool = False) -> None:
        """Raise StateError where the files are not those that were written: what is written to them would be lost.

        SQLite does not notice a file that was removed, replaced, or overwritten in its place. A change that is not of
        this connection is proved, which finds a commit of another process sound. `anew`: a change that was found
        unsound is proved once more. Files that are put back are the same again.
        """
        if self._prove is None:
            return
        with self._using() as connection:
            found = self._found()
            for path, file in self._files.items():
                if file is not None and (found[path] or _NO_FILE)[:2] != file[:2]:
                    raise StateError(f"the state {path} was removed or replaced while driftd used it; nothing is kept: "
                                     f"{_PUT_BACK}")
            if found != self._files:
                self._prove_anew(found, anew)
                self._files = found
            if (commits := _commits(connection)) < self._commits and self._set_back is None:
                self._set_back = (f"the state {self.where} was set back while driftd used it, from {self._commits} "
                                  f"commits to {commits}; nothing is kept: stop driftd and restore a backup with "
                                  "driftd state restore, or start it again to go on with what there is")
            if self._set_back is not None:
                raise StateError(self._set_back)
            self._commits = commits

    def _prove_anew(self, found: _Files, anew: bool) -> None:
        assert self._prove is not None
        if anew or self._suspect[0] != found:
            problem = None
            try:
                self._prove()
            except StateError as error:
                problem = str(error)
            self._suspect = found, problem
        if self._suspect[1] is not None:
            raise StateError(f"{self._suspect[1]} (it was changed by something else while driftd used it)")

    def _found(self) -> _Files:
        return {path: _file(path) for path in (self.where, f"{self.where}-wal")}

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, and all of it as it is at one moment, whoever writes meanwhile."""
        with self._using() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def copy_to(self, path: Path) -> None:
        """Write a copy of all as it is at one moment into a new file, whoever writes meanwhile."""
        with self._using() as connection, closing(sqlite3.connect(path)) as copy:
            connection.backup(copy)

    def scrub(self) -> None:
        """Bring every page home from the write-ahead log; what was deleted there is overwritten with zeros."""
        with self._lock:
            self.require_whole()
            self.all("PRAGMA wal_checkpoint(TRUNCATE)")
            self._files = self._found()

    def seal(self) -> sums.Seal | None:
        """Which state this is, after how many commits; None for one of a version that kept no sums."""
        if not self.all("SELECT 1 FROM sqlite_master WHERE name = 'seal'"):
            return None
        with self._using() as connection:
            return sums.read_seal(connection)

    def reseal(self, restored_at: datetime | None = None) -> None:
        """Work out all sums anew, in a transaction; `restored_at`: this is another state from then on."""
        with self._using() as connection:
            sums.reseal(connection, anew=restored_at is not None, restored_at=stamp(restored_at))

    def script(self, statements: Iterable[str]) -> None:
        with self.transaction():
            for statement in statements:
                self.run(statement)

    def version(self) -> tuple[int, int]:
        """A pair that is another one whenever anything was written since, here or by another process."""
        with self._lock:
            by_others = self.all("PRAGMA data_version")[0][0]
            return int(by_others), self._connection.total_changes

    def close(self) -> None:
        """Who is still at work on another thread gets Stopping from now on."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _commit(self) -> None:
        with self._using() as connection:
            wrote = self._sums is not None and self._sums.write()
            if wrote and self._committed is not None:
                self.afterwards(self._committed)
            connection.execute("COMMIT")
            self._commits += wrote
            self._files = self._found()
            self._note_success(connection)

    def _roll_back(self) -> None:
        self._afterwards.clear()
        with self._using() as connection:
            if self._sums is not None:
                self._sums.pending = {}
            if connection.in_transaction:        # SQLite may have done it by itself
                connection.execute("ROLLBACK")
            self._kept = connection.total_changes

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All that is executed inside is written, or nothing of it, also where somebody catches the error."""
        with self._using() as connection:
            before = dict(self._sums.pending) if self._sums is not None else {}
            connection.execute("SAVEPOINT statement")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:        # some errors have rolled all of it back
                    connection.execute("ROLLBACK TO statement")
                if self._sums is not None:
                    self._sums.pending = before
                raise
            finally:
                if connection.in_transaction:
                    connection.execute("RELEASE statement")

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise Stopping("The state is closed; what was under way is abandoned.")
            try:
                with _as_state_error(self.where):
                    yield self._connection
            except StateError as error:
                self.fault = str(error)
                self.on_fault(self.fault)
                raise

    def _note_success(self, connection: sqlite3.Connection) -> None:
        """A fault is over once something was written and committed, and not when a statement merely ran."""
        if connection.in_transaction or connection.total_changes == self._kept:
            return
        self._kept = connection.total_changes
        if self.fault is not None:
            self.fault = None
            self.on_fault(None)


@contextmanager
def _as_state_error(where: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise                                   # ours to know: a broken rule, or a bug
    except sqlite3.OperationalError as error:
        raise StateError(
            f"the state {where} cannot be used: {error}; check its permissions and the disk's free space, and whether "
            "driftd state check finds it whole"
        ) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:     # even SQLite's message may be no text
        said = f"the state {where} is damaged: {error}; restore a backup with driftd state restore"
        raise StateError(said) from error


def _file(path: str) -> _File | None:
    """Which file is in a place, and as of which write; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _commits(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT commits FROM seal").fetchone()
    return int(row[0]) if row else 0


def stamp(moment: datetime | None) -> str | None:
    """Write a moment so that text order is time order."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")


def sure(text: str) -> datetime:
    return datetime.fromisoformat(text)


def statements(path: Path) -> list[str]:
    """Split a migration into statements; it holds no semicolon inside text or comments."""
    lines = (line.split("--")[0] for line in path.read_text(encoding="utf-8").splitlines())
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


# One text whatever the number of values is: SQLite's connection keeps prepared statements by their text.
AMONG = "(SELECT value FROM json_each(?))"


def listed(values: Iterable[int | str]) -> str:
    """The text to give for the placeholder in AMONG."""
    return json.dumps(list(values))


def marks(values: Collection[object]) -> str:
    """One placeholder for each value. Where the number of values varies from call to call, use AMONG."""
    return ", ".join("?" * len(values))
