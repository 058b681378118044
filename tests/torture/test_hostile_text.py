"""Row 11: hostile names and values of columns, triggers, segments, people: no output lets one of them act."""

import csv
import io
import json
import random
import re
import tomllib
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor import escape
from monitor.cli import main
from monitor.config import load
from monitor.escape import toml_key, toml_string
from monitor.expose.prometheus import Metrics
from monitor.expose.status_document import status_document
from monitor.expose.view import read_view
from monitor.store import Store
from monitor.times import utcnow
from monitor.web.page import page

ROWS = 720
PIECES = (
    "\n", "\r\n", "\r", "\t", "\x00", "\x07", "\x1b[31m", "\x1b]0;t\x07", "\x7f", "\x85", "\x9b2J", "\u200b", "\u2028",
    "\u2029", "\u202e", "\u2066", "\ufeff", "\U000e0041", '"', "'", "\\", "`", "```", "|", "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>", "<svg onload=alert(3)>", "]]>", "&lt;", "-->", "[l](javascript:alert(4))",
    "![p](http://e.example/p.png)", "@everyone", "<!channel>", "=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(1)",
    '"},x="', "} 1\n# HELP evil", "{{7*7}}", "{0}", "%s", "$(id)", "'; DROP TABLE windows;--", "../../etc/passwd",
    "\n[models.evil]\n", "#", "'''", '"""', "日本", "é", "L" * 3000,
)
TAGS = re.compile(r"<(script|img|svg onload)", re.IGNORECASE)


class Tags(HTMLParser):
    """The tags and attributes of a page as a browser would find them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


def _hostile(count: int, seed: int) -> list[str]:
    """So many different texts: each piece alone, then several drawn together."""
    chance, made = random.Random(seed), dict.fromkeys(f"c{piece}" if not piece.strip() else piece for piece in PIECES)
    chosen = chance.sample(list(made), min(count, len(made)))
    while len(chosen) < count:
        chosen.append("".join(chance.choices(PIECES, k=3)) + str(len(chosen)))
    return chosen


def _rows(names: list[str], start: datetime, step: timedelta, shift: int, seed: int) -> dict[str, list[Any]]:
    chance = random.Random(seed)
    labels = [chance.randrange(2) for _ in range(ROWS)]
    values: dict[str, list[Any]] = {
        "timestamp": [start + row * step for row in range(ROWS)],
        "prediction_id": [f"=1+{row}" for row in range(ROWS)],
        "prediction": [label if chance.random() < 0.9 else 1 - label for label in labels],
        "label": labels,
        "seg": [names[row % min(4, len(names))] for row in range(ROWS)],
    }
    return values | {
        name: [chance.gauss(shift, 1) for _ in range(ROWS)] if place % 2 else chance.choices([name, "b"], k=ROWS)
        for place, name in enumerate(names)
    }


def _config(names: list[str]) -> str:
    return f"""
[models.{toml_key(names[0])}]
predictions = "log.parquet"
reference = "ref.parquet"
metric = "accuracy"
window = {{ size = "1d", min_rows = 20 }}
since = "{(utcnow() - timedelta(days=2)).date()}"
rehearsal.enabled = false
estimation.enabled = false
quality.stale = "100d"
drift.threshold = 0.1
mode = "act"
[models.{toml_key(names[0])}.columns]
id = "prediction_id"
segments = ["seg"]
categorical = [{", ".join(toml_string(name) for name in names[::2])}]
[[models.{toml_key(names[0])}.triggers]]
name = {toml_string(names[1])}
metric = "drift"
column = {toml_string(names[1])}
drifted = true
action = "retrain"
[models.{toml_key(names[0])}.retrain]
pipeline = {toml_string(names[2])}
min_labels = 0
[pipelines.{toml_key(names[2])}]
kind = "webhook"
url = "http://127.0.0.1:1/"
secret = {{ env = "HOOK" }}
"""


def _is_dead(text: str) -> bool:
    """Whether lines are the only thing that acts in a text."""
    return not any(escape.acts(sign) for sign in text.replace("\n", ""))


@pytest.fixture
def outputs(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[list[str], dict[str, str]]:
    """Hostile names, and every output of a checked model that has them, by the output's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", "whsec_" + "QUFB" * 8)
    names, now = _hostile(effort(8, 100), seed), datetime.now(UTC).replace(microsecond=0)
    before = _rows(names, now - timedelta(days=30), timedelta(minutes=30), 0, seed)
    after = _rows(names, now - timedelta(days=3), timedelta(minutes=6), 5, seed + 1)
    pq.write_table(pa.table(before), "ref.parquet")
    pq.write_table(pa.table(after), "log.parquet")
    Path("driftd.toml").write_text(_config(names), encoding="utf-8")
    said: dict[str, str] = {}
    hand = ("--by", names[3], "--reason", names[4])
    for words in (
        ("check",), ("status",), ("history",), ("history", "--explain", "newest"), ("pause", *hand),
        ("status", "--json"), ("history", "--explain", "newest", "--json"), ("report",), ("report", "--html", "r.html"),
        ("window", "export", "-o", "e.csv"), ("audit", "export", "-o", "a.zip"), ("validate", "--show"),
    ):
        main([*words, "-c", "driftd.toml"])
        said[" ".join(words[:4])] = "\n".join(capsys.readouterr())
    main(["compare", "ref.parquet", "log.parquet", "--junit", "j.xml", "--markdown", "c.md"])
    said["compare"] = "\n".join(capsys.readouterr())
    return names, said


