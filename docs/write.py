"""Write what is made from the code: the tables of docs/configuration.md, and the schemas in config/.

    make docs

A test compares both with the code, so that they cannot rot.
"""

import json
import re
from pathlib import Path
from typing import Any

from monitor.config import pipeline_sections
from monitor.config import sections as models
from monitor.config.schema import FILE, INCLUDED_FILE, json_schema, text, written
from monitor.config.section import Section, meanings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/configuration.md"
SCHEMAS = {ROOT / "config" / FILE: text(), ROOT / "config" / INCLUDED_FILE: text(included=True)}
CHAPTERS: dict[str, type[Section]] = {
    "[daemon]": models.Daemon,
    "[models.NAME]": models.ModelSection,
    "[models.NAME.window]": models.WindowSection,
    "[models.NAME.columns]": models.Columns,
    "Places: [models.NAME.predictions], .labels, .attributes, .reference": models.SourceSection,
    "[models.NAME.predictions.csv]": models.CsvSection,
    "[models.NAME.reference]": models.ReferenceSection,
    "[models.NAME.drift]": models.DriftSection,
    "[models.NAME.drift.columns.COLUMN]": models.ColumnDrift,
    "[models.NAME.quality]": models.QualitySection,
    "[models.NAME.fairness]": models.FairnessSection,
    "[models.NAME.rehearsal]": models.RehearsalSection,
    "[models.NAME.estimation]": models.EstimationSection,
    "[[models.NAME.evidently]]": models.EvidentlySection,
    "[[models.NAME.triggers]]": models.TriggerSection,
    "[models.NAME.retrain]": models.RetrainSection,
    "[models.NAME.retrain.approval]": models.ApprovalSection,
    "[models.NAME.gate]": models.GateSection,
    "[models.NAME.registry]": models.RegistrySection,
    **{f'[pipelines.NAME] kind = "{kind}"': section for kind, section in pipeline_sections.KINDS.items()},
    "[pipelines.NAME.app]": pipeline_sections.GithubApp,
    "[[silences]]": models.SilenceSection,
    "[notify]": models.NotifySection,
}
_HEAD = "| key | type | default | meaning |\n|---|---|---|---|\n"
_TABLE = re.compile(rf"^{re.escape(_HEAD)}(?:\|.*\n)*", re.MULTILINE)


def with_tables(page: str) -> str:
    """The page with the table of each chapter as the sections say it. Raises ValueError where a chapter has none."""
    head, *chapters = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return head + "".join(_with_table(chapter) for chapter in chapters)


def rows(section: type[Section]) -> str:
    """A line for each key that a user may write: its name, type, default and meaning."""
    tables = json_schema()["$defs"]
    table = tables[section.__name__]
    keys, texts = table.get("anyOf", [table])[-1]["properties"], meanings(section)
    lines = [
        f"| `{name}` | {word(keys[name], tables)} | {_default(section, name)} | {texts[name]} |\n"
        for name in section.key_names() if name in texts
    ]
    return "".join(lines)


def word(schema: dict[str, Any], tables: dict[str, Any]) -> str:
    """The type of a key in a word or two."""
    if "$ref" in schema:
        schema = tables[schema["$ref"].rpartition("/")[2]]
    if "title" in schema:
        return str(schema["title"])
    if "anyOf" in schema:
        *others, last = dict.fromkeys(word(part, tables) for part in _flat(schema["anyOf"]))
        return f"{', '.join(others)} or {last}" if others else last
    if schema["type"] == "array":
        inner = word(schema["items"], tables)
        return "tables" if inner == "table" else f"list of {inner}s"
    if schema["type"] == "string":
        return "path" if schema.get("format") == "path" else "text"
    return "true" if schema.get("const") is True else {"object": "table"}.get(schema["type"], schema["type"])


def _flat(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [inner for part in parts for inner in (_flat(part["anyOf"]) if "anyOf" in part else [part])]


def _default(section: type[Section], name: str) -> str:
    if section.model_fields[name].is_required():
        return "needed"
    value = written(section, name)
    return f"`{json.dumps(value)}`" if isinstance(value, bool | str | int | float) else "–"


def _with_table(chapter: str) -> str:
    title = chapter.splitlines()[0].removeprefix("## ")
    if title not in CHAPTERS:
        return chapter
    if len(_TABLE.findall(chapter)) != 1:
        raise ValueError(f"{PAGE}: expected one table of keys in the chapter {title}")
    return _TABLE.sub(lambda _: _HEAD + rows(CHAPTERS[title]), chapter)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for path, schema in SCHEMAS.items():
        path.write_text(schema, encoding="utf-8")
