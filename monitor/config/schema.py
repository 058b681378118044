"""The JSON Schema (2020-12) of a configuration as users write it: what `driftd schema` prints.

Types and limits come from pydantic and the meaning of each key from the sections. This file adds the names of metrics
and methods, and what `document` does before validation: short forms, [defaults], included files. Rules that a schema
cannot express (other names that must exist, values that must fit each other) are checked by `driftd validate`.
"""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from monitor.config.drift_methods import METHODS
from monitor.config.evidently_metrics import METRICS as EVIDENTLY
from monitor.config.section import Section, exactly_one, meanings
from monitor.config.sections import Config
from monitor.metric_catalogue import PERFORMANCE, Use, names_for

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = "driftd.schema.json"                  # its name beside a configuration
INCLUDED_FILE = "driftd-included.schema.json"
PLACE = "place"                              # the title of tables that may be written as a path alone
_NAMES = {                                   # texts that only a rule limits
    ("ModelSection", "metric"): PERFORMANCE,
    ("DriftSection", "method"): ("auto", *METHODS),
    ("ColumnDrift", "method"): ("auto", *METHODS),
    ("TriggerSection", "metric"): (*names_for(Use.ALERT), *EVIDENTLY),
    ("EvidentlySection", "metric"): EVIDENTLY,
}
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


