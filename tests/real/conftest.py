"""Real counterparts for tests: each started here, in a folder of its own, and stopped again."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL, reached over TCP with a password."""

    port: int
    password: str

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://driftd:{self.password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL cluster of this test run; under root it runs as another user, since it refuses root."""
    bindir = _postgres_bindir()
    if bindir is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="driftd-pg-"))
    cluster = Cluster(_free_port(), uuid4().hex)
    (folder / "password").write_text(cluster.password)
    user = _other_user(folder)
    subprocess.run(
        [bindir / "initdb", "-D", folder / "data", "-U", "driftd", "-A", "scram-sha-256", "--no-sync",
         "--locale=C.UTF-8", f"--pwfile={folder / 'password'}"],
        check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder,
    )  # fmt: skip
    server = subprocess.Popen(
        [bindir / "postgres", "-D", folder / "data", "-k", folder, "-p", str(cluster.port),
         "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
        user=user, cwd=folder, stderr=(folder / "log").open("wb"),
    )  # fmt: skip
    try:
        _await_postgres(cluster, server, folder / "log")
        yield cluster
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


@pytest.fixture
def postgres_address(postgres_cluster: Cluster) -> Iterator[str]:
    """The address of a new, empty database."""
    import psycopg

    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_cluster.address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_cluster.address(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _postgres_bindir() -> Path | None:
    asked = shutil.which("pg_config")
    if asked:
        folder = Path(subprocess.check_output([asked, "--bindir"], text=True).strip())
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


def _other_user(folder: Path) -> str | None:
    """Give the folder to a user who is not root, where we are root."""
    if os.geteuid() != 0:
        return None
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "nobody")
    return "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_postgres(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(cluster.address(), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
