"""Authentication and TLS settings, read from the configuration, the web configuration and the files they name."""

import ssl
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monitor.config import Loaded, Secret
from monitor.config.keys import dotted
from monitor.config.sections import Daemon, ProxySection
from monitor.errors import ConfigError
from monitor.web.addresses import is_loopback, plain_address
from monitor.web.passwords import Passwords
from monitor.web.policy import Policy, Proxy, Token

if TYPE_CHECKING:
    from monitor.config.web_file import WebFile

SHORTEST_TOKEN = 16     # characters; shorter ones can be guessed


@dataclass(frozen=True, slots=True)
class WebSettings:
    policy: Policy
    tls: ssl.SSLContext | None
    files: tuple[Path, ...]              # a change of any of them means that all is to be read again
    warnings: tuple[str, ...] = ()


def read_settings(loaded: Loaded, *, secrets: bool = True) -> WebSettings:
    """Read everything again; without `secrets` the tokens themselves are not read. Raises ConfigError."""
    reader = _Reader(loaded, secrets)
    settings = reader.read()
    if reader.problems or settings is None:
        raise ConfigError(reader.problems)
    return settings


class _Reader:
    """Reads what there is, and notes every problem on the way."""

    def __init__(self, loaded: Loaded, secrets: bool) -> None:
        self._loaded, self._daemon, self._secrets = loaded, loaded.config.daemon, secrets
        self.problems: list[str] = []
        self._files: list[Path] = []

    def read(self) -> WebSettings | None:
        web, tls = self._web_file()
        tokens = [made for name in self._daemon.tokens if (made := self._token(name)) is not None]
        if self.problems:
            return None
        users = web.users if web is not None else {}
        policy = Policy(
            hosts=_hosts(self._daemon), url=self._daemon.url, tokens=tuple(tokens),
            passwords=Passwords(users) if users else None,
            scopes={name: frozenset(scopes) for name, scopes in self._daemon.users.items()},
            proxy=_proxy(self._daemon.proxy),
            certificate=tls is not None and tls.verify_mode is ssl.CERT_REQUIRED,
        )
        self._exposed(policy)
        return WebSettings(policy, tls, tuple(self._files), tuple(self._warnings(policy, tls, users)))

    def _web_file(self) -> "tuple[WebFile | None, ssl.SSLContext | None]":
        path = self._daemon.web_config
        if path is None:
            return None, None
        from monitor.config.web_file import read_web_file  # with a YAML parser, which few need
        from monitor.web.tls import tls_context

        self._files.append(path)
        try:
            web = read_web_file(path)
            if web.tls is None:
                return web, None
            files = (web.tls.cert_file, web.tls.key_file, web.tls.client_ca_file)
            self._files += [file for file in files if file is not None]
            return web, tls_context(web.tls, str(path))
        except ConfigError as error:
            self.problems += error.problems
            return None, None

    def _token(self, name: str) -> Token | None:
        section, key = self._daemon.tokens[name], dotted(("daemon", "tokens", name, "secret"))
        scopes = frozenset(section.scopes)
        if not self._secrets:
            return Token.of(name, "", scopes)
        try:
            value = section.secret.reveal()
            self._files += _kept_in(section.secret)
        except ConfigError as error:
            self._wrong(key, str(error))
            return None
        if len(value) < SHORTEST_TOKEN or not value.isascii() or " " in value:
            self._wrong(key, f"expected a token of at least {SHORTEST_TOKEN} ASCII characters without spaces: "
                             "`openssl rand -hex 32`")
            return None
        return Token.of(name, value, scopes)

    def _exposed(self, policy: Policy) -> None:
        """Beyond this machine clients must authenticate, or the configuration must say that they need not."""
        if not (policy.asks or self._daemon.allow_unauthenticated or _only_here(self._daemon.listen)):
            self._wrong("daemon.listen", f'"{self._daemon.listen}" is reachable from other machines without '
                        "authentication, expected daemon.tokens, users or client certificates in daemon.web_config, "
                        "daemon.proxy, or allow_unauthenticated = true")

    def _warnings(self, policy: Policy, tls: ssl.SSLContext | None, users: dict[str, str]) -> list[str]:
        found = []
        if not _only_here(self._daemon.listen):
            if not policy.asks:
                found.append("The status page and the metrics are served to other machines without authentication.")
            elif tls is None and policy.proxy is None:
                found.append("Passwords and tokens are sent unencrypted: daemon.web_config configures no TLS.")
        if users and policy.proxy is None and not policy.certificate:
            unknown = [name for name in self._daemon.users if name not in users]
            found += [f"daemon.users.{name}: there is no such user in {self._daemon.web_config}" for name in unknown]
        return found

    def _wrong(self, key: str, text: str) -> None:
        origin = self._loaded.origins.get(key, "default")
        place = f"{self._loaded.path}:1" if origin == "default" else origin
        self.problems.append(f"{place}: {key}: {text}")


def _hosts(daemon: Daemon) -> frozenset[str]:
    """The names that were written down, as `host_of` writes them."""
    named = [daemon.listen.rpartition(":")[0], *daemon.allowed_hosts]
    if daemon.url is not None:
        named.append(urlsplit(daemon.url).hostname or "")
    return frozenset(plain_address(name.lower().rstrip(".")) for name in named)


def _proxy(section: ProxySection | None) -> Proxy | None:
    if section is None:
        return None
    return Proxy(section.header.lower(), tuple(map(ip_network, section.peers)))


def _kept_in(secret: Secret) -> list[Path]:
    return [] if secret.kind == "env" else [secret.path()]


def _only_here(listen: str) -> bool:
    return is_loopback(listen.rpartition(":")[0])
