"""Which addresses are never called: every form of them, and nothing else."""

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.outgoing import guard, never_called
from monitor.outgoing.guard import AddressRefused
from monitor.outgoing.never_called import refusal, within
from tests.outgoing.forms import CALLED, IPV4, IPV6

FORBIDDEN = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "224.0.0.0/4", "0.0.0.0/8")


def in_bits(*parts: tuple[int, int]) -> ipaddress.IPv6Address:
    """An address from (value, bits) of each part."""
    number = 0
    for value, bits in parts:
        number = number << bits | value & ((1 << bits) - 1)
    return ipaddress.IPv6Address(number)


WRAPS: dict[str, Callable[[int, int], ipaddress.IPv6Address]] = {     # of an IPv4 address and 64 bits of anything
    "mapped": lambda ip, any64: in_bits((0, 80), (0xFFFF, 16), (ip, 32)),
    "translated": lambda ip, any64: in_bits((0, 64), (0xFFFF, 16), (0, 16), (ip, 32)),
    "NAT64": lambda ip, any64: in_bits((0x0064FF9B, 32), (0, 64), (ip, 32)),
    "local NAT64 /48": lambda ip, any64: in_bits((0x0064FF9B0001, 48), (ip >> 16, 16), (0, 8), (ip, 16), (any64, 40)),
    "local NAT64 /56": lambda ip, any64: in_bits(
        (0x0064FF9B0001, 48), (any64, 8), (ip >> 24, 8), (0, 8), (ip, 24), (any64, 32)),
    "local NAT64 /64": lambda ip, any64: in_bits((0x0064FF9B0001, 48), (any64, 16), (0, 8), (ip, 32), (any64, 24)),
    "local NAT64 /96": lambda ip, any64: in_bits((0x0064FF9B0001, 48), (any64, 16), (0, 8), (any64, 24), (ip, 32)),
    "6to4": lambda ip, any64: in_bits((0x2002, 16), (ip, 32), (any64, 64), (any64, 16)),
    "Teredo server": lambda ip, any64: in_bits((0x20010000, 32), (ip, 32), (any64, 64)),
    "Teredo client": lambda ip, any64: in_bits((0x20010000, 32), (any64, 64), (~ip, 32)),
    "ISATAP": lambda ip, any64: in_bits((0x20010DB8, 32), (any64, 32), (0x00005EFE, 32), (ip, 32)),
    "ISATAP, global": lambda ip, any64: in_bits((0x20010DB8, 32), (any64, 32), (0x02005EFE, 32), (ip, 32)),
}


@pytest.mark.parametrize("text", [*IPV4, *IPV6])
def test_each_form_is_refused(text: str) -> None:
    """However it is written, the kernel would be given this address, and it is one that is never called."""
    number = guard.in_numbers(text) or text      # a scope needs an interface that is there
    assert refusal(number) is not None


@pytest.mark.parametrize("text", CALLED)
def test_inner_and_public_addresses_are_called(text: str) -> None:
    """Loopback, private and public addresses are normal in a configuration."""
    assert refusal(text) is None


@given(st.sampled_from(FORBIDDEN).flatmap(lambda net: st.ip_addresses(network=net)), st.integers(0, 2**64 - 1),
       st.sampled_from(sorted(WRAPS)))
def test_an_ipv4_address_cannot_hide_in_an_ipv6_one(ip: ipaddress.IPv4Address, any64: int, wrap: str) -> None:
    """Whatever else the outer address holds."""
    assert refusal(str(WRAPS[wrap](int(ip), any64))) is not None


@given(st.sampled_from(sorted(never_called.SERVICES)), st.integers(0, 2**96 - 1))
def test_a_service_is_found_behind_any_prefix(ip: ipaddress.IPv4Address, prefix: int) -> None:
    """A network may translate by a prefix of its own, of which nobody tells."""
    assert refusal(str(in_bits((prefix, 96), (int(ip), 32)))) is not None


@given(st.ip_addresses(v=4))
def test_of_ipv4_nothing_else_is_refused(ip: ipaddress.IPv4Address) -> None:
    """An address outside the named networks is called, also mapped and through NAT64."""
    expected = any(ip in ipaddress.ip_network(net) for net in (*FORBIDDEN, "255.255.255.255/32"))
    for text in (str(ip), f"::ffff:{ip}", f"64:ff9b::{ip}"):
        assert (refusal(text) is not None) == expected


@pytest.mark.parametrize(("text", "networks", "allowed"), [
    ("10.1.2.3", ["10.1.0.0/16"], True), ("10.2.2.3", ["10.1.0.0/16"], False), ("8.8.8.8", [], True),
    ("::1", ["127.0.0.0/8"], False), ("::1", ["::1"], True), ("::ffff:10.1.2.3", ["10.1.0.0/16"], True),
    ("::ffff:10.2.2.3", ["10.1.0.0/16"], False), ("64:ff9b::a01:203", ["10.1.0.0/16"], True),
    ("64:ff9b::a02:203", ["10.1.0.0/16"], False), ("2606:4700::1111", [], True), ("fd12::1", ["fd12::/16"], True),
    ("fd12::1", [], False), ("100.64.0.1", [], False), ("127.0.0.1", [], False),
])
def test_inner_addresses_can_be_limited(text: str, networks: list[str], allowed: bool) -> None:
    """With a list, of inner addresses only those within it are called; public ones always."""
    assert within(text, tuple(map(ipaddress.ip_network, networks))) == allowed


@pytest.mark.parametrize("text", ["localhost", "", "127.1", "0177.0.0.1", "example.org", "127.0.0.1 ", "<broadcast>"])
def test_a_socket_is_given_numbers_only(text: str) -> None:
    """What the kernel's library would look up once more is refused: it might find something else."""
    with pytest.raises(AddressRefused):
        guard.check(text)
