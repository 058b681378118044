"""Read files into one document: includes, short forms, absolute paths, [defaults], and the line of each key."""

import copy
import glob
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from monitor.config.keys import Key, at, dotted, matches, shown, walk
from monitor.config.line_numbers import locate
from monitor.config.toml_limits import DEEP, DEPTH, KEYS, MANY, beyond
from monitor.config.values import DATABASE_FILES, database_in
from monitor.untrusted import read_text

Table = dict[str, Any]
LISTED = 200                     # problems
BITS = 63                        # of a whole number, besides its sign: what TOML promises
TABLES = 1000                    # of one kind: models, pipelines, triggers of a model
FILES = 1000                     # included files

# Keys that hold paths; a relative path starts from the folder of the file it is written in.
PATHS = (
    "daemon.state_dir",
    "daemon.heartbeat.file",
    "daemon.callback_secret.file",
    "daemon.web_config",
    "daemon.captures",
    "daemon.backup.folder",
    "daemon.tokens.*.secret.file",
    "models.*.predictions.path",
    "models.*.predictions.database",
    "models.*.predictions.database.file",
    "models.*.predictions.storage.*.file",
    "models.*.labels.path",
    "models.*.labels.database",
    "models.*.labels.database.file",
    "models.*.labels.storage.*.file",
    "models.*.attributes.path",
    "models.*.attributes.database",
    "models.*.attributes.database.file",
    "models.*.attributes.storage.*.file",
    "models.*.reference.source.path",
    "models.*.reference.source.database",
    "models.*.reference.source.database.file",
    "models.*.reference.source.storage.*.file",
    "models.*.versions.predictions.path",
    "models.*.versions.predictions.database",
    "models.*.versions.predictions.database.file",
    "models.*.versions.predictions.storage.*.file",
    "models.*.promotion.shadow.path",
    "models.*.promotion.shadow.database",
    "models.*.promotion.shadow.database.file",
    "models.*.promotion.shadow.storage.*.file",
    "models.*.versions.environment.*.file",
    "models.*.registry.token.file",
    "models.*.registry.webhook_secret.file",
    "models.*.registry.ca",
    "pipelines.*.url.file",
    "pipelines.*.secret.file",
    "pipelines.*.previous_secret.file",
    "pipelines.*.ca",
    "pipelines.*.token.file",
    "pipelines.*.password.file",
    "pipelines.*.app.key.file",
    "pipelines.*.manifest",
    "pipelines.*.job_file",
    "pipelines.*.environment.*.file",
    "notify.urls.*.file",
)
PROGRAMS = ("pipelines.*.command.*", "models.*.versions.score.*", "defaults.versions.score.*")
# If a model has keys of one set, keys of the other set are not taken from [defaults].
ALTERNATIVES: dict[Key, tuple[set[str], set[str]]] = {
    (): ({"every"}, {"cron"}),
    ("predictions",): ({"path"}, {"database", "table"}),
    ("labels",): ({"path"}, {"database", "table"}),
    ("attributes",): ({"path"}, {"database", "table"}),
    ("reference",): ({"source"}, {"first"}),
    ("reference", "source"): ({"path"}, {"database", "table"}),
    ("versions",): ({"predictions"}, {"score"}),
    ("versions", "predictions"): ({"path"}, {"database", "table"}),
    ("promotion", "shadow"): ({"path"}, {"database", "table"}),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key is written; `inherited` if a model takes it from [defaults]."""

    file: str
    line: int
    inherited: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Document:
    """The keys of one file, or of all files merged, with the problems found."""

    path: Path
    parsed: bool = False
    data: Table = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[tuple[Place, str]] = field(default_factory=list)
    absent: list[tuple[Place, str]] = field(default_factory=list)     # data that do not exist (now)
    warnings: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)                 # of includes, absolute

    def place(self, key: Key) -> Place:
        """Return the line of a key, or of the nearest table above it."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key) or Place(str(self.path), 1)

    def problem(self, key: Key, text: str) -> None:
        self._note(self.problems, key, text)

    def missing(self, key: Key, text: str) -> None:
        """Note data that do not exist: `validate` reports an error, for the service the source fails."""
        self._note(self.absent, key, text)

    def _note(self, noted: list[tuple[Place, str]], key: Key, text: str) -> None:
        place = self.place(key)
        written = ("defaults", *key[2:]) if place.inherited else key
        entry = (Place(place.file, place.line), f"{dotted(shown(written))}: {text}")
        # a mistake in [defaults] is reported once, not once for each model
        if len(noted) <= LISTED and entry not in noted:
            noted.append(entry)

    def warn(self, key: Key, text: str) -> None:
        self.warnings.append(f"{self.place(key)}: {dotted(shown(key))}: {text}")

    def sentences(self) -> list[str]:
        """Return every problem, absent data too, as "file:line: key: text", ordered by file and line."""
        main = str(self.path)
        ranked = sorted([*self.problems, *self.absent], key=lambda it: (it[0].file != main, it[0].file, it[0].line))
        more = [f"{main}: there are more problems, the first {LISTED} are listed"] if len(ranked) > LISTED else []
        return [*(f"{place}: {text}" for place, text in ranked[:LISTED]), *more]


def read(path: Path) -> Document:
    """Read a configuration with its includes; files that cannot be read or parsed become problems."""
    document = _parse(path)
    for part in _included(document):
        _adopt(part, document)
        if len(document.places) > KEYS:
            document.problem((), f"with {part.path} {MANY}")
            document.parsed = False
            break
    for key, value in walk(document.data):
        if isinstance(value, int) and value.bit_length() > BITS:
            document.problem(key, f"is beyond {BITS} bits, expected a smaller whole number")
            document.parsed = False
        if isinstance(value, dict | list) and len(value) > TABLES and isinstance(_first(value), dict):
            document.problem(key, f"has {len(value)} tables, expected at most {TABLES}")
            document.parsed = False
    if document.parsed:
        _inherit(document)
    return document


def _first(values: Table | list[Any]) -> Any:
    return next(iter(values.values() if isinstance(values, dict) else values))


def _parse(path: Path) -> Document:
    document = Document(path)
    try:
        text = read_text(path).replace("\r\n", "\n")
    except OSError as error:
        text = f"cannot be read: {error.strerror}, expected a TOML file"
        document.problems.append((Place(str(path), 1), text))
        return document
    except UnicodeDecodeError:
        document.problems.append((Place(str(path), 1), "is not UTF-8 text, expected a TOML file"))
        return document
    document.texts[path.absolute()] = text
    if refused := beyond(text):
        document.problems.append((Place(str(path), refused[0]), refused[1]))
        return document
    try:
        document.data = tomllib.loads(text)
    except ValueError as error:              # also for a number of more than 4300 digits
        document.problems.append(_syntax(path, text, error))
        return document
    document.places = {key: Place(str(path), line) for key, line in locate(text).items()}
    if deep := next((key for key in document.places if len(key) > DEPTH), None):
        document.problem(deep[:DEPTH], DEEP)
        return document
    document.parsed = True
    _tidy(document)
    return document


def _syntax(path: Path, text: str, error: ValueError) -> tuple[Place, str]:
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Place(str(path), _line_of_digits(text)), "holds a number with too many digits, expected at most 20"
    message = str(error)
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    what, line, column = match.groups() if match else (message, None, None)
    where = f"column {column}" if column else "at the end of the file"
    last = text.rstrip("\n").count("\n") + 1
    return Place(str(path), int(line or last)), f"not valid TOML: {what}, {where}"


def _line_of_digits(text: str) -> int:
    """The line of the first number that tomllib cannot hold."""
    long = re.search(r"\d(?:_?\d){4000}", text)
    return text.count("\n", 0, long.start() if long else 0) + 1


def _tidy(document: Document) -> None:
    """Expand short forms, give every key its line, make paths absolute."""
    models = document.data.get("models")
    tables: dict[Key, Any] = {("defaults",): document.data.get("defaults")}
    if isinstance(models, dict):
        tables |= {("models", name): table for name, table in models.items()}
    for base, table in tables.items():
        if isinstance(table, dict):
            _expand(base, table, document)
    folder = document.path.absolute().parent     # not resolved: a mounted ConfigMap's real folder is replaced
    for key, value in list(walk(document.data)):
        document.places.setdefault(key, document.place(key))
        if isinstance(value, str) and _is_path(key, value):
            scheme = next((scheme for scheme in DATABASE_FILES if value.startswith(scheme)), "")
            path = value.removeprefix(scheme)
            if not path.strip() or "\0" in path:
                document.problem(key, "is empty or holds a zero byte, expected a path")
                path = "."
            if "://" not in path:
                at(document.data, key[:-1])[key[-1]] = scheme + str(folder / os.path.expanduser(path))


def _is_path(key: Key, value: str) -> bool:
    if any(matches(key, program) for program in PROGRAMS):    # the program itself, if it is written as a path
        return key[-1] == 0 and "/" in value
    full = ("models", "*", *key[1:]) if key[0] == "defaults" else key
    return any(matches(full, pattern) for pattern in PATHS)


def _expand(base: Key, table: Table, document: Document) -> None:
    """Expand the short forms of one model, or of [defaults]."""
    for name in ("predictions", "labels", "attributes"):
        _expand_place(table, name)
    if isinstance(table.get("versions"), dict):
        _expand_place(table["versions"], "predictions")
    if isinstance(table.get("window"), str | int | float):
        table["window"] = {"size": table["window"]}
    for held in (table, at(table, ("promotion", "shadow"))):
        if isinstance(held, dict) and isinstance(held.get("since"), date | str):
            held["since"] = _moment(held["since"])
    if "reference" in table:
        table["reference"] = _reference(table["reference"], (*base, "reference"), document)
    if "label" in table and isinstance(table.setdefault("columns", {}), dict):
        _expand_label(base, table, document)


def _expand_place(table: Table, name: str) -> None:
    if isinstance(table.get(name), str):
        table[name] = database_in(table[name]) or {"path": table[name]}


def _expand_label(base: Key, table: Table, document: Document) -> None:
    if "label" in table["columns"]:
        document.problem((*base, "label"), "columns.label is given too, expected one of them")
    table["columns"].setdefault("label", table.pop("label"))
    place = document.place((*base, "label"))
    document.places.setdefault((*base, "columns"), place)
    document.places.setdefault((*base, "columns", "label"), place)
    table.pop("label", None)


def _reference(value: Any, key: Key, document: Document) -> Any:
    if isinstance(value, str):
        first = re.fullmatch(r"\s*first\s+(.+)", value)
        return {"first": first[1]} if first else {"source": database_in(value) or {"path": value}}
    if not isinstance(value, dict):
        return value
    for inner, _ in walk(value):
        if place := document.places.get((*key, *inner)):
            document.places[*key, "source", *inner] = place
    source = {name: child for name, child in value.items() if name != "first"}
    first_only = {"first": value["first"]} if "first" in value else {}
    return {**first_only, "source": source} if source else first_only


def _moment(value: date | str) -> Any:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)


