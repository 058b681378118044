"""Where a stream is: redis://host:6379/0, rediss://…, kafka://host:9092,host:9092, kafka+ssl://… ."""

import re
from dataclasses import dataclass, field

from monitor.errors import UsageError

_PORTS = {"redis": 6379, "kafka": 9092}
_FORM = re.compile(r"(?P<kind>redis|kafka)(?P<tls>s|\+ssl)?://(?P<hosts>[^/?#]+)(/(?P<rest>[^?#]*))?")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(:(?P<port>\d{1,5}))?")
EXAMPLES = "redis://host:6379/0, rediss://host, kafka://host:9092,host:9092 or kafka+ssl://host:9093"


@dataclass(frozen=True)
class Address:
    """`database` is Redis's number of one; `mechanism` is Kafka's of SASL."""

    kind: str
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = ""

    @property
    def shown(self) -> str:
        return ",".join(f"{host}:{port}" for host, port in self.hosts)


def parse(text: str, user: str | None = None, password: str | None = None, mechanism: str = "") -> Address:
    """Raises UsageError."""
    found = _FORM.fullmatch(text)
    if found is None or {"redis": ("", "s"), "kafka": ("", "+ssl")}[found["kind"]].count(found["tls"] or "") == 0:
        raise UsageError(f"the address is none of a stream, expected one such as {EXAMPLES}")
    if "@" in found["hosts"]:
        raise UsageError("the address holds a password, which others on this machine can read, expected --user NAME "
                         "and --password env:NAME")
    kind, rest = found["kind"], found["rest"] or ""
    hosts = tuple(_host(part, _PORTS[kind]) for part in found["hosts"].split(","))
    if kind == "redis" and (len(hosts) > 1 or not re.fullmatch(r"\d{0,5}", rest)):
        raise UsageError("the address names several hosts or no number of a database, expected redis://host:6379/0")
    if kind == "kafka" and rest:
        raise UsageError("the address has a path, expected kafka://host:9092, and the topic in --topic")
    return Address(kind, bool(found["tls"]), hosts, int(rest or 0), user, password, mechanism)


def _host(text: str, port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"] or port) < 65536:
        raise UsageError(f"{text!r} is no host of an address, expected HOST:PORT, of IPv6 [::1]:6379")
    return found["host"].strip("[]"), int(found["port"] or port)
