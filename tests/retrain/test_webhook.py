"""What a webhook receiver sees, and what its answers mean."""

import base64
import json
import secrets
from datetime import timedelta
from typing import Any

import pytest
from cloudevents.http import from_http
from standardwebhooks import Webhook as Verifier

from monitor.config.pipeline_sections import WebhookPipeline
from monitor.errors import ConfigError
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import open_pipeline

NEW, OLD = ("whsec_" + base64.b64encode(secrets.token_bytes(size)).decode() for size in (24, 64))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_SECRET", NEW)
    monkeypatch.setenv("OLD_SECRET", OLD)


def pipeline(url: Any, **more: Any) -> Any:
    section = {"kind": "webhook", "url": url, "secret": {"env": "NEW_SECRET"}, "timeout": "2s"} | more
    return open_pipeline(WebhookPipeline.model_validate(section))


def test_independent_verifiers_accept_what_arrives(server, dispatch: Dispatch) -> None:
    """The signature holds for the new and the old secret, and the body is the CloudEvent with the evidence."""
    answer = pipeline(server.url + "/hook", previous_secret={"env": "OLD_SECRET"}).submit(dispatch)
    assert answer.state == DispatchState.DELIVERED
    (seen,) = server.seen
    for secret in (NEW, OLD):
        Verifier(secret).verify(seen.body, seen.headers)
    arrived = from_http(seen.headers, seen.body)
    assert arrived["type"] == "io.driftd.retrain.requested"
    assert arrived["source"] == "driftd/m"
    assert seen.headers["webhook-id"] == arrived["id"] == dispatch.id
    assert arrived.data["triggers"] == ["retraining-pays"]
    assert arrived.data["accuracy"]["now"] == 0.8
    assert arrived.data["accuracy"]["before"] == 0.9
    assert [one["column"] for one in arrived.data["drifted_columns"]] == ["column 2", "column 1", "column 0"]
    assert arrived.data["reference"]["id"] == "ref1"
    assert arrived.data["config_hash"] == "cfg"


ANSWERS = [
    ((200, {}, b"ok"), DispatchState.DELIVERED, "accepted"),
    ((202, {}, b""), DispatchState.DELIVERED, "accepted"),
    ((202, {}, {"status": "queued"}), DispatchState.DELIVERED, "accepted"),
    ((204, {}, b""), DispatchState.DELIVERED, "accepted"),
    ((200, {}, b"x" * 5_000_000), DispatchState.DELIVERED, "accepted"),
    ((301, {"Location": "/other"}, b""), DispatchState.PENDING, "redirects"),
    ((307, {"Location": "/other"}, b""), DispatchState.PENDING, "redirects"),
    ((400, {}, b"no"), DispatchState.ABANDONED, "rejects"),
    ((200, {}, b"<!DOCTYPE html><title>Sign in</title>"), DispatchState.PENDING, 'a page for people "Sign in"'),
    ((303, {"Location": "/other"}, b""), DispatchState.AMBIGUOUS, "may have been accepted"),
    ((401, {}, b""), DispatchState.PENDING, "credential"),
    ((403, {}, b""), DispatchState.PENDING, "credential"),
    ((403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, b""), DispatchState.PENDING, "wait"),
    ((404, {}, b""), DispatchState.PENDING, "not there"),
    ((410, {}, b""), DispatchState.ABANDONED, "disabled"),
    ((413, {}, b""), DispatchState.ABANDONED, "rejects"),
    ((422, {}, {"message": "No ref found"}), DispatchState.ABANDONED, 'rejects the request (422): "No ref found"'),
    ((429, {}, b""), DispatchState.PENDING, "wait"),
    ((500, {}, b""), DispatchState.AMBIGUOUS, "may have been accepted"),
    ((502, {}, b""), DispatchState.AMBIGUOUS, "may have been accepted"),
    ((503, {}, b""), DispatchState.AMBIGUOUS, "may have been accepted"),
    ((504, {}, b""), DispatchState.AMBIGUOUS, "may have been accepted"),
    (b"\x16\x03\x01garbage\r\n\r\n", DispatchState.AMBIGUOUS, "no HTTP"),
    (b"", DispatchState.AMBIGUOUS, "lost"),
    (None, DispatchState.AMBIGUOUS, "lost|reset"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut", DispatchState.DELIVERED, "accepted"),
]


@pytest.mark.parametrize(("reply", "state", "words"), ANSWERS, ids=lambda value: str(value)[:40])
def test_each_answer_means_one_thing(server, dispatch: Dispatch, reply: Any, state: Any, words: str) -> None:
    """Accepted, rejected, again later or unclear; one request each, and no redirect is followed."""
    server.reply = lambda seen: reply
    answer = pipeline(server.url + "/hook?token=hidden").submit(dispatch)
    assert answer.state == state
    assert any(word in answer.reason for word in words.split("|")), answer.reason
    assert "hidden" not in answer.reason
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("given", "seconds"), [("30", 30), ("99999999", 86_400), ("nonsense", 60)])
def test_a_receiver_may_say_how_long_to_wait(server, dispatch, status: int, given: str, seconds: int) -> None:
    """Retry-After is obeyed, up to a day."""
    server.reply = lambda seen: (status, {"Retry-After": given}, b"")
    answer = pipeline(server.url).submit(dispatch)
    assert (answer.state, answer.retry_after) == (DispatchState.PENDING, timedelta(seconds=seconds))


