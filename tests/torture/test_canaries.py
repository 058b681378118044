"""Row 16: canaries in every place for secrets and in private columns, searched for in everything that comes out."""

import base64
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.retrain.conftest import Seen, serving
from tests.torture.harness import Service, service, until

MARK = "CANARY"
PIPELINES = {                                   # the short form has the first two
    "hook": 'kind = "webhook"\nurl = { env = "HOOK_URL" }\nsecret = { env = "HOOK" }\n'
            'previous_secret = { env = "PREV" }',
    "local": 'kind = "command"\ncommand = ["sh", "-c", "env; echo $GIVEN; exit 3"]\n'
             'environment = { GIVEN = { env = "GIVEN" } }',
    "github": 'kind = "github"\nrepository = "a/b"\nworkflow = "r.yml"\ntoken = { env = "GITHUB" }\napi = "SERVER"',
    "gitlab": 'kind = "gitlab"\nproject = "a/b"\ntoken = { env = "GITLAB" }\nurl = "SERVER"',
    "jenkins": 'kind = "jenkins"\nurl = "SERVER"\njob = "x"\nusername = "u"\ntoken = { env = "JENKINS" }',
    "airflow": 'kind = "airflow"\nurl = "SERVER"\ndag = "x"\nversion = 2\n'
               'username = "u"\npassword = { env = "AIRFLOW" }',
    "prefect": 'kind = "prefect"\nurl = "SERVER/api"\ndeployment = "a/b"\ntoken = { env = "PREFECT" }',
}
MODEL = """
[models.NAME]
mode        = "act"
task        = "binary"
every       = "2s"
predictions = "log.csv"
reference   = "reference.csv"
window      = { size = "1d", min_rows = 20 }
since       = SINCE
rehearsal   = { enabled = false }
estimation  = { enabled = false }

[models.NAME.columns]
id      = "number"
label   = "label"
private = ["name", "note", "number"]

[[models.NAME.triggers]]
name   = "worse"
metric = "accuracy"
below  = 0.8
action = "retrain"

[models.NAME.retrain]
pipeline   = "NAME"
min_labels = 0
"""
COMMANDS = (                                    # the short form has the first three
    "history --explain newest --model hook", "report --html r.html --model hook", "audit export -o audit.zip",
    "validate --show", "status", "status --json", "history", "history --json", "validate --json", "notify test",
    "report --json --model local", "audit verify", "retrain --model local --by ada --reason why",
    "backtest --model hook",
)


def secrets(server: str) -> dict[str, str]:
    """A canary for each secret that the configuration names."""
    keys = {name: "whsec_" + base64.b64encode(f"{MARK}-{name}-".encode() + b"x" * 24).decode()
            for name in ("HOOK", "PREV", "CALLBACK")}
    tokens = {name: f"{MARK}-{name}-0123456789abcdef" for name in
              ("GITHUB", "GITLAB", "JENKINS", "AIRFLOW", "PREFECT", "GIVEN", "MLFLOW", "TOKEN", "LEFT_OVER")}
    return keys | tokens | {
        "HOOK_URL": f"{server}/{MARK}-PATH?token={MARK}-QUERY", "HEARTBEAT": f"{server}/{MARK}-HEARTBEAT",
        "NOTIFY": f"{server.replace('http', 'json')}/{MARK}-NOTIFY?x={MARK}-QUERY",
        "DATABASE": f"postgresql://scott:{MARK}-DATABASE@127.0.0.1:1/db",
    }


def configuration(server: str, since: datetime, pipelines: dict[str, str]) -> str:
    text = """
[daemon]
listen          = "127.0.0.1:PORT"
heartbeat       = { env = "HEARTBEAT" }
callback_secret = { env = "CALLBACK" }

[daemon.tokens.robot]
secret = { env = "TOKEN" }
scopes = ["metrics", "read"]

[notify]
urls = [{ env = "NOTIFY" }]

[models.base]
predictions = { database = { env = "DATABASE" }, table = "t" }
reference   = "reference.csv"
[models.base.columns]
timestamp = "timestamp"
[models.base.registry]
kind = "mlflow"
url = "SERVER"
name = "m"
token = { env = "MLFLOW" }
"""
    for name, section in pipelines.items():
        text += MODEL.replace("NAME", name).replace("SINCE", f"{since:%Y-%m-%d}") + f"\n[pipelines.{name}]\n{section}\n"
    return text.replace("SERVER", server)


