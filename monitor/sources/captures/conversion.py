"""Captured requests and answers, joined by their ids, as rows; what could not be used is counted with its reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.records import Json
from monitor.sources.captures.answers import Manner, answer, features, manner_of
from monitor.sources.captures.families import FAMILIES, Family, Part
from monitor.sources.captures.pairs import paired
from monitor.sources.captures.records import records
from monitor.sources.captures.times import moment
from monitor.sources.captures.unusable import Unusable
from monitor.untrusted import MALFORMED


@dataclass(slots=True)
class Converted:
    """`rows` of each file; a record that could not be used is a row without anything."""

    rows: dict[Path, list[Json]] = field(default_factory=dict)
    records: int = 0
    unusable: Counter[str] = field(default_factory=Counter)


def convert(files: list[Path], family: str) -> Converted:
    """Return the rows of all files together, each in the file that holds its inputs. Raises SourceError."""
    made, known = Converted({path: [] for path in files}), FAMILIES[family]
    roles: dict[str, str] = {}
    inputs: dict[str, tuple[Path, Part]] = {}
    answers: dict[str, tuple[Path, Part]] = {}
    for path in files:
        for record in records(path):
            made.records += 1
            try:
                found, parts = _parts(record, known)
                roles |= found
                for part in parts:
                    side = answers if part.answers else inputs
                    if part.id in side and known.continued:
                        side[part.id][1].instances.extend(part.instances)
                        continue
                    if part.id in side:
                        _count(made, side[part.id][0], "repeated later with the same id")
                    side[part.id] = (path, part)
            except Unusable as why:
                _count(made, path, str(why))
    joined: list[tuple[Path, Part, Part, list[tuple[Any, Any]]]] = []
    for id, (path, part) in inputs.items():
        _, given = answers.pop(id, (path, None))
        try:
            joined.append((path, *_joined(part, given)))
        except Unusable as why:
            _count(made, path, str(why))
    for path, _ in answers.values():
        _count(made, path, "an answer without its request")
    manner = manner_of(said for *_, pairs in joined for _, said in pairs)
    for path, part, given, pairs in joined:
        try:
            made.rows[path] += _rows(part, given, pairs, roles or known.usual, manner)
        except Unusable as why:
            _count(made, path, str(why))
    return made


def _joined(part: Part, given: Part | None) -> tuple[Part, Part, list[tuple[Any, Any]]]:
    if given is None:
        raise Unusable("a request without its answer")
    return part, given, paired(part.instances, given.instances)


def _parts(record: Any, known: Family) -> tuple[dict[str, str], list[Part]]:
    """Return what a record says of the others, and the parts that it holds."""
    if not isinstance(record, dict) or not known.fits(record):
        raise Unusable(f"no record of {known.title}")
    try:
        return known.roles(record), list(known.parts(record))
    except Unusable:
        raise
    except (*MALFORMED, RecursionError):
        raise Unusable("a record of another form than described") from None


def _rows(
    part: Part, given: Part, pairs: list[tuple[Any, Any]], roles: Mapping[str, str], manner: Manner
) -> list[Json]:
    version, at = part.version or given.version, moment(part.at if part.at is not None else given.at)
    rows = []
    for place, (asked, said) in enumerate(pairs):
        own: Json = {"timestamp": at, "id": f"{part.id}-{place}" if len(pairs) > 1 else part.id}
        taken = _inputs(asked, roles)
        answered = {f"output.{name}" if name in taken else name: value for name, value in answer(said, manner).items()}
        rows.append(own | taken | answered | ({"model_version": str(version)} if version else {}))
    return rows


def _inputs(asked: Any, roles: Mapping[str, str]) -> Json:
    """The inputs, and what stands among them without being one under the name of its role."""
    if not roles or not isinstance(asked, dict):
        return features(asked)
    own = {roles[name]: value for name, value in asked.items() if name in roles}
    return features({name: value for name, value in asked.items() if name not in roles}) | own


def _count(made: Converted, path: Path, why: str) -> None:
    made.unusable[why] += 1
    made.rows[path].append({})