class _Generator(GenerateJsonSchema):
    """Pydantic's schema without null, which TOML does not have, and without the titles and defaults it makes up."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def sort(self, value: Schema, parent_key: str | None = None) -> Schema:
        return value


def text(*, included: bool = False) -> str:
    """Return the schema as the text of a file."""
    return json.dumps(json_schema(included=included), indent=2, ensure_ascii=False) + "\n"


def json_schema(*, included: bool = False) -> Schema:
    """Return the schema of a configuration, or of an included file, which may inherit the required keys."""
    made = Config.model_json_schema(schema_generator=_Generator)
    tables: dict[str, Schema] = made.pop("$defs")
    for section in sections(Config):
        _describe(made if section is Config else tables[section.__name__], section)
    made["properties"]["pipelines"]["additionalProperties"].pop("discriminator")     # a word of OpenAPI
    _add_short_forms(tables)
    needed = _take_needed("ModelSection", tables, {})
    if included:
        top = {"properties": {name: made["properties"][name] for name in ("models", "pipelines")}}
    else:
        top = {"properties": _OF_THE_FILE | made["properties"], **_needed_of_the_file(needed)}
    head = {"$schema": DIALECT, "title": "driftd", "description": made["description"], "type": "object"}
    shared: dict[str, Schema] = {}
    whole: Schema = _share({**head, "additionalProperties": False, **top, "$defs": tables}, shared)
    used = json.dumps(whole)
    every = whole["$defs"] | shared
    whole["$defs"] = {name: table for name, table in every.items() if f'"#/$defs/{name}"' in used}
    return whole


def sections(kind: Any) -> Iterator[type[Section]]:
    """Yield every section below an annotation, each once, the section of the annotation first."""
    seen: dict[type[Section], None] = {}
    _collect(kind, seen)
    return iter(seen)


def written(section: type[Section], name: str) -> Any:
    """Return the default of a key as a user would write it; None if there is none."""
    field = section.model_fields[name]
    if field.is_required() or field.default in (None, ""):
        return None
    holder = section.model_construct(**{name: field.default})
    return holder.model_dump(mode="json", include={name}, exclude_unset=True)[name]


# Other keys are not this part's business; Tombi wants that said.
_OPEN: Schema = {"additionalProperties": True}
_OF_THE_FILE: Schema = {
    "include": {
        "description": "More files, with [models.*] and [pipelines.*]: a path, a glob, or a list of them.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "default": [],
    },
    "defaults": {
        "description": "Values for every model; a model's own values take precedence.",
        "$ref": "#/$defs/ModelSection",
        "default": {},
    },
}


def _collect(kind: Any, seen: dict[type[Section], None]) -> None:
    if isinstance(kind, type) and issubclass(kind, Section) and kind not in seen:
        seen[kind] = None
        for field in kind.model_fields.values():
            _collect(field.annotation, seen)
    for part in getattr(kind, "__args__", ()):
        _collect(part, seen)


def _describe(table: Schema, section: type[Section]) -> None:
    """Add the meaning and the default of each key."""
    table.pop("title", None)
    table["description"] = _plain(table["description"])
    texts, keys = meanings(section), table["properties"]
    table["properties"] = {name: keys[name] for name in section.key_names() if name in keys}
    for name, key in table["properties"].items():
        key["description"] = _plain(texts[name])
        if (section.__name__, name) in _NAMES:
            key["enum"] = list(_NAMES[section.__name__, name])
        default = written(section, name)
        if default is not None:
            key["default"] = default


def _plain(text: str) -> str:
    """Return the text without its links, whose addresses are relative to docs/."""
    return _LINK.sub(r"\1", " ".join(text.split()))


def _add_short_forms(tables: dict[str, Schema]) -> None:
    """Add the short forms that `document` expands: a text for a place, a size for a window, `label` of a model."""
    source, reference, window = (tables[f"{name}Section"] for name in ("Source", "Reference", "Window"))
    reference["properties"] |= source["properties"]
    reference |= exactly_one("path", "database", "first") | {"dependentRequired": source["dependentRequired"]}
    text = {"description": "Its path alone.", "type": "string"}
    stretch = {"description": "Its path alone, or \"first 90d\".", "type": "string"}
    size = {"description": "Its size alone.", "anyOf": window["properties"]["size"]["anyOf"]}
    tables |= {
        "SourceSection": {"title": PLACE, "anyOf": [text, source]},
        "ReferenceSection": {"title": PLACE, "anyOf": [stretch, reference]},
        "WindowSection": {"anyOf": [size, window]},
    }
    tables["ModelSection"]["properties"]["label"] = {"description": "Short for `columns.label`.", "type": "string"}


def _take_needed(name: str, tables: dict[str, Schema], taken: dict[str, Schema]) -> Schema:
    """Take the rules about required keys out of a table and the tables in it, so that a part of it is valid too."""
    if name not in taken:
        table = tables[name].get("anyOf", [tables[name]])[-1]
        needed = {rule: table.pop(rule) for rule in ("required", "oneOf", "dependentRequired") if rule in table}
        if pairs := list(combinations([only["required"][0] for only in needed.get("oneOf", ())], 2)):
            table["allOf"] = [{"not": {"required": list(pair)}} for pair in pairs]
        inner = {key: part["$ref"].rpartition("/")[2] for key, part in table["properties"].items() if "$ref" in part}
        below = {key: _take_needed(part, tables, taken) for key, part in inner.items()}
        if any(below.values()):
            needed["properties"] = {key: part for key, part in below.items() if part}
        taken[name] = {"if": {"type": "object"} | _OPEN, "then": needed | _OPEN} if needed else {}
    return taken[name]


def _needed_of_the_file(needed: Schema) -> Schema:
    """Return the rules about required keys of a file: a model or an include; whole models if there is no [defaults]."""
    watched = {"properties": {"models": {"minProperties": 1} | _OPEN}} | _OPEN
    return {
        "anyOf": [{"required": ["models"]} | watched, {"required": ["include"]} | _OPEN],
        "if": {"not": {"required": ["defaults"]} | _OPEN} | _OPEN,
        "then": {"properties": {"models": {"additionalProperties": needed}}} | _OPEN,
    }


def _share(value: Any, shared: dict[str, Schema]) -> Any:
    """Return the schema with the long description of secrets in one shared place."""
    if isinstance(value, list):
        return [_share(part, shared) for part in value]
    if not isinstance(value, dict):
        return value
    if value.get("title") == "secret":
        own = ("description", "default")
        shared["Secret"] = {name: part for name, part in value.items() if name not in own} | {"description": _SECRET}
        return {"$ref": "#/$defs/Secret", **{name: value[name] for name in own if name in value}}
    return {name: _share(part, shared) for name, part in value.items()}


_SECRET = "Where a secret is kept; its value is never written in the file."
