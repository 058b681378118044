"""Write what is made from the code: tables and messages of the documentation, schemas in config/, docs/openapi.json.

    make docs

Tests compare all of it with the code, so that it cannot rot.
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

from docs.example_messages import examples
from monitor.config import pipeline_sections
from monitor.config import sections as models
from monitor.config.drift_methods import METHODS
from monitor.config.schema import FILE, INCLUDED_FILE, json_schema, text, written
from monitor.config.section import Section, meanings
from monitor.escape import json_text
from monitor.metric_catalogue import CATALOGUE, Group, Metric, Task
from monitor.web.openapi import document

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/configuration.md"
METRICS_PAGE = ROOT / "docs/metrics.md"
MESSAGES_PAGE = ROOT / "docs/messages.md"
SCHEMAS = {
    ROOT / "config" / FILE: text(), ROOT / "config" / INCLUDED_FILE: text(included=True),
    ROOT / "docs/openapi.json": json_text(document(), indent=1) + "\n",
}
CHAPTERS: dict[str, type[Section]] = {
    "[daemon]": models.Daemon,
    "[daemon.tokens.NAME]": models.TokenSection,
    "[daemon.proxy]": models.ProxySection,
    "[daemon.backup]": models.BackupSection,
    "[models.NAME]": models.ModelSection,
    "[models.NAME.window]": models.WindowSection,
    "[models.NAME.columns]": models.Columns,
    "Places: [models.NAME.predictions], .labels, .attributes, .reference": models.SourceSection,
    "[models.NAME.predictions.csv]": models.CsvSection,
    "[models.NAME.predictions.storage]": models.StorageSection,
    "[models.NAME.reference]": models.ReferenceSection,
    "[models.NAME.drift]": models.DriftSection,
    "[models.NAME.drift.columns.COLUMN]": models.ColumnDrift,
    "[models.NAME.quality]": models.QualitySection,
    "[models.NAME.fairness]": models.FairnessSection,
    "[models.NAME.rehearsal]": models.RehearsalSection,
    "[models.NAME.versions]": models.VersionsSection,
    "[models.NAME.estimation]": models.EstimationSection,
    "[[models.NAME.evidently]]": models.EvidentlySection,
    "[[models.NAME.triggers]]": models.TriggerSection,
    "[models.NAME.retrain]": models.RetrainSection,
    "[models.NAME.retrain.approval]": models.ApprovalSection,
    "[models.NAME.gate]": models.GateSection,
    "[models.NAME.promotion]": models.PromotionSection,
    "[models.NAME.promotion.shadow]": models.ShadowSection,
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


def with_catalogue(page: str) -> str:
    """The page with the metrics and the drift methods as the code has them. Raises ValueError where it has no place."""
    return _filled(METRICS_PAGE, page, {"metrics": metric_tables(), "drift methods": method_table()})


def with_messages(page: str) -> str:
    """The page with the messages as the code writes them. Raises ValueError where it has no place."""
    return _filled(MESSAGES_PAGE, page, {"messages": examples()})


def _filled(path: Path, page: str, parts: dict[str, str]) -> str:
    for name, made in parts.items():
        begin, end = f"<!-- {name}: written by docs/write.py -->\n", f"<!-- end of {name} -->\n"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"{path}: expected {begin.strip()} and {end.strip()}, once each")
        page = page[: page.index(begin)] + begin + made + page[page.index(end):]
    return page


def metric_tables() -> str:
    """A chapter for each group of metrics: what each says, and what it needs and is for."""
    head = "| metric | meaning | unit | better | labels | needs | uses |\n|---|---|---|---|---|---|---|\n"
    rows_of = {group: [row for row in CATALOGUE.values() if row.group is group] for group in Group}
    chapters = (f"### {group}\n{head}{''.join(map(_metric_row, rows))}" for group, rows in rows_of.items())
    return "\n".join(chapters)


def _metric_row(row: Metric) -> str:
    few = len(row.tasks) < len(get_args(Task))
    needs = [*row.needs, *([f"a {' or '.join(row.tasks)} model"] if few else [])]
    uses = [*(use for use in row.uses), *(["`drifted`"] if row.judged else [])]
    cells = (f"`{row.name}`", row.meaning.removesuffix("."), row.unit, row.better or "–",
             ", ".join(f"`{label}`" for label in row.labels) or "–", ", ".join(needs) or "–", ", ".join(uses) or "–")
    return f"| {' | '.join(cells)} |\n"


def method_table() -> str:
    """What each drift method is, for which columns, and where it means drift by itself."""
    lines = (f"| `{name}` | {one.meaning} | {', '.join(one.kinds)} | {one.side} {one.threshold:g} |\n"
             for name, one in METHODS.items())
    return "| method | meaning | columns | drifted |\n|---|---|---|---|\n" + "".join(lines)


if __name__ == "__main__":
    METRICS_PAGE.write_text(with_catalogue(METRICS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    MESSAGES_PAGE.write_text(with_messages(MESSAGES_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for path, schema in SCHEMAS.items():
        path.write_text(schema, encoding="utf-8")
