"""A PostgreSQL server of our own on the loopback, from whichever installation is here."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from uuid import uuid4

import psycopg

from benchmarks.rows import Absent

PATIENCE = 30.0      # seconds


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL, reached over TCP with a password; `pid` is the process whose children the backends are."""

    port: int
    password: str
    pid: int

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://driftd:{self.password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres(*settings: str) -> Iterator[Cluster]:
    """Start a server, which ends with the block; under root as another user, since it refuses root.

    `settings` are such as `autovacuum=off`. Raises Absent where PostgreSQL is not installed.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="driftd-pg-"))
    try:
        password = uuid4().hex
        (folder / "password").write_text(password)
        user = _other_user(folder)
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "driftd", "-A", "scram-sha-256", "--no-sync",
             "--locale=C.UTF-8", f"--pwfile={folder / 'password'}"],
            check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder,
        )
        port = _free_port()
        said = [word for setting in ("listen_addresses=127.0.0.1", "fsync=off", *settings) for word in ("-c", setting)]
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), *said],
            user=user, cwd=folder, stderr=(folder / "log").open("wb"),
        )
        try:
            cluster = Cluster(port, password, server.pid)
            _await(cluster, server, folder / "log")
            yield cluster
        finally:
            server.terminate()
            server.wait(PATIENCE)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of the server's programs."""
    asked = shutil.which("pg_config")
    if asked:
        folder = Path(subprocess.check_output([asked, "--bindir"], text=True).strip())
        if (folder / "initdb").exists():
            return folder
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
    if installed is None:
        raise Absent("PostgreSQL is not installed")
    return installed


def _other_user(folder: Path) -> str | None:
    """Give the folder to a user who is not root, where we are root."""
    if os.geteuid() != 0:
        return None
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "nobody")
    return "nobody"


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _await(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(cluster.address(), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
