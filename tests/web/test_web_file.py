"""The web configuration file: what is read, and one sentence with its line for everything that is wrong."""

import os
from pathlib import Path

import pytest

from monitor.config import load
from monitor.config.web_file import LIMIT, TlsSection, read_web_file
from monitor.errors import ConfigError
from monitor.web.settings import read_settings
from tests.web.conftest import MODEL, TOKENS, configured

HASH = "$2y$10$" + "a" * 53


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_web_file(path)
    return [one.removeprefix(f"{path}:") for one in caught.value.problems]


def test_the_file_is_read_as_prometheus_reads_it(tmp_path: Path) -> None:
    """Paths are relative to the file; what is not given has Prometheus's default."""
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: /etc/server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  min_version: TLS13\n"
        f"basic_auth_users:\n  alice: {HASH}\n  'bob ': \"{HASH}\"\n"
    )
    read = read_web_file(path)
    assert read.tls == TlsSection(
        tmp_path / "server.crt", Path("/etc/server.key"), tmp_path / "ca.crt", "required", "TLS13", "TLS13")
    assert read.users == {"alice": HASH, "bob ": HASH}


@pytest.mark.parametrize("text", ["", "# nothing\n", "basic_auth_users:\n", "\ufeff{}", "basic_auth_users: {}\n"])
def test_a_file_may_say_nothing(tmp_path: Path, text: str) -> None:
    """As with Prometheus an empty file asks for nothing."""
    path = tmp_path / "web.yml"
    path.write_text(text, encoding="utf-8")
    assert (read_web_file(path).tls, read_web_file(path).users) == (None, {})


BAD = Path(__file__).parent / "bad"
IN_YAML = ", expected a web configuration in YAML"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yml")), ids=lambda path: path.stem)
def test_what_is_wrong_is_said_with_its_line(path: Path) -> None:
    """A bad file gives exactly the problems that its first lines announce; a password or hash is never quoted."""
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(f"# {path.name}:")]
    found = problems(path)
    assert [f"# {path.name}:{one}" for one in found] == head
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(("text", "said"), [
    ("[" * 50_000, "is nested too deep"), ("a: \x07\n", "is not UTF-8 text"),
    ("#" * (LIMIT + 1), f"cannot be read: it is longer than {LIMIT} bytes"),
], ids=["deep", "bell", "long"])
def test_what_is_no_configuration_is_said(tmp_path: Path, text: str, said: str) -> None:
    """A file that nobody wrote by hand is refused at once."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    assert problems(path) == [f"1: {said}{IN_YAML}"]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, a folder and nothing at all are refused at once."""
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "it is no regular file"), ("", "it is no regular file"),
                       ("gone", "No such file or directory")):
        assert problems(tmp_path / name) == [f"1: cannot be read: {said}{IN_YAML}"]


def refused(folder: Path, daemon: str, web: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_settings(load(configured(folder, daemon, web)))
    return [one.replace(f"{folder}/", "") for one in caught.value.problems]


@pytest.mark.parametrize("listen", ["0.0.0.0:9745", "[::]:9745", "192.0.2.1:9745", "driftd.example.org:9745"])
def test_beyond_loopback_somebody_must_be_asked(
    tmp_path: Path, listen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without authentication such a configuration is refused, unless it says that this is meant."""
    line = f'listen = "{listen}"\n'
    [problem] = refused(tmp_path, line)
    assert problem.startswith(f'driftd.toml:2: daemon.listen: "{listen}" is reachable from other machines')
    assert problem.endswith("or allow_unauthenticated = true")
    assert refused(tmp_path, line, "basic_auth_users:\n") != []
    for name in ("METRICS_TOKEN", "READ_TOKEN", "ACT_TOKEN", "CAPTURE_TOKEN"):
        monkeypatch.setenv(name, "x" * 32)
    for more in ("allow_unauthenticated = true", TOKENS, '[daemon.proxy]\nheader = "X-User"\npeers = ["192.0.2.7"]'):
        assert read_settings(load(configured(tmp_path, line + more, None))).policy.asks is ("allow" not in more)


@pytest.mark.parametrize("listen", ["127.0.0.1:9745", "localhost:9745", "[::1]:9745", "127.8.8.8:1"])
def test_on_loopback_nobody_need_be_asked(tmp_path: Path, listen: str) -> None:
    """This machine's own addresses need no word."""
    settings = read_settings(load(configured(tmp_path, f'listen = "{listen}"', None)))
    assert (settings.policy.asks, settings.warnings) == (False, ())


def test_what_is_meant_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a password, without TLS, and users that do not exist: a sentence each at the start."""
    listen = 'listen = "0.0.0.0:9745"\n'
    [said] = read_settings(load(configured(tmp_path, listen + "allow_unauthenticated = true", None))).warnings
    assert said == "The status page and the metrics are served to other machines without authentication."
    users = f"basic_auth_users:\n  ann: {HASH}\n"
    assert read_settings(load(configured(tmp_path, listen + 'users.eve = ["act"]', users))).warnings == (
        "Passwords and tokens are sent unencrypted: daemon.web_config configures no TLS.",
        f"daemon.users.eve: there is no such user in {tmp_path}/web.yml")


@pytest.mark.parametrize(("value", "said"), [
    (None, "the environment variable METRICS_TOKEN is not set, expected a secret"),
    ("short", "expected a token of at least 16 ASCII characters without spaces: `openssl rand -hex 32`"),
    ("two words " * 4, "expected a token of at least 16 ASCII characters without spaces: `openssl rand -hex 32`"),
])
def test_a_token_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    """A secret that cannot be read, or could be guessed, keeps the service from starting; it is never shown."""
    monkeypatch.delenv("METRICS_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("METRICS_TOKEN", value)
    token = '[daemon.tokens.prometheus]\nscopes = ["metrics"]\nsecret = { env = "METRICS_TOKEN" }'
    assert refused(tmp_path, token) == [f"driftd.toml:4: daemon.tokens.prometheus.secret: {said}"]
    assert read_settings(load(tmp_path / "driftd.toml"), secrets=False).policy.asks
    assert MODEL in (tmp_path / "driftd.toml").read_text()
