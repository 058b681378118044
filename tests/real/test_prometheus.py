import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.real


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
    return found


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except ConnectionError:
        return ""
    finally:
        connection.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_log(path, first, days, shift):
    """Eight predictions an hour, of a model that is right three times of four; one column moves by `shift`."""
    chance = random.Random(shift)
    lines = ["timestamp,id,distance,carrier,prediction,label"]
    for number in range(days * 24 * 8):
        label = chance.randrange(2)
        lines.append(",".join(map(str, (
            (first + timedelta(minutes=7.5 * number)).isoformat(), f"{shift}-{number}",
            round(chance.gauss(shift, 1), 3), chance.choice("ABC"),
            label if chance.random() < 0.75 else 1 - label, label,
        ))))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def daemon(tmp_path):
    """A daemon on a log whose newest week has drifted; yields its port."""
    now = datetime.now(UTC)
    write_log(tmp_path / "reference.csv", now - timedelta(days=60), 30, 0)
    write_log(tmp_path / "log.csv", now - timedelta(days=24), 24, 3)
    port = free_port()
    (tmp_path / "driftd.toml").write_text(
        f'[daemon]\nlisten = "127.0.0.1:{port}"\n[models.flights]\npredictions = "log.csv"\n'
        'reference = "reference.csv"\n'
    )
    command = [sys.executable, "-m", "monitor", "run", "-c", str(tmp_path / "driftd.toml")]
    with (tmp_path / "driftd.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, (tmp_path / "driftd.log").read_text()


@pytest.fixture
def prometheus(tmp_path, daemon):
    """A Prometheus that scrapes the daemon every second; yields its port."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        f"scrape_configs: [{{job_name: driftd, scrape_interval: 1s, "
        f"static_configs: [{{targets: ['127.0.0.1:{daemon}']}}]}}]\n"
    )
    command = [
        shutil.which("prometheus"), f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, env=os.environ | {"TZ": "UTC"})
        try:
            yield port
        finally:
            process.terminate()
            process.wait(20)


def query(port, expression):
    body = get(port, f"/api/v1/query?query={urllib.parse.quote(expression)}")
    return json.loads(body)["data"]["result"] if body.startswith("{") else []


def test_prometheus_scrapes_and_answers(daemon, prometheus):
    """A real Prometheus reads the daemon and answers what drifted, by how much, and that nothing is wrong."""
    until(lambda: query(prometheus, 'driftd_trigger_firing{model="flights",trigger="drift"} == 1'), 120)
    drifted = query(prometheus, 'driftd_score_drifted{metric="drift",column="distance"} == 1')
    assert [one["metric"]["column"] for one in drifted] == ["distance"]
    assert float(query(prometheus, 'driftd_score{metric="accuracy"}')[0]["value"][1]) == pytest.approx(0.75, abs=0.05)
    assert query(prometheus, 'up{job="driftd"}')[0]["value"][1] == "1"
    assert query(prometheus, "driftd_source_up")[0]["value"][1] == "1"
    targets = json.loads(get(prometheus, "/api/v1/targets"))["data"]["activeTargets"]
    assert [target["lastError"] for target in targets] == [""]


def test_promtool_finds_nothing_to_mend(daemon):
    """`promtool check metrics` has nothing to say about a running daemon's exposition."""
    checked = re.compile(r'^driftd_checks_total\{model="flights",outcome="judged"\} 1', re.MULTILINE)
    until(lambda: checked.search(get(daemon, "/metrics")), 120)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=get(daemon, "/metrics"), capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
