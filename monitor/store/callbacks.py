"""The signed messages that were taken, so that none is taken twice."""

from datetime import datetime

from monitor.store.database import Database, stamp


class Callbacks:
    def __init__(self, database: Database) -> None:
        self._db = database

    def take(self, id: str, signed_at: str, at: datetime, forget: datetime) -> bool:
        """Note a message that was signed; False when it was here before. Those from before `forget` are dropped."""
        with self._db.transaction():
            self._db.run("DELETE FROM callbacks WHERE at < ?", stamp(forget))
            row = {"id": id, "stamp": signed_at, "at": stamp(at)}
            return self._db.insert("callbacks", row, "ON CONFLICT DO NOTHING") == 1
