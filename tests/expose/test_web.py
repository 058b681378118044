import http.client
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitor.errors import ConfigError
from monitor.expose.prometheus import Metrics
from monitor.expose.status_document import status_document
from monitor.expose.view import ModelView, View
from monitor.records import Action, Firing, Verdict, Window
from monitor.web.app import App
from monitor.web.page import page
from monitor.web.server import WebServer

EVIL = "<script>alert(1)</script>"


def view() -> View:
    firing = Firing(
        model=EVIL, trigger="drift", firing=True, since=datetime(2025, 3, 3, tzinfo=UTC), reason="<img src=x>"
    )
    return View(models=(ModelView(
        name=EVIL, mode="observe", triggers=("drift",), newest=None, mature=None, verdict=None,
        firing=(firing,), episode=None, dispatches=(), reference=None, paused=None,
    ),))


@pytest.fixture
def reasons():
    return {"healthy": None, "ready": "starting"}


@pytest.fixture
def server(reasons):
    metrics = Metrics("1.2.3")
    metrics.show(view())
    app = App(metrics, view, lambda: reasons["healthy"], lambda: reasons["ready"])
    running = WebServer("127.0.0.1:0", app)
    yield running
    running.close()
    assert not running.alive()


def ask(server, path, method="GET", headers=None):
    connection = http.client.HTTPConnection(server.address, timeout=60)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def test_metrics_are_served_in_the_format_asked_for(server):
    """/metrics answers in Prometheus text, or OpenMetrics by the Accept header."""
    status, headers, body = ask(server, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "driftd_build_info" in body
    _, headers, body = ask(server, "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_health_and_readiness_say_why_not(server, reasons):
    """A probe is 200 when all is well, else 503 with the reason."""
    assert ask(server, "/healthz")[0] == 200
    assert ask(server, "/readyz")[::2] == (503, "starting\n")
    reasons.update(healthy="the scheduler stands still", ready=None)
    assert ask(server, "/healthz")[::2] == (503, "the scheduler stands still\n")
    assert ask(server, "/readyz")[0] == 200


def test_the_page_escapes_what_comes_from_outside(server):
    """Names and reasons cannot put markup or scripts into the page, and the page may load nothing."""
    status, headers, body = ask(server, "/")
    assert status == 200
    assert EVIL not in body
    assert "<img" not in body
    assert "&lt;script&gt;" in body
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_status_is_one_json_document(server):
    """/api/status is JSON with a schema version."""
    document = json.loads(ask(server, "/api/status")[2])
    assert document["schema_version"] == 2
    assert document["models"][0]["model"] == EVIL


def test_only_reading_is_allowed(server):
    """Other methods and other paths are refused; HEAD has headers and no body."""
    status, headers, _ = ask(server, "/metrics", "POST")
    assert (status, set(headers["Allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert ask(server, "/elsewhere")[0] == 404
    status, headers, body = ask(server, "/metrics", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "no.such.host.invalid:1", "127.0.0.1"])
def test_an_address_that_cannot_be_had_is_a_configuration_error(listen):
    """The sentence names the key, the address and what was expected."""
    with pytest.raises(ConfigError, match=r"daemon\.listen: cannot listen on .*expected host:port"):
        WebServer(listen, None)


def test_a_taken_port_is_a_configuration_error(server):
    """A second listener on the same port is refused."""
    with pytest.raises(ConfigError, match="Address already in use"):
        WebServer(server.address, None)


def test_a_source_that_went_down_since_makes_an_alert_of_a_hold():
    """The page and the status say alert as soon as anything fires, also between windows."""
    start, end = datetime(2025, 3, 3, tzinfo=UTC), datetime(2025, 3, 10, tzinfo=UTC)
    verdict = Verdict(window=Window(model="m", start=start, end=end, spec="s"), revision=0, at=end,
                      action=Action.HOLD, fired=(), guards=(), reasons=("nothing fires",))
    down = Firing(model="m", trigger="source-down", firing=True, since=end, reason="log.csv is gone")
    calm = replace(view().models[0], name="m", verdict=verdict, firing=(replace(down, firing=False),))
    for model, said in ((calm, "hold"), (replace(calm, firing=(down,)), "alert")):
        assert status_document(View(models=(model,)))["models"][0]["action"] == said
        shown = page(View(models=(model,)))
        assert ("data broken" in shown, "log.csv is gone" in shown) == (said == "alert", said == "alert")
