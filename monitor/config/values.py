"""Values with a syntax of their own: "2 of 3", "15%", "0.02 for 30d", "4 per 30d", { env = … }.

Each type reads its text with `parse` and writes it with `str()`. Errors are ValueError that state the expected form;
`load` adds file, line and key.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from monitor.errors import ConfigError
from monitor.times import format_duration, parse_duration
from monitor.untrusted import SECRET, read_text

_COUNTS = re.compile(r"\s*(\d{1,9})\s+of\s+(\d{1,9})\s*")
_BUDGET = re.compile(r"\s*(\d{1,9})\s+per\s+(\S+)\s*")
_PRICE = re.compile(r"\s*(\d+(?:\.\d+)?)\s+for\s+(\S+)\s*")
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_YEAR = {"year": "365d", "month": "30d", "week": "7d", "day": "1d"}


@dataclass(frozen=True, slots=True)
class Persistence:
    """`m of n`: a trigger fires when at least m of the newest n judged windows vote yes."""

    m: int
    n: int

    @classmethod
    def parse(cls, text: Any) -> "Persistence":
        match = _COUNTS.fullmatch(text) if isinstance(text, str) else None
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f'{text!r} is not "m of n" with 1 ≤ m ≤ n, such as "2 of 3"')
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.m} of {self.n}"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `count` accepted requests within `span`."""

    count: int
    span: timedelta

    @classmethod
    def parse(cls, text: Any) -> "Budget":
        match = _BUDGET.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'{text!r} is not a budget, expected such as "4 per 30d" or "4 per year"')
        return cls(int(match[1]), parse_duration(_YEAR.get(match[2], match[2])))

    def __str__(self) -> str:
        return f"{self.count} per {format_duration(self.span)}"


@dataclass(frozen=True, slots=True)
class Level:
    """A number to compare with; with `span` a price: the loss of `number` of the metric for that time."""

    number: float
    span: timedelta | None = None

    @classmethod
    def parse(cls, value: Any) -> "Level":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return cls(float(value))
        match = _PRICE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f'{value!r} is neither a number nor a price such as "0.02 for 30d"')
        return cls(float(match[1]), parse_duration(match[2]))

    def __str__(self) -> str:
        span = "" if self.span is None else f" for {format_duration(self.span)}"
        return f"{self.number:g}{span}"


@dataclass(frozen=True, slots=True)
class Change:
    """A change against the reference value: relative (from "15%") or absolute (from a number)."""

    amount: float
    relative: bool

    @classmethod
    def parse(cls, value: Any) -> "Change":
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return cls(float(value), relative=False)
        match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if match is None or not float(match[1]):
            raise ValueError(f'{value!r} is neither a share such as "15%" nor a positive number')
        return cls(float(match[1]) / 100, relative=True)

    def __str__(self) -> str:
        return f"{self.amount * 100:g}%" if self.relative else f"{self.amount:g}"


