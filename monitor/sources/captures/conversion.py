"""Captured requests and answers, joined by their ids, as rows; what could not be used is counted with its reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.records import Json
from monitor.sources.captures.answers import Manner, answer, failed, features, manner_of
from monitor.sources.captures.families import FAMILIES, Family, Part
from monitor.sources.captures.records import records
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
    manner = manner_of(said for _, part in answers.values() for said in part.instances)
    for id, (path, part) in inputs.items():
        _, given = answers.pop(id, (path, None))
        try:
            made.rows[path] += _rows(part, given, roles or known.usual, manner)
        except Unusable as why:
            _count(made, path, str(why))
    for path, _ in answers.values():
        _count(made, path, "an answer without its request")
    return made


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


def _rows(part: Part, given: Part | None, roles: Mapping[str, str], manner: Manner) -> list[Json]:
    if given is None:
        raise Unusable("a request without its answer")
    answers = given.instances
    if len(answers) == 1 and isinstance(answers[0], list) and len(answers[0]) == len(part.instances):
        answers = answers[0]                   # one list of the answers to several inputs
    if any(map(failed, answers)):
        raise Unusable("a request that failed")
    if len(part.instances) != len(answers):
        raise Unusable("a request with another number of answers than of inputs")
    version, at = part.version or given.version, _moment(part.at if part.at is not None else given.at)
    several = len(part.instances) > 1
    rows = []
    for place, (asked, said) in enumerate(zip(part.instances, answers, strict=True)):
        own: Json = {"timestamp": at, "id": f"{part.id}-{place}" if several else part.id}
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


def _moment(at: Any) -> Any:
    """Return a time as other logs write it; BigQuery's text ends in UTC."""
    return at.removesuffix(" UTC").replace(" ", "T", 1) + "Z" if isinstance(at, str) and at.endswith(" UTC") else at


def _count(made: Converted, path: Path, why: str) -> None:
    made.unusable[why] += 1
    made.rows[path].append({})
