"""The deployment files fit each other and the program, by reading them: no container engine runs here."""

import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import __version__
from monitor.config import Daemon
from monitor.config import load as load_config
from monitor.web.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana/dashboards/driftd.json"
PORT = Daemon().listen.rpartition(":")[2]


def read(path: str) -> str:
    return (DEPLOY / path).read_text(encoding="utf-8")


def load(path: str) -> Any:
    return yaml.safe_load(read(path))


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]
    for group in load("prometheus/driftd.rules.yml")["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_every_metric_that_is_looked_at_is_documented() -> None:
    """Each driftd_ metric named on the dashboard and in the alert rules stands in docs/metrics.md."""
    used = {name for expression in expressions() for name in re.findall(r"\bdriftd_\w+", expression)}
    documented = set(re.findall(r"`(driftd_\w+)`", (ROOT / "docs/metrics.md").read_text(encoding="utf-8")))
    parts = {f"{name}_{part}" for name in documented for part in ("sum", "count", "bucket")}
    assert used
    assert not used - documented - parts


def test_the_rules_cover_what_can_go_wrong() -> None:
    """There is an alert for each thing a person must hear of from outside driftd."""
    [group] = load("prometheus/driftd.rules.yml")["groups"]
    assert {rule["alert"] for rule in group["rules"]} == {
        "DriftdDown", "DriftdCheckStale", "DriftdSourceDown", "DriftdTriggerFiring", "DriftdDrift",
        "DriftdDispatchStuck", "DriftdDispatchHeld", "DriftdMessagesStuck", "DriftdConfigReloadFailed",
        "DriftdWebConfigReloadFailed", "DriftdStateDamaged", "DriftdBackupOld",
    }
    assert all({"summary", "description"} <= set(rule["annotations"]) for rule in group["rules"])


def test_the_dashboard_is_whole() -> None:
    """Panels have ids of their own, do not overlap, and ask the chosen data source for the chosen models."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y) for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["description"]
    assert max(x for x, _ in taken) < 24
    assert {v["name"] for v in dashboard()["templating"]["list"]} == {"datasource", "model", "performance"}


def mounts(service: Any) -> Iterator[tuple[Path, str]]:
    """Files and folders of the checkout a service mounts, and where."""
    for volume in service.get("volumes", []):
        source, inside = volume.split(":")[:2]
        if source.startswith("."):
            yield (DEPLOY / "docker" / source).resolve(), inside


def test_the_compose_file_fits_the_checkout() -> None:
    """What it mounts and builds exists, images are pinned, and no port is open beyond this machine."""
    services = load("docker/compose.yaml")["services"]
    assert set(services) == {"driftd", "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert all(path.exists() for path, _ in mounts(service)), name
    build = services["driftd"]["build"]
    assert (DEPLOY / "docker" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).exists()


def test_the_services_find_each_other() -> None:
    """Prometheus scrapes driftd at its port, with a token both are given; Grafana finds data and dashboard."""
    services = load("docker/compose.yaml")["services"]
    prometheus = load("prometheus/prometheus.yml")
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == [f"driftd:{PORT}"]
    assert all((DEPLOY / "prometheus" / name).exists() for name in prometheus["rule_files"])
    token = prometheus["scrape_configs"][0]["authorization"]["credentials_file"]
    for name in ("driftd", "prometheus"):
        assert services[name]["secrets"] == [token.removeprefix("/run/secrets/")]
    inside = {place: path for path, place in mounts(services["grafana"])}
    [provider] = load("grafana/provisioning/dashboards/driftd.yaml")["providers"]
    assert inside[provider["options"]["path"]] == DASHBOARD.parent
    assert inside["/etc/grafana/provisioning"] == DEPLOY / "grafana/provisioning"
    [source] = load("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_the_image_is_built_from_what_may_enter_it() -> None:
    """Every file the Dockerfile copies is let through by .dockerignore, and dependencies are hashed."""
    text = read("docker/Dockerfile")
    copies = re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name for line in copies for name in line.split()[:-1]} == allowed
    assert text.count("--require-hashes -r ") == 2


def test_the_build_tool_comes_hashed() -> None:
    """The Dockerfile's awk program takes exactly setuptools, with its hashes, out of the lock file."""
    program = re.search(r"awk '(.+?)'", read("docker/Dockerfile"))
    assert program is not None
    done = subprocess.run(
        ["awk", program[1], str(ROOT / "requirements-dev.lock")], capture_output=True, text=True, check=True
    )
    first, *hashes = done.stdout.replace("\\\n", "\n").split("\n    ")
    assert re.match(r"setuptools==[\d.]+", first)
    assert hashes
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}\s*", one) for one in hashes)


