"""Copies of a state: made whole or not at all while it is in use, looked at before they count, put back in one step."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from monitor.errors import StateError, UsageError
from monitor.records import DispatchState
from monitor.store import audit
from monitor.store.database import Database, stamp
from monitor.store.head_file import STATE_HEAD, write_state_head
from monitor.store.proof import Heads, damages, older
from monitor.store.state_folder import DATABASE, Lock, migrate_copy, prepare
from monitor.store.sums import Seal
from monitor.untrusted import DOCUMENT, parse_json, read_bytes

MANIFEST = "backup.json"
BESIDE = ("profiles", "runs")            # folders that belong to a state
REPLACED = "replaced-*"                  # where a state is kept that another one took the place of
_FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", audit.HEAD, STATE_HEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One thing that was looked at, and what is wrong with it; None if nothing is."""

    what: str
    found: str
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What became of a state that was put in place of another: where that one is kept, what only that one knew."""

    kept: Path | None
    commits: int
    lost_commits: int | None             # None where it cannot be said
    lost_requests: tuple[str, ...]       # ids; the other one had sent them, or knew more of them
    unsure: tuple[str, ...]              # ids of requests that may have been sent meanwhile


def examine(folder: Path) -> list[Looked]:
    """Look at everything in a state, or in a backup, that is there. Raises StateError where none is."""
    path = folder / DATABASE
    if not path.is_file():
        raise StateError(f"there is no state {path}")
    found = []
    heads: Heads | None = None
    try:
        heads = Heads.of(folder)
    except StateError as error:
        found.append(Looked(what="files beside it", found="unreadable", problem=str(error)))
    with closing(Database(str(path))) as database:
        inside = damages(database)
        found.insert(0, Looked(what="rows and pages", found=_rows(database), problem="; ".join(inside) or None))
        found.append(_audit(database, folder))
        if heads is not None:
            behind = "; ".join(older(database, heads)) if not inside else ""
            found.append(Looked(what="files beside it", found=f"{heads.commits} commits", problem=behind or None))
    return found


def back_up(folder: Path, target: Path, at: datetime) -> int:
    """Copy the state, which may be in use, to the new folder `target`; return the commits in it.

    Raises UsageError where `target` exists or cannot be written, StateError where the copy is not whole.
    """
    if target.exists():
        raise UsageError(f"{target} exists, expected the name of a folder to be made")
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        commits = _write_copy(folder, draft, at)
        draft.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise UsageError(f"{target}: the backup cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return commits


def restore(folder: Path, source: Path, by: str, at: datetime) -> Put:
    """Put a backup (a folder, or a copy of the database alone) in the place of the state, which is kept beside.

    Raises StateLocked while a daemon runs, StateError where the backup is not whole; then nothing was changed.
    """
    check_backup(source)
    database = source / DATABASE if source.is_dir() else source
    prepare(folder)
    lock = Lock(folder)
    draft = folder / f".{DATABASE}.{os.getpid()}.new"
    try:
        shutil.copyfile(database, draft)
        draft.chmod(0o600)
        kept = _keep(folder, at)
        lost = _lost(folder, draft)
        put = _begin_again(draft, by, at, "state restored", {"backup": source.name, **lost.told})
        _replace(folder, draft)
        for name in BESIDE if source.is_dir() else ():
            _copy_missing(source / name, folder / name)
    finally:
        for leftover in folder.glob(f"{draft.name}*"):
            leftover.unlink()
        lock.release()
    return replace(put, kept=kept, lost_commits=lost.commits, lost_requests=lost.requests)


def accept(folder: Path, by: str, reason: str, at: datetime) -> Put:
    """Go on with the state as it is, although it is not the newest, or rows are not as they were written; kept beside.

    Raises StateLocked while a daemon runs, StateError where it cannot even be read.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise StateError(f"there is no state {path}")
    lock = Lock(folder)
    try:
        found = [one.problem for one in examine(folder) if one.problem]
        kept = _keep(folder, at)
        put = _begin_again(path, by, at, "state accepted", {"reason": reason, "problems": found})
        _write_heads(folder)
    finally:
        lock.release()
    return replace(put, kept=kept)


