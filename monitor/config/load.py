"""Read and check a configuration, and report every problem at once."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from monitor.config.document import LISTED, Document, Place, read
from monitor.config.keys import Key, Step, at, dotted, shown, walk
from monitor.config.later_keys import refused
from monitor.config.pydantic_messages import expected, sentence
from monitor.config.rules import check
from monitor.config.sections import BUILT_IN_TRIGGERS, Config, going_back
from monitor.config.values import Secret
from monitor.errors import ConfigError

DEFAULT_PATH = Path("/etc/driftd/driftd.toml")
_PASSWORD = re.compile(r"(://)[^/\s\"'@]*@")
_TOKEN = re.compile(r"([?&][\w-]*(?:token|key|sig|signature|secret|password|auth)=)[^&\s\"'#]+", re.I)

# These replace invalid parts while the rest is checked, so that one mistake does not hide another.
_MODEL: dict[str, Any] = {"predictions": {"path": "."}, "reference": {"first": "1d"}}
_STUBS: dict[Step, Any] = {
    "url": "https://example.org", "secret": {"env": "?"}, "token": {"env": "?"}, "repository": "a/b",
    "workflow": "?", "command": ["true"], "pipeline": "", "above": 0, "below": 1, "rise": "1%", "drop": "1%",
    "windows": "1 of 1",
}
_WHOLE = (("predictions",), ("labels",), ("attributes",), ("reference",), ("evidently",), ("triggers",))


@dataclass(frozen=True, slots=True)
class Loaded:
    """An accepted configuration.

    `hash` is the SHA-256 of the effective values; `text` is the accepted text, redacted; `files` are its files.
    `origins` holds where each effective key is written: "file:line", "[defaults] file:line" or "default".
    `absent` holds a sentence for each file of data that does not exist, where that was asked for.
    """

    path: Path
    config: Config
    hash: str
    text: str
    files: tuple[Path, ...]
    origins: dict[str, str]
    warnings: tuple[str, ...]
    absent: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()           # of includes: a file that comes to match one belongs to it


def load(path: Path, *, stand_in: float | None = None, data: bool = False) -> Loaded:
    """Read the configuration at `path`. Raises ConfigError with every problem, each "file:line: key: …".

    Data are not touched, so that a mount that hangs keeps nobody from reading the configuration. With `data` it is
    looked whether they are there.
    `stand_in` is used as the price of triggers that have `about` but no `above`, by the command that proposes one.
    """
    document = read(path)
    if not document.parsed:
        raise ConfigError(document.sentences())
    if stand_in is not None:
        _price(document.data, stand_in)
    for key, text in list(refused(document.data)):
        document.problem(key, text)
        _drop_alone(document.data, key)
    _refuse_dates(document)
    config = _validate(document)
    if config is not None:
        check(config, document, data=data)
    if document.problems or config is None:
        raise ConfigError([redact(text) for text in document.sentences()])
    return _loaded(document, _with_built_in(config))


def _with_built_in(config: Config) -> Config:
    """Give every model the built-in triggers that its file does not define itself."""
    models = {}
    for name, model in config.models.items():
        own = {trigger.name for trigger in model.triggers}
        known = (*BUILT_IN_TRIGGERS, *([going_back(model.triggers)] if model.versions else []))
        built_in = (trigger for trigger in known if trigger.name not in own)
        models[name] = model.model_copy(update={"triggers": (*model.triggers, *built_in)})
    return config.model_copy(update={"models": models})


def find_config(option: Path | str | None) -> Path:
    """Return the path of the configuration: the option, then $DRIFTD_CONFIG, then /etc/driftd/driftd.toml.

    Raises ConfigError if there is no such file.
    """
    named = option or os.environ.get("DRIFTD_CONFIG")
    path = Path(named) if named else DEFAULT_PATH
    if not path.is_file():
        asked = "given by -c" if option else "given by $DRIFTD_CONFIG" if named else "the default without -c"
        what = f"there is no such file ({asked}), expected a configuration; `driftd init DATA` writes one"
        raise ConfigError([f"{path}: {what}"])
    return path


def state_dir(config: Config, config_path: Path) -> Path:
    """Return the state folder: as configured, then $STATE_DIRECTORY (systemd), then ./state beside the file."""
    # systemd separates several directories by colons; the first one is used
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return config.daemon.state_dir or (Path(given) if given else config_path.absolute().parent / "state")


def missing_secrets(loaded: Loaded) -> list[str]:
    """Return a sentence for each secret or certificate that cannot be read now; the values are never shown."""
    found = []
    for key, kept in _kept_elsewhere(loaded.config, ()):
        place = f"{loaded.origins[dotted(shown(key))]}: {dotted(shown(key))}"
        if isinstance(kept, Path):
            found += [] if kept.is_file() else [f"{place}: {kept} is not there, expected certificates (PEM)"]
            continue
        try:
            kept.reveal()
        except ConfigError as error:
            found.append(f"{place}: {error}")
    return found


def redact(text: str) -> str:
    """Return the text without the passwords and tokens in its addresses."""
    return _TOKEN.sub(r"\1…", _PASSWORD.sub(r"\1…@", text))


def _refuse_dates(document: Document) -> None:
    """Note and leave out dates and times of TOML; where one is expected, it is text by now."""
    for key, value in list(walk(document.data)):
        if isinstance(value, date | time) and at(document.data, key) is value:
            document.problem(key, expected(key, document.data))
            _drop(document.data, key)


def _validate(document: Document) -> Config | None:
    """Validate; note and leave out what is wrong until the rest is valid (None if it never is)."""
    for _ in range(10):                      # each round leaves something out; two rounds are usual
        try:
            # strict, and as JSON: "2" is no number, but a list may become a tuple and text a path
            return Config.model_validate_json(json.dumps(document.data), strict=True)
        except ValidationError as errors:
            first = errors.errors(include_url=False)[: LISTED + 1]
            wrong = [sentence(error, document.data) for error in first]
            for key, text in sorted(wrong, key=lambda entry: entry[0][-1] not in _STUBS):
                document.problem(key, text)
                (_drop_alone if text.startswith("unknown key") else _drop)(document.data, key)
            if len(first) > LISTED:          # a file of something else: each round would take seconds
                return None
    return None


def _price(data: dict[str, Any], price: float) -> None:
    """Give a price to the triggers that have none."""
    models = data.get("models")
    for model in models.values() if isinstance(models, dict) else ():
        triggers = model.get("triggers") if isinstance(model, dict) else None
        for trigger in triggers if isinstance(triggers, list) else ():
            if isinstance(trigger, dict) and "about" in trigger:
                trigger.setdefault("above", price)


def _drop(data: dict[str, Any], key: Key) -> None:
    """Leave out what is wrong at `key`, or replace it by a stub if a value is required."""
    match key:
        case ("pipelines", name, str(part), *_) if part != "kind":
            _replace(data["pipelines"][name], part)
        case ("pipelines", name, *_):
            data["pipelines"][name] = {"kind": "command", "command": ["true"]}
        case ("models", name, "triggers", int(index), part, *_) if part in _STUBS:
            _replace(data["models"][name]["triggers"][index], part)
        case ("models", name, "triggers", int(index), *_):
            data["models"][name]["triggers"][index] = {"name": f"?{index}", "metric": "rows", "below": 1}
        case ("silences", int(index), *_):
            data["silences"][index] = {"cron": "0 0 * * *", "duration": "1h", "reason": "?"}
        case ("models", name, "evidently", int(index), *_):
            data["models"][name]["evidently"][index] = {"metric": "RowCount"}
        case ("models", name, "predictions" | "reference" as section, *_):
            data["models"][name][section] = _MODEL[section]
        case ("models", name, "labels" | "attributes" | "fairness" | "registry" | "versions" as section, _, *_):
            data["models"][name].pop(section, None)
        case ("models", name, section, str(part), *_):
            _replace(data["models"][name][section], part)
        case ("models", name, str(section), *_):
            data["models"][name].pop(section, None)
        case ("models", str(name), *_):
            data["models"] = {**data["models"], name: _MODEL}
        case ("models", *_):
            data["models"] = {"?": _MODEL}
        case (str(section), str(part), *_):
            _replace(data[section], part)
        case (str(section), *_):
            data.pop(section, None)


def _replace(table: dict[Step, Any], part: Step) -> None:
    """Replace a key's value by its stub; remove a key that has no stub."""
    if part in _STUBS:
        table[part] = _STUBS[part]
    else:
        table.pop(part, None)


