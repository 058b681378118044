"""The JSON Schema says what users may write: it takes every example, and refuses what is wrong in shape."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.write import word
from monitor.config.schema import FILE, INCLUDED_FILE, json_schema, sections
from monitor.config.section import Section, meanings
from monitor.config.sections import Config, ModelSection

Draft202012Validator = pytest.importorskip("jsonschema").Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json_schema()
WHOLE = Draft202012Validator(SCHEMA)
INCLUDED = Draft202012Validator(json_schema(included=True))
BAD = sorted((Path(__file__).parent / "bad").glob("*.toml"))
# Right in shape: only `driftd validate`, which sees names, files, other keys and the calendar, can tell.
BEYOND = {
    "files and what is in them": {"include-missing", "no-such-file", "reference-version", "remote", "remote-pattern"},
    "names that must exist, or go together": {
        "metric-of-task", "pipeline-undefined", "segment", "time-zone", "trigger-built-in", "trigger-composed",
        "trigger-method", "trigger-metric-of-task", "trigger-name",
    },
    "keys that must fit each other": {
        "column-twice", "label-id", "label-twice", "private", "remote-half-key", "remote-key", "storage-of-a-folder",
        "trigger-composed-estimate", "trigger-date", "trigger-drifted",
        "trigger-estimate-retrain", "trigger-estimate-task", "trigger-retrain", "trigger-rollback", "window-rows",
        "window-sample", "window-step", "window-step-rows",
    },
    "values of a right form": {
        "cron-fields", "cron-hour", "cron-never", "cron-weekday", "endpoint-path", "false-alarms", "gate-numbers",
        "retention", "secret-environment", "trigger-windows", "url-with-query", "versions-path",
    },
}
NOT_TOML = {"syntax", "syntax-unclosed"}


def as_json(path_or_text: Path | str) -> Any:
    """TOML as an editor's checker sees it: moments are texts."""
    text = path_or_text.read_text(encoding="utf-8") if isinstance(path_or_text, Path) else path_or_text
    return json.loads(json.dumps(tomllib.loads(text), default=lambda moment: moment.isoformat()))


def problems(checker: Any, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(document)]


def examples() -> Iterator[tuple[str, str, Any]]:
    """Every configuration in config/, the documentation and deploy/: where it is, its text, what it must keep to."""
    for path in sorted((ROOT / "config").rglob("*.toml")):
        yield str(path.relative_to(ROOT)), path.read_text("utf-8"), INCLUDED if "models.d" in path.parts else WHOLE
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    for page in sorted(pages):
        for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S), 1):
            yield f"{page.relative_to(ROOT)}-{number}", block, WHOLE
    manifest = (ROOT / "deploy/kubernetes/driftd.yaml").read_text("utf-8")
    block = re.search(r"driftd\.toml: \|\n((?:    .*\n|\n)+)", manifest)
    assert block is not None
    yield "deploy/kubernetes/driftd.yaml", re.sub("^    ", "", block[1], flags=re.M), WHOLE


EXAMPLES = list(examples())


@pytest.mark.parametrize(("text", "checker"), [pytest.param(*rest, id=name) for name, *rest in EXAMPLES])
def test_every_example_is_valid(text: str, checker: Any) -> None:
    """What the project shows is right by its own schema."""
    assert problems(checker, as_json(text)) == []


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.toml")), ids=lambda path: path.name)
def test_an_example_names_its_schema(path: Path) -> None:
    """The first line of each example leads an editor to the schema that the file must keep to."""
    first = path.read_text("utf-8").splitlines()[0]
    named = (path.parent / first.removeprefix("#:schema ")).resolve()
    assert named == ROOT / "config" / (INCLUDED_FILE if "models.d" in path.parts else FILE)


