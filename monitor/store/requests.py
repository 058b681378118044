"""Retrain requests: episodes, and their dispatches on the way out (the outbox)."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitor.decide.episodes import STANDING, give_way
from monitor.errors import UsageError
from monitor.records import Dispatch, DispatchState, Episode
from monitor.store import row_mapping
from monitor.store.chain import DRIFTD, Chain
from monitor.store.database import marks, stamp, sure
from monitor.store.measured import Measured
from monitor.times import utcnow

UNENDED = (
    DispatchState.PENDING, DispatchState.SENDING, DispatchState.AMBIGUOUS, DispatchState.QUEUED,
    DispatchState.RUNNING, DispatchState.BLOCKED,
)
LEASE = timedelta(minutes=5)     # how long a claimed ambiguous dispatch is left to the one who looks for it


class Requests(Measured, Chain):
    def episodes(self, model: str | None = None) -> list[Episode]:
        """All episodes in the order they opened."""
        return self._episodes("e.model = COALESCE(?, e.model)", model)

    def episode(self, episode_id: str) -> Episode | None:
        found = self._episodes("e.id = ?", episode_id)
        return found[0] if found else None

    def open_episode(self, model: str) -> Episode | None:
        """The one need that stands now, requested or not."""
        found = self._episodes(f"e.model = ? AND e.state IN ({marks(STANDING)})", model, *STANDING)
        return found[0] if found else None

    def newest_episode(self, model: str) -> Episode | None:
        """The need that opened last, whatever became of it."""
        found = self._episodes("e.model = ?", model)
        return found[-1] if found else None

    def dispatch(self, dispatch_id: str) -> Dispatch | None:
        row = self._db.one("SELECT * FROM dispatches WHERE id = ?", dispatch_id)
        return None if row is None else row_mapping.dispatch_of(row)

    def dispatches(
        self, model: str | None = None, states: Collection[DispatchState] | None = None
    ) -> list[Dispatch]:
        """Dispatches, oldest first; of one model, in some states."""
        only = "" if states is None else f"AND state IN ({marks(states)})"
        found = self._db.all(
            f"SELECT * FROM dispatches WHERE model = COALESCE(?, model) {only} ORDER BY created_at, id",
            model, *(states or ()),
        )
        return [row_mapping.dispatch_of(row) for row in found]

    def in_flight(self, model: str, now: datetime, run_timeout: timedelta) -> Dispatch | None:
        """A request of the model that is under way, or was delivered less than `run_timeout` ago."""
        row = self._db.one(
            f"""SELECT * FROM dispatches WHERE model = ? AND (state IN ({marks(UNENDED)})
                OR (state = 'delivered' AND accepted_at > ?)) ORDER BY created_at DESC LIMIT 1""",
            model, *UNENDED, stamp(now - run_timeout),
        )
        return None if row is None else row_mapping.dispatch_of(row)

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
            row["state"] == "delivered" and sure(row["accepted_at"]) + run_timeout <= now
        )

    def made_versions(self, model: str) -> list[Dispatch]:
        """Runs that ended well and said which version they made, oldest first."""
        done = self.dispatches(model, (DispatchState.SUCCEEDED,))
        return [one for one in done if one.new_version is not None]

    def add_dispatch(self, dispatch: Dispatch, episode: Episode | None = None) -> None:
        """Write a person's request, with its episode where that is new; it takes the place of a standing need.

        Raises UsageError when a request of the model is under way, or this one exists already.
        """
        with self._db.transaction():
            self._nothing_under_way(dispatch.model, dispatch.created_at)
            if self.dispatch(dispatch.id) is not None:
                raise UsageError(f"the request {dispatch.id} exists already; expected a new attempt")
            if episode is not None:
                self._replace_need(episode, dispatch.created_at)
            self._save_dispatch(dispatch, self._newest_window(dispatch))

    def add_need(self, episode: Episode, at: datetime) -> None:
        """Write a person's request that waits for another's word; it takes the place of a standing need.

        Raises UsageError when a request of the model is under way, or this one was made already.
        """
        with self._db.transaction():
            self._nothing_under_way(episode.model, at)
            if self.episode(episode.id) is not None:
                raise UsageError(f"{episode.model}: the same was asked for already, see driftd status")
            self._replace_need(episode, at)

    def settle(self, episode: Episode) -> None:
        """Write what became of an episode between windows."""
        with self._db.transaction():
            self._save_episode(episode)

    def declined(self, model: str, reference_id: str) -> dict[str, datetime]:
        """By trigger the end of the newest window whose need was rejected, or not approved in time."""
        found = self._db.all(
            """SELECT e.trigger_name, MAX(w.end_at) AS until FROM approvals a JOIN episodes e ON e.id = a.episode_id
               JOIN windows w ON w.id = e.window_id
               WHERE e.model = ? AND e.reference_id = ? AND a.decision IN ('rejected', 'lapsed')
               GROUP BY e.trigger_name""",
            model, reference_id,
        )
        return {row["trigger_name"]: sure(row["until"]) for row in found}

    def next_attempt(self, episode_id: str) -> int:
        row = self._db.one("SELECT MAX(attempt) AS top FROM dispatches WHERE episode_id = ?", episode_id)
        return 1 + ((row["top"] or 0) if row else 0)

    def claim(self, now: datetime) -> Dispatch | None:
        """Take one due dispatch, so that no other sender gets it too.

        A pending one comes back as `sending`, one try older. An ambiguous one stays so, out of the others'
        sight for LEASE; `record` it as `sending` before sending it again.
        """
        while (row := self._due(now)) is not None:
            found = row_mapping.dispatch_of(row)
            if found.state == DispatchState.PENDING:
                taken = replace(
                    found, state=DispatchState.SENDING, tries=found.tries + 1, sent_at=now, next_try_at=None
                )
            else:
                taken = replace(found, next_try_at=now + LEASE)
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
        lost = self.dispatches(states=[DispatchState.SENDING])
        reason = "driftd ended while this was being sent"
        changed = [
            replace(d, state=DispatchState.AMBIGUOUS, unclear=d.unclear + 1, next_try_at=now, reason=reason)
            for d in lost
        ]
        return [d for d in changed if self.record(d, was=DispatchState.SENDING, at=now)]

    def _due(self, now: datetime) -> Any:
        return self._db.one(
            """SELECT * FROM dispatches WHERE state IN ('pending', 'ambiguous') AND next_try_at <= ?
               ORDER BY next_try_at, id LIMIT 1""",
            stamp(now),
        )

    def _swap(self, dispatch: Dispatch, condition: str, *values: Any) -> bool:
        row = row_mapping.dispatch_row(dispatch)
        sets = ", ".join(f"{name} = ?" for name in row)
        changed = self._db.run(
            f"UPDATE dispatches SET {sets} WHERE id = ? AND {condition}", *row.values(), dispatch.id, *values
        )
        return changed == 1

    def _episodes(self, where: str, *values: Any) -> list[Episode]:
        found = self._db.all(
            f"""SELECT e.*, {row_mapping.WINDOW}, {row_mapping.APPROVAL}
                FROM episodes e JOIN windows w ON w.id = e.window_id
                LEFT JOIN approvals a ON a.episode_id = e.id
                WHERE {where} ORDER BY e.model, e.seq""",
            *values,
        )
        return [row_mapping.episode_of(row) for row in found]

    def _save_episode(self, episode: Episode) -> None:
        self._save_state(episode)
        if episode.approval is not None:
            self._db.insert(
                "approvals", row_mapping.approval_row(episode.id, episode.approval),
                """ON CONFLICT (episode_id) DO UPDATE SET asked_at = excluded.asked_at, asked_by = excluded.asked_by,
                   decision = excluded.decision, decided_at = excluded.decided_at, decided_by = excluded.decided_by,
                   reason = excluded.reason""",
            )

    def _save_state(self, episode: Episode) -> None:
        changed = self._db.run(
            "UPDATE episodes SET state = ?, reason = ? WHERE id = ?",
            episode.state, episode.reason, episode.id,
        )
        if changed:
            return
        last = self._db.one("SELECT MAX(seq) AS top FROM episodes WHERE model = ?", episode.model)
        self._db.insert("episodes", {
            "id": episode.id, "model": episode.model, "seq": 1 + ((last["top"] or 0) if last else 0),
            "reference_id": episode.reference_id, "trigger_name": episode.trigger,
            "window_id": self._window_id(episode.window), "state": episode.state, "reason": episode.reason,
        })

    def _save_dispatch(self, dispatch: Dispatch, window_id: int) -> None:
        """Write a new dispatch; one withdrawn before it was sent comes back when the same need returns."""
        row = row_mapping.dispatch_row(dispatch) | {"window_id": window_id}
        if dispatch.state == DispatchState.PENDING and dispatch.next_try_at is None:
            row["next_try_at"] = stamp(dispatch.created_at)
        written = self._db.insert(
            "dispatches", row,
            """ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body, ended_at = NULL,
               next_try_at = excluded.next_try_at, reason = NULL WHERE dispatches.state = 'withdrawn'""",
        )
        if written:
            self._audit_dispatch(dispatch, None, dispatch.created_at)

    def _withdraw(self, episode_id: str, reason: str, at: datetime) -> None:
        """Take back what the pipeline cannot have accepted."""
        unsent = "episode_id = ? AND state = 'pending' AND unclear = 0"
        for row in self._db.all(f"SELECT * FROM dispatches WHERE {unsent}", episode_id):
            withdrawn = replace(row_mapping.dispatch_of(row), state=DispatchState.WITHDRAWN)
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
        self.audit(at, DRIFTD, f"request {dispatch.state}", dispatch.id, details=known)

    def _replace_need(self, episode: Episode, at: datetime) -> None:
        standing = self.open_episode(episode.model)
        if standing is not None and standing.id != episode.id:
            self._end(give_way(standing, episode.reason), at)
        self._save_episode(episode)

    def _nothing_under_way(self, model: str, at: datetime) -> None:
        under_way = self.in_flight(model, at, timedelta(0))
        if under_way is not None:
            raise UsageError(
                f"{model} has a request under way, {under_way.id} ({under_way.state}); "
                "wait for its end, or driftd resolve it"
            )

    def _end(self, episode: Episode, at: datetime) -> None:
        """Write an episode that has ended, and take back what was never sent of it."""
        self._save_episode(episode)
        self._withdraw(episode.id, episode.reason, at)

    def _newest_window(self, dispatch: Dispatch) -> int:
        row = self._db.one(
            """SELECT id FROM windows w
               WHERE model = ? AND EXISTS (SELECT 1 FROM snapshots s WHERE s.window_id = w.id)
               ORDER BY end_at DESC, end_id DESC LIMIT 1""",
            dispatch.model,
        ) or self._db.one("SELECT window_id AS id FROM episodes WHERE id = ?", dispatch.episode_id)
        if row is None:
            raise UsageError(f"the request {dispatch.id} belongs to no known episode")
        return int(row["id"])
