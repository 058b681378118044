"""Values of private columns are searched for in everything driftd writes, says and sends, as secrets are."""

import json
import random
import stat
import struct
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from monitor.config import load
from monitor.expose.prometheus import Metrics
from monitor.expose.status_document import status_document
from monitor.expose.view import read_view
from monitor.store import Store
from monitor.times import utcnow
from monitor.web.page import page

NAMES = ("Zerlina", "Quasimodo", "Xanthippe", "Wolfhild")     # values nothing else would say
SALARY = 918273.645
MARKS = [
    *NAMES, "zq-", "918273", "918,273", "9.183e+05", "9.18e+05", "9.182736", "Tuberculosis", "typhus-now",
]
CONFIG = """
[daemon]
state_dir = "state"

[models.clinic]
mode        = "act"
task        = "binary"
predictions = "log.csv"
reference   = "reference.csv"
window      = {{ size = "7d", min_rows = 50 }}
since       = {since}

[models.clinic.columns]
id      = "number"
label   = "diagnosis"
prediction = "prediction"
private = ["number", "name", "salary", "note", "diagnosis", "prediction", "town"]
segments = ["ward"]

[models.clinic.fairness]
columns = ["sex"]

[[models.clinic.triggers]]
name = "drift"
metric = "drifted_share"
above = 0.1
action = "retrain"

[models.clinic.retrain]
pipeline = "local"
min_labels = 0

[pipelines.local]
kind    = "command"
command = ["true"]

[notify]
urls = [{{ env = "PEOPLE" }}]
"""


def table(path: Path, start: datetime, days: int, *, later: bool, seed: int) -> None:
    """Rows whose private columns are other than before, and hold what a library trips over."""
    chance = random.Random(seed)
    lines = ["timestamp,number,name,salary,note,town,ward,sex,x,diagnosis,prediction"]
    for hour in range(24 * days):
        name = chance.choice(NAMES[2:] if later else NAMES[:2])
        salary = SALARY if hour % 50 == 0 else round(chance.gauss(5000 if later else 3000, 200), 2)
        town = f"{name}town" if later else str(hour % 7)             # text where there were numbers
        note = f"{name} has seen us about it, {chance.random()}"
        ward, sex = chance.choice("AB") if hour % 100 else "Rare", chance.choice("mf")
        x, truth = chance.gauss(3 if later else 0, 1), chance.choice(("Tuberculosis", "none"))
        said = chance.choice(("Tuberculosis", "none", *(["typhus-now"] if later and hour % 30 == 0 else [])))
        moment = start + timedelta(hours=hour)
        fields = (f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"zq-{seed}-{hour}", name, salary, note, town, ward, sex, f"{x:.3f}",
                  truth, said)
        lines.append(",".join(f'"{field}"' for field in fields))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Where people are told: what arrives there."""
    told: list[bytes] = []

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Inbox)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PEOPLE", f"json://127.0.0.1:{server.server_port}/")
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    table(tmp_path / "reference.csv", today - timedelta(days=60), 28, later=False, seed=1)
    table(tmp_path / "log.csv", today - timedelta(days=28), 28, later=True, seed=2)
    path = tmp_path / "driftd.toml"
    path.write_text(CONFIG.format(since=f"{today - timedelta(days=28):%Y-%m-%d}"))
    return path


def outputs(driftd: Any, config: Path, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything there is to see, by where it is seen."""
    for line in (
        "validate --show", "check --json", "retrain --by ada --reason why", "check", "status", "status --json",
        "history", "history --json", "history --explain newest", "history --explain newest --json", "report --json",
        "report --html report.html --markdown report.md", "audit verify --json", "audit export -o audit.zip",
        "window export -o rows.csv",
    ):
        done = driftd(*line.split(), "-c", config)
        assert done.code in (0, 3, 4), (line, done)
        yield line, (done.out + done.err).encode()
    for name in ("report.html", "report.md", "rows.csv"):
        yield name, (folder / name).read_bytes()
    with zipfile.ZipFile(folder / "audit.zip") as archive:
        yield from ((f"audit.zip/{name}", archive.read(name)) for name in archive.namelist())
    with Store.open(folder / "state", exclusive=False) as store:
        view = read_view(store, load(config).config, utcnow())
        metrics = Metrics("1")
        metrics.show(view)
        yield "metrics", metrics.render("")[0]
        yield "page", page(view).encode()
        yield "api", json.dumps(status_document(view)).encode()
        yield "evidence", "".join(one.body for one in store.requests.all()).encode()
    for path in sorted((folder / "state").rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def without_header(driftd: Any, config: Path, folder: Path) -> Iterator[tuple[str, bytes]]:
    """A log without its first line, whose first row is now taken for names of columns."""
    rows = (folder / "log.csv").read_text().splitlines()[1:]
    first = next(at for at, row in enumerate(rows) if len(set(row.split(","))) == len(row.split(",")))
    (folder / "log.csv").write_text("\n".join(rows[first:]) + "\n")
    for line in ("validate", "check", "status --json"):
        done = driftd(*line.split(), "-c", config)
        yield line, (done.out + done.err).encode()
    yield "database", b"".join(path.read_bytes() for path in (folder / "state").glob("driftd.db*"))


def test_no_value_of_a_private_column_leaves(driftd: Any, config: Path, tmp_path: Path, people: list[bytes]) -> None:
    """Drift, broken types, unseen classes, a request: it is all told, and none of it quotes a value.

    Nor a ward that fewer than ten rows have, but in the reference's profile and in rows that were asked for as such;
    and all files are their owner's.
    """
    seen = dict(outputs(driftd, config, tmp_path))
    seen |= {f"{where}, a header lost": said for where, said in without_header(driftd, config, tmp_path)}
    seen["messages"] = b"".join(people)
    for where in ("history --explain newest", "evidence", "messages", "metrics"):
        assert b"salary" in seen[where] or b"town" in seen[where], where      # told, with numbers about it
    for where, content in seen.items():
        for mark in [*MARKS, *(() if where.startswith(("state/profiles/", "rows.csv")) else ("Rare",))]:
            assert mark.encode() not in content, (where, mark)
        for form in ("<d", ">d"):
            assert struct.pack(form, SALARY) not in content, where
    for path in [*(tmp_path / "state").rglob("*"), *(tmp_path / name for name in ("audit.zip", "report.html"))]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
