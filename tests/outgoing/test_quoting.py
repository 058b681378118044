"""What the other side says is repeated in a few words, without our secrets and without signs that act."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.outgoing.quoting import LONGEST, is_page, said, secrets

NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(("body", "words"), [
    ({"message": "No ref found for: main"}, "No ref found for: main"),
    ({"message": {"base": ["Reference not found"]}}, "Reference not found"),
    ({"detail": [{"loc": ["body", "name"], "msg": "field required"}]}, "field required"),
    ({"error": {"code": "BadRequest", "message": "no such job"}}, "no such job"),
    ({"title": "Bad Request", "detail": "'x' is not a date", "status": 400}, "'x' is not a date; Bad Request"),
    ({"__type": "ValidationException", "Message": "too long"}, "too long"),
    ({"secret_thing": "not a reason"}, ""), ([], ""), (None, ""), (b"", ""), (b"\x00\x01", ""),
    (b"Bad Request\n", "Bad Request"),
    (b"<!DOCTYPE html><html><head><title>404 Not Found</title>", "404 Not Found"), (b"<html><body>x", ""),
    (b"[" * 100_000, "[" * LONGEST + "…"),
])
def test_a_reason_is_found(body: object, words: str) -> None:
    """In the forms of the usual APIs, in plain text, in a page's title."""
    assert said(body if isinstance(body, bytes) else json.dumps(body).encode(), NONE) == words


KEYS = st.sampled_from(["message", "error", "detail", "x"])
VALUES = st.text(max_size=40) | st.none() | st.integers()


@given(st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner), max_leaves=10))
def test_no_answer_can_do_harm(value: object) -> None:
    """Whatever comes: one short line of printable signs."""
    words = said(json.dumps(value).encode(), NONE)
    assert len(words) <= LONGEST + 1
    assert words.isprintable()


def test_terminal_and_log_are_left_alone() -> None:
    """Line breaks, escapes, bells and signs that turn the text around are spaces."""
    assert said(b"a\r\nFAKE LINE\x1b[31m\x07\xe2\x80\xaeb\xe2\x80\xa8c", NONE) == "a FAKE LINE [31m b c"


TOKEN, PASSWORD = "ghp_t0ken1234567890", "pass:word with%20signs"
PAIR = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
SENT = {"Authorization": f"Bearer {TOKEN}", "Private-Token": "glpat-99999", "X-Pair": f"Basic {PAIR}",
        "Content-Type": "application/json"}
URL = "https://bob:p4ssw0rd@hooks.example/T000/B000/s3cretpath?key=qu3ry%21value"


@pytest.mark.parametrize("text", [
    TOKEN, f"Bearer {TOKEN}", "glpat-99999", PAIR, f"ada:{PASSWORD}", PASSWORD, "p4ssw0rd", "s3cretpath", "qu3ry!value",
    "qu3ry%21value", "/T000/B000/s3cretpath", "pass%3Aword%20with%2520signs",
])
def test_no_credential_comes_back(text: str) -> None:
    """An answer that repeats what we sent, in whichever form, is shown without it."""
    hidden = secrets(URL, SENT, secret_url=True)
    assert said(json.dumps({"message": f"refused {text}, sorry"}).encode(), hidden) == "refused …, sorry"


def test_what_is_no_secret_stays() -> None:
    """The form of the body and an open address's path may be named."""
    hidden = secrets("https://hooks.example/path", SENT, secret_url=False)
    assert said(b"expected application/json at /path", hidden) == "expected application/json at /path"


@pytest.mark.parametrize(("body", "page"), [
    (b"<!DOCTYPE html>", True), (b"\n <HTML>", True), (b"ok", False), (b'{"a": "<html>"}', False), (b"", False),
    (b"<?xml version='1.0'?><x/>", False),
])
def test_a_page_for_people_is_known(body: bytes, page: bool) -> None:
    """By how it begins, whatever its headers say."""
    assert is_page(body) == page
