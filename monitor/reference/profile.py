"""The digests of a reference, computed once and stored as files, which every check of every worker loads.

A profile is a folder named by a hash of its origin. Each digest has a file of its own, which is written on first use
and never changed: sorted numbers as a memory-mapped array, categories as their counts.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
from monitor.untrusted import DOCUMENT, parse_json, read_bytes

FORMAT = "5"                        # version of the files; another version has another folder
KNOWN = "known"                     # folder of what is known of sources by their fingerprints
UNUSED = timedelta(days=30)         # a profile unused for this long is removed when a new one is made
MAPPED = 4 << 20                    # bytes of sorted numbers that stay mapped: their pages count as memory


class RowsSide:
    """A side whose columns are read when they are asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.rows = len(rows.sample)

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        pieces = self._rows.pieces(name)
        return None if pieces is None else digest_of(pieces, self.rows, kind)


class Profile:
    """One reference's digests; a `Side` of a comparison.

    They are in memory without a folder, and for `private` columns, whose values are never written to files. `opened`
    returns the reference's rows, for a digest that is not stored.
    """

    def __init__(
        self, rows: int, opened: Callable[[], Rows], folder: Path | None, private: Collection[str] = ()
    ) -> None:
        self.rows = rows
        self._opened = opened
        self._folder, self._private = folder, private
        self._known: dict[tuple[str, FeatureKind], Digest | None] = {}

    def kept(self, key: str, make: Callable[[], Any], mark: str = "") -> Any:
        """Return the JSON value of `make`, computed once for this reference, `key` and `mark`."""
        return kept(self._folder, key, make, mark)

    def pieces(self, name: str) -> Pieces | None:
        """Return a column's values in row order; None if there is no such column."""
        return self._opened().pieces(name)

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        key = (name, kind)
        if key not in self._known:
            on_disk = self._folder is not None and name not in self._private
            self._known[key] = self._stored(name, kind) if on_disk else self._computed(name, kind)
            self.release(besides=key)
        return self._known[key]

    def release(self, besides: tuple[str, FeatureKind] | None = None) -> None:
        """Unmap the files of the columns that were asked for first, where more than `MAPPED` are mapped."""
        mapped = {key: digest.ascending.nbytes for key, digest in self._known.items()
                  if isinstance(digest, KeptNumbers) and key != besides}
        total = sum(mapped.values())
        for key, size in mapped.items():
            if total <= MAPPED:
                return
            del self._known[key]
            total -= size

    def _stored(self, name: str, kind: FeatureKind) -> Digest | None:
        assert self._folder
        place = _place(self._folder, f"{kind}\x1f{name}")
        stored = _load(place, kind, lambda: self._pieces(name))
        if stored is None and (digest := self._computed(name, kind)) is not None:
            _save(place, digest)
            stored = _load(place, kind, lambda: self._pieces(name)) or digest
        return stored

    def _computed(self, name: str, kind: FeatureKind) -> Digest | None:
        pieces = self._opened().pieces(name)
        return None if pieces is None else digest_of(pieces, self.rows, kind)

    def _pieces(self, name: str) -> Pieces:
        return self._opened().pieces(name) or []


def kept(folder: Path | None, key: str, make: Callable[[], Any], mark: str = "") -> Any:
    """Return the JSON value of `make`, computed once per folder and `key`, and again whenever `mark` is another one.

    Without a folder it is computed each time.
    """
    if folder is None:
        return make()
    found = _last(folder, key)
    if found is not None and found[0] == mark:
        return found[1]
    value = make()
    _keep(folder, key, mark, value)
    return value