DATABASE_FILES = ("sqlite:///", "duckdb:///")
SPARK = ("spark://", "sc://")
_OPEN_SPARK = r"spark://[^/?#;@\s]+|sc://[^/?#;@\s]+(/;use_ssl=true)?"       # without a token or anything else secret


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is kept; the value is read when it is needed and never stored here."""

    kind: Literal["env", "file", "credential"]
    name: str

    @classmethod
    def parse(cls, value: Any) -> "Secret":
        if isinstance(value, dict) and len(value) == 1:
            kind, name = next(iter(value.items()))
            if kind in ("env", "file", "credential") and isinstance(name, str) and name:
                return cls(kind, name)
        raise ValueError(
            'a secret is never written in the file: expected { env = "NAME" }, { file = "PATH" } '
            'or { credential = "NAME" }'
        )

    def reveal(self) -> str:
        """Read the secret now. Raises ConfigError, naming the place and never the value."""
        if self.kind == "env":
            value = os.environ.get(self.name, "").strip()
            if not value:
                raise ConfigError([f"the environment variable {self.name} is not set, expected a secret"])
            if any("\ud800" <= sign <= "\udfff" for sign in value):        # how Python holds what is no UTF-8
                raise ConfigError([f"the environment variable {self.name} is not UTF-8 text"])
            return value
        path = self.path()
        try:
            return read_text(path, SECRET).strip()
        except OSError as error:
            raise ConfigError([f"the secret file {path} cannot be read: {error.strerror}"]) from None
        except UnicodeDecodeError:
            raise ConfigError([f"the secret file {path} is not UTF-8 text"]) from None

    def path(self) -> Path:
        """The file that holds the secret. Raises ConfigError for a credential outside systemd."""
        if self.kind == "file":
            return Path(self.name)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            text = f"credential {self.name}: CREDENTIALS_DIRECTORY is not set (LoadCredential= in a unit)"
            raise ConfigError([text])
        return Path(folder) / self.name

    def __str__(self) -> str:
        return f'{{ {self.kind} = "{self.name}" }}'


def _positive_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a duration, expected text such as "7d"')
    span = parse_duration(value)
    if span <= timedelta(0):
        raise ValueError(f"{value!r} is no time at all, expected more than 0s")
    return span


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a duration, expected text such as "2h"')
    return parse_duration(value)


def _size(value: Any) -> timedelta | int:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} rows are no window, expected at least 1")
        return value
    return _positive_duration(value)


def _zone(value: Any) -> ZoneInfo:
    try:
        return value if isinstance(value, ZoneInfo) else ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError, ValueError, TypeError):     # OSError: "Europe" is a folder
        raise ValueError(f'{value!r} is not a time zone, expected a name such as "Europe/Paris"') from None


def database_in(place: str) -> dict[str, Any] | None:
    """Return `database` and `table` of a place that is written as one text, such as `sqlite:///FILE#TABLE`; None where
    it is no table of a database.
    """
    address = rf"env:(?P<env>\w+)|(?P<address>(?:sqlite|duckdb):///.+|{_OPEN_SPARK})"
    found = re.fullmatch(rf"(?:{address})#(?P<table>[^#]+)", place)
    if found is None:
        return None
    return {"database": {"env": found["env"]} if found["env"] else found["address"], "table": found["table"]}


def _text_or_secret(value: Any) -> "str | Secret":
    return value if isinstance(value, str) else Secret.parse(value)


def _database(value: Any) -> "str | Secret":
    """An address without a password may stand here."""
    known = isinstance(value, str) and (value.startswith(DATABASE_FILES) or re.fullmatch(_OPEN_SPARK, value))
    return value if known or isinstance(value, Secret) else Secret.parse(value)


def _reads(kind: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: value if isinstance(value, kind) else kind.parse(value))


_as_text = PlainSerializer(str, return_type=str)
_as_duration = PlainSerializer(format_duration, return_type=str)
_as_reference = PlainSerializer(lambda v: v if isinstance(v, str) else {v.kind: v.name})

# JSON Schema of each type, for editors. A title is the name of the type in docs/configuration.md.
_SPAN = r"\d+(\.\d+)?\s*[smhdw]"
_SPANS = rf"{_SPAN}(\s*{_SPAN})*"
_ONE_WORD = r"(\d+(\.\d+)?[smhdw])+"
_DURATION: JsonSchemaValue = {"title": "duration", "type": "string", "pattern": rf"^\s*{_SPANS}\s*$"}
_POSITIVE = _DURATION | {"pattern": rf"^(?=.*[1-9])\s*{_SPANS}\s*$"}
_BUDGET_TEXT = {"type": "string", "pattern": rf"^\s*\d+\s+per\s+({'|'.join(_YEAR)}|{_ONE_WORD})\s*$"}
_PRICE_TEXT = {"title": "price", "type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s+for\s+{_ONE_WORD}\s*$"}
_SHARE = {"title": "share", "type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"}
_MOMENT = {"type": "string", "pattern": r"^\d{4}-?(\d\d|W\d\d)"}
_ADDRESS = {"type": "string", "pattern": r"^https?://[^/?#@\s]+([/?#]\S*)?$"}     # without user and password
_DATABASE = rf"^((sqlite|duckdb):///.+|{_OPEN_SPARK})$"
_SECRET = {
    "title": "secret",
    "type": "object",
    "properties": {
        "env": {"description": "Name of an environment variable.", "type": "string", "minLength": 1},
        "file": {"description": "A file that holds the secret alone.", "type": "string", "minLength": 1},
        "credential": {"description": "Name of a systemd credential.", "type": "string", "minLength": 1},
    },
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}

Duration = Annotated[timedelta, BeforeValidator(_duration), _as_duration, WithJsonSchema(_DURATION)]
PositiveDuration = Annotated[timedelta, BeforeValidator(_positive_duration), _as_duration, WithJsonSchema(_POSITIVE)]
WindowSize = Annotated[
    timedelta | int,
    BeforeValidator(_size),
    PlainSerializer(lambda size: size if isinstance(size, int) else format_duration(size)),
    WithJsonSchema({"anyOf": [_POSITIVE, {"type": "integer", "minimum": 1}]}),
]
Threshold = Annotated[
    float | Literal["calibrated", "evidently"],
    WithJsonSchema({"anyOf": [
        {"type": "number", "exclusiveMinimum": 0}, {"type": "string", "enum": ["calibrated", "evidently"]},
    ]}),
]
Moment = Annotated[datetime, WithJsonSchema({"title": "date or time", "anyOf": [_MOMENT, *(
    _MOMENT | {"format": form} for form in ("date", "date-time", "date-time-local")     # which TOML has types for
)]})]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone), _as_text, WithJsonSchema({"type": "string"})]
PersistenceText = Annotated[
    Persistence, _reads(Persistence), _as_text,
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9]*[1-9][0-9]*\s+of\s+[0-9]*[1-9][0-9]*\s*$"}),
]
BudgetText = Annotated[Budget, _reads(Budget), _as_text, WithJsonSchema(_BUDGET_TEXT)]
_as_level = PlainSerializer(lambda level: level.number if level.span is None else str(level))
LevelText = Annotated[Level, _reads(Level), _as_level, WithJsonSchema({"anyOf": [{"type": "number"}, _PRICE_TEXT]})]
# a price is read too, so that a rule can explain where prices are allowed
PlainLevel = Annotated[Level, _reads(Level), _as_level, WithJsonSchema({"type": "number"})]
ChangeText = Annotated[
    Change, _reads(Change), PlainSerializer(lambda v: str(v) if v.relative else v.amount),
    WithJsonSchema({"anyOf": [_SHARE, {"type": "number", "exclusiveMinimum": 0}]}),
]
Address = Annotated[str, WithJsonSchema(_ADDRESS)]
SecretRef = Annotated[Secret, _reads(Secret), _as_reference, WithJsonSchema(_SECRET)]
TextOrSecret = Annotated[
    str | Secret, BeforeValidator(_text_or_secret), _as_reference,
    WithJsonSchema({"anyOf": [{"type": "string"}, _SECRET]}),
]
AddressOrSecret = Annotated[
    str | Secret, BeforeValidator(_text_or_secret), _as_reference, WithJsonSchema({"anyOf": [_ADDRESS, _SECRET]})
]
DatabaseAddress = Annotated[
    str | Secret, BeforeValidator(_database), _as_reference,
    WithJsonSchema({"anyOf": [{"title": "address", "type": "string", "pattern": _DATABASE}, _SECRET]}),
]


def revealed(environment: Mapping[str, str | Secret]) -> tuple[dict[str, str], list[str]]:
    """Return variables with the values of secrets, and the names of those that are secrets. Raises ConfigError."""
    shown = {name: value.reveal() if isinstance(value, Secret) else value for name, value in environment.items()}
    return shown, [name for name, value in environment.items() if isinstance(value, Secret)]