def _drop_alone(data: dict[str, Any], key: Key) -> None:
    """Leave out a key that should not be there, with its whole section if that is not valid without the key."""
    table = at(data, key[:-1])
    if key[-1] == "kind" or key[2:3] in _WHOLE:
        _drop(data, key)
    elif isinstance(table, dict):
        table.pop(key[-1], None)


def _loaded(document: Document, config: Config) -> Loaded:
    effective = config.model_dump(mode="json")
    canonical = json.dumps(effective, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    origins: dict[str, str] = {}
    for key, _ in walk(effective):
        origins.setdefault(dotted(shown(key)), _origin(document.places.get(key)))
    return Loaded(
        path=document.path.absolute(),
        config=config,
        hash=hashlib.sha256(canonical.encode()).hexdigest(),
        text="\n".join(f"# {path}\n{redact(text)}" for path, text in document.texts.items()),
        files=tuple(document.texts),
        origins=origins,
        warnings=tuple(redact(text) for text in document.warnings),
        absent=tuple(redact(text) for text in document.sentences()),
        patterns=tuple(document.patterns),
    )


def _origin(place: Place | None) -> str:
    if place is None:
        return "default"
    return f"[defaults] {place}" if place.inherited else str(place)


def _kept_elsewhere(value: Any, key: Key) -> Iterator[tuple[Key, Secret | Path]]:
    """Yield every secret of a configuration, and every file of certificates, with its key."""
    if isinstance(value, Secret) or (isinstance(value, Path) and key[-1] == "ca"):
        yield key, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _kept_elsewhere(getattr(value, name), (*key, name))
    elif isinstance(value, dict | tuple):
        for step, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _kept_elsewhere(child, (*key, step))
