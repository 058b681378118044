"""The API asked by schemathesis, which makes requests up from the OpenAPI document and holds each answer against it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.config import Config, ModelSection
from monitor.expose.prometheus import Metrics
from monitor.expose.view import read_view
from monitor.gate_result import read_gate_result
from monitor.store import Store
from monitor.web.app import App
from monitor.web.pages import Pages
from monitor.web.policy import Policy, Token
from monitor.web.running import Running
from monitor.web.server import WebServer
from tests.gate.test_gate_result import GATE
from tests.real.servers import INSTALLED
from tests.web.test_pages import HOSTILE, NOW, remember

SCHEMATHESIS = INSTALLED / "fuzz/bin/schemathesis"
TOKEN = "t" * 32
LONG = "DRIFTD_FUZZ" in os.environ                  # `make fuzz`
EACH = int(os.environ.get("DRIFTD_FUZZ", "30"))     # requests made up for each path, by each of the phases
FEWEST = 10_000 if LONG else 300
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "ignored_auth")

pytestmark = pytest.mark.real


@dataclass
class Site:
    """An API that is served, the store it tells of, and how often it was asked."""

    store: Store
    address: str = ""
    asked: int = 0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A store with models of usual and hostile names, behind a token."""
    with Store.memory() as store:
        remember(store, "m", "x", windows=12)
        remember(store, HOSTILE[0], HOSTILE[2], windows=3)
        [request] = store.requests.all("m")
        store.gates.record(request, read_gate_result(GATE), NOW)
        section = {"predictions": {"path": "."}, "reference": {"source": {"path": "."}}}
        config = Config(models={
            name: ModelSection.model_validate(section | {"name": name}) for name in ("m", HOSTILE[0])})
        view = read_view(store, config, NOW)
        pages = Pages(store, lambda: config, lambda: view, Running, lambda: NOW)
        policy = Policy(tokens=(Token.of("fuzz", TOKEN, frozenset({"read"})),))
        app = App(Metrics("1"), lambda: view, lambda: None, lambda: None, policy=policy, pages=pages)
        made = Site(store)

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            made.asked += scope["type"] == "http"
            await app(scope, receive, send)

        server = WebServer("127.0.0.1:0", counted)
        made.address = server.address
        yield made
        server.close()


@pytest.mark.parametrize("known", [True, False], ids=["of what there is", "of anything"])
def test_every_answer_is_what_the_document_says(site: Site, tmp_path: Path, known: bool) -> None:
    """Whatever is asked, of models that there are or of any name: no fault of ours, no answer that is not described."""
    request = site.store.requests.all("m")[0].id
    named = {"model": "m", "window": "2026-01-19", "request": request} if known else {}
    lines = "".join(f'"path.{name}" = "{value}"\n' for name, value in named.items())
    (tmp_path / "schemathesis.toml").write_text(f"[parameters]\n{lines}", encoding="utf-8")
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", "schemathesis.toml", "run", f"http://{site.address}/api/openapi.json",
         "--header", f"Authorization: Bearer {TOKEN}", "--checks", ",".join(CHECKS), "--max-examples", str(EACH),
         "--warnings", "off", "--continue-on-failure"],
        cwd=tmp_path, capture_output=True, text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-5000:]


def test_it_was_asked_often_enough(site: Site) -> None:
    """`make fuzz` asks at least ten thousand times; the short form some hundreds of times."""
    print(f"{site.asked} requests")
    assert site.asked >= FEWEST
