"""Retrain requests on their way to a pipeline (the outbox)."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitor.decide.episodes import PERSON, give_way
from monitor.errors import UsageError
from monitor.records import Dispatch, DispatchState, Episode, Reference
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import Database, Row, marks, stamp, sure
from monitor.store.episodes import Episodes
from monitor.store.rows import record_of, records_of, row_of
from monitor.store.snapshots import Windows
from monitor.times import utcnow

UNENDED = (
    DispatchState.PENDING, DispatchState.SENDING, DispatchState.AMBIGUOUS, DispatchState.QUEUED,
    DispatchState.RUNNING, DispatchState.BLOCKED,
)
LEASE = timedelta(minutes=5)     # how long a claimed dispatch is left to the one who claimed it


class Requests:
    def __init__(self, database: Database, audit: Audit, windows: Windows, episodes: Episodes) -> None:
        self._db = database
        self._audit = audit
        self._windows = windows
        self._episodes = episodes

    def get(self, dispatch_id: str) -> Dispatch | None:
        """The request of this id."""
        row = self._db.one("SELECT * FROM dispatches WHERE id = ?", dispatch_id)
        return None if row is None else record_of(Dispatch, row)

    def all(
        self, model: str | None = None, states: Collection[DispatchState] | None = None
    ) -> list[Dispatch]:
        """Dispatches, oldest first; of one model, in some states."""
        only = "" if states is None else f"AND state IN ({marks(states)})"
        found = self._db.all(
            f"SELECT * FROM dispatches WHERE model = COALESCE(?, model) {only} ORDER BY created_at, id",
            model, *(states or ()),
        )
        return records_of(Dispatch, found)

    def in_flight(self, model: str, now: datetime, run_timeout: timedelta) -> Dispatch | None:
        """A request of the model that is under way, or was delivered less than `run_timeout` ago."""
        row = self._db.one(
            f"""SELECT * FROM dispatches WHERE model = ? AND state IN ({marks(UNENDED)})
                ORDER BY created_at DESC LIMIT 1""",
            model, *UNENDED,
        ) or self._delivered(model, now - run_timeout)
        return None if row is None else record_of(Dispatch, row)

    def _delivered(self, model: str, since: datetime) -> Row | None:
        """The model's newest request of whose end nobody will tell, if it was delivered since."""
        row = self._db.one(
            """SELECT * FROM dispatches WHERE model = ? AND state = 'delivered' AND accepted_at IS NOT NULL
               ORDER BY accepted_at DESC LIMIT 1""",
            model,
        )
        return row if row is not None and self._db.as_of_now(sure(row["accepted_at"])) > since else None

    def answered(self, model: str, now: datetime, run_timeout: timedelta) -> bool:
        """Whether the newest episode's last request ended well: succeeded, or delivered at least `run_timeout` ago."""
        row = self._db.one(
            """SELECT d.state, d.accepted_at FROM dispatches d JOIN episodes e ON e.id = d.episode_id
               WHERE e.model = ? ORDER BY e.seq DESC, d.attempt DESC LIMIT 1""",
            model,
        )
        if row is None or row["accepted_at"] is None:
            return False
        return row["state"] == "succeeded" or (
            row["state"] == "delivered" and self._db.as_of_now(sure(row["accepted_at"])) + run_timeout <= now
        )

    def accepted(self, model: str) -> list[tuple[datetime, datetime]]:
        """When each accepted request was accepted, and the end of the window it was made in; oldest first."""
        found = self._db.all(
            """SELECT d.accepted_at, w.end_at FROM dispatches d JOIN windows w ON w.id = d.window_id
               WHERE d.model = ? AND d.accepted_at IS NOT NULL ORDER BY d.accepted_at""",
            model,
        )
        seen = [(self._db.as_of_now(sure(row["accepted_at"])), sure(row["end_at"])) for row in found]
        return sorted((at, min(end, self._db.as_of_now(end))) for at, end in seen)

    def answered_need(self, reference: Reference) -> str | None:
        """The trigger of the need against this reference whose request was accepted last."""
        row = self._db.one(
            """SELECT e.trigger_name FROM dispatches d JOIN episodes e ON e.id = d.episode_id
               WHERE e.model = ? AND e.reference_id = ? AND d.accepted_at IS NOT NULL
               ORDER BY d.accepted_at DESC LIMIT 1""",
            reference.model, reference.id,
        )
        return None if row is None else str(row["trigger_name"])

    def with_new_version(self, model: str) -> list[Dispatch]:
        """Runs that ended well and said which version they made, oldest first."""
        done = self.all(model, (DispatchState.SUCCEEDED,))
        return [request for request in done if request.new_version is not None]

    def add(self, dispatch: Dispatch, episode: Episode | None = None) -> None:
        """Write a person's request, with its episode where that is new; it takes the place of a standing need.

        Raises UsageError when a request of the model is under way, or this one exists already.
        """
        with self._db.transaction():
            self._nothing_under_way(dispatch.model, dispatch.created_at)
            if self.get(dispatch.id) is not None:
                raise UsageError(f"the request {dispatch.id} exists already; expected a new attempt")
            if episode is not None:
                self._replace_need(episode, dispatch.created_at)
            self.write(dispatch)

    def add_for_approval(self, episode: Episode, at: datetime) -> None:
        """Write a person's request that waits for another's word; it takes the place of a standing need.

        Raises UsageError when a request of the model is under way, or this one was made already.
        """
        with self._db.transaction():
            self._nothing_under_way(episode.model, at)
            if self._episodes.get(episode.id) is not None:
                raise UsageError(f"{episode.model}: the same was asked for already, see driftd status")
            self._replace_need(episode, at)

    def next_attempt(self, episode_id: str) -> int:
        """The number of the next request for this need: 1, 2, …"""
        row = self._db.one("SELECT MAX(attempt) AS top FROM dispatches WHERE episode_id = ?", episode_id)
        return 1 + ((row["top"] or 0) if row else 0)

    def claim(self, now: datetime) -> Dispatch | None:
        """Take one due dispatch, so that no other sender gets it too.

        A pending one comes back as `sending`, one try older. An ambiguous one stays so; `record` it as `sending`
        before sending it again. Either is out of the others' sight for LEASE: one that is still `sending` then
        comes back as ambiguous, since what became of it was never recorded.
        """
        while (row := self._due(now)) is not None:
            found = record_of(Dispatch, row)
            taken = replace(_claimed(found, now), next_try_at=now + LEASE)
            with self._db.transaction():
                if self._swap(taken, "state = ? AND next_try_at = ?", found.state, row["next_try_at"]):
                    self._audit_dispatch(taken, found.state, now)
                    return taken
        return None

    def record(self, dispatch: Dispatch, *, was: DispatchState, at: datetime | None = None) -> bool:
        """Write what became of a dispatch (`at`: now); False, and nothing written, when its state is no longer `was`.

        A change of its state is audited.
        """
        with self._db.transaction():
            if not self._swap(dispatch, "state = ?", was):
                return False
            self._audit_dispatch(dispatch, was, at or utcnow())
            return True

    def recover(self, now: datetime) -> list[Dispatch]:
        """At start: what was being sent when the last daemon ended is ambiguous, and due."""
        lost = self.all(states=[DispatchState.SENDING])
        changed = [replace(_lost(d, "driftd ended while this was being sent"), next_try_at=now) for d in lost]
        return [d for d in changed if self.record(d, was=DispatchState.SENDING, at=now)]

    def _due(self, now: datetime) -> Row | None:
        return self._db.one(
            """SELECT * FROM dispatches WHERE state IN ('pending', 'ambiguous', 'sending') AND next_try_at <= ?
               ORDER BY next_try_at, id LIMIT 1""",
            stamp(now),
        )

    def _swap(self, dispatch: Dispatch, condition: str, *values: Any) -> bool:
        row = row_of(dispatch)
        sets = ", ".join(f"{name} = ?" for name in row)
        changed = self._db.run(
            f"UPDATE dispatches SET {sets} WHERE id = ? AND {condition}", *row.values(), dispatch.id, *values
        )
        return changed == 1

    def write(self, dispatch: Dispatch) -> None:
        """Write a new dispatch; one withdrawn before it was sent comes back when the same need returns."""
        dispatch = self._in_doubt(dispatch)
        row = row_of(dispatch) | {"window_id": self._newest_window(dispatch)}
        if dispatch.state == DispatchState.PENDING and dispatch.next_try_at is None:
            row["next_try_at"] = stamp(dispatch.created_at)
        written = self._db.insert(
            "dispatches", row,
            """ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body, ended_at = NULL,
               next_try_at = excluded.next_try_at, reason = excluded.reason, unclear = excluded.unclear
               WHERE dispatches.state = 'withdrawn'""",
        )
        if written:
            self._audit_dispatch(dispatch, None, dispatch.created_at)

    def _in_doubt(self, dispatch: Dispatch) -> Dispatch:
        """A need of before a restore may have been sent by the state that was replaced: its request is ambiguous."""
        seal = self._db.seal() if dispatch.state == DispatchState.PENDING and dispatch.attempt == 1 else None
        if seal is None or seal.restored_at is None:
            return dispatch
        found = self._db.one(
            """SELECT 1 FROM episodes e JOIN windows w ON w.id = e.window_id
               WHERE e.id = ? AND e.trigger_name != ? AND w.end_at <= ?""",
            dispatch.episode_id, PERSON, seal.restored_at,
        )
        if found is None:
            return dispatch
        reason = "it may have been sent by the state that this one replaced"
        return replace(
            dispatch, state=DispatchState.AMBIGUOUS, unclear=1, next_try_at=dispatch.created_at, reason=reason
        )

    def withdraw(self, episode_id: str, reason: str, at: datetime) -> None:
        """Take back what the pipeline cannot have accepted."""
        unsent = "episode_id = ? AND state = 'pending' AND unclear = 0"
        for row in self._db.all(f"SELECT * FROM dispatches WHERE {unsent}", episode_id):
            withdrawn = replace(record_of(Dispatch, row), state=DispatchState.WITHDRAWN)
            self._audit_dispatch(withdrawn, DispatchState.PENDING, at)
        self._db.run(
            f"UPDATE dispatches SET state = 'withdrawn', next_try_at = NULL, ended_at = ?, reason = ? WHERE {unsent}",
            stamp(at), reason, episode_id,
        )

    def _audit_dispatch(self, dispatch: Dispatch, was: DispatchState | None, at: datetime) -> None:
        """Note a change of state. What the other side said is not noted: it may be anything."""
        if dispatch.state == was:
            return
        told = {
            "from": was, "to": dispatch.state, "model": dispatch.model, "pipeline": dispatch.pipeline,
            "tries": dispatch.tries, "url": dispatch.url, "model_version": dispatch.new_version,
        }
        known = {name: value for name, value in told.items() if value is not None}
        self._audit.note(at, DRIFTD, f"request {dispatch.state}", dispatch.id, details=known)

    def _replace_need(self, episode: Episode, at: datetime) -> None:
        standing = self._episodes.standing(episode.model)
        if standing is not None and standing.id != episode.id:
            self.end_need(give_way(standing, episode.reason), at)
        self._episodes.save(episode)

    def _nothing_under_way(self, model: str, at: datetime) -> None:
        under_way = self.in_flight(model, at, timedelta(0))
        if under_way is not None:
            raise UsageError(
                f"{model} has a request under way, {under_way.id} ({under_way.state}); "
                "wait for its end, or driftd resolve it"
            )

    def end_need(self, episode: Episode, at: datetime) -> None:
        """Write an episode that has ended, and take back what was never sent of it."""
        self._episodes.save(episode)
        self.withdraw(episode.id, episode.reason, at)

    def _newest_window(self, dispatch: Dispatch) -> int:
        row_id = self._windows.newest_row_id(dispatch.model, dispatch.created_at)
        if row_id is not None:
            return row_id
        row = self._db.one("SELECT window_id FROM episodes WHERE id = ?", dispatch.episode_id)
        if row is None:
            raise UsageError(f"the request {dispatch.id} belongs to no known episode")
        return int(row["window_id"])


def _claimed(found: Dispatch, now: datetime) -> Dispatch:
    """A due dispatch as its claim leaves it."""
    match found.state:
        case DispatchState.PENDING:
            return replace(found, state=DispatchState.SENDING, tries=found.tries + 1, sent_at=now)
        case DispatchState.SENDING:
            return _lost(found, "what became of it could not be recorded while it was being sent")
        case _:
            return found


def _lost(dispatch: Dispatch, reason: str) -> Dispatch:
    """A dispatch that was being sent: nobody knows what became of it."""
    return replace(dispatch, state=DispatchState.AMBIGUOUS, unclear=dispatch.unclear + 1, reason=reason)
