"""What the registry said of aliases, and the wishes to move one."""

from collections.abc import Collection
from datetime import datetime

from monitor.errors import UsageError
from monitor.records import AliasMove, AliasSeen, MoveState
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import Database, marks, stamp
from monitor.store.rows import record_of, records_of, row_of

UNDER_WAY = (MoveState.PENDING, MoveState.SENDING)


class Aliases:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def seen(self, model: str) -> AliasSeen:
        """What the registry said when it was last asked."""
        row = self._db.one("SELECT * FROM registries WHERE model = ?", model)
        return AliasSeen(model=model) if row is None else record_of(AliasSeen, row)

    def note_seen(self, seen: AliasSeen) -> None:
        """Keep what the registry says, in place of what it said before."""
        with self._db.transaction():
            self._db.run("DELETE FROM registries WHERE model = ?", seen.model)
            self._db.insert("registries", row_of(seen))

    def add_move(self, move: AliasMove, action: str) -> None:
        """Write a wish to move the alias, before anything is sent; audited. Raises UsageError beside another one."""
        with self._db.transaction():
            other = self.moves(move.model, UNDER_WAY)
            if other:
                raise UsageError(
                    f"{move.model}: the alias is being moved to {other[0].to_version} already "
                    f"({other[0].answer or other[0].state})"
                )
            self._db.insert("alias_moves", row_of(move))
            self._audit.note(move.created_at, move.by_whom, action, move.model, move.reason,
                             {"from": move.from_version, "to": move.to_version})

    def moves(self, model: str | None = None, states: Collection[MoveState] = tuple(MoveState)) -> list[AliasMove]:
        """Wishes to move an alias, oldest first."""
        return records_of(AliasMove, self._db.all(
            f"""SELECT * FROM alias_moves WHERE model = COALESCE(?, model) AND state IN ({marks(states)})
                ORDER BY created_at, id""",
            model, *states,
        ))

    def due_moves(self, now: datetime) -> list[AliasMove]:
        """Moves that are to be sent, or looked for, now; what was being sent when the last daemon ended too."""
        return [move for move in self.moves(states=UNDER_WAY) if move.next_try_at is None or move.next_try_at <= now]

    def record_move(self, move: AliasMove, was: AliasMove, at: datetime) -> bool:
        """Write what became of a move; False, and nothing written, when somebody else did first. Audited."""
        with self._db.transaction():
            changed = self._db.run(
                """UPDATE alias_moves SET state = ?, tries = ?, next_try_at = ?, answer = ?
                   WHERE id = ? AND state = ? AND tries = ?""",
                move.state, move.tries, stamp(move.next_try_at), move.answer, move.id, was.state, was.tries,
            )
            if changed and move.state != was.state:
                self._audit.note(at, DRIFTD, f"alias move {move.state}", move.model, details={
                    "id": move.id, "from": move.from_version, "to": move.to_version,
                })
            return changed == 1
