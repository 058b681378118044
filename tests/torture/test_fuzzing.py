"""Fuzzing: whatever is written into a configuration, a CSV file or JSON lines, the answer is data or a sentence.

The long form of each test takes an hour, or as many minutes as DRIFTD_TORTURE_MINUTES says.
"""

import json
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from monitor.config import SourceSection, load
from monitor.errors import ConfigError, SourceError
from monitor.sources import open_source
from tests.torture.harness import MANY, fuzz

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
SECTIONS = st.sampled_from([
    "[models.m]", "[models.m.columns]", "[models.m.window]", "[daemon]", "[defaults]", "[notify]", "[pipelines.p]",
    "[[models.m.triggers]]", "[[silences]]", "[models.m.fairness]", "[models.m.drift]", "[models]", "[daemon.tokens.t]",
])
KEYS = st.sampled_from([
    "predictions", "reference", "labels", "window", "size", "step", "timestamp", "prediction", "label", "name",
    "metric", "above", "below", "every", "cron", "listen", "kind", "command", "url", "secret", "urls", "include",
    "columns", "model",
    "since", "until", "timezone", "a.b.c", '"é"', "task", "segments", "method", "threshold", "windows", "pipeline",
])
TOML_VALUES = st.sampled_from([
    '"x"', "1", "-1", "1.5", "nan", "inf", "true", "[]", "{}", '["x"]', '{ env = "A" }', "1979-05-27", "07:32:00",
    '"7d"', '"2 of 3"', '"0.02 for 30d"', '"first 7d"', '"Europe"', '"* * * * *"', "[[1], [2]]", '"regret"',
    '"webhook"', '"command"', '"https://[::1"', '"a\\u0000b"', "1979-05-27T07:32:00+14:00", '{ path = "x" }', "0x7f",
]) | st.text(max_size=5).map(json.dumps)
TOML = st.lists(
    st.builds(lambda head, pairs: "\n".join([head, *(f"{key} = {value}" for key, value in pairs)]),
              SECTIONS, st.lists(st.tuples(KEYS, TOML_VALUES), max_size=4, unique_by=lambda pair: pair[0])),
    max_size=5,
).map("\n".join) | st.text(max_size=100)


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
    """Any text as a configuration is accepted, or refused in sentences."""
    place = tmp_path / "driftd.toml"

    def read(text: str) -> str:
        place.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            load(place)
        except ConfigError:
            return "refused"
        return "accepted"

    count = fuzz(effort(60, MANY), seed, TOML, read)
    figure(f"{count.total()} configurations in {count.minutes:.0f} minutes: {count['accepted']} accepted, "
           f"{count['refused']} refused, no traceback")
    assert count["refused"]