def check_backup(source: Path) -> None:
    """Raises UsageError where `source` is no backup, StateError where it is not whole."""
    database = source / DATABASE if source.is_dir() else source
    if not database.is_file():
        raise UsageError(f"{source} is no backup of a state, expected a folder with {DATABASE}, or such a file")
    with suppress(FileNotFoundError):
        for name in _changed(source) if source.is_dir() else ():
            raise StateError(f"the backup {source} is damaged: {name} is not as it was written; take another one")
    with closing(Database(str(database), frozen=True)) as copy:
        for problem in damages(copy):
            raise StateError(f"the backup {source} is damaged: {problem}; take another one")


def taken_at(backup: Path, state: str) -> datetime | None:
    """When a backup of this state was taken; None where it is none."""
    try:
        said = parse_json(read_bytes(backup / MANIFEST, DOCUMENT))
        return datetime.fromisoformat(said["taken_at"]) if said["state"] == state else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lost:
    commits: int | None
    requests: tuple[str, ...]

    @property
    def told(self) -> dict[str, object]:
        return {"lost_commits": self.commits, "lost_requests": list(self.requests)}


def _write_copy(folder: Path, draft: Path, at: datetime) -> int:
    path = draft / DATABASE
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(Database(str(folder / DATABASE))) as database:
        database.copy_to(path)
    for name in BESIDE:
        _copy_missing(folder / name, draft / name)
    with closing(Database(str(path), frozen=True)) as copy:
        for problem in damages(copy):
            raise StateError(f"the copy of the state {folder} is damaged: {problem}; nothing was kept of it")
        seal = copy.seal()
        assert seal is not None          # what has no sums is damaged
        audit.write_head(copy, draft)
        write_state_head(draft, seal)
    files = {str(one.relative_to(draft)): _hash(one) for one in sorted(draft.rglob("*")) if one.is_file()}
    manifest = {"schema_version": 1, "taken_at": stamp(at), "state": seal.state, "commits": seal.commits}
    audit.write_whole(draft / MANIFEST, json.dumps(manifest | {"files": files}, indent=1) + "\n")
    for one in draft.rglob("*"):
        _sync(one)
    return seal.commits


def _begin_again(path: Path, by: str, at: datetime, action: str, details: dict[str, object]) -> Put:
    """Make a database another state: what it did not see sent may have been sent since, so it says so."""
    migrate_copy(path)
    with closing(Database(str(path))) as database:
        with database.transaction():
            unsure = _doubt(database, at)
            audit.append(database, at, by, action, "state", details | {"unsure_requests": unsure})
            database.reseal(at)
        seal = database.seal()
    assert seal is not None              # just made
    return Put(kept=None, commits=seal.commits, lost_commits=None, lost_requests=(), unsure=tuple(unsure))


def _doubt(database: Database, at: datetime) -> list[str]:
    """Requests that were waiting or being sent are ambiguous: the pipeline's own rule says what is done."""
    waiting = "SELECT id, state FROM dispatches WHERE state IN ('pending', 'sending') ORDER BY created_at, id"
    found = database.all(waiting)
    for row in found:
        database.run(
            "UPDATE dispatches SET state = ?, unclear = unclear + 1, next_try_at = ?, reason = ? WHERE id = ?",
            DispatchState.AMBIGUOUS, stamp(at), "it may have been sent by the state that this one replaced", row["id"],
        )
        told = {"from": row["state"], "to": str(DispatchState.AMBIGUOUS)}
        audit.append(database, at, audit.DRIFTD, "request ambiguous", row["id"], told)
    return [row["id"] for row in found]