@pytest.mark.torture(11)
def test_nothing_hostile_acts_in_any_output(
    outputs: tuple[list[str], dict[str, str]], tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Every output of a model whose columns, values, triggers and people are hostile: nothing live, whole formats."""
    names, said = outputs
    for name, text in said.items():
        assert _is_dead(text), name
        assert "Traceback" not in text, f"{name}: {text[-2000:]}"
        assert not re.search(r"^(\[models\.evil\]|# HELP evil)", text, re.MULTILINE), name
    for words, version in (("status --json", 2), ("history --explain newest --json", 1)):
        assert json.loads(said[words])["schema_version"] == version
    _no_live_tags((tmp_path / "r.html").read_text(encoding="utf-8"))
    for text in (said["report"], (tmp_path / "c.md").read_text(encoding="utf-8")):
        assert _is_dead(text)
        assert not TAGS.search(text)
        assert "](javascript:" not in text
        assert "@everyone" not in re.sub(r"`[^`]*`", "", text)
    ElementTree.parse(tmp_path / "j.xml")
    cells = [cell for row in csv.reader(io.StringIO((tmp_path / "e.csv").read_text(encoding="utf-8"), newline=""))
             for cell in row]
    assert [cell for cell in cells if escape.csv_cell(cell) != cell] == []
    _archive(tmp_path / "a.zip")
    _served(tmp_path)
    figure(f"{len(names)} hostile names and values in {len(said) + 7} outputs: 0 live, every format whole")


SCRIPT = re.compile(r'<script src="[./]*static/driftd\.js" defer></script>')     # our own, on every page


def _no_live_tags(text: str) -> None:
    parser = Tags()
    parser.feed(SCRIPT.sub("", text))
    assert not parser.found & {"script", "img", "iframe", "onload", "onerror"}
    assert _is_dead(text)


def _archive(path: Path) -> None:
    """One record a line, whatever a reader takes for the end of one."""
    with zipfile.ZipFile(path) as archive:
        for name in ("entries.jsonl", "verdicts.jsonl"):
            for line in archive.read(name).decode().splitlines():
                json.loads(line)


def _served(folder: Path) -> None:
    """The page, the metrics and the status, made of what the store holds."""
    loaded = load(folder / "driftd.toml")
    with Store.open(folder / "state", exclusive=False) as store:
        view = read_view(store, loaded.config, utcnow())
        requests = store.requests.all()
    assert view.models[0].newest is not None
    assert view.models[0].verdict is not None
    _no_live_tags(page(view))
    metrics = Metrics("0")
    metrics.show(view)
    text = metrics.render()[0].decode()
    families = list(text_string_to_metric_families(text))
    assert not [family.name for family in families if not family.name.startswith(("driftd_", "process_"))]
    assert all(len(value) <= escape.NAME for f in families for s in f.samples for value in s.labels.values())
    assert len(text.splitlines()) == text.count("\n")
    json.loads(escape.json_text(status_document(view)))
    for request in requests:
        assert len(request.body.splitlines()) == 1
        assert json.loads(request.body)["specversion"] == "1.0"


@pytest.mark.torture(11)
def test_init_takes_hostile_columns(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], figure: Callable[[str], None],
) -> None:
    """`init` of logs with hostile columns writes exactly these columns and nothing else, and it passes `validate`."""
    monkeypatch.chdir(tmp_path)
    rounds = effort(1, 20)
    for turn in range(rounds):
        names = _hostile(20, seed + turn)
        moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=row) for row in range(240)]
        table: dict[str, list[Any]] = {"timestamp": moments, "prediction": [0, 1] * 120, "label": [0, 1, 1, 0] * 60}
        pq.write_table(pa.table(table | {name: ["a", "b"] * 120 for name in names}), "log.parquet")
        assert main(["init", "log.parquet", "--force"]) == 0
        read = tomllib.loads(Path("driftd.toml").read_text(encoding="utf-8"))
        assert list(read) == ["models"]
        assert read["models"]["log"]["columns"]["categorical"] == names
        assert main(["validate", "-c", "driftd.toml"]) == 0
        assert _is_dead("".join(capsys.readouterr()))
    figure(f"{rounds} headers of 20 hostile names: each read back as it was, 0 keys beside")


def test_commands_print_through_one_function() -> None:
    """Only `cli/terminal.py` writes to a terminal; the version line holds nothing from outside."""
    folder = Path(escape.__file__).parent / "cli"
    writing = {path.name for path in folder.glob("*.py") if re.search(r"click\.s?echo\(|\bprint\(", path.read_text())}
    assert writing == {"terminal.py", "__init__.py"}
