"""The digests of a reference, worked out once and kept as files, so that every check of every worker finds them ready.

A profile lies in a folder named by what it was made from; each digest is a file of its own, made when it is first
asked for and never changed: sorted numbers as a memory-mapped array, categories as their counts.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np

from monitor.config.column_roles import FeatureKind
from monitor.errors import CannotJudge
from monitor.sources.rows import Rows
from monitor.tables.digest import (
    CategoryDigest,
    Digest,
    KeptCategories,
    KeptNumbers,
    KeptText,
    NumberDigest,
    Pieces,
    digest_of,
)
from monitor.times import utcnow

FORMAT = "1"                        # of the files; another one is another folder
UNUSED = timedelta(days=30)         # after which a profile is removed when a new one is made


class Profile:
    """One reference's digests: a `Side` for `measure`. Without a folder, and of `private` columns, whose values no
    file of ours holds, they are kept in memory."""

    def __init__(self, rows: Rows, folder: Path | None, private: Collection[str] = ()) -> None:
        self.rows = len(rows.table)
        self._rows = rows
        self._folder, self._private = folder, private
        self._known: dict[tuple[str, FeatureKind], Digest | None] = {}

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what `make` makes, JSON, worked out once for this reference and `key`."""
        return kept(self._folder, key, make)

    def pieces(self, name: str) -> Pieces | None:
        """A column's values in the order of the rows; None where there is no such column."""
        return self._rows.pieces(name)

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        key = (name, kind)
        if key not in self._known:
            on_disk = self._folder is not None and name not in self._private
            self._known[key] = self._kept(name, kind) if on_disk else self._made(name, kind)
        return self._known[key]

    def _kept(self, name: str, kind: FeatureKind) -> Digest | None:
        assert self._folder
        place = _place(self._folder, f"{kind}\x1f{name}")
        found = _load(place, kind, lambda: self._pieces(name))
        if found is None and (made := self._made(name, kind)) is not None:
            _save(place, made)
            found = _load(place, kind, lambda: self._pieces(name)) or made
        return found

    def _made(self, name: str, kind: FeatureKind) -> Digest | None:
        pieces = self._rows.pieces(name)
        return None if pieces is None else digest_of(pieces, self.rows, kind)

    def _pieces(self, name: str) -> Pieces:
        return self._rows.pieces(name) or []


def kept(folder: Path | None, key: str, make: Callable[[], Any]) -> Any:
    """Return what `make` makes, JSON, worked out once for a folder and `key`; each time without a folder."""
    if folder is None:
        return make()
    place = _place(folder, key).with_suffix(".json")
    try:
        return json.loads(place.read_bytes())
    except (OSError, ValueError):
        made = make()
    with suppress(OSError):
        _write(place, lambda file: file.write(json.dumps(made).encode()))
    return made


def profile_folder(root: Path | None, *made_from: str) -> Path | None:
    """The folder of a profile, ready to be written to; None without a place to keep it, or none that can be written."""
    if root is None:
        return None
    folder = root / hashlib.sha256("\x1f".join((FORMAT, *made_from)).encode()).hexdigest()[:32]
    try:
        if not folder.exists():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tidy(root)
            folder.mkdir(mode=0o700, exist_ok=True)
        os.utime(folder)
    except OSError:
        return None
    return folder


def _place(folder: Path, key: str) -> Path:
    return folder / hashlib.sha256(key.encode()).hexdigest()[:32]


def _load(place: Path, kind: FeatureKind, read: Callable[[], Pieces]) -> Digest | None:
    """A digest from its files; None where they are not there, or not whole."""
    try:
        facts = json.loads(place.with_suffix(".json").read_bytes())
        if kind == "numerical":
            ascending = np.load(place.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
            return KeptNumbers(ascending, facts["rows"], facts["spread"], read)
        if kind == "categorical":
            return KeptCategories(dict(facts["counts"]), facts["rows"], read)
        return KeptText(facts["rows"], facts["missing"])
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _save(place: Path, made: Digest) -> None:
    """Write a digest, its facts last: without them it is not there. What cannot be kept is made anew each time."""
    facts: dict[str, object] = {"rows": made.rows}
    try:
        if isinstance(made, NumberDigest):
            facts |= {"spread": made.spread}
            _write(place.with_suffix(".npy"), lambda file: np.save(file, made.ascending, allow_pickle=False))
        elif isinstance(made, CategoryDigest):
            facts |= {"counts": list(made.counts.items())}
        else:
            facts |= {"missing": made.missing}
        _write(place.with_suffix(".json"), lambda file: file.write(json.dumps(facts).encode()))
    except (OSError, CannotJudge):
        return


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Put a file in place whole, readable by its owner alone."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)     # `driftd forget` may have taken it away
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            write(file)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)     # a full disk stays no fuller than it was
        raise


def _tidy(root: Path) -> None:
    """Remove the profiles that no check has asked for in a long time."""
    oldest = (utcnow() - UNUSED).timestamp()
    for folder in root.iterdir():
        if folder.is_dir() and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
