"""How failures are counted and refusals told."""

import re
from pathlib import Path

from structlog.testing import capture_logs

from monitor.web.addresses import client_of
from monitor.web.failures import AT_ONCE, MOST_CLIENTS, REFILL, Failures
from monitor.web.refusals import REASONS, Refusals

DOCS = Path(__file__).resolve().parents[2] / "docs/metrics.md"


def test_failures_are_forgotten_one_by_one() -> None:
    """Ten at once, then one for each six seconds that pass; a try that turns out right is none."""
    now = [0.0]
    failures = Failures(lambda: now[0])
    for _ in range(AT_ONCE):
        assert failures.wait("a") == 0
        failures.count("a")
    assert failures.wait("a") == REFILL
    assert failures.wait("b") == 0
    now[0] = REFILL
    assert failures.wait("a") == 0
    failures.count("a")
    assert failures.wait("a") == REFILL
    failures.forgive("a")
    assert failures.wait("a") == 0
    now[0] = 1e6
    for _ in range(AT_ONCE - 1):
        failures.count("a")
    assert failures.wait("a") == 0


def test_only_so_many_clients_are_remembered() -> None:
    """A guesser with many addresses takes no memory without end."""
    failures = Failures(lambda: 0.0)
    for number in range(MOST_CLIENTS + 1):
        for _ in range(AT_ONCE):
            failures.count(number)
    assert failures.wait(0) == 0
    assert failures.wait(1) > 0


def test_a_client_is_an_address_or_the_network_of_a_customer() -> None:
    """Whoever has 64 bits of IPv6 is one client, and IPv4 within IPv6 is IPv4."""
    assert client_of("10.0.0.1") == client_of("::ffff:10.0.0.1") != client_of("10.0.0.2")
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:2%eth0") != client_of("2001:db8:0:1::1")


def test_refusals_are_counted_each_and_said_seldom() -> None:
    """A flood of refusals is one line of the log for each reason, and every one of them counts."""
    counted: list[str] = []
    refusals = Refusals(counted.append)
    with capture_logs() as logs:
        for _ in range(100):
            for reason in ("host", "origin"):
                refusals(reason, "10.0.0.1")
    assert len(counted) == 200
    assert [entry["event"] for entry in logs] == [REASONS["host"], REASONS["origin"]]


def test_every_reason_is_documented() -> None:
    """docs/metrics.md names the reasons that the metric may have."""
    [row] = re.findall(r"^\| `driftd_http_refused_total`.*$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {*REASONS, "driftd_http_refused_total", "reason"}
