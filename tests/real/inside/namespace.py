"""Run inside a network of its own (`unshare -nm`): metadata services are there, and a name server that rebinds.

Every exit is tried with every form of an address. The last line is JSON, what was reached by exit:
{"request": {"127.0.0.1": 2}}.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from monitor.config.sections import RegistrySection, SourceSection
from monitor.config.values import Secret
from monitor.errors import DriftdError
from monitor.http import send
from monitor.notify.deliver import deliver
from monitor.notify.heartbeat import heartbeat
from monitor.notify.letter import Letter
from monitor.promotion.mlflow import Mlflow
from monitor.sources import open_source
from tests.outgoing.forms import hosts

SERVICES = (
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42", "169.254.0.23", "169.254.1.1",
    "169.254.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fe80::1", "fe80::a9fe:a9fe", "febf::1",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1",
    "::a9fe:a9fe", "::ffff:0:a9fe:a9fe", "2002:a9fe:a9fe::", "2002:a9fe:a9fe::1", "2002:6464:64c8::1",
    "2001:0:a9fe:a9fe::1", "2001::5601:5601", "64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8", "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0", "2001:db8::5efe:a9fe:a9fe",
    "2001:db8::200:5efe:a9fe:a9fe", "2001:db8:64::a9fe:a9fe", "fd01:64::6464:64c8",
)
NAMES = {"meta.test": ["169.254.169.254"], "two.test": ["127.0.0.1", "169.254.169.254"],
         "rebind.test": ["127.0.0.1"], "back.test": ["169.254.169.254"]}
FLIPS = {"rebind.test", "back.test"}     # every other answer is the other address
REBINDINGS = 30
PORTS = {"mail": 25, "database": 5432}
STATUSES = (301, 302, 303, 307, 308)
reached: dict[str, Counter[str]] = {}
now = [""]                               # the exit that is being tried


def main() -> None:
    prepare()
    now[0], reached["unguarded"] = "unguarded", Counter()
    for address in SERVICES:             # they are there, for whoever does not check
        with suppress(OSError), socket.create_connection(whole(address), 2) as there:
            there.sendall(b"GET / HTTP/1.0\r\n\r\n")
            there.recv(1)
    for name, out in EXITS.items():
        now[0], reached[name] = name, Counter()
        for host in tried():
            with suppress(DriftdError, AssertionError):
                out(host)
    print(json.dumps(reached))


def whole(address: str) -> Any:
    return socket.getaddrinfo(f"{address}%lo" if address.startswith("fe") else address, 80)[0][4][:2]


def tried() -> Iterator[str]:
    yield "127.0.0.1"                    # what is called, so that "nothing was reached" says something
    yield from hosts()
    yield from ("meta.test", "two.test", "metadata.google.internal")
    for _ in range(REBINDINGS):
        yield from FLIPS


def prepare() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in SERVICES:
        also = ["nodad"] if ":" in address else []
        subprocess.run(["ip", "addr", "add", f"{address}/{128 if also else 32}", "dev", "lo", *also], check=True)
    folder = Path(tempfile.mkdtemp(prefix="driftd-namespace-"))
    (folder / "hosts").write_text("127.0.0.1 localhost\n169.254.169.254 metadata.google.internal\n")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    for name in ("hosts", "resolv.conf"):
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)
    threading.Thread(target=name_server, daemon=True).start()
    threading.Thread(target=Web(("::", 80), Handler).serve_forever, daemon=True).start()
    for port in PORTS.values():
        threading.Thread(target=listen, args=(port,), daemon=True).start()


def note(address: str) -> None:
    reached[now[0]][address.removeprefix("::ffff:") if address.count(":") == 3 else address] += 1


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        note(self.connection.getsockname()[0])
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = int(self.path[1:4]) if self.path[1:4].isdigit() else 200
        self.send_response(status)
        if status != 200:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


class Web(ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def listen(port: int) -> None:
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        while True:
            there, _ = server.accept()
            note(there.getsockname()[0])
            there.close()


def name_server() -> None:
    """A records for NAMES, no AAAA; each second question of a name that flips is answered otherwise."""
    asked: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            question, who = server.recvfrom(512)
            name, end = _name(question)
            kind = struct.unpack(">H", question[end:end + 2])[0]
            found = NAMES.get(name, []) if kind == 1 else []
            if kind == 1 and name in FLIPS:
                asked[name] += 1
                found = found if asked[name] % 2 else [*({"127.0.0.1", "169.254.169.254"} - set(found))]
            records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(ip) for ip in found)
            code = 0x8180 if name in NAMES else 0x8183
            head = question[:2] + struct.pack(">HHHHH", code, 1, len(found), 0, 0)
            server.sendto(head + question[12:end + 4] + records, who)


def _name(question: bytes) -> tuple[str, int]:
    parts, at = [], 12
    while size := question[at]:
        parts.append(question[at + 1:at + 1 + size].decode())
        at += 1 + size
    return ".".join(parts).lower(), at + 1


def secret(text: str) -> Secret:
    os.environ["TRIED"] = text
    return Secret("env", "TRIED")


def requests(host: str) -> None:
    send("POST", f"http://{host}/", body=b"x", timeout=timedelta(seconds=3))
    for status in STATUSES:
        send("POST", f"http://{host}/{status}", body=b"x", timeout=timedelta(seconds=3))


def registry(host: str) -> None:
    Mlflow(RegistrySection(kind="mlflow", url=f"http://{host}", name="m")).version()


def messages(scheme: str) -> Callable[[str], None]:
    def tell(host: str) -> None:
        deliver(secret(f"{scheme}://{host}/x"), Letter(title="title", body="body"))
        for status in STATUSES if host == "127.0.0.1" else ():
            deliver(secret(f"{scheme}://{host}/{status}?redirect=yes"), Letter(title="title", body="body"))

    return tell


def mail(host: str) -> None:
    deliver(secret(f"mailto://{host}?from=a@example.org&to=b@example.org&cto=2"), Letter(title="title", body="body"))


def database(host: str) -> None:
    section = SourceSection(database=secret(f"postgresql://u:p@{host}/x?connect_timeout=2"), table="t")
    open_source(section, ZoneInfo("UTC")).schema()


EXITS: dict[str, Callable[[str], Any]] = {
    "request": requests, "heartbeat": lambda host: heartbeat(f"http://{host}/ping"), "registry": registry,
    "json message": messages("json"), "xml message": messages("xml"), "mail": mail, "database": database,
}

if __name__ == "__main__":
    sys.exit(main())
