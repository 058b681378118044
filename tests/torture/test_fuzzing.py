"""Fuzzing: whatever is written into a configuration, a CSV file or JSON lines, the answer is data or a sentence.

The long form of each test takes an hour, or as many minutes as DRIFTD_TORTURE_MINUTES says.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from monitor.check.due_windows import first_start, look_back
from monitor.cli.validate import look
from monitor.config import Loaded, ModelSection, SourceSection, load
from monitor.config.effective import settings
from monitor.config.load import missing_secrets
from monitor.errors import ConfigError, DriftdError, SourceError
from monitor.escape import acts
from monitor.records import from_json, to_json
from monitor.retrain.pipelines import open_pipeline
from monitor.sources import open_source
from monitor.times import utcnow
from monitor.web.settings import read_settings
from tests.config.test_schema import as_json
from tests.torture.drawn_configurations import SCHEMA, TOML
from tests.torture.harness import MANY, fuzz
from tests.torture.test_data_harm import rows, write

WORDS = st.sampled_from([
    "timestamp", "prediction", "id", "1", "1.5", "-0", "1e999", "nan", "NaN", "inf", "null", "None", "", " ", '"', '""',
    "2026-01-01", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59", "0000-00-00", "31.12.2026", "1,5", "007", "true", "\0",
    "\ufeff", "\r", "é", "\u2028", "9" * 40, "x" * 300, "=1+1", "\x1b[31m", "0x10", "१२", "{}", "[]", "1_000",
])
CELLS = WORDS | st.text(max_size=8)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252", "utf-32"])
BYTES = st.binary(max_size=400)
CSV = st.builds(
    lambda rows, sign, end, encoding: end.join(map(sign.join, rows)).encode(encoding, "replace"),
    st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=12), st.sampled_from([",", ";", "\t", "|", " "]),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), ENCODINGS,
) | BYTES
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3), max_leaves=6,
)
LINES = st.builds(
    lambda rows, noise, at: b"\n".join([*rows[:at], noise, *rows[at:]]),
    st.lists(st.dictionaries(CELLS, VALUES, max_size=4).map(lambda row: json.dumps(row).encode()), max_size=8),
    BYTES | st.just(b"") | st.sampled_from([
        b"[" * 9000, b"{" * 9000, b'{"a": ' + b"[" * 40_000, b'{"a":' * 40_000 + b"1",
        b'{"a": ' + b"9" * 5000 + b"}", b'{"a": "\\ud800"}', b'{"a": "\xed\xa0\x80"}',
    ]),
    st.integers(0, 8),
) | BYTES


@pytest.mark.torture(20)
@pytest.mark.parametrize(("format", "strategy"), [("csv", CSV), ("jsonl", LINES)])
def test_data(format: str, strategy: st.SearchStrategy[object], tmp_path: Path, effort: Callable[[int, int], int],
              seed: int, figure: Callable[[str], None]) -> None:
    """Any bytes in a log are rows, or refused in a sentence."""
    place = tmp_path / f"log.{format}"

    def read(content: bytes) -> str:
        place.write_bytes(content)
        source = open_source(SourceSection(path=str(place), format=format), ZoneInfo("UTC"))
        try:
            source.read(None)
            source.schema()
        except SourceError:
            return "refused"
        return "read"

    count = fuzz(effort(60, MANY), seed, strategy, read)
    figure(f"{count.total()} files of {format} in {count.minutes:.0f} minutes: {count['read']} read, "
           f"{count['refused']} refused, no traceback")
    assert count.total() >= 50


@pytest.mark.torture(20)
def test_configurations(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """Any text as a configuration is refused in sentences with a line, or what follows from it can be worked out."""
    place, schema = tmp_path / "driftd.toml", Draft202012Validator(SCHEMA)
    write(rows(0, 10, 1), tmp_path / "log.csv")
    told = re.compile(rf"{re.escape(str(place))}:\d+: \S")

    def read(text: str) -> str:
        place.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            loaded, refused = load(place), []
        except ConfigError as error:
            loaded, refused = None, error.problems
        assert all(told.match(problem) and not any(map(acts, problem)) for problem in refused), refused
        if loaded is None:
            return "refused"
        assert [error.message for error in schema.iter_errors(as_json(text.removeprefix("\ufeff")))] == []
        follow(loaded, tmp_path, data=effort(0, 1) == 1)        # looking at data imports Evidently
        return "accepted"

    count = fuzz(effort(60, MANY), seed, TOML, read)
    figure(f"{count.total()} configurations in {count.minutes:.0f} minutes: {count['accepted']} accepted, "
           f"{count['refused']} refused, no traceback")
    assert count["refused"]
    assert count["accepted"] > 0.2 * count.total()


def follow(loaded: Loaded, folder: Path, *, data: bool) -> None:
    """Show the settings, open the pipelines, hand each model to a worker and back, reckon windows; look at `data`."""
    assert settings(loaded, {})
    missing_secrets(loaded)
    with suppress(ConfigError):
        read_settings(loaded, secrets=False)
    for pipeline in loaded.config.pipelines.values():
        open_pipeline(pipeline, folder)
    for model in loaded.config.models.values():
        assert from_json(ModelSection, to_json(model)) == model
        now = utcnow()
        assert look_back(model.window, model.label_delay, now) <= now
        assert first_start(model, now)
        if data and "s3://" not in loaded.text:
            with suppress(DriftdError):
                look(model)
