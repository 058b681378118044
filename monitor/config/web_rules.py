"""What types alone cannot say of the HTTP side in [daemon]: addresses, names, networks, the header of a proxy."""

import ipaddress
import re
from collections.abc import Iterator

from monitor.config import pipeline_rules
from monitor.config.keys import Key
from monitor.config.sections import Daemon, ProxySection

Problems = Iterator[tuple[Key, str]]

_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# What a client may always send means nothing, wherever it comes from.
_TAKEN = {"authorization", "host", "origin", "cookie", "connection", "content-length", "transfer-encoding"}


def check(daemon: Daemon) -> Problems:
    """Every problem of the HTTP side's keys, with the key it is at."""
    yield from _listen("listen", daemon.listen)
    if daemon.health_listen is not None:
        yield from _listen("health_listen", daemon.health_listen)
        if daemon.health_listen == daemon.listen and not daemon.listen.endswith(":0"):
            yield ("daemon", "health_listen"), "is the address of listen, expected one of its own"
    if daemon.url is not None:
        yield from _url(daemon.url)
    for index, name in enumerate(daemon.allowed_hosts):
        if not _NAME.fullmatch(name.lower()) and not _is_address(name):
            wanted = 'expected a name or an address without port, such as "driftd.example.org"'
            yield ("daemon", "allowed_hosts", index), f'"{name}" is no host, {wanted}'
    if daemon.proxy is not None:
        yield from _proxy(daemon.proxy)


def _url(url: str) -> Problems:
    key, found = ("daemon", "url"), list(pipeline_rules.address(("daemon", "url"), url))
    yield from found
    if not found and ("?" in url or "#" in url):
        yield key, 'expected an address without ? or #, such as "https://driftd.example.org": pages are named behind it'


def _listen(key: str, value: str) -> Problems:
    match = _LISTEN.fullmatch(value)
    if match is None or int(match[2]) > 65535:
        yield ("daemon", key), f'"{value}" is not HOST:PORT, such as "127.0.0.1:9745"'


def _proxy(proxy: ProxySection) -> Problems:
    key = ("daemon", "proxy")
    if not _HEADER.fullmatch(proxy.header) or proxy.header.lower() in _TAKEN:
        yield (*key, "header"), f'"{proxy.header}" cannot name a user, expected a header such as "X-Forwarded-User"'
    for index, peer in enumerate(proxy.peers):
        try:
            ipaddress.ip_network(peer)
        except ValueError:
            wanted = 'expected such as "10.0.0.7" or "10.0.0.0/24"'
            yield (*key, "peers", index), f'"{peer}" is neither an address nor a network, {wanted}'


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
