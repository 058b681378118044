"""Services that log their predictions, as docs/how-to/log-predictions.md has them, under the servers that run them."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.real.servers import INSTALLED, free_port, until

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/log-predictions.md"
MODEL = """
import mlflow

class Rides(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return 40.0 + 5 * model_input["temperature"]

mlflow.models.set_model(Rides())
"""
PREFORKED = """
import json, os
from monitor.client import PredictionLog

log = PredictionLog(os.environ["PREDICTION_LOG"])
log.log({"hour": -1}, 0, id="before the fork")

def app(environ, start_response):
    row = json.loads(environ["wsgi.input"].read())
    id = log.log(row, 40.0 + 5 * row["temperature"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"id": id}).encode()]
"""


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```python {kind}\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


def tool(name: str) -> str:
    """A program of the Python that MLflow is installed in; FastAPI, uvicorn and gunicorn come with it."""
    found = INSTALLED / "mlflow/bin" / name
    if not found.exists():
        pytest.skip("mlflow is not installed: tests/real/install")
    return str(found)


class Service:
    """A server in a folder, that logs to `log` there."""

    def __init__(self, folder: Path, command: list[str], **environment: str) -> None:
        self.folder, self._said = folder, folder / "server.txt"
        self.environment = os.environ | environment | {
            "PYTHONPATH": str(ROOT), "PREDICTION_LOG": str(folder / "log"), "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": f"{Path(tool('python')).parent}:{os.environ['PATH']}",
        }
        with self._said.open("ab") as said:
            self.process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, env=self.environment,
                                            start_new_session=True)

    def answers(self, port: int, row: Mapping[str, Any], path: str = "/predict") -> Any:
        request = Request(f"http://127.0.0.1:{port}{path}", json.dumps(row).encode(),
                          {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def serves(self, port: int, row: Mapping[str, Any], path: str) -> bool:
        try:
            return bool(self.answers(port, row, path))
        except OSError:
            assert self.process.poll() is None, self._said.read_text()[-4000:]
            return False

    def end(self) -> None:
        """End it as a supervisor does, and whatever is left of it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def rows(self, kind: str = "predictions") -> list[dict[str, Any]]:
        files = sorted((self.folder / "log" / kind).glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def test_fastapi_under_uvicorn_with_workers(tmp_path: Path) -> None:
    """What both workers answered is there once when SIGTERM has ended them, with its label."""
    (tmp_path / "service.py").write_text(block("fastapi"), "utf-8")
    port = free_port()
    command = [tool("uvicorn"), "service:app", "--port", str(port), "--workers", "2", "--log-level", "warning"]
    service = Service(tmp_path, command)
    try:
        until(partial(service.serves, port, {"hour": 0, "temperature": 0}, "/predict"), 60)
        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(lambda hour: service.answers(port, {"hour": hour, "temperature": 2.5}),
                                     range(1, 401)))
        service.answers(port, {"riders": 51}, f"/outcomes/{answered[0]['id']}")
    finally:
        service.end()
    rows = {row["prediction_id"]: row for row in service.rows() if row["hour"]}
    assert len(service.rows()) == 401
    assert set(rows) == {answer["id"] for answer in answered}
    assert {row["prediction"] for row in rows.values()} == {52.5}
    assert [(row["prediction_id"], row["label"]) for row in service.rows("labels")] == [(answered[0]["id"], 51.0)]


def test_an_mlflow_model_that_is_served(tmp_path: Path) -> None:
    """Each answer's rows are there with the ids that it gave, after SIGKILL too."""
    for name, text in {"logged.py": block("mlflow"), "save.py": block("mlflow save"), "rides.py": MODEL}.items():
        (tmp_path / name).write_text(text, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    inner = "import mlflow; mlflow.pyfunc.save_model('rides', python_model='rides.py')"
    for words in (["-c", inner], ["save.py", "rides", "logged-rides"]):
        subprocess.run([tool("python"), *words], cwd=tmp_path, check=True, env=environment, timeout=120,
                       capture_output=True)
    port = free_port()
    command = [tool("mlflow"), "models", "serve", "-m", "logged-rides", "--env-manager", "local", "-p", str(port)]
    service = Service(tmp_path, command)
    records = [{"hour": hour, "temperature": hour / 2} for hour in range(50)]
    try:
        until(partial(service.serves, port, {"dataframe_records": records[:1]}, "/invocations"), 120)
        answer = service.answers(port, {"dataframe_records": records}, "/invocations")["predictions"]
    finally:
        os.killpg(service.process.pid, signal.SIGKILL)
        service.process.wait(60)
    rows = service.rows()[-50:]
    assert [(row["prediction_id"], row["prediction"]) for row in rows] == [
        (one["prediction_id"], one["prediction"]) for one in answer]
    assert [(row["hour"], row["temperature"]) for row in rows] == [
        (record["hour"], record["temperature"]) for record in records]


def test_workers_that_are_forked_with_the_log_open(tmp_path: Path) -> None:
    """gunicorn loads the service, forks its workers and ends them: each row is there once, the parent's too."""
    (tmp_path / "service.py").write_text(PREFORKED, "utf-8")
    port = free_port()
    service = Service(tmp_path, [tool("gunicorn"), "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "service:app"])
    try:
        until(partial(service.serves, port, {"hour": 0, "temperature": 0}, "/"), 60)
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(lambda hour: service.answers(port, {"hour": hour, "temperature": 1}, "/")["id"],
                                range(1, 401)))
    finally:
        service.end()
    logged = [row["prediction_id"] for row in service.rows() if row["hour"]]
    assert sorted(logged) == sorted(["before the fork", *ids])


