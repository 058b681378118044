"""What models were made of and judged on: data by their content, and what pipelines said of the versions they made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.records import Content
from monitor.store.database import Database, stamp, sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Data as driftd saw them while a reference was the current one."""

    reference_id: str
    content: Content
    at: datetime


class Lineage:
    _db: Database

    def note_data(self, model: str, reference_id: str, contents: Iterable[Content], at: datetime) -> None:
        """Keep what was seen, each state of a file once for each reference."""
        with self._db.transaction():
            for one in contents:
                self._db.insert("data_seen", {
                    "model": model, "reference_id": reference_id, "place": one.place, "name": one.name,
                    "stamp": one.stamp, "hash": one.hash, "bytes": one.bytes, "seen_at": stamp(at),
                }, "ON CONFLICT DO NOTHING")

    def data_seen(self, model: str) -> list[Seen]:
        """All of it, oldest first."""
        found = self._db.all("SELECT * FROM data_seen WHERE model = ? ORDER BY seen_at, place, name", model)
        return [
            Seen(reference_id=row["reference_id"], at=sure(row["seen_at"]), content=Content(
                place=row["place"], name=row["name"], stamp=row["stamp"], hash=row["hash"], bytes=row["bytes"],
            ))
            for row in found
        ]

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