def _included(document: Document) -> Iterator[Document]:
    patterns = document.data.pop("include", [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        document.problem(("include",), 'expected a path or a list of paths, such as "models.d/*.toml"')
        return
    for pattern in patterns:
        document.patterns.append(str(document.path.absolute().parent / pattern))
        found = sorted(islice(glob.iglob(str(document.path.parent / pattern)), FILES + 1))
        if len(found) > FILES:
            document.problem(("include",), f'"{pattern}" matches more than {FILES} files, expected fewer')
            continue
        if not found and glob.has_magic(pattern):
            document.warn(("include",), f'no file matches "{pattern}" yet')
        elif not found:
            document.problem(("include",), f'there is no file "{pattern}"')
        yield from (_parse(Path(name)) for name in found)


def _adopt(part: Document, document: Document) -> None:
    """Add an included file's models and pipelines to the document; each name may occur once."""
    for name, table in part.data.items():
        group = document.data.setdefault(name, {}) if name in ("models", "pipelines") else None
        if group is None:
            part.problem((name,), "an included file may hold [models.*] and [pipelines.*] only")
        elif not isinstance(table, dict):
            part.problem((name,), f"expected tables such as [{name}.NAME]")
        elif isinstance(group, dict):
            _adopt_group(name, group, table, part, document)
    document.texts |= part.texts
    document.problems += part.problems
    document.warnings += part.warnings


def _adopt_group(name: str, group: Table, table: Table, part: Document, document: Document) -> None:
    added = set()
    for child, value in table.items():
        if child in group:
            part.problem((name, child), f"is already defined at {document.place((name, child))}, "
                         "expected each name once")
        else:
            group[child] = value
            added.add((name, child))
    document.places |= {key: place for key, place in part.places.items() if key[:2] in added}


def _inherit(document: Document) -> None:
    """Merge [defaults] into every model, then fill in what needs the whole model."""
    defaults = document.data.pop("defaults", {})
    if not isinstance(defaults, dict):
        document.problem(("defaults",), "expected a table with values for every model")
        defaults = {}
    models = document.data.get("models")
    for name, model in models.items() if isinstance(models, dict) else ():
        if isinstance(model, dict):
            _merge(model, defaults, ("models", name), (), document)
            _settle(name, model, document)
    _settle_silences(document.data)


def _merge(table: Table, defaults: Table, base: Key, below: Key, document: Document) -> None:
    one, other = ALTERNATIVES.get(below, (set(), set()))
    hidden = (other if table.keys() & one else set()) | (one if table.keys() & other else set())
    for name, value in defaults.items():
        key = (*below, name)
        if name not in table and name not in hidden:
            table[name] = copy.deepcopy(value)
            for inner in ((), *(rest for rest, _ in walk(value))):
                place = document.place(("defaults", *key, *inner))
                document.places[*base, *key, *inner] = Place(place.file, place.line, inherited=True)
        elif isinstance(table.get(name), dict) and isinstance(value, dict):
            _merge(table[name], value, base, key, document)


def _settle(name: str, model: Table, document: Document) -> None:
    """Set the model's name, the version in the reference's path, and the time zone of a naive `since`."""
    if "name" in model:
        document.problem(("models", name, "name"), "unknown key, a model is named by its table")
    model["name"] = name
    source = at(model, ("reference", "source"))
    if "{version}" in str(at(source, ("path",))):
        if isinstance(model.get("version"), str):
            model["reference"]["template"] = source["path"]
            source["path"] = str(source["path"]).replace("{version}", model["version"])
        else:
            document.problem(("models", name, "reference", "source", "path"),
                             "names {version}, but the model has none, expected version beside it")
            model["reference"] = {"first": "1d"}     # so that the rest is still checked
    for table in (model, at(model, ("promotion", "shadow"))):
        if isinstance(table, dict):
            _in_utc(table, model, "since")


def _settle_silences(data: Table) -> None:
    """Read naive times of silences in the time zone of their model; in UTC without a model."""
    for silence in data["silences"] if isinstance(data.get("silences"), list) else ():
        model = at(data, ("models", str(silence.get("model")))) if isinstance(silence, dict) else None
        for name in ("since", "until") if isinstance(silence, dict) else ():
            if isinstance(silence.get(name), date | str):
                silence[name] = _moment(silence[name])
            _in_utc(silence, model if isinstance(model, dict) else {}, name)


def _in_utc(table: Table, model: Table, name: str) -> None:
    """Convert a time to UTC; a naive one is in the model's time zone."""
    if isinstance(moment := table.get(name), datetime):
        try:
            zone = ZoneInfo(model.get("timezone", "UTC"))
        except (OSError, ValueError, TypeError, KeyError):
            zone = ZoneInfo("UTC")           # the time zone itself is reported by its own type
        with suppress(OverflowError):        # in UTC it would be before the year 1 or after 9999: it stays a date
            table[name] = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).isoformat()