@pytest.mark.parametrize("path", [path for path in BAD if path.stem not in NOT_TOML], ids=lambda path: path.stem)
def test_a_bad_file_is_refused_unless_its_shape_is_right(path: Path) -> None:
    """A mistake in shape is one to the schema too; what only `driftd validate` can tell is listed."""
    beyond = {name for names in BEYOND.values() for name in names}
    assert (problems(WHOLE, as_json(path)) == []) == (path.stem in beyond)


def test_what_is_listed_as_beyond_a_schema_is_there() -> None:
    """The list names only files that there are."""
    assert {name for names in BEYOND.values() for name in names} | NOT_TOML <= {path.stem for path in BAD}


@pytest.mark.parametrize("schema", [SCHEMA, INCLUDED.schema], ids=["whole", "included"])
def test_it_is_a_schema_of_2020_12(schema: Any) -> None:
    """The schema keeps to the dialect that it names."""
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def table(section: type[Section]) -> Any:
    """The table of a section in the schema."""
    found = SCHEMA if section is Config else SCHEMA["$defs"][section.__name__]
    return found.get("anyOf", [found])[-1] if "properties" not in found else found


@pytest.mark.parametrize("section", list(sections(Config)), ids=lambda section: section.__name__)
def test_every_key_is_described(section: type[Section]) -> None:
    """Each key of each table has a description and, where it has one, its default, in plain text."""
    keys = table(section)["properties"]
    assert set(meanings(section)) <= set(keys)
    for name, key in keys.items():
        assert key["description"], name
        assert "](" not in key["description"], name
        field = section.model_fields.get(name)
        if field is not None and not field.is_required() and field.default not in (None, ""):
            assert "default" in key, name


def test_defaults_are_valid() -> None:
    """Every default could be written into the file as it stands."""
    for section in sections(Config):
        for name, key in table(section)["properties"].items():
            if "default" in key:
                checker = Draft202012Validator({**key, "$defs": SCHEMA["$defs"]})
                assert problems(checker, key["default"]) == [], (section, name)


MODEL = '[models.m]\npredictions = "."\nreference = "first 30d"\n'


@pytest.mark.parametrize(
    "text",
    [
        MODEL + 'window = 5000\nsince = 2024-03-01\nlabel = "y"',
        MODEL + 'since = 2024-03-01T06:00:00Z\nwindow = "1d12h"',
        MODEL + 'drift.false_alarms = "2 per year"\nregistry = { kind = "mlflow", url = "http://a:1", name = "m" }',
        '[models.m]\npredictions = { database = { env = "D" }, table = "t" }\nreference = { path = "a" }',
        'include = ["a.toml"]\n[notify]\nurls = [{ credential = "c" }]',
        '[defaults]\nreference = "."\nretrain.pipeline = "p"\n[models.m]\npredictions = "."\nretrain.cooldown = "1d"',
        MODEL + '[[models.m.triggers]]\nname = "t"\nmetric = "rmse"\nrise = "15%"\n'
                '[[models.m.triggers]]\nname = "u"\nmetric = "regret"\nabove = "0.02 for 30d"\nwindows = "2 of 3"',
    ],
)
def test_short_forms_are_valid(text: str) -> None:
    """What may be written shortly, or inherited, is right by the schema."""
    assert problems(WHOLE, as_json(text)) == []


def test_an_included_file_needs_little_and_holds_only_models_and_pipelines() -> None:
    """A model of an included file may have everything from [defaults]; [notify] does not belong there."""
    assert problems(INCLUDED, as_json('[models.m]\nversion = "1"')) == []
    assert problems(INCLUDED, as_json('[notify]\nurls = []')) != []
    assert problems(WHOLE, as_json('[models.m]\nversion = "1"')) != []


def test_a_type_in_words() -> None:
    """The documentation's words for types come from the schema."""
    keys = table(ModelSection)["properties"]
    said = {name: word(keys[name], SCHEMA["$defs"]) for name in ("mode", "window", "predictions", "since", "triggers")}
    assert said == {
        "mode": "text", "window": "duration, integer or table", "predictions": "place", "since": "date or time",
        "triggers": "tables",
    }
