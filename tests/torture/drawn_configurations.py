"""Configurations drawn from the JSON Schema of driftd's own: right in shape, or harmed at a few places."""

import json
import re
from typing import Any

from hypothesis import strategies as st

from monitor.config.schema import json_schema
from monitor.escape import toml_key, toml_string

Schema = dict[str, Any]
Draw = Any                          # Hypothesis' own, which it does not name for a @composite
SCHEMA = json_schema()

# Where a text must match a pattern, those of these that do.
_TEXTS = (
    "1d", "7d", "36h", "90d", "1.5h", " 2w ", "1d 12h", "100s", "0s", "2026-01-01", "2026-03-29T02:30:00", "20260101",
    "2026-01-01T00:00:00Z", "2026-W05-1", "1 of 1", "2 of 3", " 3  of 3", "15%", "0.5 %", "0.02 for 30d", "5 for 1d12h",
    "4 per year", "1 per 90d", "2 per month", "sqlite:///logs.db", "duckdb:///logs.duckdb", "acme/flights",
    "127.0.0.1:9745", "[::1]:0", "https://example.org", "http://example.org:8080/a?b=c", "https://[2001:db8::1]/",
)
_COLUMNS = ("a", "b", "c", "Größe", "a.b", "x y", "=1", "d", "e", "f")
_PATHS = ("log.csv", "log.csv", "data/*.parquet", "{version}/log.jsonl")
_BY_KEY = {
    "pipeline": ("p",), "model": ("m",), "trigger": ("t0",), "timezone": ("UTC", "Europe/Berlin", "America/New_York"),
    "cron": ("15 * * * *", "0 6 1 * *", "*/5 1-3 * * mon"), "path": _PATHS,
    "predictions": _PATHS, "reference": (*_PATHS, "first 7d"), "labels": _PATHS, "attributes": _PATHS,
    "all": ("t0", "t1"), "any": ("t0", "t1"), "unless": ("broken-data", "t0"), "allow_inner": ("10.0.0.0/8", "::1"),
    "peers": ("127.0.0.1", "10.0.0.0/8"), "delimiter": (";", "\t"), "thousands": (".", "'"), "encoding": ("cp1252",),
    "table": ("logs",), "positive": ("yes", "1"), "allowed_hosts": ("driftd.example",),
    "header": ("X-Forwarded-User",),
}
_METRICS = ("drifted_share", "roc_auc", "accuracy", "rows", "missing_share", "regret", "label_coverage")
ODD = (
    '"x"', "1", "-1", "1.5", "nan", "inf", "true", "[]", "{}", '["x"]', '{ env = "A" }', "1979-05-27", "07:32:00",
    '"7d"', '"2 of 3"', '"0.02 for 30d"', '"first 7d"', '"Europe"', '"* * * * *"', "[[1], [2]]", '"regret"', '""',
    '"webhook"', '"https://[::1"', '"a\\u0000b"', "1979-05-27T07:32:00+14:00", '{ path = "x" }', "0x7f", "1e999",
    '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"99999999999d"', '"1 of 99999999999"', '"0 per 0d"',
    "9" * 400, '"' + "9" * 5_000 + ' of 1"', "[{}]", "[[]]", '{ a = { a = 1 } }', '"\\u202e"', '"{version}"', '"["',
    "-9223372036854775809", "5e-324", '"\\ud800"', "[1, 2", '"s3://b/k"', '"file:///etc/passwd"', '"sqlite:///x"',
)


class Raw(str):
    """TOML as it stands."""

    __slots__ = ()


@st.composite
def _tables(draw: Draw, schema: Schema, needed: Schema, key: str) -> dict[str, Any]:
    """A table with the keys that it must have and few of the others. `needed`: what a whole file asks of it besides."""
    keys = schema.get("properties", {})
    rules = [schema, needed, *schema.get("allOf", ()), *needed.get("allOf", ())]
    chosen = {name for rule in rules for name in rule.get("required", ())}
    for rule in rules:
        if "oneOf" in rule and "properties" in schema:
            chosen.update(draw(st.sampled_from(rule["oneOf"]))["required"])
    alternatives = {name for rule in rules for one in rule.get("oneOf", ()) for name in one["required"]}
    tied = {name for rule in rules for name, beside in rule.get("dependentRequired", {}).items()
            if alternatives.intersection(beside)}
    others = sorted(keys.keys() - chosen - alternatives - tied)
    chosen.update(draw(st.lists(st.sampled_from(others), max_size=2)) if others else ())
    for rule in rules:
        for name, beside in rule.get("dependentRequired", {}).items():
            chosen.update(beside if name in chosen else ())
    below = needed.get("properties", {})
    return {name: draw(values(keys[name], below.get(name, {}), name)) for name in sorted(chosen & keys.keys())}


def values(schema: Schema, needed: Schema, key: str) -> st.SearchStrategy[Any]:
    """Values that one schema takes."""
    needed = needed.get("then", needed)
    if "$ref" in schema:
        return values(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], needed, key)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        usual = [one for one in schema["enum"] if one in _METRICS]
        return st.sampled_from(usual or schema["enum"]) | st.sampled_from(schema["enum"])
    if one_of := schema.get("anyOf", schema.get("oneOf") if "properties" not in schema else None):
        return st.one_of([values(one, needed, key) for one in one_of])
    return _plain(schema, needed, key)


