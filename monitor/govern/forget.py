"""Forgetting people: what the state holds about given rows goes; what it cannot reach is said.

The state holds numbers, not rows. Of rows it holds: ids that bound windows of so many rows, what a command printed in
its run, sorted values and categories of references (the profiles), copies of sources, and old copies of the state.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from monitor.config import ModelSection
from monitor.govern.retention import COPIES, ENDED, run_folder
from monitor.sources import copies
from monitor.store import Store
from monitor.store.backups import REPLACED


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How much went, and in sentences what did not."""

    bounds: int
    profiles: int
    run_files: int
    copies: int
    remains: tuple[str, ...]


def forget(store: Store, model: ModelSection, ids: Collection[str], by: str, reason: str, now: datetime) -> Forgotten:
    """Remove what the state holds about the rows of a model with these ids; audited without the ids.

    Profiles go whole, with what one cannot look for in them, and are worked out anew at the next check.
    """
    with store.transaction():
        bounds, kept = store.tidy.forget_ids(model.name, ids)
        run_files, busy = _forget_runs(store, model.name, ids)
        done = Forgotten(
            bounds=bounds, profiles=_forget_profiles(store.folder), run_files=run_files,
            copies=_forget_copies(store.folder), remains=tuple(_remains(model, kept, busy)),
        )
        store.audit.note(now, by, "forget", model.name, reason, details={
            "ids": len(ids), "bounds": bounds, "profiles": done.profiles, "run_files": run_files,
            "copies": done.copies, "left": kept + busy,
        })
    store.tidy.scrub()
    return done


def _forget_runs(store: Store, model: str, ids: Collection[str]) -> tuple[int, int]:
    """Remove the files of ended runs that name an id; return how many, and how many a run under way still writes."""
    removed = busy = 0
    for request in store.requests.all(model) if store.folder else ():
        for path in _naming(run_folder(store, request.id), ids):
            if request.state in ENDED:
                path.unlink()
                removed += 1
            else:
                busy += 1
    return removed, busy


def _naming(folder: Path, ids: Collection[str]) -> Iterator[Path]:
    wanted = [row_id.encode() for row_id in ids]
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        content = path.read_bytes() if path.is_file() else b""
        if any(row_id in content for row_id in wanted):
            yield path


def _forget_profiles(folder: Path | None) -> int:
    profiles = [path for path in (folder / "profiles").glob("*") if path.is_dir()] if folder else []
    for path in profiles:
        shutil.rmtree(path)
    if folder:
        shutil.rmtree(folder / copies.FOLDER, ignore_errors=True)       # they are made again when they are needed
    return len(profiles)


def _forget_copies(folder: Path | None) -> int:
    if folder is None:
        return 0
    copies, replaced = list(folder.glob(COPIES)), list(folder.glob(REPLACED))
    for path in copies:
        os.unlink(path)
    for path in replaced:
        shutil.rmtree(path)
    return len(copies) + len(replaced)


def _remains(model: ModelSection, kept: int, busy: int) -> Iterator[str]:
    """What driftd cannot remove."""
    sections = {"predictions": model.predictions, "labels": model.labels, "attributes": model.attributes,
                "reference": model.reference.source}
    for place, section in sections.items():
        if section is not None:
            yield f"the rows themselves in {place}, {section.path or section.table}: driftd only reads them"
    yield "what pipelines and people were sent, your logs and your own copies of the state"
    yield "numbers about whole windows, and the audit, which hold no ids unless a person wrote one into a reason"
    if kept:
        yield f"{kept} bounds of windows that only the id tells apart: they go with daemon.retention"
    if busy:
        yield f"{busy} files of a run under way: forget again once it has ended"
