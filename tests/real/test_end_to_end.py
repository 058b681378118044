"""The daemon as people run it: real files that grow, and at the other ends real receivers."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real

RULES = Path(__file__).resolve().parents[2] / "deploy/prometheus/driftd.rules.yml"


@contextmanager
def server(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def alertmanager(tmp_path: Path, place: Any) -> Iterator[int]:
    port, config = place.free_port(), tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: people}\nreceivers: [{name: people}]\n")
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert program, "Alertmanager is not installed, run tests/real/install"
    command = [program, f"--config.file={config}", f"--storage.path={tmp_path / 'alerts'}",
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with server(command, tmp_path / "alertmanager.log"):
        yield port


@pytest.fixture
def prometheus(tmp_path: Path, place: Any, alertmanager: int) -> Iterator[int]:
    """A Prometheus with our alert rules that looks every second and tells Alertmanager."""
    port, config = place.free_port(), tmp_path / "prometheus.yml"
    config.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
        "scrape_configs": [{"job_name": "driftd", "static_configs": [{"targets": [f"127.0.0.1:{place.port}"]}]}],
    }))
    program = shutil.which("prometheus")
    assert program, "Prometheus is not installed, run tests/real/install"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}"]
    with server(command, tmp_path / "prometheus.log"):
        yield port


def firing(place: Any, port: int) -> set[tuple[str, str | None]]:
    """Name and trigger of the alerts that Prometheus says are firing."""
    alerts = json.loads(place.get("/api/v1/alerts", port) or '{"data": {"alerts": []}}')["data"]["alerts"]
    return {(a["labels"]["alertname"], a["labels"].get("trigger")) for a in alerts if a["state"] == "firing"}


def received(place: Any, port: int) -> set[tuple[str, str | None]]:
    """Name and trigger of the alerts that Alertmanager holds."""
    alerts = json.loads(place.get("/api/v2/alerts?active=true", port) or "[]")
    return {(alert["labels"]["alertname"], alert["labels"].get("trigger")) for alert in alerts}


def test_from_the_log_to_everybody_who_is_told(place: Any, prometheus: int, alertmanager: int) -> None:
    """A model turns bad: a signed request, a mail and an alert arrive; it recovers, and all is calm again."""
    place.start()
    place.until(lambda: 'driftd_checks_total{model="trees",outcome="judged"}' in place.get("/metrics"))
    assert not place.hook.events

    place.service.good = False
    alert = ("DriftdTriggerFiring", "worse")
    place.until(lambda: alert in firing(place, prometheus))
    place.until(lambda: alert in received(place, alertmanager))
    place.until(lambda: place.hook.events)
    place.until(lambda: any("a retrain is requested" in subject for subject in place.mailbox.subjects))
    [(name, event)] = place.hook.events
    assert (event["id"], event["type"], event["subject"]) == (name, "io.driftd.retrain.requested", "trees")
    assert event.data["triggers"] == ["worse"]
    assert event.data["accuracy"]["now"] < 0.7 < event.data["accuracy"]["before"]

    place.service.good = True
    place.until(lambda: alert not in firing(place, prometheus))
    place.until(lambda: not place.need_stands())
    assert place.hook.ids() == {name}
    assert place.hook.refused == []
    assert place.end(signal.SIGTERM) == 0
