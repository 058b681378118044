"""docs/configuration.md says of every key what the configuration models say, so that it cannot rot."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from monitor.config import load, pipeline_sections
from monitor.config import sections as models
from monitor.config.section import Section

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "configuration.md").read_text(encoding="utf-8")
SET_BY_LOAD = ((models.ModelSection, "name"), (models.ReferenceSection, "template"))
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


def rows(chapter: str) -> dict[str, list[str]]:
    """Cells of a chapter's table by key: type, default, meaning."""
    body = re.split(r"^## ", TEXT.split(f"\n## {chapter}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", body, re.MULTILINE)
    return {key: [cell.strip() for cell in cells.split("|")] for key, cells in found}


def shown(section: type[Section], name: str, field: FieldInfo) -> str:
    """A default as the documentation writes it."""
    if field.is_required():
        return "needed"
    serialised = section.__pydantic_serializer__.to_python(
        section.model_construct(**{name: field.default}), mode="json", include={name}, warnings=False,
    )[name]
    if isinstance(serialised, bool):
        return f"`{str(serialised).lower()}`"
    if isinstance(serialised, str):
        return f'`"{serialised}"`'
    return f"`{serialised}`" if isinstance(serialised, int | float) else "–"


def choices(annotation: Any) -> list[str]:
    """Texts that a key is limited to."""
    inner = [choice for part in get_args(annotation) for choice in choices(part)]
    return inner + [part for part in get_args(annotation) if isinstance(part, str)]


def test_every_section_has_a_chapter() -> None:
    """Each kind of table is described, and no chapter describes one that is gone."""
    everything = [*vars(models).values(), *vars(pipeline_sections).values()]
    sections = {kind for kind in everything if isinstance(kind, type) and issubclass(kind, Section)}
    assert set(CHAPTERS.values()) == sections - {Section, models.Config, pipeline_sections.OverHttp}
    assert set(re.findall(r"^## (.+)$", TEXT, re.MULTILINE)) == set(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_keys_are_those_of_the_models(chapter: str) -> None:
    """Each key is described with its default and its choices, and no key that does not exist."""
    section, documented = CHAPTERS[chapter], rows(chapter)
    fields = {name: section.model_fields[name] for name in section.key_names() if (section, name) not in SET_BY_LOAD}
    assert list(documented) == list(fields)
    for name, field in fields.items():
        _, default, meaning = documented[name]
        assert default == shown(section, name, field), name
        for choice in choices(field.annotation):
            assert f'"{choice}"' in meaning + default, (name, choice)


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"]), ids=lambda path: path.name)
def test_examples_load(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every whole configuration in the documentation is accepted, beside the files it names."""
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)):
        folder = tmp_path / str(number)
        for name in re.findall(r'"((?:[\w./{}-]+)\.(?:csv|parquet|jsonl|sh|py))"', block.replace("{version}", "1")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        folder.mkdir(exist_ok=True)
        (folder / "driftd.toml").write_text(block, encoding="utf-8")
        assert load(folder / "driftd.toml").config.models, block
