"""What concerns people: accepted configurations, messages, pauses and the audit trail of their hands."""

from datetime import datetime

from monitor.config import Config
from monitor.decide.guards import in_force
from monitor.records import Message, Silence
from monitor.store import row_mapping
from monitor.store.chain import DRIFTD, Chain, text_hash
from monitor.store.database import stamp, sure
from monitor.store.row_mapping import Accepted, Pause


class People(Chain):

    def accept_config(self, config_hash: str, text: str, at: datetime) -> None:
        """Keep the (redacted) text of an accepted configuration, once; its latest acceptance counts. Audited."""
        row = {"hash": config_hash, "text": text, "accepted_at": stamp(at)}
        with self._db.transaction():
            last = self._db.one("SELECT hash FROM configs ORDER BY accepted_at DESC, hash DESC LIMIT 1")
            self._db.insert("configs", row, "ON CONFLICT (hash) DO UPDATE SET accepted_at = excluded.accepted_at")
            if last is None or last["hash"] != config_hash:
                kept = self._db.all("SELECT text FROM configs WHERE hash = ?", config_hash)[0]["text"]
                self.audit(at, DRIFTD, "configuration accepted", "configuration",
                           details={"hash": config_hash, "sha256": text_hash(kept)})

    def configs(self) -> list[Accepted]:
        """Accepted configurations, the one in force last."""
        found = self._db.all("SELECT * FROM configs ORDER BY accepted_at, hash")
        return [Accepted(hash=row["hash"], text=row["text"], at=sure(row["accepted_at"])) for row in found]

    def add_message(self, message: Message) -> bool:
        """Put a message into the outbox, once for each id; False when it was there already."""
        row = row_mapping.message_row(message)
        row["next_try_at"] = row["next_try_at"] or row["created_at"]
        return self._db.insert("messages", row, "ON CONFLICT DO NOTHING") == 1

    def due_messages(self, now: datetime) -> list[Message]:
        """Unsent messages whose next try has come, oldest first."""
        found = self._db.all(
            "SELECT * FROM messages WHERE sent_at IS NULL AND next_try_at <= ? ORDER BY created_at, id",
            stamp(now),
        )
        return [row_mapping.message_of(row) for row in found]

    def messages(self, model: str | None = None) -> list[Message]:
        """All messages, sent or not, oldest first."""
        found = self._db.all(
            "SELECT * FROM messages WHERE model = COALESCE(?, model) ORDER BY created_at, id", model
        )
        return [row_mapping.message_of(row) for row in found]

    def record_message(self, message: Message) -> None:
        """Write what became of one try to send."""
        self._db.run(
            "UPDATE messages SET tries = ?, next_try_at = ?, sent_at = ?, reason = ? WHERE id = ?",
            message.tries, stamp(message.next_try_at), stamp(message.sent_at), message.reason, message.id,
        )

    def pause(self, model: str, by: str, reason: str, at: datetime) -> None:
        """No retrain requests for the model from now on; audited."""
        row = {"model": model, "by_whom": by, "reason": reason, "paused_at": stamp(at)}
        with self._db.transaction():
            self._db.run("DELETE FROM pauses WHERE model = ?", model)
            self._db.insert("pauses", row)
            self.audit(at, by, "pause", model, reason)

    def resume(self, model: str, by: str, reason: str, at: datetime) -> bool:
        """End a pause; False when there was none. Audited."""
        with self._db.transaction():
            if not self._db.run("DELETE FROM pauses WHERE model = ?", model):
                return False
            self.audit(at, by, "resume", model, reason)
            return True

    def paused(self, model: str) -> Pause | None:
        row = self._db.one("SELECT * FROM pauses WHERE model = ?", model)
        if row is None:
            return None
        return Pause(model=model, by=row["by_whom"], reason=row["reason"], at=sure(row["paused_at"]))

    def silence(self, silence: Silence, at: datetime) -> None:
        """No message about it until then, by a person's hand; audited."""
        by = silence.by or ""
        with self._db.transaction():
            self._db.insert("silences", {
                "model": silence.model, "trigger_name": silence.trigger, "maintenance": int(silence.maintenance),
                "by_whom": by, "reason": silence.reason, "since": stamp(at), "until": stamp(silence.until),
            })
            self.audit(at, by, "maintenance" if silence.maintenance else "silence", silence.model, silence.reason)

    def end_silences(self, model: str, by: str, reason: str, at: datetime) -> bool:
        """End every silence of the model set by hand; False when there was none. Audited."""
        with self._db.transaction():
            end = "UPDATE silences SET until = ? WHERE model = ? AND until > ?"
            if not self._db.run(end, stamp(at), model, stamp(at)):
                return False
            self.audit(at, by, "end silence", model, reason)
            return True

    def silences(self, config: Config, model: str, now: datetime) -> tuple[Silence, ...]:
        """The silences of a model that hold now: of the configuration, then those set by hand."""
        section = config.models.get(model)
        found = self._db.all("SELECT * FROM silences WHERE model = ? AND until > ? ORDER BY id", model, stamp(now))
        return (*(in_force(config, section, now) if section else ()), *map(row_mapping.silence_of, found))
