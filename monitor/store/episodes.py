"""Which triggers fire, and needs to retrain, with a person's word on them where one was asked for."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from monitor.decide.episodes import STANDING
from monitor.records import Approval, Episode, Firing
from monitor.store.database import Database, marks, sure
from monitor.store.rows import columns, records_of, row_of
from monitor.store.snapshots import WINDOW, Windows

_APPROVAL = columns(Approval, "a", "approval")


class Episodes:
    def __init__(self, database: Database, windows: Windows) -> None:
        self._db = database
        self._windows = windows

    def all(self, model: str | None = None) -> list[Episode]:
        """All episodes in the order they opened."""
        return self._where("e.model = COALESCE(?, e.model)", model)

    def get(self, episode_id: str) -> Episode | None:
        """The episode of this id."""
        found = self._where("e.id = ?", episode_id)
        return found[0] if found else None

    def standing(self, model: str) -> Episode | None:
        """The one need that stands now, requested or not."""
        found = self._where(f"e.model = ? AND e.state IN ({marks(STANDING)})", model, *STANDING)
        return found[0] if found else None

    def newest(self, model: str) -> Episode | None:
        """The need that opened last, whatever became of it."""
        found = self._where("e.model = ?", model)
        return found[-1] if found else None

    def declined(self, model: str, reference_id: str) -> dict[str, datetime]:
        """By trigger the end of the newest window whose need was rejected, or not approved in time."""
        found = self._db.all(
            """SELECT e.trigger_name, MAX(w.end_at) AS until FROM approvals a JOIN episodes e ON e.id = a.episode_id
               JOIN windows w ON w.id = e.window_id
               WHERE e.model = ? AND e.reference_id = ? AND a.decision IN ('rejected', 'lapsed')
               GROUP BY e.trigger_name""",
            model, reference_id,
        )
        ends = {row["trigger_name"]: sure(row["until"]) for row in found}
        return {name: min(end, self._db.as_of_now(end)) for name, end in ends.items()}

    def save(self, episode: Episode) -> None:
        """Write an episode that opens, or what became of one, together with the word on it."""
        with self._db.transaction():
            self._save_state(episode)
            if episode.approval is not None:
                self._db.insert(
                    "approvals", {"episode_id": episode.id, **row_of(episode.approval)},
                    """ON CONFLICT (episode_id) DO UPDATE SET asked_at = excluded.asked_at,
                       asked_by = excluded.asked_by, decision = excluded.decision, decided_at = excluded.decided_at,
                       decided_by = excluded.decided_by, reason = excluded.reason""",
                )

    def _save_state(self, episode: Episode) -> None:
        changed = self._db.run(
            "UPDATE episodes SET state = ?, reason = ? WHERE id = ?",
            episode.state, episode.reason, episode.id,
        )
        if changed:
            return
        last = self._db.one("SELECT MAX(seq) AS top FROM episodes WHERE model = ?", episode.model)
        self._db.insert("episodes", row_of(episode) | {
            "seq": 1 + ((last["top"] or 0) if last else 0), "window_id": self._windows.add(episode.window),
        })

    def _where(self, condition: str, *values: Any) -> list[Episode]:
        return records_of(Episode, self._db.all(
            f"""SELECT e.*, {WINDOW}, {_APPROVAL} FROM episodes e JOIN windows w ON w.id = e.window_id
                LEFT JOIN approvals a ON a.episode_id = e.id
                WHERE {condition} ORDER BY e.model, e.seq""",
            *values,
        ))


class Firings:
    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self, model: str | None = None) -> list[Firing]:
        """The memory of every trigger (of one model), by model and name."""
        return records_of(Firing, self._db.all(
            "SELECT * FROM firings WHERE model = COALESCE(?, model) ORDER BY model, trigger_name", model
        ))

    def save(self, firings: Iterable[Firing]) -> None:
        """Write what triggers do now, in place of what they did."""
        for firing in firings:
            self._db.insert(
                "firings", row_of(firing),
                """ON CONFLICT (model, trigger_name) DO UPDATE
                   SET firing = excluded.firing, since = excluded.since, reason = excluded.reason""",
            )