def test_a_slow_receiver_is_left_at_the_deadline(server, dispatch: Dispatch) -> None:
    """A receiver that trickles bytes for ever is cut off; it may have accepted."""
    def trickle(seen: Any) -> bytes:
        server.stop.wait(60)
        return b"HTTP/1.1 200 OK\r\n\r\n"

    server.reply = trickle
    answer = pipeline(server.url, timeout="2s").submit(dispatch)
    assert answer.state == DispatchState.AMBIGUOUS
    assert "within 2 s" in answer.reason


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:1/", "http://no.such.host.invalid/x", "https://127.0.0.1:1/x",
])
def test_what_never_left_is_sent_again(dispatch: Dispatch, url: str) -> None:
    """Refused connections and unknown names are surely not sent."""
    assert pipeline(url).submit(dispatch).state == DispatchState.PENDING


def test_plain_http_behind_https_was_not_sent(server, dispatch: Dispatch) -> None:
    """A failed TLS handshake is surely not sent."""
    assert pipeline(server.url.replace("http:", "https:")).submit(dispatch).state == DispatchState.PENDING


@pytest.mark.parametrize("url", [
    "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/",
    "http://0xa9fea9fe/", "http://2852039166/", "http://[64:ff9b::a9fe:a9fe]/", "http://[fd00:ec2::254]/",
    "http://100.100.100.200/", "ftp://example.org/", "http:///x",
])
def test_metadata_addresses_are_never_called(dispatch: Dispatch, url: str) -> None:
    """However it is written, nothing leaves for such an address; names are mended, so it is tried again."""
    answer = pipeline(url).submit(dispatch)
    assert answer.state == DispatchState.PENDING
    assert "never calls" in answer.reason or "not an address to send to" in answer.reason


def test_a_secret_address_shows_only_its_host(server, dispatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of an address kept as a secret is in no reason."""
    monkeypatch.setenv("HOOK", server.url + "/very/secret")
    server.reply = lambda seen: (404, {}, b"")
    answer = pipeline({"env": "HOOK"}).submit(dispatch)
    assert server.seen[0].path == "/very/secret"
    assert "secret" not in answer.reason
    assert "127.0.0.1" in answer.reason


def test_checking_sends_no_event(server, monkeypatch: pytest.MonkeyPatch) -> None:
    """validate --online finds a missing or weak secret and a dead host, and never POSTs."""
    assert pipeline(server.url).check() == []
    assert [seen.method for seen in server.seen] == ["HEAD"]
    assert "refused" in pipeline("http://127.0.0.1:1/").check()[0]
    monkeypatch.setenv("NEW_SECRET", "short")
    assert "24 to 64 bytes" in pipeline(server.url).check()[0]
    monkeypatch.delenv("NEW_SECRET")
    assert "NEW_SECRET is not set" in pipeline(server.url).check()[0]


def test_an_unreadable_secret_raises_before_anything_leaves(server, dispatch, monkeypatch) -> None:
    """Without its secret a request is not sent unsigned."""
    monkeypatch.delenv("NEW_SECRET")
    with pytest.raises(ConfigError):
        pipeline(server.url).submit(dispatch)
    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "page"), [(None, None), ("https://driftd.example.org/", "https://driftd.example.org/models/m")])
def test_the_event_leads_to_the_page(kit, url: str | None, page: str | None) -> None:
    """Who works on the retrain finds the model's page, where `daemon.url` says how it is reached."""
    from monitor.retrain.outbox import new_dispatch

    made = new_dispatch(kit.model(), kit.need(), kit.snapshot(), kit.verdict(), kit.REFERENCE, kit.NOW, url)
    assert json.loads(made.body)["data"]["page"] == page


def test_the_event_always_fits(kit) -> None:
    """A thousand drifted columns and long reasons are trimmed below 20 kB, the worst columns kept."""
    from monitor.retrain.evidence import event

    text = event("driftd-x-1", kit.model(), kit.snapshot(1000), kit.verdict(2000), kit.REFERENCE, kit.NOW)
    assert len(text.encode()) < 20_000
    data = json.loads(text)["data"]
    assert data["trimmed"]
    assert data["reasons"]
    assert data["triggers"] == ["retraining-pays"]
    assert data["regret"].startswith("waiting has cost")
