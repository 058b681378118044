"""The check itself, made when a socket opens, whoever opens it.

Python tells an audit hook of every `connect` with the address the kernel is about to get. So nothing in this process
that uses Python's sockets, a library's plugin for messages included, can reach an address that is never called:
whatever name led there, whichever redirect, whatever the name leads to a moment later. The hook cannot be taken away
again. What opens sockets in C (libpq) is given addresses from `look_up`, and no names.
"""

import ipaddress
import socket
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from monitor.outgoing import never_called
from monitor.outgoing.never_called import SERVICES, Network

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_NAMES = frozenset({                 # of metadata services, where a proxy would look them up
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
    "metadata.tencentyun.com", "metadata.azure.internal", "api.metadata.cloud.ibm.com", "metadata.packet.net",
    "metadata.platformequinix.com",
})
_IDENTITY = SERVICES | {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254")}
NEVER = ", which driftd never calls"

_watching = False
_inner: tuple[Network, ...] | None = None        # inner addresses that may be called; None: all
_own_rights: ContextVar[bool] = ContextVar("own_rights", default=False)


class AddressRefused(PermissionError):
    """The address is one that is not called; the text is the end of a sentence: "leads to …"."""


def watch() -> None:
    """Check every connection of this process from now on."""
    global _watching
    if not _watching:
        _watching = True
        sys.addaudithook(_hook)


def allow_inner(networks: Sequence[str] | None) -> None:
    """Call only these inner addresses from now on (None: all of them). Raises ValueError where one is none."""
    global _inner
    _inner = None if networks is None else tuple(map(ipaddress.ip_network, networks))


def allowed_inner() -> list[str] | None:
    """What `allow_inner` was given last."""
    return None if _inner is None else list(map(str, _inner))


@contextmanager
def own_rights() -> Iterator[None]:
    """Inside, this thread may ask the cloud's metadata service for this machine's own rights, as a cloud's SDK does."""
    before = _own_rights.set(True)
    try:
        yield
    finally:
        _own_rights.reset(before)


def look_up(host: str, port: int) -> list[Any]:
    """What `getaddrinfo` says of a host, each address checked. Raises AddressRefused, OSError (the name is unknown)."""
    found = socket.getaddrinfo(host.strip("[]").replace("%25", "%"), port, type=socket.SOCK_STREAM)
    for place in found:
        check(str(place[4][0]))
    return found


def check(address: str) -> None:
    """Raises AddressRefused where an address, in numbers, is not called."""
    try:
        never = never_called.refusal(address)
    except ValueError:
        raise AddressRefused("is a name where only an address in numbers is taken") from None
    if never is not None and not (_own_rights.get() and ipaddress.ip_address(address) in _IDENTITY):
        raise AddressRefused(f"leads to {never}{NEVER}")
    if never is None and _inner is not None and not never_called.within(address, _inner):
        raise AddressRefused("leads to an inner address that is not in daemon.allow_inner")


def check_behind_proxy(host: str, seconds: float = 2.0) -> None:
    """Check what can be known here of a host that a proxy will look up. Raises AddressRefused.

    An address in numbers is known, and the names of metadata services are; other names are looked up where that is
    done soon: in many networks only the proxy can.
    """
    host = host.strip("[]").partition("%")[0]     # a scope is of this machine, not of the proxy's
    # signs as wide as Chinese ones, another full stop, one at the end: the same name or number for many proxies
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".").lower()
    if host in _NAMES:
        raise AddressRefused(f"is the name of {never_called.METADATA}{NEVER}")
    if (number := in_numbers(host)) is not None:
        check(number)
        return
    known: list[str] = []
    asked = threading.Thread(target=_addresses, args=(host, known), daemon=True)
    asked.start()
    asked.join(seconds)
    for address in list(known):
        check(address)


def in_numbers(host: str) -> str | None:
    """The address that a text is, also as octal, hexadecimal or one whole number; None where it is a name."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return str(found[0][4][0])
    except (OSError, ValueError):    # UnicodeError is a ValueError
        return None


def _addresses(host: str, known: list[str]) -> None:
    try:
        known += [str(place[4][0]) for place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, ValueError):
        return                       # not known here


def _hook(event: str, arguments: tuple[Any, ...], events: frozenset[str] = _EVENTS) -> None:
    if event in events:              # a default, since the interpreter's end takes the module's names away
        _check_socket(*arguments[:2])


def _check_socket(opened: socket.socket, address: Any) -> None:
    """A socket of a connection already open is told no address when it sends."""
    if address is None or opened.family not in _FAMILIES or not isinstance(address, tuple):
        return
    host = address[0]
    check(host if isinstance(host, str) else bytes(host).decode("ascii", "replace"))
