"""Who is at the other end, and by which name we were asked: addresses, Host and Origin."""

import ipaddress
import re

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def plain_address(text: str) -> str:
    """An address as one spelling: IPv4 within IPv6 as IPv4, without a zone."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the 64 bits of IPv6 that one customer has."""
    plain = plain_address(address)
    return str(ipaddress.ip_network(f"{plain}/64", strict=False)) if ":" in plain else plain


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on the host; a name other than localhost may mean anything."""
    try:
        return ipaddress.ip_address(plain_address(host)).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_of(authority: str) -> str | None:
    """The name or address in a Host header, in lower case; None where it is malformed."""
    match = _AUTHORITY.fullmatch(authority)
    return None if match is None else plain_address(match[1].lower().rstrip("."))


def is_own_host(authority: str, own: frozenset[str], local: str) -> bool:
    """Whether a Host header names us.

    A page that rebinds its own name to our address (DNS rebinding) sends that name. Nobody can rebind an address
    or localhost, so this machine's loopback and the address the connection came in at need no configuration.
    """
    host = host_of(authority)
    return host is not None and (host in _LOOPBACK_NAMES or host in own or host == plain_address(local))


def is_own_origin(origin: str, authority: str, url: str | None) -> bool:
    """Whether a page that sends a request is one of ours: from the host that was asked, or from daemon.url.

    The scheme is not compared with the connection's: a proxy may speak TLS in our place.
    """
    asked = _split(origin)
    if asked is None:
        return False
    match = _AUTHORITY.fullmatch(authority)
    scheme, host, port = asked
    same = match is not None and (match[1].lower(), match[2] or _DEFAULT_PORTS[scheme]) == (host, port)
    return same or (url is not None and _split(url) == asked)


def _split(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and port of an origin, or of an address that begins with one."""
    scheme, _, rest = url.partition("://")
    match = _AUTHORITY.fullmatch(rest.partition("/")[0])
    if match is None or scheme.lower() not in _DEFAULT_PORTS:
        return None
    return scheme.lower(), match[1].lower(), match[2] or _DEFAULT_PORTS[scheme.lower()]
