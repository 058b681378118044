"""Captured requests and answers, joined by their ids, as rows; what could not be used is counted with its reason."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.records import Json
from monitor.sources.captures.bodies import Unusable, answer, features
from monitor.sources.captures.families import FAMILIES, Part
from monitor.sources.compressed import unpacked
from monitor.sources.text_files import snapshot
from monitor.untrusted import parse_json


@dataclass(slots=True)
class Converted:
    """`rows` of each file; a record that could not be used is a row without anything."""

    rows: dict[Path, list[Json]] = field(default_factory=dict)
    records: int = 0
    unusable: Counter[str] = field(default_factory=Counter)


def convert(files: list[Path], family: str) -> Converted:
    """Return the rows of all files together, each in the file that holds its inputs. Raises SourceError."""
    made = Converted({path: [] for path in files})
    inputs: dict[str, tuple[Path, Part]] = {}
    answers: dict[str, tuple[Path, Part]] = {}
    for path in files:
        for record in _records(path):
            made.records += 1
            try:
                parts = _parts(record, family, path)
                for part in parts:
                    side = answers if part.answers else inputs
                    if part.id in side:
                        _count(made, side[part.id][0], "repeated later with the same id")
                    side[part.id] = (path, part)
            except Unusable as why:
                _count(made, path, str(why))
    for id, (path, part) in inputs.items():
        _, given = answers.pop(id, (path, None))
        try:
            made.rows[path] += _rows(part, given)
        except Unusable as why:
            _count(made, path, str(why))
    for path, _ in answers.values():
        _count(made, path, "an answer without its request")
    return made


def _parts(record: Any, family: str, path: Path) -> list[Part]:
    known = FAMILIES[family]
    if not isinstance(record, dict) or not known.fits(record):
        raise Unusable(f"no record of {known.title}")
    try:
        return list(known.parts(record))
    except Unusable:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        raise Unusable("a record of another form than described") from None


def _rows(part: Part, given: Part | None) -> list[Json]:
    if given is None:
        raise Unusable("a request without its answer")
    if len(part.instances) != len(given.instances):
        raise Unusable("a request with another number of answers than of inputs")
    version, at = part.version or given.version, _moment(part.at if part.at is not None else given.at)
    several = len(part.instances) > 1
    rows = []
    for place, (asked, said) in enumerate(zip(part.instances, given.instances, strict=True)):
        own: Json = {"timestamp": at, "id": f"{part.id}-{place}" if several else part.id}
        taken = features(asked)
        answered = {f"output.{name}" if name in taken else name: value for name, value in answer(said).items()}
        rows.append(own | taken | answered | ({"model_version": str(version)} if version else {}))
    return rows


def _moment(at: Any) -> Any:
    """Return a time as other logs write it; BigQuery's text ends in UTC."""
    return at.removesuffix(" UTC").replace(" ", "T", 1) + "Z" if isinstance(at, str) and at.endswith(" UTC") else at


def _count(made: Converted, path: Path, why: str) -> None:
    made.unusable[why] += 1
    made.rows[path].append({})


def _records(path: Path) -> Iterator[Any]:
    """Yield the records of a file: one a line, or all of them in one list. What is no JSON is None."""
    stat, data = snapshot(path)
    data = unpacked(data, path)
    written = datetime.fromtimestamp(stat.st_mtime if stat else path.stat().st_mtime, UTC).isoformat()
    lines = data.split(b"\n")
    if data.lstrip()[:1] == b"[" or (data.lstrip()[:1] == b"{" and _parsed(lines[0]) is None):
        whole = _parsed(data)
        found = whole if isinstance(whole, list) else [whole]
    else:
        unfinished = bool(lines[-1].strip()) and _parsed(lines[-1]) is None      # still being written
        found = [_parsed(line) for line in lines[: len(lines) - unfinished] if line.strip()]
    for record in found:
        yield {"time": written, **record} if isinstance(record, dict) and not _TIMES & set(record) else record


_TIMES = {"time", "timestamp", "logging_time", "request_time", "timestamp_ms", "eventMetadata"}


def _parsed(text: bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None
