"""Objects of a store as a source: each is copied once below the state folder, and read there like any file.

So every number is that of the same rows in local files.
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.records import Content
from monitor.sources import Source, copies
from monitor.sources.column_types import Bounds
from monitor.sources.copied import CopiedSource
from monitor.sources.listing import may_be_data, of_a_table
from monitor.sources.object_stores import Gone, Object, open_store

_AT_ONCE = 8                     # objects that are fetched at the same time
_EXPECTED = {                    # of an object that is no file here
    errno.EISDIR: "no other objects below its name", errno.ENOTDIR: "no object named as the folder that it is in",
    errno.EEXIST: "no object named as the folder that it is in", errno.ENAMETOOLONG: "a shorter name",
}
_MAGIC = re.compile(r"[*?\[]")

Bring = Callable[[Collection[Path]], None]
Open = Callable[[SourceSection, Bring], Source]


class RemoteSource(CopiedSource):
    """The objects as they were listed last: when this source was first read, and at each `fingerprint`."""

    def __init__(self, section: SourceSection, open_local: Open) -> None:
        self.origin = str(section.path)
        self._section, self._open = section, open_local
        scheme, _, path = self.origin.partition("://")
        parts = path.rstrip("/").split("/")
        at = next((at for at, part in enumerate(parts) if at and _MAGIC.search(part)), len(parts))
        self._pattern = tuple(parts[at:])
        self._base = f"{scheme}://{'/'.join(parts[:at])}"
        self._store = open_store(section, self._base)
        self._listed: dict[str, Object] | None = None
        self._source: Source | None = None

    def fingerprint(self) -> str:
        self._listed = None
        with self._local() as source:
            return source.fingerprint()

    def content_id(self) -> str:
        with self._local() as source:
            return source.content_id()

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        with self._local() as source:
            named = {(self._here(name), stamp) for name, stamp in known}
            for one in source.contents(place, named, during):
                yield Content(place=one.place, name=self._there(one.name), stamp=one.stamp, hash=one.hash,
                              bytes=one.bytes)

    @contextmanager
    def _local(self) -> Iterator[Source]:
        """Open the local copies, brought up to date with the list; what is wrong with one is said of its object."""
        try:
            if self._listed is None or self._source is None:
                self._source = self._brought()
            yield self._source
        except SourceError as error:
            raise SourceError(self._there(str(error))) from None

    def _brought(self) -> Source:
        for attempt in (1, 2):
            objects = self._store.objects()
            if not objects:
                raise SourceError(f"{self.origin}: there is no such object, expected at least one to read")
            single = objects[0].name == "" and len(objects) == 1
            if single:
                self._folder, own = self._base.rpartition("/")[0], self._base.rpartition("/")[2]
                objects = [Object(own, objects[0].size, objects[0].stamp)]
            else:
                self._folder = self._base
            self._single = single
            self._listed = {_safe(one.name, self._folder): one for one in objects}
            try:
                return self._up_to_date(single)
            except Gone:
                if attempt == 2:
                    raise SourceError(f"{self.origin}: objects were written or removed while they were copied, or "
                                      "end with a slash; the next look reads them again") from None
        raise AssertionError("the second attempt returns or raises")

    def _up_to_date(self, single: bool) -> Source:
        assert self._listed is not None
        names = list(self._listed)
        table = not single and not self._pattern and any(of_a_table(name) for name in names)
        first = names if single else [name for name in names if (of_a_table(name) if table else self._wanted(name))]
        wanted = {self._root / name for name in first}

        def bring(paths: Collection[Path]) -> None:
            wanted.update(paths)
            self._bring(paths)

        bring(wanted.copy())
        path = self._root / names[0] if single else self._root.joinpath(*self._pattern)
        source = self._open(self._section.model_copy(update={"path": str(path)}), bring)
        if table:
            source.fingerprint()
        copies.forget_others(self._root, wanted)
        return source

    def _wanted(self, name: str) -> bool:
        return may_be_data(PurePosixPath(name).parts, self._pattern, self._section.format)

    @property
    def _root(self) -> Path:
        key = hashlib.sha256(repr((self.origin, self._section.format, self._section.storage.endpoint)).encode())
        return copies.folder_of("objects") / key.hexdigest()[:32]

    def _bring(self, paths: Collection[Path]) -> None:
        """Copy the objects of these paths unless they are there as listed. Raises Gone, SourceError."""
        assert self._listed is not None
        root = self._root
        objects = {path: self._listed.get(path.relative_to(root).as_posix()) for path in paths}
        size = sum(one.size or 0 for one in objects.values() if one) >> 20
        if size > self._section.storage.space_mb:
            raise SourceError(f"{self.origin}: its objects have {size} MB, more than storage.space_mb "
                              f"({self._section.storage.space_mb}); name fewer, or allow more")
        missing = [(path, one) for path, one in objects.items() if one and not _is_current(path, one)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(self._copy, path, one) for path, one in missing]:
                done.result()

    def _copy(self, path: Path, one: Object) -> None:
        def write(part: Path) -> None:
            self._store.fetch(Object("", one.size, one.stamp) if self._single else one, part)
            if one.stamp is not None:
                os.utime(part, ns=(one.stamp, one.stamp))

        try:
            copies.written(path, write, anew=True)
        except OSError as error:
            wanted = _EXPECTED.get(error.errno or 0, "room for it")
            raise SourceError(f"{path}: cannot be copied ({error.strerror}), expected {wanted}") from None

    def _there(self, text: str) -> str:
        """Return a text with the address instead of the folder of the copies."""
        return text.replace(str(self._root), self._folder) if self._listed else text

    def _here(self, text: str) -> str:
        return text.replace(self._folder, str(self._root))


def _is_current(path: Path, one: Object) -> bool:
    """Tell whether a copy is the object as it is listed: by its size and the time at which it was written."""
    try:
        stat = path.stat()
    except OSError:
        return False
    return one.stamp is not None and (stat.st_size, stat.st_mtime_ns) == (one.size, one.stamp)


def _safe(name: str, folder: str) -> str:
    """Return a name that stays below a folder. Raises SourceError."""
    if any(part in ("", ".", "..") or "\0" in part for part in name.split("/")):
        raise SourceError(f"{folder}: the object {name!r} has a name that no file can have; give it another one")
    return name
