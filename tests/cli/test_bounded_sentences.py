"""Whatever a user or a file brings, what is said of it is short: one line of at most 2,000 characters a sentence."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.cli import COMMANDS
from monitor.config import SourceSection, load
from monitor.errors import ConfigError, DriftdError, SourceError
from monitor.escape import SENTENCE, acts, toml_key, toml_string
from monitor.sources import open_source
from tests.retrain.conftest import kit
from tests.retrain.test_callback import SUCCEEDED, Service, service

__all__ = ["kit", "service"]      # fixtures
LONG = {"zero bytes": "\0" * 1_000_000, "one word": "x" * 1_000_000, "lines": "a\n" * 500_000,
        "ESC": "\x1b[2J" * 250_000, "line separators": "\u2028" * 1_000_000, "quotes": "'\"" * 500_000}
NUL = "\0" * 1_000_000


def is_short(text: str) -> bool:
    return len(text) <= SENTENCE and not any(acts(sign) for sign in text)


def kinds(of: type[DriftdError] = DriftdError) -> Iterator[type[DriftdError]]:
    yield of
    for below in of.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize("long", LONG)
def test_every_kind_of_error_is_a_short_sentence(long: str) -> None:
    """Each error a user can meet, also the ones of single rooms, cuts what it is made from."""
    found = set(kinds())
    assert len(found) > 12
    for kind in found:
        error = ConfigError([LONG[long]]) if issubclass(kind, ConfigError) else kind(LONG[long])
        assert is_short(str(error)), kind


@pytest.mark.parametrize("written", [
    "{key} = 1", "[{key}]", "[models.{key}]", "[models.m]\n{key} = 1", "[models.m]\npredictions = {text}",
    "[models.m]\nmetric = {text}", "[models.m]\nevery = {text}", "[models.m]\nwindow = {text}", "include = {text}",
    "[[models.m.triggers]]\nname = {text}\nmetric = {text}\nabove = {text}", "[pipelines.p]\nkind = {text}",
    "[models.m.retrain]\npipeline = {text}", "[daemon]\nlisten = {text}", "[notify]\nurls = [{text}]", "x = {text",
    "{text}",
    "[daemon.tokens.{key}]\nsecret = {{ file = {text} }}",
])
@pytest.mark.parametrize("long", ["zero bytes", "lines"])
def test_problems_of_a_configuration_are_short(tmp_path: Path, written: str, long: str) -> None:
    """Every problem is a line, however long the name or the value that is wrong."""
    text = LONG[long][:50_000]
    (tmp_path / "driftd.toml").write_text(written.replace("{{", "{").replace("}}", "}").replace(
        "{key}", toml_key(text)).replace("{text}", toml_string(text)).replace("{text", f'"{text}'))
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "driftd.toml")
    assert [problem for problem in refused.value.problems if not is_short(problem)] == []


@pytest.mark.parametrize(("name", "content"), [
    ("log.csv", NUL + "timestamp,x\n1,2\n"), ("log.csv", "timestamp,x\n" + NUL),
    ("log.csv", f"timestamp,{NUL}\n1,2,3\n"), ("log.csv", 'a,b\n1,"' + "x\n" * 300_000),
    ("log.csv", "a,a\n" + "1," * 300_000), ("log.jsonl", NUL), ("log.jsonl", NUL + "\n"),
    ("log.jsonl", '{"a": 1}\n' + "x" * 1_000_000 + "\n"), ("log.jsonl", '{"a": "' + NUL + '"}\n{}\n'),
    ("log.parquet", NUL), ("log.parquet", "PAR1" + NUL + "PAR1"), ("log.csv.gz", NUL), ("log.csv.zst", NUL),
])
def test_what_is_wrong_with_data_is_short(tmp_path: Path, name: str, content: str) -> None:
    """A file of a megabyte of nothing is refused in a sentence, or read."""
    (tmp_path / name).write_text(content)
    source = open_source(SourceSection(path=str(tmp_path / name)), ZoneInfo("UTC"))
    for act in (source.schema, lambda: source.read(None), lambda: source.read(["x" * 1_000_000])):
        assert is_short(refusal(act))


def refusal(act: Callable[[], object]) -> str:
    try:
        act()
    except SourceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("told", [
    SUCCEEDED | {"x" * 15_000: 1}, SUCCEEDED | {"a\nb\x1b[2J": 1}, SUCCEEDED | {"outcome": "y" * 15_000},
    SUCCEEDED | {"run_url": "\n" * 5_000}, {"\u2028" * 2_000: 1}, "x" * 15_000,
])
def test_answers_over_http_are_short(service: Service, told: Any) -> None:
    """What is wrong with a report is one line."""
    status, text = service.report(told)
    assert status == 400
    assert is_short(text.removesuffix("\n"))


@pytest.mark.parametrize("path", ["/v1/runs/" + "x" * 15_000, "/v1/runs/" + "%0A" * 4_000, "/" + "%1B" * 4_000])
def test_answers_about_paths_are_short(service: Service, path: str) -> None:
    """What is said of a place that is not there is one line."""
    for body in ("{}", json.dumps(SUCCEEDED)):
        assert is_short(service.post(path, body, {})[1].removesuffix("\n"))


@pytest.mark.parametrize("long", ["ESC", "lines", "one word"])
def test_complaints_about_arguments_are_short(driftd: Callable[..., Any], tmp_path: Path, long: str) -> None:
    """Every command, given an argument, an option or a model of a megabyte, answers in short lines."""
    (tmp_path / "log.csv").write_text("timestamp,x,prediction\n2026-01-01,1,1\n")
    (tmp_path / "driftd.toml").write_text('[models.m]\npredictions = "log.csv"\nreference = "log.csv"\n')
    text = LONG[long][:100_000]      # of one argument the kernel takes no more than 131,071 bytes
    for words in [[text], *([command, text] for command in COMMANDS if command not in ("demo", "run")),
                  *([command, "--model", text] for command in ("check", "status", "history", "report")),
                  *([command, f"--{text}"] for command in COMMANDS), ["status", "-c", text],
                  ["init", "log.csv", "-o", text], ["history", "--explain", text], ["check", "--at", text],
                  ["run", "-c", text], ["compare", text, text], ["pause", "m", "--by", text, "--reason", "x"],
                  ["state", "restore", text], ["retry", text]]:
        done = driftd(*words)
        assert done.code not in (0, 1), words[0][:20]
        lines = (done.out + done.err).splitlines()
        assert len(lines) <= 8, (words[0][:20], len(lines))
        assert all(map(is_short, lines)), (words[0][:20], max(map(len, lines)))
