"""Which files a path, a glob or a folder means: each file once, by its identity on the disk.

Names that begin with "." or "_" are left out, as Spark, Hive and Arrow do: unfinished attempts, checkpoints, markers.
"""

import glob
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ENDINGS = {
    ".parquet": "parquet", ".pq": "parquet",
    ".csv": "csv", ".tsv": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".orc": "orc",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".arrows": "arrow",
}
UNREAD = {".avro": "Avro"}       # of tables, not read; such a file beside others is not passed over in silence
_LOOSE = {"csv": (".txt", ".dat", ".log", ""), "jsonl": (".json", ".txt", ".log", "")}     # where no file has ENDINGS
CAPTURED = (".json", ".log", "")     # besides JSON lines: endings of what serving platforms write
_ROTATED = re.compile(r"\.log\.\d{4}-\d\d-\d\d$")       # a log of a day that is over
_TURNED = re.compile(r"[.-](\d{1,3}|\d{8}|\d{4}-\d\d-\d\d([t_-]\d\d([:_-]\d\d){0,2})?)$")      # what a rotation adds
COMPRESSED = (".gz", ".gzip", ".zst", ".zstd")
TABLES: dict[str, Callable[[Path], bool]] = {
    "Delta": lambda folder: any(any(glob.iglob(f"_delta_log/*.{ending}", root_dir=folder))
                                for ending in ("json", "checkpoint*.parquet")),
    "Iceberg": lambda folder: any(glob.iglob("metadata/*.metadata.json", root_dir=folder)),
    "Hudi": lambda folder: os.path.isdir(folder / ".hoodie"),
}       # of which a folder holds more files than count
_UNFINISHED = (".tmp", ".part", ".open")
_MAGIC = re.compile(r"[*?\[]")


def files_at(origin: str, format: str | None) -> list[Path]:
    """Return the files that exist now, sorted by name; of a folder those of `format`, or of any known one.

    Links are followed. A file that is reached several ways has the name without a link. Raises OSError.
    """
    return list(look_at(origin, format))


def look_at(origin: str, format: str | None) -> dict[Path, os.stat_result | None]:
    """Return the same files with their properties; None of one that has none, such as a link to nowhere."""
    path = Path(origin)
    if path.is_file():
        return {path: path.stat()}
    if path.is_dir():
        below = list(_below(path))
        fitting = [file for file in below if _fits(file, format)]
        return _each_once(fitting or [file for file in below if _fits_loosely(file, format)])
    return _each_once(file for file in _matches(origin) if _finished(file))


def may_be_data(names: tuple[str, ...], pattern: tuple[str, ...], format: str | None) -> bool:
    """Tell whether folders and file, below the folder that is read, may be among `files_at`; no pattern: all below."""
    file = Path(*names)
    if pattern:
        return _finished(file) and _fitting(names, pattern)
    captured = format not in ENDINGS.values() and _finished(file) and may_be_capture(file)
    fits = captured or _fits(file, format) or _fits_loosely(file, format)
    return fits and not any(_is_hidden(name) for name in names)


def of_a_table(name: str) -> bool:
    """Tell whether a file, by its path below a folder, says which files of the folder are a table's."""
    return name.startswith(("_delta_log/", ".hoodie/")) or (name.startswith("metadata/") and "/" not in name[9:])


def captures_at(origin: str) -> list[Path]:
    """Return the files that exist now, of a folder all that may be captures of a serving platform: Parquet files where
    the first one is such, else text. Raises OSError.
    """
    path, first = Path(origin), next(first_files(origin), None)
    if not path.is_dir() or (first is not None and kind_of(first) == "parquet"):
        return files_at(origin, "parquet" if path.is_dir() else None)
    return list(_each_once(file for file in _below(path) if _finished(file) and may_be_capture(file)))


def first_files(origin: str) -> Iterator[Path]:
    """Yield the files that exist now; looks at no more than is asked for. Raises OSError."""
    path = Path(origin)
    found = iter([path]) if path.is_file() else _below(path) if path.is_dir() else _matches(origin)
    return (file for file in found if _finished(file))


def may_be_capture(file: Path) -> bool:
    """Tell by its name whether a file of text may be a capture."""
    return _ending(file) in CAPTURED or kind_of(file) == "jsonl" or bool(_ROTATED.search(file.name))


def kind_of(file: Path) -> str | None:
    """Return the format that a file's name tells, with or without an ending such as .gz behind it."""
    ending = _ending(file)
    return ENDINGS.get(ending) or UNREAD.get(ending)


