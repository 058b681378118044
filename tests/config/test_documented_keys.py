"""docs/configuration.md and the schemas in config/ say of every key what the sections say, so that they cannot rot."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from docs.write import CHAPTERS, PAGE, SCHEMAS, rows, with_tables
from monitor.config import load, pipeline_sections, sections
from monitor.config.section import Section

DOCS = PAGE.parent
REWRITE = "run `make docs`, and look at the difference"


def choices(annotation: Any) -> list[str]:
    """Texts that a key is limited to."""
    inner = [choice for part in get_args(annotation) for choice in choices(part)]
    return inner + [part for part in get_args(annotation) if isinstance(part, str)]


def test_every_section_has_a_chapter() -> None:
    """Each kind of table is described, and no chapter describes one that is gone."""
    everything = [*vars(sections).values(), *vars(pipeline_sections).values()]
    kinds = {kind for kind in everything if isinstance(kind, type) and issubclass(kind, Section)}
    assert set(CHAPTERS.values()) == kinds - {Section, sections.Config, pipeline_sections.OverHttp}
    assert set(re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == set(CHAPTERS)


def test_the_tables_are_those_of_the_sections() -> None:
    """Each key is described with its type, default and meaning as the sections have it."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, REWRITE


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_schemas_are_those_of_the_sections(path: Path) -> None:
    """The schema that the repository holds is the one that `driftd schema` prints."""
    assert path.read_text(encoding="utf-8") == SCHEMAS[path], REWRITE


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_choices_are_named(chapter: str) -> None:
    """A key that is limited to some texts names them all."""
    section = CHAPTERS[chapter]
    lines = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", rows(section), re.MULTILINE))
    named = [(name, choice) for name in lines for choice in choices(section.model_fields[name].annotation)]
    assert [(name, choice) for name, choice in named if f'"{choice}"' not in lines[name]] == []


@pytest.mark.parametrize("path", sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"]), ids=lambda path: path.stem)
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