def _lost(folder: Path, other: Path) -> _Lost:
    """What the state knows that the other database does not; as far as it can be read."""
    try:
        known, backup = _knows(other)
        now, newest = _knows(folder / DATABASE)
        state, commits = Heads.of(folder).state or (None, 0)
    except (StateError, UnicodeDecodeError):
        return _Lost(commits=None, requests=())
    commits = max(commits, newest.commits if newest else 0)
    same = backup is not None and backup.state in (state, newest.state if newest else None)
    return _Lost(
        commits=commits - backup.commits if backup and same else None,
        requests=tuple(sorted(request for request, step in now.items() if known.get(request) != step)),
    )


def _knows(path: Path) -> tuple[dict[str, str], Seal | None]:
    """The requests in a database, each with its state, and its seal."""
    if not path.exists():
        return {}, None
    with closing(Database(str(path))) as database:
        found = database.all("SELECT id, state FROM dispatches")
        return {row["id"]: row["state"] for row in found}, database.seal()


def _keep(folder: Path, at: datetime) -> Path | None:
    """Copy a state's files aside; what is no file, such as a FIFO or a link to a device, is moved."""
    there = [folder / name for name in _FILES if (folder / name).exists()]
    if not there:
        return None
    aside = folder / f"replaced-{at:%Y%m%dT%H%M%S%fZ}"
    aside.mkdir(mode=0o700)
    for path in there:
        if path.is_file():
            shutil.copy2(path, aside / path.name)
            _sync(aside / path.name)
        else:
            path.rename(aside / path.name)
    _sync(aside)
    return aside


def _replace(folder: Path, draft: Path) -> None:
    """Put the new database in place. The old heads stay until then, so that nobody begins anew in between."""
    for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)
    draft.replace(folder / DATABASE)
    _sync(folder)
    _write_heads(folder)


def _write_heads(folder: Path) -> None:
    with closing(Database(str(folder / DATABASE))) as database:
        (folder / audit.HEAD).unlink(missing_ok=True)
        audit.write_head(database, folder)
        seal = database.seal()
        assert seal is not None          # _begin_again made it
        (folder / STATE_HEAD).unlink(missing_ok=True)
        write_state_head(folder, seal)
    _sync(folder)


def _changed(backup: Path) -> Iterator[str]:
    """Files of a backup that are not as its manifest says."""
    try:
        files = parse_json(read_bytes(backup / MANIFEST, DOCUMENT))["files"].items()
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        yield MANIFEST
        return
    for name, digest in files:
        if not (backup / name).is_file() or _hash(backup / name) != digest:
            yield name


def _copy_missing(source: Path, target: Path) -> None:
    """Copy a folder's files that are not there yet; what vanishes meanwhile was only a profile or an old run."""
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        place = target / path.relative_to(source)
        if path.is_file() and not path.is_symlink() and not place.exists():
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                shutil.copy2(path, place)


def _rows(database: Database) -> str:
    with suppress(StateError):
        found: Sequence[object] = tuple(database.all("SELECT SUM(row_count) FROM sums")[0])
        return f"{found[0] or 0} rows"
    return "unreadable"


def _audit(database: Database, folder: Path) -> Looked:
    try:
        said = audit.verify(database, folder)
    except (StateError, UnicodeDecodeError, ValueError, TypeError) as error:   # whatever a damage looks like
        return Looked(what="audit", found="unreadable", problem=str(error).splitlines()[0])
    return Looked(what="audit", found=f"{said.entries} entries", problem=said.problem)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def said_of(put: Put) -> Iterator[str]:
    """What a person has to know of it, a sentence each."""
    if put.kept is not None:
        yield f"the state that was there is kept in {put.kept}"
    if put.lost_commits:
        yield f"lost: {put.lost_commits} commits since the backup"
    if put.lost_requests:
        yield (
            "the replaced state knew more of these requests; look at their pipelines for what became of them: "
            + ", ".join(put.lost_requests)
        )
    if put.unsure:
        yield (
            f"requests that may have been sent since: {', '.join(put.unsure)}; one is sent again only if its pipeline "
            "recognises a repeat or finds no run of it, else it waits for driftd resolve"
        )
    yield "a need that is found again in a window from before now gets a request with its former id, sent as carefully"
    yield "messages may come twice, with the same id"