def write_rows(path: Path, start: datetime, hours: int, *, worse: bool) -> None:
    lines = ["timestamp,number,name,note,x,prediction,label"]
    for hour in range(hours):
        label = hour * 7 % 2
        prediction = label if hour % (2 if worse else 10) else 1 - label
        lines.append(f"{(start + timedelta(hours=hour)).isoformat()},{MARK}-{hour},{MARK}-{hour % 7} {worse},"
                     f"{MARK} was seen {hour} times,{hour % 13},{prediction},{label}")
    path.write_text("\n".join(lines) + "\n")


def echo(seen: Seen) -> tuple[int, dict[str, str], object]:
    """A server that refuses, and quotes everything it was told, decoded too."""
    given = " ".join(f"{name}: {value}" for name, value in seen.headers.items())
    if (basic := seen.headers.get("authorization", "")).startswith("Basic "):
        given += base64.b64decode(basic.removeprefix("Basic ")).decode()
    said = f"no: {seen.path} {given}"
    return 403, {"Location": f"http://127.0.0.1:1/{seen.path}"}, {"message": said, "detail": said}


def process_list() -> bytes:
    """The arguments of every process on the machine, and the environment of those that are no driftd."""
    return b"\n".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())


def outputs(daemon: Service, commands: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for path in ("/metrics", "/", "/api/status", "/healthz", "/readyz", "/elsewhere"):
        yield path, daemon.get(path, token=daemon.environment["TOKEN"])[1].encode()
        yield f"{path} without a token", daemon.get(path)[1].encode()
    for line in commands:
        done = daemon.command(*line.split())
        assert "Traceback" not in done.stderr, done.stderr
        yield line, (done.stdout + done.stderr).encode()
    yield "processes", process_list()
    with zipfile.ZipFile(daemon.folder / "audit.zip") as archive:
        yield from ((f"audit.zip/{name}", archive.read(name)) for name in archive.namelist())
    assert daemon.stop() == 0
    yield "log", daemon.log().encode()
    kept = (daemon.folder / "r.html", *(daemon.folder / "state").rglob("*"))
    yield from ((str(path.relative_to(daemon.folder)), path.read_bytes()) for path in kept if path.is_file())


@pytest.mark.torture(16)
def test_no_canary_comes_out(
    tmp_path: Path, effort: Callable[[int, int], int], figure: Callable[[str], None]
) -> None:
    """A server refuses and quotes what it was shown, a command that prints them: none is kept."""
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    write_rows(tmp_path / "reference.csv", today - timedelta(days=40), 24 * 30, worse=False)
    write_rows(tmp_path / "log.csv", today - timedelta(days=3), 24 * 3 + now.hour + 1, worse=True)
    with serving() as server:
        server.reply = echo
        given, pipelines = secrets(server.url), dict([*PIPELINES.items()][:effort(2, len(PIPELINES))])
        with service(tmp_path, configuration(server.url, today - timedelta(days=3), pipelines), **given) as daemon:
            daemon.start()
            until(lambda: asked(daemon) == set(pipelines), daemon.log)
            places = dict(outputs(daemon, COMMANDS[:effort(3, len(COMMANDS))]))
    keys = [value for value in given.values() if value.startswith("whsec_")]
    marks = {MARK.encode(), *(key.removeprefix("whsec_")[:20].encode() for key in keys)}
    assert [(where, mark) for where, said in places.items() for mark in marks if mark in said] == []
    figure(f"{len(given)} secrets, 3 private columns, {len(places)} outputs: 0 canaries found")


def asked(daemon: Service) -> set[str]:
    """The models whose request was handed to its pipeline, whatever came of it."""
    status = json.loads(daemon.get("/api/status", token=daemon.environment["TOKEN"])[1] or "{}")
    return {one["model"] for one in status.get("models", []) for request in one["dispatches"] if request["reason"]}
