"""Row 15: addresses that are never called, written in ways drawn at random, at every exit."""

import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from monitor.outgoing.never_called import NEVER, SERVICES
from tests.outgoing.conftest import connects, no_proxy
from tests.outgoing.test_every_exit import EXITS

__all__ = ["connects", "no_proxy"]      # fixtures

WRAPPED = (                             # IPv6 addresses that hold an IPv4 one, by their first bits
    ("::ffff:0:0", 0), ("::", 0), ("::ffff:0:0:0", 0), ("64:ff9b::", 0), ("2002::", 80), ("2001::", 64),
    ("64:ff9b:1::", 0), ("2001:db8::5efe:0:0", 0),
)


def in_numbers(address: IPv4Address, chance: random.Random) -> str:
    """One of the ways in which inet_aton reads an IPv4 address: 1 to 4 parts, decimal, octal or hexadecimal."""
    octets, parts = address.packed, chance.randint(1, 4)
    values = [*octets[:parts - 1], int.from_bytes(octets[parts - 1:])]
    shapes: tuple[Callable[[int], str], ...] = (str, "0{:o}".format, "0x{:x}".format, "0X{:X}".format)
    return ".".join(chance.choice(shapes)(value) for value in values)


def in_ipv6(address: IPv4Address | IPv6Address, chance: random.Random) -> str:
    """An IPv6 address, or one that an IPv4 address is wrapped in, short or long, in either case."""
    if isinstance(address, IPv4Address):
        prefix, place = chance.choice(WRAPPED)
        address = IPv6Address(int(IPv6Address(prefix)) | int(address) << place)
    text = chance.choice((address.compressed, address.exploded, address.compressed.upper()))
    return f"[{text}]"


def drawn(chance: random.Random) -> str:
    """A host that is never called."""
    network, _ = chance.choice(NEVER)
    address = network[chance.randrange(min(network.num_addresses, 2**60))]
    if isinstance(address, IPv6Address):
        return in_ipv6(address, chance)
    # Services are found behind any prefix; of the rest only those that the kernel routes to them.
    return in_ipv6(address, chance) if address in SERVICES and chance.random() < 0.5 else in_numbers(address, chance)


@pytest.mark.torture(15)
def test_addresses_drawn_at_random(
    connects: list[Any], monkeypatch: pytest.MonkeyPatch, effort: Callable[[int, int], int], seed: int,
    figure: Callable[[str], None],
) -> None:
    """However an address is written, no exit opens a socket to it."""
    chance, number = random.Random(seed), effort(20, 1_000)
    for name, leave in EXITS.items():
        for _ in range(number):
            host = drawn(chance)
            leave(host, monkeypatch)
            assert connects == [], (name, host)
    figure(f"{number * len(EXITS):,} addresses, {len(EXITS)} exits: 0 connections. `make test-real` adds a network "
           "with metadata services, a rebinding name server and redirects: 0 connections")
