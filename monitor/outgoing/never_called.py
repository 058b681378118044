"""Which addresses are never called, however they are written or wrapped into one another.

Never: link-local addresses, the metadata services of clouds (they give whoever asks the machine's own rights),
multicast, broadcast, and what is no host's address. An IPv4 address can hide in many IPv6 ones; each is unwrapped.
"""

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LINK_LOCAL, METADATA = "a link-local address", "a cloud's metadata service"
MULTICAST, BROADCAST, NO_HOST = "a multicast address", "the broadcast address", "an address of no host"

# Where clouds answer; those within 169.254.0.0/16 and fe80::/10 are link-local besides.
SERVICES = frozenset(map(ipaddress.ip_address, (
    "169.254.169.254",              # AWS, Google, Azure, Oracle, IBM, DigitalOcean, OpenStack, …
    "169.254.170.2",                # AWS: containers of ECS
    "169.254.170.23",               # AWS: pods of EKS
    "169.254.42.42",                # Scaleway
    "169.254.0.23",                 # Tencent
    "100.100.100.200",              # Alibaba
    "168.63.129.16",                # Azure: the host of a virtual machine
    "192.0.0.192",                  # Oracle, the older one
)))
NEVER: tuple[tuple[Network, str], ...] = tuple((ipaddress.ip_network(network), words) for network, words in (
    *((str(address), METADATA) for address in sorted(SERVICES)),
    ("0.0.0.0/8", NO_HOST),         # Linux connects 0.0.0.0 to itself
    ("169.254.0.0/16", LINK_LOCAL),
    ("224.0.0.0/4", MULTICAST),
    ("255.255.255.255/32", BROADCAST),
    ("::/128", NO_HOST),
    ("fe80::/10", LINK_LOCAL),
    ("ff00::/8", MULTICAST),
    ("fd00:ec2::/32", METADATA),    # AWS, whatever it answers there
    ("fd20:ce::254/128", METADATA),             # Google
    ("fd00:c1::a9fe:a9fe/128", METADATA),       # Oracle
    ("fd00:42::42/128", METADATA),              # Scaleway
    ("fd00:a9fe:a9fe::1/128", METADATA),        # Linode
))

# IPv6 networks whose last 32 bits are an IPv4 address: mapped and compatible (RFC 4291), translated (RFC 2765),
# NAT64 (RFC 6052).
_LAST_32 = tuple(map(IPv6Network, ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")     # RFC 8215: at any of the places of RFC 6052
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)             # RFC 5214: the first half of the interface's identifier
_LOOPBACK = IPv6Address("::1")


def refusal(text: str) -> str | None:
    """Why this address is never called, in words; None where it may be. Raises ValueError where it is none."""
    found = ipaddress.ip_address(text.partition("%")[0])     # a scope says which interface, not which host
    for address in (found, *wrapped(found)):
        for network, words in NEVER:
            if address in network:
                return words
    return None


def within(text: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is public, or lies in one of these networks with everything inner that it wraps."""
    found = ipaddress.ip_address(text.partition("%")[0])
    inner = [address for address in (*wrapped(found), found) if not address.is_global]
    hidden = [address for address in inner if address != found]
    return all(any(address in network for network in networks) for address in hidden or inner)


def wrapped(address: Address) -> Iterator[IPv4Address]:
    """Every IPv4 address that packets to this one may reach."""
    if isinstance(address, IPv4Address) or address == _LOOPBACK:
        return
    number = int(address)
    last = IPv4Address(number & 0xFFFF_FFFF)
    if any(address in network for network in _LAST_32) or (number >> 32 & 0xFFFF_FFFF) in _ISATAP or last in SERVICES:
        yield last                   # a service behind any prefix: networks have NAT64 prefixes of their own
    if address in _LOCAL_NAT64:
        yield from _by_rfc_6052(number)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFF_FFFF)
    if address in _TEREDO:
        yield IPv4Address(number >> 64 & 0xFFFF_FFFF)
        yield IPv4Address(~number & 0xFFFF_FFFF)


def _by_rfc_6052(number: int) -> Iterator[IPv4Address]:
    """The IPv4 address behind a prefix of 48, 56, 64 and 96 bits; bits 64 to 71 are never part of it."""
    without = (number >> 64) << 56 | number & ((1 << 56) - 1)
    for prefix in (48, 56, 64):
        yield IPv4Address(without >> (120 - prefix - 32) & 0xFFFF_FFFF)
    yield IPv4Address(number & 0xFFFF_FFFF)
