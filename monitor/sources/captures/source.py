"""Captures as a source: converted to rows in JSON lines below the state folder, once for each state of the files."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.records import Content
from monitor.sources import Source, copies
from monitor.sources.captures.conversion import Converted, convert
from monitor.sources.captures.families import FAMILIES, family_of
from monitor.sources.captures.records import first_record
from monitor.sources.column_types import Bounds
from monitor.sources.copied import CopiedSource
from monitor.sources.extents import Stamp
from monitor.sources.files import FileSource, steady_digest
from monitor.sources.known_types import KnownTypes
from monitor.sources.lake_tables import LakeTable
from monitor.sources.listing import captures_at, first_files, kind_of, may_be_capture
from monitor.sources.parquet import Parquet
from monitor.untrusted import DOCUMENT, parse_json, read_bytes

_LOOKED_AT = 10                  # files, at most, in which a first record is looked for
_BODIES = {"request", "request_payload", "Bytes"}     # columns of tables that hold bodies of requests
_FORM = 3                        # of what is written; another number makes it anew


def recognised(section: SourceSection, table: LakeTable | None) -> str | None:
    """Return which platform wrote what is at a path, from its first record; None where it is none."""
    if section.format is not None:
        return section.format if section.format in FAMILIES else None
    try:
        if table is not None:
            return _of_columns(table.names())
        for path in islice(first_files(str(section.path)), _LOOKED_AT):
            if kind_of(path) == "parquet":
                return _of_columns(Parquet(ZoneInfo("UTC")).names(path))
            if not may_be_capture(path):
                return None
            if (record := first_record(path)) is not None:       # a file may be empty, or not be written yet
                return family_of(record, path.name)
        return None
    except (OSError, ValueError, SourceError):
        return None              # whoever reads it as something else says what is wrong


def _of_columns(names: Sequence[str]) -> str | None:
    """A row of a table has the body of a request in one cell and its answer in another."""
    return family_of(dict.fromkeys(names), "") if _BODIES & set(names) else None


class CaptureSource(CopiedSource):
    """`table`: the table whose files hold the records, where these are not a folder's."""

    def __init__(
        self, section: SourceSection, zone: ZoneInfo, known: KnownTypes, family: str, table: LakeTable | None = None
    ) -> None:
        self.origin, self._table = str(section.path), table
        self._section, self._zone, self._known, self._family = section, zone, known, family
        self._state, self._source = "", None
        self._told: dict[str, str] = {}

    _source: Source | None

    def fingerprint(self) -> str:
        return self._stamped(self._files())

    def content_id(self) -> str:
        if self._table is not None:
            return self._table.content_id()
        return hashlib.sha256(b"".join(steady_digest(path) for path in self._files())).hexdigest()

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        if self._table is not None:
            yield from self._table.contents(place, known)
            return
        for path in self._files():
            was = Stamp.of(path)
            stamp = f"{was.size}-{was.mtime_ns}"
            if (str(path), stamp) not in known:
                yield Content(place=place, name=str(path), stamp=stamp, hash=steady_digest(path).hex(), bytes=was.size)

    def guesses(self) -> dict[str, str]:
        with self._local():
            return dict(self._told)

    @contextmanager
    def _local(self) -> Iterator[Source]:
        files = self._files()
        state = self._stamped(files)
        if state != self._state or self._source is None:
            self._source, self._state = self._converted(files, state), state
        try:
            yield self._source
        except SourceError as error:
            raise SourceError(self._there(str(error))) from None

    def _there(self, text: str) -> str:
        for path in self._files():
            text = text.replace(str(self._folder / "rows" / f"{_name(path)}.jsonl"), str(path))
        return text.replace(f"{self._folder}/rows", self.origin)

    @property
    def _folder(self) -> Path:
        key = hashlib.sha256(repr((self.origin, self._family)).encode()).hexdigest()[:32]
        return copies.folder_of("captures") / key

    def _files(self) -> list[Path]:
        if self._table is not None:
            return self._table.files()
        try:
            files = captures_at(self.origin)
        except OSError as error:
            raise SourceError(f"{self.origin}: cannot be read ({error.strerror}), expected files or a folder") from None
        if not files:
            raise SourceError(f"{self.origin}: there is no such file, expected at least one capture to read")
        return files

    def _stamped(self, files: list[Path]) -> str:
        return hashlib.sha256(repr((_FORM, [Stamp.of(path) for path in files])).encode()).hexdigest()

    def _converted(self, files: list[Path], state: str) -> Source:
        """Return the source of the rows, converted unless they were from the files in this state."""
        note, rows = self._folder / "made.json", self._folder / "rows"
        try:
            known = parse_json(read_bytes(note, DOCUMENT))
        except (OSError, ValueError):
            known = {}
        if known.get("state") != state:
            made = convert(files, self._family)
            known = {"state": state, "told": self._tell(made)}
            wanted = {_write(rows / f"{_name(path)}.jsonl", made.rows[path]) for path in files if made.rows[path]}
            copies.forget_others(rows, wanted)
            copies.written(note, lambda part: _put(part, json.dumps(known)), anew=True)
        self._told = known["told"]
        section = self._section.model_copy(update={"path": str(rows), "format": "jsonl"})
        return FileSource(section, self._zone, self._known)

    def _tell(self, made: Converted) -> dict[str, str]:
        usable = sum(bool(row) for rows in made.rows.values() for row in rows)
        title = FAMILIES[self._family].title
        unusable = "; ".join(f"{count} {why}" for why, count in sorted(made.unusable.items())) or "none"
        if not usable:
            raise SourceError(f"{self.origin}: none of {made.records} records of {title} could be used ({unusable})")
        return {"capture": title, "records": str(made.records), "rows": str(usable), "not used": unusable}


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows, unless they are written already: a file that has not changed is not read again."""
    text = "".join(json.dumps(row or {"timestamp": None}, ensure_ascii=False) + "\n" for row in rows)
    if not path.is_file() or path.read_bytes() != text.encode():
        copies.written(path, lambda part: _put(part, text), anew=True)
    return path


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _name(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:24]
