"""What people are to be told (the outbox of messages)."""

from datetime import datetime

from monitor.records import Message
from monitor.store.database import Database, stamp
from monitor.store.rows import records_of, row_of


class Messages:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, message: Message) -> bool:
        """Put a message into the outbox, once for each id; False when it was there already."""
        row = row_of(message)
        row["next_try_at"] = row["next_try_at"] or row["created_at"]
        return self._db.insert("messages", row, "ON CONFLICT DO NOTHING") == 1

    def due(self, now: datetime) -> list[Message]:
        """Unsent messages whose next try has come, oldest first."""
        return records_of(Message, self._db.all(
            "SELECT * FROM messages WHERE sent_at IS NULL AND next_try_at <= ? ORDER BY created_at, id", stamp(now)
        ))

    def all(self, model: str | None = None) -> list[Message]:
        """All messages, sent or not, oldest first."""
        return records_of(Message, self._db.all(
            "SELECT * FROM messages WHERE model = COALESCE(?, model) ORDER BY created_at, id", model
        ))

    def record(self, message: Message) -> None:
        """Write what became of one try to send."""
        self._db.run(
            "UPDATE messages SET tries = ?, next_try_at = ?, sent_at = ?, reason = ? WHERE id = ?",
            message.tries, stamp(message.next_try_at), stamp(message.sent_at), message.reason, message.id,
        )
