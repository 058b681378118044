"""Files as a source: one path, a glob, or a growing folder, all of one format."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa

from monitor import escape
from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.records import Content
from monitor.sources.column_types import (
    Bounds,
    common_type,
    conform,
    decoded,
    first_rows,
    flat,
    in_shared_type,
    is_number,
    tidy,
    union,
    within,
)
from monitor.sources.extents import Stamp
from monitor.sources.formats import Format
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.listing import (
    UNREAD,
    endings_below,
    kind_of,
    look_at,
    partition_values,
    table_around,
)
from monitor.sources.moments import in_utc
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.partitions import Partitions, partitions_of
from monitor.sources.row_groups import RowGroups
from monitor.sources.strays import Strays, Times, strays_of
from monitor.sources.written_numbers import Style, as_declared, in_type, type_of, typed
from monitor.untrusted import open_file

T = TypeVar("T")

_IN_GROUPS = {
    "parquet": ("monitor.sources.parquet", "Parquet"),
    "orc": ("monitor.sources.orc", "Orc"),
    "arrow": ("monitor.sources.arrow_ipc", "ArrowIpc"),
}
_KEPT = 8       # sources whose strays are kept in this process
_strays: dict[tuple[str, ...], Strays] = {}


class FileSource:
    each_once = False
    costs = False

    def __init__(self, section: SourceSection, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        self.origin = str(section.path)
        self._section = section
        self._zone = zone
        self._known = known
        self._schemas: dict[Stamp, pa.Schema] = {}
        self._listed: list[Path] | None = None
        self._stamps: dict[Path, Stamp] = {}         # at the look, or when a file was last read
        self._named: Partitions | None = None
        self._columns: pa.Schema | None = None
        self._maybe: dict[Bounds, list[Path]] = {}

    def fingerprint(self) -> str:
        self._listed = None              # look again: files may have come or gone
        return self._mark()

    def _mark(self) -> str:
        return hashlib.sha256(repr([self._stamp(path) for path in self._files()]).encode()).hexdigest()

    def _stamp(self, path: Path) -> Stamp:
        """Return the stamp of a file at the look."""
        if path not in self._stamps:
            try:
                self._stamps[path] = Stamp.of(path)
            except OSError as error:
                raise _unreadable(str(path), error) from None
        return self._stamps[path]

    def content_id(self) -> str:
        whole = hashlib.sha256()
        for path in self._files():
            whole.update(steady_digest(path))
            if named := partition_values(self.origin, path):
                whole.update(repr(named).encode())
        return whole.hexdigest()

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        for path in self._that_may_hold(during):
            was = Stamp.of(path)
            stamp = f"{was.size}-{was.mtime_ns}"
            if (str(path), stamp) not in known:
                hash = _steadily(path, _digest, grows=True).hex()
                yield Content(place=place, name=str(path), stamp=stamp, hash=hash, bytes=was.size)

    def _that_may_hold(self, during: Sequence[Bounds]) -> list[Path]:
        """Return the files that may have rows in one of the time ranges; all files without any."""
        if not during or self._columnar is None:
            return self._files()
        inside = {path for bounds in during for path in self._inside(self._columnar, bounds)}
        return [path for path in self._files() if path in inside]

    def guesses(self) -> dict[str, str]:
        return self._format.guesses()

    def left_out(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in self._files():
            found |= self._told(path, self._format.left_out)
        return found | self._partitions().left_out

    def same_schema(self, most: int) -> bool:
        """Tell whether these are files of row groups with one schema and at most `most` bytes in total."""
        if self._columnar is None:
            return False
        files = self._files()
        small = sum(self._stamp(path).size for path in files) <= most
        return small and all(self._schema_of(path).equals(self._schema_of(files[0])) for path in files)

    def schema(self) -> pa.Schema:
        if self._columns is None:
            partitions, schemas = self._partitions(), self._each_schema(self._files())
            self._columns = union((str(path), partitions.added(schema)) for path, schema in schemas)
        return self._columns

    def _each_schema(self, files: Sequence[Path]) -> list[tuple[Path, pa.Schema]]:
        """Return the files' schemas, those that are one object once, with the first file that has it."""
        found: dict[int, tuple[Path, pa.Schema]] = {}
        for path in files:
            schema = self._schema_of(path)
            found.setdefault(id(schema), (path, schema))
        return list(found.values())

    def _relevant(self, bounds: Bounds) -> list[Path]:
        """Return the files that may have rows within the bounds, and of the others one for each schema: the columns
        of all files count.
        """
        files, format = self._files(), self._columnar
        if format is None or bounds.timestamp is None:
            return files
        inside = set(self._inside(format, bounds))
        outside = [path for path in files if path not in inside]
        inside.update(path for path, _ in self._each_schema(outside))
        return [path for path in files if path in inside]

    def _inside(self, format: RowGroups, bounds: Bounds) -> list[Path]:
        """Return the files that may have rows within the bounds."""
        if bounds not in self._maybe:
            self._maybe[bounds] = [path for path in self._files() if not self._lay_outside(format, path, bounds)]
        return [path for path in self._maybe[bounds] if not self._lies_outside(format, path, bounds)]

    def _lay_outside(self, format: RowGroups, path: Path, bounds: Bounds) -> bool:
        """Tell whether it is known that no row of a file was within the bounds at the look."""
        return format.is_known(path, bounds.timestamp or "") and format.lies_outside(path, bounds)

    def _lies_outside(self, format: RowGroups, path: Path, bounds: Bounds) -> bool:
        return self._steadily(path, lambda path: format.lies_outside(path, bounds))

    def _partitions(self) -> Partitions:
        files = self._files()
        if self._named is None:
            named = any("=" in str(path) and partition_values(self.origin, path) for path in files)
            schemas = [schema for _, schema in self._each_schema(files)] if named else []
            self._named = partitions_of(self.origin, files, schemas) if named else Partitions()
        return self._named

    def _schema_of(self, path: Path) -> pa.Schema:
        """Return the schema of one file; it is read again once the file is found to have changed."""
        stamp = self._stamp(path)
        if stamp not in self._schemas:
            self._schemas[stamp] = self._told(path, self._format.schema)
        return self._schemas[stamp]

    def _told(self, path: Path, load: Callable[[Path], T]) -> T:
        """Return load(path), which asks for a file's columns; a file whose columns are known is not looked at again."""
        known = self._columnar is not None and self._columnar.is_known(path)
        return load(path) if known else self._steadily(path, load)

    def read(
        self,
        columns: Sequence[str] | None,
        *,
        timestamp: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        moments: Sequence[str] = (),
    ) -> pa.Table:
        times = list(dict.fromkeys([*([timestamp] if timestamp else []), *moments]))
        wanted = None if columns is None else list(dict.fromkeys([*columns, *times]))
        bounds, partitions = Bounds(timestamp, start, end), self._partitions()

        def load(path: Path, format: Format = self._format) -> pa.Table:
            parts = (partitions.filled(part, path, wanted) for part in format.read(path, wanted, bounds))
            return pa.concat_tables([self._trim(part, path, times, bounds) for part in parts])

        pieces = {str(path): self._steadily(path, load) for path in self._relevant(bounds)}
        if words := _words_elsewhere(pieces):
            pieces |= {path: self._steadily(Path(path), partial(load, format=self._format.as_words(words)))
                       for path, piece in pieces.items() if _numbers_among(piece, words)}
        self._require([*(wanted or ()), *times], timestamp, pieces)
        filled = [path for path, piece in pieces.items() if piece.num_rows]
        schema = _common({path: piece.schema for path, piece in pieces.items()}, filled)
        if wanted is not None:
            kinds = {field.name: field.type for field in schema}
            schema = pa.schema([(name, kinds.get(name, pa.null())) for name in wanted])
        schema = _with_times(schema, times)
        table = pa.concat_tables([conform(piece, schema) for piece in pieces.values() if piece.num_columns]
                                 or [schema.empty_table()])
        return typed(table, self._known.exact | self._known.words) if self._columnar else table

    def strays(self, timestamp: str) -> Strays:
        key = (self.origin, repr(self._section), self._zone.key, timestamp, self._mark())
        if key not in _strays:
            while len(_strays) >= _KEPT:
                _strays.pop(next(iter(_strays)))
            _strays[key] = strays_of(self._times(timestamp))
        return _strays[key]

    def _times(self, timestamp: str) -> Iterator[Times]:
        if timestamp in self._partitions().kinds:
            yield Times.of(self.read([], timestamp=timestamp)[timestamp])
            return
        for path in self._files():
            known = self._columnar.known_times(path, timestamp) if self._columnar else None
            yield from known if known is not None else self._steadily(
                path, lambda path: list(self._format.times(path, timestamp)))

    def head(self, values: int) -> pa.Table:
        most, partitions = first_rows(values, len(self.schema())), self._partitions()
        if self._columnar is None:
            return self.read(None).slice(0, most)
        pieces: dict[str, pa.Table] = {}
        for path in self._files():
            left = most - sum(map(len, pieces.values()))
            if left <= 0:
                break

            def load(path: Path, left: int = left) -> pa.Table:
                parts: list[pa.Table] = []
                for part in self._format.read(path, None, Bounds()):
                    parts.append(self._trim(partitions.filled(part, path, None), path, [], Bounds()))
                    if sum(map(len, parts)) >= left:
                        break
                return pa.concat_tables(parts).slice(0, left)

            pieces[str(path)] = self._steadily(path, load)
        schema = _common({path: piece.schema for path, piece in pieces.items()},
                               [path for path, piece in pieces.items() if len(piece)])
        table = pa.concat_tables([schema.empty_table(), *(conform(piece, schema) for piece in pieces.values())])
        return typed(table, self._known.exact | self._known.words)

    def stamp(self, columns: Sequence[str], bounds: Bounds) -> None:
        return None

    def scan(
        self, timestamp: str, start: datetime | None, end: datetime | None, columns: Collection[str] | None = None
    ) -> "FileScan | None":
        if self._columnar is None:
            return None
        partitions = self._partitions()
        schemas = {path: partitions.added(self._schema_of(path)) for path in self._files()}
        declared = any(pa.types.is_string(schema.field(name).type) for schema in schemas.values()
                       for name in self._known.numbers & set(schema.names))
        if timestamp in partitions.kinds or declared:
            return None
        bounds = Bounds(timestamp, start, end)
        return FileScan(self._columnar, schemas, self._inside(self._columnar, bounds), bounds, self._known, partitions)

    def _trim(self, part: pa.Table, path: Path, times: list[str], bounds: Bounds) -> pa.Table:
        units = self._format.units(path, times)
        for name in times:                       # the timestamp is first: only rows inside the bounds go on
            part = in_utc(part, [name], self._zone, path, self._format.day_first, units)
            part = within(part, bounds) if name == bounds.timestamp else part
        return as_declared(tidy(self._format.settle(part), self._known.exact), self._known.numbers, Style())

    def _forget(self) -> None:
        """Forget what was concluded from the files as they were."""
        self._named = self._columns = None
        self._maybe.clear()

    def _steadily(self, path: Path, load: Callable[[Path], T]) -> T:
        def anew(path: Path) -> T:
            if (now := Stamp.of(path)) != self._stamps.get(path):
                self._stamps[path] = now
                self._forget()
            return load(path)

        return _steadily(path, anew, grows=self._format.grows)

    def _require(self, names: list[str], timestamp: str | None, pieces: dict[str, pa.Table]) -> None:
        """Raise SourceError if a column is in no file, or if the timestamp is missing from any file."""
        filled = {path: piece for path, piece in pieces.items() if self._has_header(path, piece)}
        for name in names:
            without = [path for path, piece in filled.items() if name not in piece.schema.names]
            if without and (name == timestamp or len(without) == len(filled)):
                there = self._format.schema(Path(without[0])).names
                columns = quoted(escape.names(there[:20]))
                raise SourceError(f"{without[0]}: has no column {name}, expected it among {columns}")

    def _has_header(self, path: str, piece: pa.Table) -> bool:
        return piece.num_columns > 0 or bool(self._format.schema(Path(path)).names)

    @cached_property
    def _format(self) -> Format:
        kind = self._section.format or self._kind_by_ending()
        if kind in _IN_GROUPS:
            module, name = _IN_GROUPS[kind]
            grouped: type[RowGroups] = getattr(import_module(module), name)
            return grouped(self._zone, self._known, self._stamp)
        if kind == "csv":
            from monitor.sources.delimited import Delimited

            return Delimited(self._section.csv, self._files(), self._zone, self._known)
        from monitor.sources.jsonl import JsonLines

        return JsonLines(self._zone, self._known)

    @cached_property
    def _columnar(self) -> RowGroups | None:
        return self._format if isinstance(self._format, RowGroups) else None

    def _kind_by_ending(self) -> str:
        formats = {kind for path in self._files() if (kind := kind_of(path))}
        if unread := sorted(formats & set(UNREAD.values())):
            others = "; set format to leave these out" if formats - set(unread) else ""
            raise SourceError(f"{self.origin}: {' and '.join(unread)} by its ending, which is not read, expected "
                              f"Parquet, ORC, Arrow, CSV or JSON lines{others}")
        if len(formats) == 1:
            return formats.pop()
        what = f"holds {' and '.join(sorted(formats))}" if formats else "has no ending that names its format"
        raise SourceError(f'{self.origin}: {what}; set format = "parquet", "orc", "arrow", "csv" or "jsonl"')

    def _files(self) -> list[Path]:
        """Return the files that there were at the first look, or when the fingerprint was last taken, sorted by name.
        Raises SourceError if there are none.
        """
        if self._listed is None:
            self._listed = self._list()
        return self._listed

    def _list(self) -> list[Path]:
        try:
            seen = look_at(self.origin, self._section.format)
        except OSError as error:
            raise _unreadable(error.filename or self.origin, error) from None
        files = list(seen)
        self._stamps = {path: Stamp.seen(path, stat) for path, stat in seen.items() if stat}
        self._forget()
        if not files:
            if Path(self.origin).is_dir() and (endings := endings_below(Path(self.origin))):
                raise SourceError(f"{self.origin}: no file in this folder has an ending that names its format (but "
                                  f'{escape.name(endings)}); set format = "csv" or "jsonl"')
            odd = Path(self.origin).exists() and not Path(self.origin).is_dir()
            what = "is neither a file nor a folder" if odd else "there is no such file"
            raise SourceError(f"{self.origin}: {what}, expected at least one file to read")
        folders = {os.path.dirname(file) for file in files}
        if files != [Path(self.origin)] and (found := table_around(map(Path, folders))):
            kind, folder = found
            raise SourceError(f"{self.origin}: {folder} holds a table ({kind}), whose deleted rows are in its "
                              f'files; name the table alone, path = "{folder}"')
        return files


