"""The store: the whole memory of driftd, and the transactions that keep it consistent."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from monitor.decide.episodes import supersede
from monitor.history import History
from monitor.metric_catalogue import REHEARSED
from monitor.records import Action, Dispatch, Episode, Firing, Message, Promotion, Reference, Silence, Snapshot, Verdict
from monitor.store import row_mapping
from monitor.store.by_people import People
from monitor.store.chain import DRIFTD
from monitor.store.database import Database, stamp, sure
from monitor.store.lineage import Lineage
from monitor.store.promotions import Promotions
from monitor.store.requests import Requests
from monitor.store.state_folder import Lock, migrate, open_database, prepare
from monitor.store.tidy import Tidy

PLACEBOS = 60    # so many of the newest windows tell how noisy a gain is, whatever their reference


class Store(Requests, People, Promotions, Lineage, Tidy):
    """Thread safe. Open it with `open` or `memory`; close it, or use it in a `with`."""

    def __init__(self, database: Database, lock: Lock | None = None, folder: Path | None = None) -> None:
        self._db = database
        self._held = lock
        self.folder = folder                     # None in memory

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

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside is kept together or not at all."""
        with self._db.transaction():
            yield

    def install_reference(
        self, ref: Reference, expected: str | None, at: datetime, *,
        needs: Collection[str] = (), configured: str | None = None,
    ) -> bool:
        """Make `ref` the current reference if that is still `expected`; else change nothing and return False.

        The need that stood against the old one is superseded, what was not sent of it withdrawn. With another version
        of the model a promotion has come: whether the need it answers goes away is awaited, where that is among
        `needs`. `configured` is the version in the configuration.
        """
        with self._db.transaction():
            current = self.reference(ref.model)
            if (current.id if current else None) != expected:
                return False
            self._db.insert("model_references", {
                "model": ref.model, "seq": len(self.references(ref.model)) + 1, "id": ref.id,
                "model_version": ref.model_version, "origin": ref.origin, "since": stamp(ref.since),
                "installed_at": stamp(at),
            })
            self.audit(at, DRIFTD, "reference", ref.model, details={
                "id": ref.id, "before": expected, "model_version": ref.model_version, "origin": ref.origin,
                "since": stamp(ref.since),
            })
            self._come_into_service(ref, current, needs, configured, at)
            standing = self.open_episode(ref.model)
            if standing is not None:
                self._end(supersede(standing), at)
            return True

    def note(self, firing: Firing, message: Message | None) -> None:
        """Remember and tell what was seen without a window, such as a source that cannot be read."""
        with self._db.transaction():
            self._save_firing([firing])
            if message is not None:
                self.add_message(message)

    def commit(
        self,
        snapshot: Snapshot,
        *,
        expected_reference: str,
        verdict: Verdict | None = None,
        firing: Iterable[Firing] = (),
        episode: Episode | None = None,
        ended: Episode | None = None,
        dispatch: Dispatch | None = None,
        withdraw: bool = False,
        messages: Iterable[Message] = (),
        recovery: Promotion | None = None,
    ) -> bool:
        """Write one check in one transaction; True when all of it was taken.

        When the model's reference is no longer `expected_reference`, or a person's request came in between,
        only the snapshot is kept. A revision that is known already changes nothing. `withdraw` takes back what
        was never sent of `episode`. `recovery`: a promotion as its need's end leaves it.
        """
        with self._db.transaction():
            snapshot_id = self._save_snapshot(snapshot)
            current = self.reference(snapshot.window.model)
            if snapshot_id is None or current is None or current.id != expected_reference:
                return False
            if ended is not None:
                self._save_episode(ended)
            standing = self.open_episode(snapshot.window.model)
            if episode is not None and standing is not None and standing.id != episode.id:
                return False
            if verdict is not None:
                self._db.insert("verdicts", row_mapping.verdict_row(snapshot_id, verdict))
                self._audit_verdict(snapshot, verdict)
            self._save_firing(firing)
            if episode is not None:
                self._save_episode(episode)
                if withdraw:
                    self._withdraw(episode.id, episode.reason, snapshot.taken_at)
            if dispatch is not None and episode is not None:
                self._save_dispatch(dispatch, self._newest_window(dispatch))
            for message in messages:
                self.add_message(message)
            if recovery is not None:
                self.note_recovery(recovery)
            return True

    def _audit_verdict(self, snapshot: Snapshot, verdict: Verdict) -> None:
        """Note a verdict about retraining, by names alone: the sentences stay with the verdict."""
        if verdict.action not in (Action.RETRAIN, Action.SUPPRESS):
            return
        self.audit(verdict.at, DRIFTD, f"verdict {verdict.action}", verdict.window.model, details={
            "window": [stamp(verdict.window.start), stamp(verdict.window.end)], "revision": verdict.revision,
            "fired": verdict.fired, "guards": verdict.guards, "reference": snapshot.reference_id,
            "model_version": snapshot.model_version, "config": snapshot.config_hash,
        })

    def history(
        self,
        model: str,
        reference: Reference,
        metrics: Collection[str] | None,
        *,
        now: datetime,
        run_timeout: timedelta,
        spec: str | None = None,
        silences: tuple[Silence, ...] = (),
    ) -> History:
        """What `decide` looks back on: newest revisions since the reference, with only the scores named."""
        accepted, pause = self._accepted(model), self.paused(model)
        return History(
            snapshots=tuple(self.snapshots(model, metrics=metrics, reference_id=reference.id, spec=spec)),
            before=self._before(model, reference, spec),
            firing={firing.trigger: firing for firing in self.firing(model)},
            episode=self.newest_episode(model),
            accepted=tuple(at for at, _ in accepted),
            paid_until=max((end for _, end in accepted), default=None),
            in_flight=self.in_flight(model, now, run_timeout),
            answered=self.answered(model, now, run_timeout),
            paused=f"{pause.by}: {pause.reason}" if pause else None,
            silences=silences,
            declined=self.declined(model, reference.id),
            reference=reference,
            promotion=self._promoted(reference),
        )

    def _promoted(self, reference: Reference) -> Promotion | None:
        """The version that came into service with this reference."""
        newest = self.newest_taken(reference.model)
        return newest if newest is not None and newest.reference_id == reference.id else None

    def _before(self, model: str, reference: Reference, spec: str | None) -> tuple[Snapshot, ...]:
        """The newest windows judged against other references, with what rehearsals said of them only."""
        found = self.snapshots(model, metrics=REHEARSED, spec=spec, limit=PLACEBOS)
        return tuple(one for one in found if one.reference_id != reference.id)

    def _accepted(self, model: str) -> list[tuple[datetime, datetime]]:
        """When each accepted request was accepted, and the end of the window it was made in; oldest first."""
        found = self._db.all(
            """SELECT d.accepted_at, w.end_at FROM dispatches d JOIN windows w ON w.id = d.window_id
               WHERE d.model = ? AND d.accepted_at IS NOT NULL ORDER BY d.accepted_at""",
            model,
        )
        return [(sure(row["accepted_at"]), sure(row["end_at"])) for row in found]