def _last(folder: Path, key: str) -> tuple[str, Any] | None:
    """Return mark and value that were kept last; None if there are none, or they are damaged."""
    try:
        found = parse_json(read_bytes(_place(folder, key).with_suffix(".json"), DOCUMENT))
        return found["mark"], found["value"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(folder: Path, key: str, mark: str, value: Any) -> None:
    text = json.dumps({"mark": mark, "value": value}).encode()
    with suppress(OSError):
        _write(_place(folder, key).with_suffix(".json"), lambda file: file.write(text))


def keep_with_rows(folder: Path | None, key: str, mark: str, value: Any, rows: pa.Table) -> None:
    """Keep a JSON value and rows for `kept_with_rows`, unless those of the same `mark` are kept."""
    if folder is None:
        return
    place = _place(folder, key)

    def written() -> Any:
        _write(place.with_suffix(".parquet"), lambda file: pq.write_table(rows, file, write_page_checksum=True))
        return value

    with suppress(OSError):
        kept(folder, key, written, mark)


def kept_with_rows(folder: Path | None, key: str) -> tuple[Any, pa.Table] | None:
    """Return the value and rows as they were last kept; None if they are not, or are damaged."""
    if folder is None:
        return None
    place = _place(folder, key)
    try:
        found = parse_json(read_bytes(place.with_suffix(".json"), DOCUMENT))
        rows = pq.read_table(place.with_suffix(".parquet"), memory_map=False, page_checksum_verification=True)
        return found["value"], rows
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_rows(folder: Path | None, key: str, mark: str, rows: Rows) -> None:
    """Keep rows with all their columns, for `kept_rows`."""
    if folder is None:
        return
    apart = [name for name in rows.schema.names if name not in rows.table.column_names]
    numbers = {"mark": mark, "at_hand": rows.table.column_names}

    def write(file: IO[bytes]) -> None:
        at, schema = 0, pa.schema([*rows.table.schema, *(rows.schema.field(name) for name in apart)])
        with pq.ParquetWriter(file, schema, write_page_checksum=True) as out:
            for part in rows.parts(apart) if apart else [rows.table.select([])]:
                some = rows.table.slice(at, len(part) if apart else None)
                at += len(some)
                out.write_table(pa.table([*some.columns, *part.columns], schema=schema))

    place = _place(folder, key)
    with suppress(OSError):
        place.with_suffix(".json").unlink(missing_ok=True)
        _write(place.with_suffix(".parquet"), write)
        _write(place.with_suffix(".json"), lambda file: file.write(json.dumps(numbers).encode()))


def kept_rows(folder: Path | None, key: str, mark: str, memory_mb: int, id: str | None) -> Rows | None:
    """Return rows as they were kept; None if they are not, if it was with another mark, or if they are damaged."""
    if folder is None:
        return None
    place = _place(folder, key)
    try:
        found = parse_json(read_bytes(place.with_suffix(".json"), DOCUMENT))
        if found["mark"] != mark:
            return None
        scan = _KeptRows(place.with_suffix(".parquet"))
        return Rows(pa.concat_tables(scan.parts(found["at_hand"])), None, None, scan, memory_mb, id)
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _KeptRows:
    """A Scan of rows that were kept."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, memory_map=False, page_checksum_verification=True)
        self.schema, self.rows = self._file.schema_arrow, self._file.metadata.num_rows

    def parts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        for group in range(self._file.num_row_groups):
            yield self._file.read_row_group(group, columns=list(columns), use_threads=False).select(columns)

    def at_hand(self, columns: Sequence[str], moments: Sequence[str]) -> None:
        return None


def kept_beside(root: Path | None, key: str, mark: str, make: Callable[[], Any]) -> Any:
    """Return the same of what is known of a source as long as its fingerprint, `mark`, is the same."""
    return kept(_beside(root), key, make, mark)


def last_beside(root: Path | None, key: str) -> Any:
    """Return what was kept last of a source, whatever has changed since; None if nothing was."""
    found = None if (folder := _beside(root)) is None else _last(folder, key)
    return None if found is None else found[1]


def keep_beside(root: Path | None, key: str, value: Any) -> None:
    """Keep a JSON value for `last_beside`, in place of the one before."""
    if (folder := _beside(root)) is not None:
        _keep(folder, key, "", value)


def _beside(root: Path | None) -> Path | None:
    """Return the writable folder of what is known of sources; None without a root, or if it cannot be written."""
    if root is None:
        return None
    folder = root / KNOWN
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder


def profile_folder(root: Path | None, *made_from: str) -> Path | None:
    """Return the writable folder of a profile; None without a root, or if it cannot be written."""
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
    """Return a digest from its files; None if they are absent or incomplete."""
    try:
        facts = parse_json(read_bytes(place.with_suffix(".json"), DOCUMENT))
        if kind == "numerical":
            ascending = np.load(place.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
            return KeptNumbers(ascending, facts["rows"], facts["spread"], read)
        if kind == "categorical":
            return KeptCategories(dict(facts["counts"]), facts["rows"], read)
        return KeptText(facts["rows"], facts["missing"])
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _save(place: Path, digest: Digest) -> None:
    """Write a digest, its JSON file last, which marks it complete; one that cannot be written is computed each time."""
    facts: dict[str, object] = {"rows": digest.rows}
    try:
        if isinstance(digest, NumberDigest):
            facts |= {"spread": digest.spread}
            _write(place.with_suffix(".npy"), lambda file: np.save(file, digest.ascending, allow_pickle=False))
        elif isinstance(digest, CategoryDigest):
            facts |= {"counts": list(digest.counts.items())}
        else:
            facts |= {"missing": digest.missing}
        _write(place.with_suffix(".json"), lambda file: file.write(json.dumps(facts).encode()))
    except (OSError, CannotJudge):
        return


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically, readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)     # `driftd forget` may have removed it
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            write(file)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)     # leave nothing behind on a full disk
        raise


def _tidy(root: Path) -> None:
    """Remove the profiles that no check has used for `UNUSED`."""
    oldest = (utcnow() - UNUSED).timestamp()
    for folder in root.iterdir():
        if folder.is_dir() and folder.name != KNOWN and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