def endings_below(folder: Path) -> str:
    """Return which endings the files below a folder have, the most frequent first, such as "2 .json"; nothing of
    none. Raises OSError.
    """
    counts = Counter(_ending(file) for file in _below(folder) if _finished(file))
    return ", ".join(f"{count} {ending or 'without one'}" for ending, count in counts.most_common(3))


def _ending(file: Path) -> str:
    """Return the ending of a name without what packing and a rotation of logs put behind it."""
    rest, ending = os.path.splitext(file.name.lower())
    if ending in ENDINGS:
        return ending
    name = rest if ending in COMPRESSED else file.name.lower()
    turned = os.path.splitext(_TURNED.sub("", name))[1]
    return turned if ENDINGS.get(turned) in ("csv", "jsonl") else os.path.splitext(name)[1]


def table_around(folders: Iterable[Path]) -> tuple[str, Path] | None:
    """Return the kind and the folder of a table that one of these folders is, or lies in."""
    places = {folder.absolute() for folder in folders}
    folders = places.union(*(place.parents for place in places))
    return next(((kind, folder) for folder in sorted(folders) for kind, is_table in TABLES.items() if is_table(folder)),
                None)


def partition_values(origin: str, file: Path) -> dict[str, str]:
    """Return what the folders between the origin and a file say, such as `country=US`, in the manner of Hive."""
    root = len(Path(origin).parts) if not _MAGIC.search(origin) else len(_literal(origin).parts)
    folders = file.parts[root:-1]
    return dict(folder.split("=", 1) for folder in folders if "=" in folder and not folder.startswith("="))


def _literal(pattern: str) -> Path:
    """Return the leading folders of a pattern that are written without * and the like."""
    parts = Path(pattern).parts
    return Path(*parts[: next(at for at, part in enumerate(parts) if _MAGIC.search(part))])


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, each folder once; what links lead to comes last, so that real names win."""
    seen: set[tuple[int, int]] = set()
    folders, linked, links = deque([folder]), deque[Path](), list[Path]()
    while folders or linked:
        place = folders.popleft() if folders else linked.popleft()
        stat = place.stat()
        if (stat.st_dev, stat.st_ino) in seen:
            continue
        seen.add((stat.st_dev, stat.st_ino))
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if _is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    (linked if entry.is_symlink() else folders).append(place / entry.name)
                elif entry.is_symlink():
                    links.append(place / entry.name)      # one that leads nowhere is reported when it is read
                elif entry.is_file():
                    yield place / entry.name
    yield from links


def _matches(pattern: str) -> Iterator[Path]:
    """Yield the files that a glob means; ** goes through each folder once, however links are laid."""
    parts = Path(pattern).parts
    if "**" not in parts:
        found = [Path(name) for name in sorted(glob.glob(pattern))]
        links = [file for file in found if file.is_symlink()]
        yield from (file for file in [*(set(found) - set(links)), *links]
                    if file.is_file() and not _hides(file.parts, parts))
        return
    first = parts.index("**")
    for root in sorted(glob.glob(str(Path(*parts[:first])))):
        if os.path.isdir(root):
            yield from (file for file in _below(Path(root))
                        if file.is_file() and _fitting(file.relative_to(root).parts, parts[first:]))


def _fitting(names: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Tell whether folders and file fit a pattern in which ** stands for any number of folders."""
    if not pattern or pattern[0] == "**":
        return any(_fitting(names[at:], pattern[1:]) for at in range(len(names) + 1)) if pattern else not names
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _fitting(names[1:], pattern[1:])


def _hides(names: Iterable[str], pattern: Iterable[str]) -> bool:
    """Tell whether a * of the pattern stands for a hidden name; one that is written out is not hidden."""
    return any(_is_hidden(name) and _MAGIC.search(part) and not _is_hidden(part)
               for name, part in zip(names, pattern, strict=False))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _fits(file: Path, format: str | None) -> bool:
    kind = kind_of(file)
    return _finished(file) and kind is not None and format in (None, kind)


def _fits_loosely(file: Path, format: str | None) -> bool:
    return _finished(file) and _ending(file) in _LOOSE.get(format or "", ())


def _finished(file: Path) -> bool:
    return not file.name.startswith(".") and not file.name.lower().endswith(_UNFINISHED)


def _each_once(files: Iterable[Path]) -> dict[Path, os.stat_result | None]:
    """Return the files with their properties, sorted by name; of names of the same file the first."""
    found: dict[Path, os.stat_result | None] = {}
    seen: set[tuple[int, int]] = set()
    for file in files:
        try:
            stat = os.stat(file)
        except OSError:
            found[file] = None                            # whoever reads it says what is wrong
            continue
        if (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            found[file] = stat
    return dict(sorted(found.items(), key=lambda one: one[0].parts))