def _plain(schema: Schema, needed: Schema, key: str) -> st.SearchStrategy[Any]:
    kind = schema["type"]
    if kind == "object" and "minProperties" in schema:            # a secret
        return st.sampled_from(sorted(schema["properties"])).map(lambda name: {name: "A"})
    if kind == "object" and "properties" in schema:
        return _tables(schema, needed, key)
    if kind == "object":
        each = schema.get("additionalProperties")
        inner = values(each, needed.get("additionalProperties", {}), key) if isinstance(each, dict) else st.just(1)
        return st.dictionaries(st.sampled_from(_COLUMNS), inner, max_size=2)
    if kind == "array":
        return st.lists(values(schema["items"], {}, key), min_size=schema.get("minItems", 0), max_size=2,
                        unique_by=repr)
    if kind == "boolean":
        return st.booleans()
    if kind == "string":
        matching = [text for text in _TEXTS if re.search(schema["pattern"], text)] if "pattern" in schema else None
        return st.sampled_from(matching or _BY_KEY.get("path" if schema.get("format") == "path" else key, _COLUMNS))
    low = schema.get("minimum", schema.get("exclusiveMinimum", -3) + 0.25 if "exclusiveMinimum" in schema else -3)
    high = schema.get("maximum", 10_000)
    whole = st.integers(int(low), int(high))
    return whole if kind == "integer" else whole.filter(lambda number: number >= low) | st.floats(low, high)


@st.composite
def documents(draw: Draw) -> dict[str, Any]:
    """A configuration of one or two models, their pipeline, and a few sections besides."""
    top = SCHEMA["properties"]
    model = values(top["models"]["additionalProperties"],
                   SCHEMA["then"]["properties"]["models"]["additionalProperties"], "models")
    models = {name: draw(model) for name in draw(st.sampled_from([["m"], ["m", "n"]]))}
    for one in models.values():
        for number, trigger in enumerate(one.get("triggers", ())):
            trigger["name"] = f"t{number}"
    made = {"models": models, "pipelines": {"p": draw(values(top["pipelines"]["additionalProperties"], {}, ""))}}
    for name in draw(st.lists(st.sampled_from(["defaults", "daemon", "silences", "notify"]), max_size=1)):
        made[name] = draw(values(top[name], {}, name))
    return made


@st.composite
def harmed(draw: Draw) -> dict[str, Any]:
    """A configuration of which one to three places hold something odd, have another name, or are gone."""
    made = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        places = [place for name in ("models", "pipelines", "daemon", "defaults") for one in made.get(name, {}).values()
                  for place in _places(one)] or [(made, "models")]
        holder, name = places[draw(st.integers(0, len(places) - 1))]
        odd = st.sampled_from(ODD).map(Raw) | st.text(max_size=5).map(json.dumps).map(Raw)
        match draw(st.sampled_from(["value", "value", "name", "gone", "moved"])):
            case "value":
                holder[name] = draw(odd)
            case "name" if isinstance(holder, dict):
                holder[draw(st.sampled_from([f"{name}s", name[:-1], "é", ""]))] = holder.pop(name, Raw("1"))
            case "moved":
                other, place = places[draw(st.integers(0, len(places) - 1))]
                holder[name] = json.loads(json.dumps(other[place], default=str)) if other is not holder else {}
            case _ if name in holder or isinstance(holder, list):
                del holder[name]
    return made


def _places(made: Any) -> Any:
    """Each place of a value, as what holds it and where."""
    inner = made.items() if isinstance(made, dict) else enumerate(made) if isinstance(made, list) else ()
    for name, value in inner:
        yield made, name
        yield from _places(value)


def written(table: dict[str, Any], above: str = "") -> str:
    """The table as TOML, with a header for each table in it that is not empty."""
    inner = {name: value for name, value in table.items() if isinstance(value, dict) and value}
    lists = {name: value for name, value in table.items()
             if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)}
    lines = [f"{toml_key(name)} = {_inline(value)}" for name, value in table.items() if name not in inner | lists]
    for name, value in inner.items():
        lines += [f"[{above}{toml_key(name)}]", written(value, f"{above}{toml_key(name)}.")]
    for name, listed in lists.items():
        lines += [f"[[{above}{toml_key(name)}]]\n" + written(one, f"{above}{toml_key(name)}.") for one in listed]
    return "\n".join(lines)


def _inline(value: Any) -> str:
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_key(name)} = {_inline(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return toml_string(value) if isinstance(value, str) else json.dumps(value)


@st.composite
def cut(draw: Draw) -> str:
    """The text of a configuration with a few signs put in, or some taken out."""
    text = written(draw(documents()))
    start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    put = draw(st.text(max_size=3) | st.sampled_from(["\0", "\r", "\ufeff", '"""', "[[", "\n[x]\n", "#", "\\", "= 1"]))
    return text[:start] + put + text[start if put and draw(st.booleans()) else end:]


TOML = st.one_of(*[documents().map(written)] * 3, *[harmed().map(written)] * 2, cut(), st.text(max_size=100))