def test_the_image_runs_as_nobody_and_is_watched() -> None:
    """The last stage has a numeric user other than root, and asks /healthz at driftd's port, or where it is told."""
    last = read("docker/Dockerfile").rpartition("\nFROM ")[2]
    user = re.search(r"^USER (\d+):(\d+)$", last, flags=re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
    assert f"ENV HEALTH_PORT={PORT}\n" in last
    [program] = re.findall(r'CMD \["python", "-c", (".*")\]', last)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        environment = {"HEALTH_PORT": str(nobody.getsockname()[1])}
    done = subprocess.run([sys.executable, "-c", json.loads(program)], env=environment, capture_output=True, text=True)
    assert "Connection refused" in done.stderr
    assert 'ENTRYPOINT ["driftd"]' in last


def test_the_wheel_holds_what_is_no_code(tmp_path: Path) -> None:
    """What is installed has every file of the package, migrations and the demo's data too, and names no commit."""
    for name in ("monitor", "pyproject.toml", "README.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    build = "from setuptools import build_meta; build_meta.build_wheel('wheels')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    [wheel] = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if name.startswith("monitor/")}
        packed.extractall(tmp_path / "installed")
    files = (path for path in (ROOT / "monitor").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {path.relative_to(ROOT).as_posix() for path in files} == held
    told = subprocess.run(
        [sys.executable, "-m", "monitor", "--version"], cwd=tmp_path / "installed", capture_output=True, text=True
    )
    assert told.stdout == f"driftd, version {__version__}\n"


def kubernetes() -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(read("kubernetes/driftd.yaml"))}


def test_kubernetes_runs_one_daemon_that_may_do_little() -> None:
    """One replica, replaced rather than doubled, unprivileged, on a read-only root, with probes."""
    spec = kubernetes()["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }
    assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    mounted, offered = container["volumeMounts"], pod["volumes"]
    assert {mount["name"] for mount in mounted} == {volume["name"] for volume in offered}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = tomllib.loads(kubernetes()["ConfigMap"]["data"]["driftd.toml"])["daemon"]
    assert settings["listen"].endswith(f":{ports['http']}")
    assert settings["health_listen"].endswith(f":{ports['health']}")
    assert str(ports["http"]) == PORT


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The TOML text of the ConfigMap, with a folder of its own for the data it names, and the Secret's values."""
    for name in ("METRICS_TOKEN", "READ_TOKEN"):
        monkeypatch.setenv(name, name.lower() * 4)
    monkeypatch.setenv("ALERT_URL", "json://127.0.0.1")
    (tmp_path / "exports").mkdir()
    rows = "timestamp,age,prediction,confirmed\n" + "2026-01-05T10:00:00Z,30,1,1\n" * 9
    (tmp_path / "exports/one.csv").write_text(rows)
    (tmp_path / "reference.csv").write_text(rows)
    text = kubernetes()["ConfigMap"]["data"]["driftd.toml"]
    return str(text).replace("/data", str(tmp_path))


def test_the_configuration_for_kubernetes_is_a_configuration(mounted: str, tmp_path: Path) -> None:
    """The TOML text in the ConfigMap loads once the data it names are there, and lets nobody read without a token."""
    (tmp_path / "driftd.toml").write_text(mounted)
    loaded = load_config(tmp_path / "driftd.toml")
    assert list(loaded.config.models) == ["malaria"]
    policy = read_settings(loaded).policy
    named = {token.name: token.scopes for token in policy.tokens}
    assert named == {"prometheus": {"metrics"}, "people": {"read"}}
    assert kubernetes()["Service"]["metadata"]["name"] in policy.hosts


def test_kubernetes_gives_every_token_from_its_secret() -> None:
    """What the configuration and the monitor name is in the Secret that the first lines of the manifest make."""
    text = read("kubernetes/driftd.yaml")
    [container] = kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "driftd"}}]
    made = set(re.findall(r"--from-literal=(\w+)=", text))
    assert made == set(re.findall(r'env = "(\w+)"', text))
    [endpoint] = load("kubernetes/servicemonitor.yaml")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "driftd", "key": "METRICS_TOKEN"}
    assert endpoint["port"] == kubernetes()["Service"]["spec"]["ports"][0]["name"]


def test_the_configuration_for_compose_is_a_configuration(tmp_path: Path) -> None:
    """The lines of TOML in the comment of the compose file let Prometheus scrape by the name it asks for."""
    comment = re.findall(r"^#   (.*)$", read("docker/compose.yaml"), flags=re.MULTILINE)
    lines = "\n".join(comment[comment.index("[daemon]"):]).replace("/run/secrets", str(tmp_path))
    (tmp_path / "metrics_token").write_text("x" * 32)
    (tmp_path / "driftd.toml").write_text(f'{lines}\n[models.m]\npredictions = "."\nreference = "first 30d"\n')
    policy = read_settings(load_config(tmp_path / "driftd.toml")).policy
    assert [token.scopes for token in policy.tokens] == [{"metrics"}]
    assert "driftd" in policy.hosts
