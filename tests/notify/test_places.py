"""What of an address may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.notify.places import place, scrub


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mailtos://jo:hunter22@mail.example.org:587?to=ops@example.org", "mailtos://mail.example.org"),
        ("jsons://user:pass@hook.example.org/secret-path?+token=abc", "jsons://hook.example.org"),
        ("https://hooks.slack.com/services/T0001/B0002/XXXXXXXX", "https://hooks.slack.com"),
        ("slack://TokenA/TokenB/TokenC/#general", "slack://…"),
        ("tgram://123456:AAbbCC/99", "tgram://…"),
        ("ntfy://our-secret-topic", "ntfy://…"),
        ("mailto://jo:pass/word@mail.example.org", "mailto://…"),
        ("mailto://jo:pass#word@mail.example.org", "mailto://…"),
        ("json://[half-an-address", "json://…"),
        ("hooks.example.org/secret", "an address without a scheme"),
        ("se cret://x", "an address without a scheme"),
    ],
)
def test_only_scheme_and_host_are_shown(url: str, shown: str) -> None:
    """A host is shown only where it surely is one; chat services keep a token in its place."""
    assert place(url) == shown


def test_a_reason_keeps_what_helps_and_loses_what_is_secret() -> None:
    """The answer of a server stays readable, the path and the password in it do not."""
    url = "jsons://jo:p%40ssw0rd@hook.example.org:8443/T0001/B0002"
    text = "jo/p@ssw0rd at hook.example.org:8443: no answer from url: /T0001/B0002 (Connection refused)"
    assert scrub(text, url) == "jo/… at hook.example.org:…: no answer from url: /…/… (Connection refused)"


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=40))
def test_no_token_survives(token: str) -> None:
    """Whatever a token looks like, neither the place nor a scrubbed reason contains it."""
    url = f"slack://{token}/T1/#general"
    assert token not in place(url)
    assert token not in scrub(f"POST {url} failed: {token}", url)
