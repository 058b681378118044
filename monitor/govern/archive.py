"""The audit in one archive that can be checked without driftd."""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.escape import bounded, json_text
from monitor.govern.version_history import versions
from monitor.records import SCHEMA_VERSION, Json, to_json
from monitor.store import AuditEntry, Store
from monitor.times import format_moment

_WHOLE = 10**9      # characters of a text: nothing is left out
_WRITTEN = (1980, 1, 1, 0, 0, 0)     # the same state gives the same archive


def export(store: Store, start: datetime | None, end: datetime | None, path: Path) -> int:
    """Write the entries from `start` on and before `end`, with what they are about; return how many there are.

    In the archive: entries.jsonl, configs/HASH.toml (every text those entries or versions name), lineage.json,
    verdicts.jsonl, and SHA256SUMS of all of them. The file is readable by its owner alone.
    """
    entries = store.audit.between(start, end)
    parts = dict(_parts(store, entries, start, end))
    sums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(parts.items()))
    with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)      # also where it was there before
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in sorted((parts | {"SHA256SUMS": sums}).items()):
                archive.writestr(_named(name), text)
    return len(entries)


def _parts(
    store: Store, entries: list[AuditEntry], start: datetime | None, end: datetime | None
) -> Iterator[tuple[str, str]]:
    yield "entries.jsonl", _lines(map(_entry, entries))
    lineage = {model: [_plain(version) for version in versions(store, model)] for model in store.references.models()}
    document = {"schema_version": SCHEMA_VERSION, "models": lineage}
    yield "lineage.json", json_text(bounded(document, _WHOLE), indent=2) + "\n"
    yield "verdicts.jsonl", _lines(
        to_json(verdict) for model in store.references.models() for verdict in store.verdicts.all(model)
        if (start is None or verdict.at >= start) and (end is None or verdict.at < end)
    )
    named = {entry.details.get("hash") for entry in entries if entry.subject == "configuration"}
    named |= {entry.details.get("config") for entry in entries}
    named |= {hash for model in lineage.values() for version in model for hash in version["configs"]}
    for accepted in store.configurations.accepted():
        if accepted.hash in named:
            yield f"configs/{accepted.hash}.toml", accepted.text


def _entry(entry: AuditEntry) -> Json:
    """The fields as they were hashed."""
    at = entry.at.isoformat(timespec="microseconds")
    details = json.dumps(entry.details, ensure_ascii=False, sort_keys=True)
    return dataclasses.asdict(entry) | {"at": at, "details": details}


def _plain(value: Any) -> Any:
    """The JSON form of records inside records."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return format_moment(value) if isinstance(value, datetime) else value


def _lines(documents: Any) -> str:
    return "".join(json_text(bounded(document, _WHOLE)) + "\n" for document in documents)


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WRITTEN)
    info.external_attr = 0o600 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
