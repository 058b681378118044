"""The web configuration file: TLS and users, in the form that Prometheus and its exporters read.

Source of the form: https://prometheus.io/docs/prometheus/latest/configuration/https/. What driftd does not do is
refused, for a protection that is written down and not in force is worse than none.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from monitor.config.keys import did_you_mean, dotted
from monitor.errors import ConfigError
from monitor.untrusted import read_text

LIMIT = 100_000                 # bytes of a file
MOST_ROUNDS = 14                # bcrypt's cost: beyond it one sign-in takes more than a second
TlsVersion = Literal["TLS12", "TLS13"]

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_CLIENT_AUTH = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert")
_SECTIONS = ("tls_server_config", "basic_auth_users")
_UNREAD = (             # what Prometheus reads besides
    "http_server_config", "rate_limit", "auth_excluded_paths", "cert", "cert_ref", "key", "key_ref", "client_ca",
    "client_ca_ref", "client_allowed_sans", "cipher_suites", "prefer_server_cipher_suites", "curve_preferences",
)
_TLS_KEYS = ("cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version")


@dataclass(frozen=True, slots=True)
class TlsSection:
    """Paths are absolute; `client_ca_file` is there exactly when client certificates are looked at."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_certificate: Literal["none", "optional", "required"] = "none"
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"


@dataclass(frozen=True, slots=True)
class WebFile:
    tls: TlsSection | None = None
    users: dict[str, str] = field(default_factory=dict)  # name → bcrypt hash


def read_web_file(path: Path) -> WebFile:
    """Read the file. Raises ConfigError with every problem, each "file:line: key: …"."""
    reader = _Reader(path)
    made = reader.read()
    if reader.problems:
        raise ConfigError(reader.problems)
    return made


class _Reader:
    """Reads one file by its nodes, which know their lines; notes what is wrong and reads on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[str] = []

    def read(self) -> WebFile:
        root = self._root()
        sections = {} if root is None else self._table(root, (), _SECTIONS)
        tls, users = sections.get("tls_server_config"), sections.get("basic_auth_users")
        return WebFile(
            tls=None if tls is None else self._tls(tls),
            users={} if users is None or _empty(users) else self._users(users),
        )

    def _root(self) -> Any:
        try:
            return yaml.compose(read_text(self._path, LIMIT), Loader=yaml.SafeLoader)
        except OSError as error:
            self._wrong(1, f"cannot be read: {error.strerror or error}, expected a web configuration in YAML")
        except RecursionError:
            self._wrong(1, "is nested too deep, expected a web configuration in YAML")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._wrong(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}")
        except (yaml.YAMLError, UnicodeDecodeError):
            self._wrong(1, "is not UTF-8 text, expected a web configuration in YAML")
        return None

    def _table(self, node: yaml.Node, key: tuple[str, ...], known: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
        """The nodes of a mapping by name; `known`: the names it may hold, any without."""
        found: dict[str, yaml.Node] = {}
        if not isinstance(node, yaml.MappingNode):
            if not _empty(node):
                self._wrong(node, "expected a table of keys and values", key)
            return found
        for name_node, value in node.value:
            name = str(name_node.value) if isinstance(name_node, yaml.ScalarNode) else "?"
            if name in found:
                self._wrong(name_node, "is there already, expected each key once", (*key, name))
            elif known and name not in known:
                near = "" if name in _UNREAD else did_you_mean(name, known)
                near = near or f", expected one of {', '.join(known)}"
                self._wrong(name_node, f"is not a key that driftd reads{near}", (*key, name))
            else:
                found[name] = value
        return found

    def _tls(self, node: yaml.Node) -> TlsSection | None:
        key = ("tls_server_config",)
        table = self._table(node, key, _TLS_KEYS)
        texts = {name: self._string(value, (*key, name)) for name, value in table.items()}
        for name in ("cert_file", "key_file"):
            if name not in table:
                self._wrong(node, "is missing, expected the path of a PEM file", (*key, name))
        checking = texts.get("client_auth_type") or "NoClientCert"
        authority = texts.get("client_ca_file") or None
        if checking not in _CLIENT_AUTH:
            self._wrong(table["client_auth_type"], _no_such_check(checking), (*key, "client_auth_type"))
        elif (checking != "NoClientCert") != (authority is not None):
            text = "client_ca_file goes with a client_auth_type that verifies, expected both of them or neither"
            self._wrong(table.get("client_ca_file", node), text, (*key, "client_ca_file"))
        low, high = (self._version(table, texts, name) for name in ("min_version", "max_version"))
        if low > high:
            self._wrong(table["min_version"], f"{low} is above max_version, expected at most {high}",
                        (*key, "min_version"))
        if self.problems:
            return None
        return TlsSection(
            cert_file=self._file(texts["cert_file"]), key_file=self._file(texts["key_file"]),
            client_ca_file=None if authority is None else self._file(authority),
            client_certificate=("none", "optional", "required")[_CLIENT_AUTH.index(checking)],
            min_version=low, max_version=high,
        )

    def _version(self, table: dict[str, yaml.Node], texts: dict[str, str], name: str) -> TlsVersion:
        match texts.get(name):
            case None | "":
                return "TLS12" if name == "min_version" else "TLS13"
            case "TLS12":
                return "TLS12"
            case "TLS13":
                return "TLS13"
            case other:
                self._wrong(table[name], f'expected TLS12 or TLS13, got "{other}"', ("tls_server_config", name))
                return "TLS12" if name == "min_version" else "TLS13"

    def _users(self, node: yaml.Node) -> dict[str, str]:
        """The hashes by user; a hash is never quoted."""
        users = {}
        for name, value in self._table(node, ("basic_auth_users",)).items():
            key = ("basic_auth_users", name)
            match = _BCRYPT.fullmatch(self._string(value, key))
            if not name or ":" in name:
                self._wrong(value, "a user's name is not empty and holds no colon, expected another one", key)
            elif match is None:
                self._wrong(value, "expected a bcrypt hash, such as `htpasswd -nBC 10 NAME` prints", key)
            elif not 4 <= int(match[1]) <= MOST_ROUNDS:
                self._wrong(value, f"has a cost of {int(match[1])}, expected 4 to {MOST_ROUNDS}", key)
            else:
                users[name] = match[0]
        return users

    def _string(self, node: yaml.Node, key: tuple[str, ...]) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.tag.endswith(":str"):
            self._wrong(node, "expected text", key)
            return ""
        return str(node.value)

    def _file(self, name: str) -> Path:
        # not resolved: a mounted Secret's real folder is replaced
        return self._path.absolute().parent / name

    def _wrong(self, at: yaml.Node | int, text: str, key: tuple[str, ...] = ()) -> None:
        line = at if isinstance(at, int) else at.start_mark.line + 1
        named = f"{dotted(key)}: " if key else ""
        self.problems.append(f"{self._path}:{line}: {named}{text}")


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _no_such_check(name: str) -> str:
    if name in _UNVERIFIED:
        return f"{name} trusts certificates that nobody verified, expected VerifyClientCertIfGiven or {_CLIENT_AUTH[2]}"
    return f'expected {", ".join(_CLIENT_AUTH[:-1])} or {_CLIENT_AUTH[-1]}, got "{name}"'