class FileScan:
    """Reads columns of the rows within the bounds, one row group at a time; only files `inside` have some."""

    def __init__(
        self, format: RowGroups, schemas: Mapping[Path, pa.Schema], inside: Sequence[Path], bounds: Bounds,
        known: KnownTypes, partitions: Partitions,
    ) -> None:
        self._format, self._bounds, self._known, self._partitions = format, bounds, known, partitions
        self._stamps = {path: Stamp.of(path) for path in inside}
        counts = {path: format.count(path, bounds) for path in inside}
        self.rows = sum(counts.values())
        self._filled = [path for path, count in counts.items() if count]
        self._schemas = {str(path): schema for path, schema in schemas.items()}
        self._schemas |= {str(path): self._typed(path, schemas[path]) for path in self._filled}
        self.schema = _common(self._schemas, [str(path) for path in self._filled])

    def _typed(self, path: Path, schema: pa.Schema) -> pa.Schema:
        """Return the types of a file's columns, those of text by what they hold, unless that is known."""
        apart = self._known.exact | self._known.words | set(self._partitions.kinds) | {self._bounds.timestamp}
        for name in (name for name in schema.names if name not in apart):
            if pa.types.is_string(schema.field(name).type):
                parts = (in_shared_type(flat(part)[name], pa.string())
                         for part in self._format.scan(path, [name], self._bounds))
                schema = schema.set(schema.get_field_index(name), pa.field(name, type_of(parts)))
        return schema

    def parts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        for path in self._filled:
            there = set(self._schemas[str(path)].names) - set(self._partitions.kinds)
            try:
                named = [name for name in columns if name in there] or [str(self._bounds.timestamp)]
                for part in self._format.scan(path, named, self._bounds):
                    yield self._level(self._partitions.filled(part, path, columns), columns)
            except Exception:                  # a file replaced during the read can raise anything
                self._require_unchanged(path)
                raise
            self._require_unchanged(path)

    def at_hand(self, columns: Sequence[str], moments: Sequence[str]) -> None:
        return None

    def _require_unchanged(self, path: Path) -> None:
        try:
            now = Stamp.of(path)
        except OSError as error:
            raise _unreadable(str(path), error) from None
        if now != self._stamps[path]:
            raise _changed(path)

    def _level(self, part: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Cast the columns to the types they have in all files together; strings may stay dictionary encoded."""
        wanted = [self.schema.field(name) for name in columns]
        if all(part.schema.field(f.name).type in (f.type, pa.dictionary(pa.int32(), f.type))
               if f.name in part.schema.names else False for f in wanted):
            return part.select(columns)
        coded = [f.name for f in part.schema if f.type == pa.dictionary(pa.int32(), pa.string())]
        plain = tidy(part.drop_columns(coded), self._known.exact)

        def column(name: str) -> pa.ChunkedArray:
            kind = self.schema.field(name).type
            if name in coded and pa.types.is_string(kind):
                return part[name]
            if name in part.column_names or name in plain.column_names:
                found = decoded((part if name in coded else plain)[name])
                text = pa.types.is_string(found.type) and not pa.types.is_string(kind)
                return in_type(found, kind) if text else found.cast(kind, safe=False)
            return pa.chunked_array([pa.nulls(len(part), kind)])

        return pa.table({name: column(name) for name in columns})


def _steadily(path: Path, load: Callable[[Path], T], *, grows: bool = False) -> T:
    """Return load(path), and load again if the file was written meanwhile. Raises SourceError if it was written twice.

    `grows`: load itself reads a consistent copy, so rows may be appended to the file meanwhile.
    """
    for attempt in (1, 2):
        try:
            before = Stamp.of(path)
            result = load(path)
            if grows or Stamp.of(path) == before:
                return result
        except OSError as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            if attempt == 2:
                raise _unreadable(str(path), error) from None
        except SourceError:
            if attempt == 2 or _is_as_before(path, before):
                raise
    raise _changed(path)


def _is_as_before(path: Path, before: Stamp) -> bool:
    try:
        return Stamp.of(path) == before
    except OSError:
        return False


def steady_digest(path: Path) -> bytes:
    """Return the SHA-256 of a file that does not change meanwhile. Raises SourceError."""
    return _steadily(path, _digest)


def _changed(path: Path) -> SourceError:
    return SourceError(f"{path}: was written during the read; write to a name ending in .tmp, then rename")


def _unreadable(place: str, error: OSError) -> SourceError:
    why = error.strerror or error
    return SourceError(f"{place}: cannot be read ({why}), expected a readable file or folder")


def _digest(path: Path) -> bytes:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _common(schemas: Mapping[str, pa.Schema], filled: Iterable[str]) -> pa.Schema:
    """Return the types of the `filled` files, those with rows in the bounds; numbers are as wide as in any file.

    So a bad value in a file whose rows are not read does not turn a column into text.
    """
    used = union((path, schemas[path]) for path in filled)
    kinds = {field.name: field.type for field in used}
    for schema in {id(schema): schema for schema in schemas.values()}.values():
        for field in schema:
            known = kinds.get(field.name, pa.null())
            if pa.types.is_null(known) or (is_number(known) and is_number(field.type)):
                kinds[field.name] = common_type(known, field.type)
    return pa.schema(kinds.items())


def _words_elsewhere(pieces: Mapping[str, pa.Table]) -> set[str]:
    """Return the columns that hold words in some files, and something else in others."""
    kinds: dict[str, set[bool]] = {}
    for piece in (piece for piece in pieces.values() if piece.num_rows):
        for field in piece.schema:
            kinds.setdefault(field.name, set()).add(pa.types.is_string(field.type))
    return {name for name, found in kinds.items() if len(found) == 2}


def _numbers_among(piece: pa.Table, words: Collection[str]) -> bool:
    """Tell whether a file has values that are no text in one of these columns."""
    kinds = [field.type for field in piece.schema if field.name in words]
    return bool(piece.num_rows and any(not (pa.types.is_string(kind) or pa.types.is_null(kind)) for kind in kinds))


def _with_times(schema: pa.Schema, times: list[str]) -> pa.Schema:
    """Give the time columns the type timestamp[us, UTC], and add them if no file has a header yet."""
    moment = pa.timestamp("us", "UTC")
    kinds = {field.name: field.type for field in schema} | dict.fromkeys(times, moment)
    return pa.schema(kinds.items())
