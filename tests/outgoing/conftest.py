"""A metadata service that stands in on the loopback, and what is reached there."""

import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from monitor.outgoing import guard, never_called
from tests.retrain.conftest import Server, serving

FORBIDDEN = "127.0.0.2"      # stands for a metadata service
_connects: list[Any] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        _connects.append(arguments[1])


guard.watch()
sys.addaudithook(_note)          # told only of what the guard let pass


@pytest.fixture
def connects() -> list[Any]:
    """The addresses that sockets of this process were connected to since the test began."""
    _connects.clear()
    return _connects


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on an address that is never called."""
    with serving(host=FORBIDDEN) as made:
        never = (ip_network(FORBIDDEN), never_called.METADATA)
        monkeypatch.setattr(never_called, "NEVER", (*never_called.NEVER, never))
        yield made


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
