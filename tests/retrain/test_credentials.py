"""How a pipeline is told who asks: tokens are fetched, kept, renewed once, and told to nobody."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import TypeAdapter

from monitor.config.pipeline_sections import Pipeline as Section
from monitor.errors import ConfigError
from monitor.records import DispatchState
from monitor.retrain.pipelines import Pipeline, open_pipeline

WORKFLOW = b"""\
run-name: ${{ inputs.driftd_id }}
on:
  workflow_dispatch:
    inputs:
      driftd_id:
      driftd_evidence:
"""


class Hub:
    """GitHub's side of an app: tokens for a signed JWT, each good until it is `revoked`."""

    def __init__(self, public: str) -> None:
        self.public, self.claims = public, []
        self.given: list[str] = []
        self.revoked: set[str] = set()
        self.lasts = timedelta(hours=1)
        self.starts = 0

    def __call__(self, seen: Any) -> Any:
        path, (scheme, token) = urlsplit(seen.path).path, seen.headers["authorization"].split()
        assert scheme == "Bearer"
        if path == "/app/installations/22/access_tokens":
            self.claims.append(jwt.decode(token, self.public, algorithms=["RS256"], issuer="11"))
            self.given.append(f"ghs_{len(self.given)}")
            until = (datetime.now(UTC) + self.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
            return 201, {}, {"token": self.given[-1], "expires_at": until}
        if token not in self.given or token in self.revoked:
            return 401, {}, {"message": "Bad credentials"}
        if path.endswith("/dispatches"):
            self.starts += 1
            return 200, {}, {"workflow_run_id": 7}
        return 200, {}, WORKFLOW


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """A private key in PEM, and its public one."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    private = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    public = made.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    return private.decode(), public.decode()


def app(url: str) -> Pipeline:
    section = {"kind": "github", "repository": "acme/flights", "workflow": "retrain.yml", "api": url}
    who = {"id": 11, "installation": 22, "key": {"env": "APP_KEY"}}
    return open_pipeline(TypeAdapter(Section).validate_python(section | {"app": who}))


def test_a_github_app_gets_one_token_and_keeps_it(server, dispatch, monkeypatch, keys) -> None:
    """The JWT is the app's, signed by its key and short-lived; one token serves until shortly before it lapses."""
    monkeypatch.setenv("APP_KEY", keys[0])
    server.reply = hub = Hub(keys[1])
    pipeline = app(server.url)
    assert pipeline.check() == []
    assert pipeline.submit(dispatch).state == DispatchState.QUEUED
    assert (hub.given, hub.starts) == (["ghs_0"], 1)
    (claims,) = hub.claims
    assert claims["exp"] - claims["iat"] <= 600          # GitHub takes no longer ones
    hub.lasts = timedelta(minutes=1)                     # within the margin: each use gets another
    short = app(server.url)
    short.check()
    short.check()
    assert len(hub.given) == 3


def test_a_token_that_is_not_accepted_any_more_is_renewed_once(server, dispatch, monkeypatch, keys) -> None:
    """One run; and where fresh ones are refused too it waits for its next try, without a storm of tries."""
    monkeypatch.setenv("APP_KEY", keys[0])
    server.reply = hub = Hub(keys[1])
    pipeline = app(server.url)
    pipeline.check()
    hub.revoked.add("ghs_0")
    assert pipeline.submit(dispatch).state == DispatchState.QUEUED
    assert (hub.given, hub.starts) == (["ghs_0", "ghs_1"], 1)
    server.reply = lambda seen: hub(seen) if "access_tokens" in seen.path else (401, {}, b"")
    server.seen.clear()
    assert pipeline.submit(dispatch).state == DispatchState.PENDING
    assert len([seen for seen in server.seen if seen.path.endswith("/dispatches")]) == 2


def test_an_app_tells_nobody_its_secrets(server, dispatch, monkeypatch, keys, caplog) -> None:
    """Neither key, JWT nor token is in an answer, a problem or the log, whatever comes back."""
    monkeypatch.setenv("APP_KEY", keys[0])
    hub = Hub(keys[1])
    said = ""
    for trouble in ((500, {}, b""), (201, {}, b"<html>"), (201, {}, {"token": "ghs_x"}), (403, {}, b""), None, hub):
        server.reply = trouble if trouble is hub else lambda seen, trouble=trouble: trouble
        said += str(app(server.url).submit(dispatch)) + " ".join(app(server.url).check())
    secrets = [seen.headers["authorization"].split()[1] for seen in server.seen]
    assert len(secrets) > 6
    assert all(secret not in said + caplog.text for secret in [*secrets, "ghs_", keys[0][40:80]])


def test_without_a_token_nothing_has_left(server, dispatch, monkeypatch, keys) -> None:
    """A server that gives none in its trouble leaves the request pending, never unclear."""
    monkeypatch.setenv("APP_KEY", keys[0])
    for trouble in ((500, {}, b""), (201, {}, b"<html>"), None):
        server.reply = lambda seen, trouble=trouble: trouble
        assert app(server.url).submit(dispatch).state == DispatchState.PENDING


def test_a_key_that_is_none_is_said(server, dispatch, monkeypatch) -> None:
    """Without quoting it."""
    monkeypatch.setenv("APP_KEY", "not a key")
    with pytest.raises(ConfigError, match="no private key in PEM") as error:
        app(server.url).submit(dispatch)
    assert "not a key" not in str(error.value)


def test_airflow_logs_in_again_once(server, dispatch, monkeypatch) -> None:
    """Airflow 3 answers 403 to a token that has lapsed; the run is asked for once more with a fresh one."""
    monkeypatch.setenv("PASSWORD", "hidden")
    tokens: list[str] = []
    starts = 0

    def reply(seen: Any) -> Any:
        nonlocal starts
        if seen.path == "/auth/token":
            assert json.loads(seen.body) == {"username": "ada", "password": "hidden"}
            tokens.append(f"token {len(tokens)}")
            return 201, {}, {"access_token": tokens[-1]}
        if seen.method == "GET":
            return 200, {}, {"dag_id": "retrain", "is_paused": False}
        if seen.headers["authorization"] == "Bearer token 0":
            return 403, {}, {"detail": "Invalid JWT token"}
        starts += 1
        return 200, {}, {"dag_run_id": seen.json()["dag_run_id"], "state": "queued"}

    server.reply = reply
    section = {"kind": "airflow", "url": server.url, "dag": "retrain", "username": "ada"}
    made = TypeAdapter(Section).validate_python(section | {"password": {"env": "PASSWORD"}})
    assert open_pipeline(made).submit(dispatch).state == DispatchState.QUEUED
    assert (len(tokens), starts) == (2, 1)
