"""The store: the whole memory of driftd, opened and closed, in parts around one database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from monitor.store.aliases import Aliases
from monitor.store.audit import Audit
from monitor.store.callbacks import Callbacks
from monitor.store.checks import Checks
from monitor.store.configurations import Configurations
from monitor.store.database import Database, Heard
from monitor.store.episodes import Episodes, Firings
from monitor.store.future import Future
from monitor.store.gates import Gates
from monitor.store.lineage import Lineage
from monitor.store.messages import Messages
from monitor.store.moments import Moments
from monitor.store.promotions import Promotions
from monitor.store.references import References
from monitor.store.requests import Requests
from monitor.store.shadows import Shadows
from monitor.store.silences import Pauses, Silences
from monitor.store.snapshots import Snapshots, Verdicts, Windows
from monitor.store.state_folder import Lock, migrate, open_database, prepare
from monitor.store.sums import Seal
from monitor.store.tidy import Tidy
from monitor.store.trends import Trends
from monitor.times import WatchedClock


class Store:
    """Thread safe. Open it with `open` or `memory`; close it, or use it in a `with`."""

    def __init__(self, database: Database, lock: Lock | None = None, folder: Path | None = None) -> None:
        self._db = database
        self._held = lock
        self.folder = folder                     # None in memory
        self.audit = Audit(database, folder)
        self.configurations = Configurations(database, self.audit)
        self.windows = Windows(database)
        self.snapshots = Snapshots(database, self.windows)
        self.trends = Trends(database)
        self.verdicts = Verdicts(database, self.audit, self.windows)
        self.firings = Firings(database)
        self.episodes = Episodes(database, self.windows)
        self.requests = Requests(database, self.audit, self.windows, self.episodes)
        self.gates = Gates(database, self.audit)
        self.promotions = Promotions(database, self.audit, self.requests)
        self.references = References(database, self.audit, self.episodes, self.requests, self.promotions)
        self.aliases = Aliases(database, self.audit)
        self.shadows = Shadows(database, self.audit)
        self.callbacks = Callbacks(database)
        self.messages = Messages(database)
        self.pauses = Pauses(database, self.audit)
        self.silences = Silences(database, self.audit)
        self.lineage = Lineage(database)
        self.tidy = Tidy(database)
        self.future = Future(database, self.audit)
        self.moments = Moments(database)
        self.checks = Checks(
            database=database, snapshots=self.snapshots, verdicts=self.verdicts, firings=self.firings,
            episodes=self.episodes, requests=self.requests, references=self.references, promotions=self.promotions,
            messages=self.messages, pauses=self.pauses,
        )

    @classmethod
    def open(cls, path: Path, *, exclusive: bool = True) -> "Store":
        """Open the state folder, made if missing. A daemon holds it exclusively; commands beside it do not.

        Raises StateLocked naming the holder, StateError when the state is damaged, foreign or newer.
        """
        prepare(path)
        lock = Lock(path) if exclusive else None
        try:
            return cls(open_database(path, locked=exclusive), lock, path)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @classmethod
    def memory(cls) -> "Store":
        """A store that leaves no trace, for backtests."""
        database = Database(":memory:")
        migrate(database)
        return cls(database)

    def close(self) -> None:
        self._db.close()
        if self._held is not None:
            self._held.release()
            self._held = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> tuple[int, int]:
        """Another pair than before whenever anything was written since, by whomever."""
        return self._db.version()

    def seal(self) -> Seal:
        """Which state this is, after how many commits."""
        seal = self._db.seal()
        assert seal is not None          # every state that was opened has one
        return seal

    @property
    def fault(self) -> str | None:
        """Why the state could not be used when that was last tried; None once a write has succeeded since."""
        return self._db.fault

    def require_whole(self) -> None:
        """Raise StateError, a fault, where the state's files were removed, replaced or overwritten since."""
        self._db.require_whole(anew=True)

    def on_fault(self, heard: Heard) -> None:
        """Have `heard` called with the reason at each fault, and with None when a write succeeds again."""
        self._db.on_fault = heard

    def read_stamps_by(self, clock: WatchedClock) -> None:
        """Read moments that cooldowns, budgets and deadlines count from by what the clock knows of its jumps."""
        self._db.as_of_now = clock.as_of_now

    def as_of_now(self, stamp: datetime) -> datetime:
        """A stamp by what is known of the clock's jumps; itself without `read_stamps_by`."""
        return self._db.as_of_now(stamp)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside is kept together or not at all."""
        with self._db.transaction():
            yield
