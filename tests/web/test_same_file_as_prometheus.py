"""Prometheus itself takes the web configuration file that driftd takes, and scrapes driftd with what stands in it."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.test_daemon import until
from tests.web.certificates import Authority
from tests.web.conftest import METRICS_TOKEN, TOKENS, Serve, Site
from tests.web.test_access import PASSWORD, USERS, basic

pytestmark = pytest.mark.real

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: TLS12\n"


@pytest.fixture
def site(serve: Serve, tmp_path: Path) -> Site:
    Authority.made(tmp_path / "authority.crt").signs(tmp_path, "server")
    return serve(TOKENS, TLS + USERS)


@pytest.fixture
def prometheus(site: Site) -> Iterator[int]:
    """A Prometheus with the same web file, that scrapes driftd once by a password and once by a token; its port."""
    assert shutil.which("prometheus"), "prometheus is not installed, run tests/real/install"
    folder = site.folder
    (folder / "token").write_text(METRICS_TOKEN)
    (folder / "password").write_text(PASSWORD)
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [
        {"job_name": name, "scrape_interval": "1s", "scheme": "https", "tls_config": {"ca_file": "authority.crt"},
         "static_configs": [{"targets": [f"127.0.0.1:{site.port}"]}], **how}
        for name, how in (
            ("password", {"basic_auth": {"username": "ann", "password_file": "password"}}),
            ("token", {"authorization": {"credentials_file": "token"}}),
            ("nothing", {}),
        )
    ]}))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--web.config.file={folder}/web.yml",
             f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log,
        )
        try:
            yield port
        finally:
            process.terminate()
            process.wait(20)


def query(site: Site, port: int, expression: str) -> dict[str, float]:
    """What Prometheus knows by job; nothing before it listens."""
    trust = ssl.create_default_context(cafile=site.folder / "authority.crt")
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
    try:
        path = f"/api/v1/query?query={urllib.parse.quote(expression)}"
        connection.request("GET", path, headers={"Authorization": basic("ann", PASSWORD)})
        answer = json.loads(connection.getresponse().read())
    except (ConnectionError, ValueError):
        return {}
    finally:
        connection.close()
    return {sample["metric"]["job"]: float(sample["value"][1]) for sample in answer["data"]["result"]}


def test_prometheus_takes_the_same_file(site: Site, prometheus: int) -> None:
    """Behind that file Prometheus answers by TLS and password, and says that it reaches driftd by both of them."""
    up = until(lambda: len(found := query(site, prometheus, "up")) == 3 and found)
    assert up == {"password": 1, "token": 1, "nothing": 0}
    assert query(site, prometheus, "driftd_build_info").keys() == {"password", "token"}
