"""What models were made of and judged on: data by their content, and what pipelines said of the versions they made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.records import Content
from monitor.store.database import Database, stamp
from monitor.store.rows import columns, records_of, row_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Data as driftd saw them while a reference was the current one."""

    reference_id: str
    content: Content
    at: datetime


class Lineage:
    def __init__(self, database: Database) -> None:
        self._db = database

    def note_data(self, model: str, reference_id: str, contents: Iterable[Content], at: datetime) -> None:
        """Keep what was seen, each state of a file once for each reference."""
        common = {"model": model, "reference_id": reference_id, "seen_at": stamp(at)}
        with self._db.transaction():
            for content in contents:
                self._db.insert("data_seen", common | row_of(content), "ON CONFLICT DO NOTHING")

    def data_seen(self, model: str) -> list[Seen]:
        """All of it, oldest first."""
        return records_of(Seen, self._db.all(
            f"""SELECT d.reference_id, d.seen_at AS at, {columns(Content, "d", "content")} FROM data_seen d
                WHERE d.model = ? ORDER BY d.seen_at, d.place, d.name""",
            model,
        ))

    def note_version(self, model: str, version: str, facts: Mapping[str, Any], at: datetime) -> None:
        """Keep what a pipeline says of a version it made; what is said later counts."""
        with self._db.transaction():
            for name, value in facts.items():
                self._db.insert("version_facts", {
                    "model": model, "version": version, "name": name, "value": json.dumps(value), "at": stamp(at),
                }, "ON CONFLICT (model, version, name) DO UPDATE SET value = excluded.value, at = excluded.at")

    def version_facts(self, model: str) -> dict[str, dict[str, Any]]:
        """By version what is known of it."""
        found: dict[str, dict[str, Any]] = {}
        for row in self._db.all("SELECT * FROM version_facts WHERE model = ? ORDER BY version, name", model):
            found.setdefault(row["version"], {})[row["name"]] = json.loads(row["value"])
        return found
