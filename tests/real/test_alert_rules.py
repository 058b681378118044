"""Prometheus's own tools accept the files in deploy/prometheus and the dashboard's queries."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.real

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def run(tool: str, *arguments: str, where: Path = DEPLOY / "prometheus") -> str:
    """Run a tool that tests/real/install installs; its output is the message when it fails."""
    assert shutil.which(tool), f"{tool} is not installed, run tests/real/install"
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, cwd=where)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_and_its_rules_are_valid(tmp_path: Path) -> None:
    """promtool accepts prometheus.yml with its rules and a token, amtool the Alertmanager's file."""
    shutil.copytree(DEPLOY / "prometheus", tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/", ""))
    (tmp_path / "metrics_token").write_text("x" * 32)
    assert "12 rules found" in run("promtool", "check", "config", "prometheus.yml", where=tmp_path)
    assert "SUCCESS" in run("amtool", "check-config", "alertmanager.yml")


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    """The unit tests of the alert rules pass, and there is one for every alert."""
    run("promtool", "test", "rules", "driftd.rules.test.yml")
    rules = yaml.safe_load((DEPLOY / "prometheus/driftd.rules.yml").read_text())
    tests = yaml.safe_load((DEPLOY / "prometheus/driftd.rules.test.yml").read_text())
    named = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired = {
        one["alertname"] for test in tests["tests"] for one in test["alert_rule_test"] if one["exp_alerts"]
    }
    assert named == fired


def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    """promtool reads every query on the dashboard, its variables filled in."""
    dashboard = json.loads((DEPLOY / "grafana/dashboards/driftd.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    filled = [query.replace("$model", ".*").replace("$performance", ".*") for query in queries]
    rules = [{"record": f"panel:query{number}", "expr": query} for number, query in enumerate(filled)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(queries)} rules found" in run("promtool", "check", "rules", str(file))
