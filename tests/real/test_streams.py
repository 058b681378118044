"""`driftd collect` from real servers, and its ends: SIGTERM, SIGKILL, a server that goes and comes back.

Kafka is Tansu, a broker that speaks Kafka's protocol; Apache Kafka itself could not be installed here.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.cli.test_collect import Cluster
from tests.real.servers import free_port, redis, tansu, until

client, admin = pytest.importorskip("redis"), pytest.importorskip("confluent_kafka.admin")
pytestmark = pytest.mark.real

KILLS = int(os.environ.get("DRIFTD_KILLS", "6"))
SERVICE = {"timestamp": "2026-01-01T00:00:00Z", "prediction_id": "a", "prediction": 1.5}


def command(address: str, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "monitor", "collect", address, "--topic", "rides", "--folder", str(folder), *more]


def once(address: str, folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(address, folder, "--once", *more), capture_output=True, text=True, timeout=60,
                          env=os.environ | environment)


def kept(folder: Path) -> list[int]:
    files = folder.glob("*/rides-*.jsonl")
    return [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]


@contextmanager
def following(address: str, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """The collector as a service, and the file of what it says."""
    said = folder.with_suffix(".txt")
    with said.open("wb") as file:
        process = subprocess.Popen(command(address, folder, "--every", "0.2s"), stdout=file, stderr=file)
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()


def test_each_row_of_a_stream_is_kept_once_and_read(tmp_path: Path) -> None:
    """Objects and fields of entries are rows, which `init` reads; entries that were removed unread are said."""
    port = free_port()
    address = f"redis://127.0.0.1:{port}"
    with redis(tmp_path, port), client.Redis(port=port) as server:
        assert "there is no such stream" in once(address, tmp_path / "log").stderr
        for n in range(1500):
            server.xadd("rides", {"row": json.dumps({**SERVICE, "n": n})})
        server.xadd("rides", {"n": 1500, "timestamp": "2026-01-02T00:00:00Z", "prediction": "2.5"})
        server.xadd("rides", {"row": '{"n": 1501'})
        done = once(address, tmp_path / "log", "--json")
        assert (done.returncode, json.loads(done.stdout)["rows"], json.loads(done.stdout)["unusable"]) == (0, 1501, 1)
        assert Counter(map(int, kept(tmp_path / "log"))) == Counter(range(1501))
        read = subprocess.run([sys.executable, "-m", "monitor", "init", str(tmp_path / "log"), "-o", "made.toml"],
                              cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert read.returncode == 0, read.stderr
        server.xadd("rides", {"row": '{"n": 1502}'})
        server.xadd("rides", {"row": '{"n": 1503}'})
        server.xtrim("rides", maxlen=1, approximate=False)
        done = once(address, tmp_path / "log", "--json")
        (gap,) = json.loads(done.stdout)["gaps"]
        assert "may have been removed before they were read" in gap
        assert 1503 in kept(tmp_path / "log")
        server.delete("rides")
        server.xadd("rides", {"row": "{}"}, id="1-1")
        assert "it is another stream; collect it into another folder" in once(address, tmp_path / "log").stderr
        server.set("rides2", "text")
        done = once(address, tmp_path / "log", "--topic", "rides2")
        assert (done.returncode, "is a string, expected a stream" in done.stderr) == (4, True)


@contextmanager
def broker(folder: Path) -> Iterator[Cluster]:
    with tansu(folder) as port:
        server = {"bootstrap.servers": f"127.0.0.1:{port}"}
        maker = admin.AdminClient(server)
        maker.create_topics([admin.NewTopic("rides", 4, 1)])["rides"].result(30)
        yield Cluster(**server)


def test_each_row_of_a_topic_is_kept_once(tmp_path: Path) -> None:
    """A second run goes on where the folder ends; a topic that is not there is one sentence."""
    with broker(tmp_path) as cluster:
        absent = once(cluster.address, tmp_path / "log", "--topic", "absent")
        assert (absent.returncode, "there is no such topic, expected one to read" in absent.stderr) == (4, True)
        for begin in (0, 2000):
            cluster.rows(*range(begin, begin + 2000))
            assert once(cluster.address, tmp_path / "log").returncode == 0
            assert Counter(kept(tmp_path / "log")) == Counter(range(begin + 2000))


def test_killed_again_and_again_no_row_is_lost_or_twice(tmp_path: Path) -> None:
    """SIGKILL at random moments, of Redis and of Kafka in turn, while rows come."""
    chance, port = random.Random(13), free_port()
    with redis(tmp_path, port), client.Redis(port=port) as server, broker(tmp_path) as cluster:
        places = {"redis": f"redis://127.0.0.1:{port}", "kafka": cluster.address}
        sent = dict.fromkeys(places, 0)

        def send(kind: str, rows: int) -> None:
            numbers = range(sent[kind], sent[kind] + rows)
            if kind == "kafka":
                cluster.rows(*numbers)
            else:
                with server.pipeline() as pipe:
                    for n in numbers:
                        pipe.xadd("rides", {"row": json.dumps({"n": n})})
                    pipe.execute()
            sent[kind] += rows

        for turn in range(KILLS):
            kind = ("redis", "kafka")[turn % 2]
            send(kind, 500)
            with following(places[kind], tmp_path / kind) as (process, said):
                if turn % 4 < 2:         # from its first file on, else from its start on
                    until(partial(os.path.getsize, said), 60)
                for _ in range(chance.randrange(6)):
                    send(kind, 100)
                try:
                    process.wait(chance.uniform(0, 1.5))
                except subprocess.TimeoutExpired:
                    process.kill()
                assert process.wait() == -signal.SIGKILL, said.read_text()
        for kind, address in places.items():
            assert once(address, tmp_path / kind).returncode == 0
            assert Counter(kept(tmp_path / kind)) == Counter(range(sent[kind])), kind
    print(f"{KILLS} kills: {sent} rows, each once")


def test_a_service_waits_for_its_server_and_ends_by_sigterm(tmp_path: Path) -> None:
    """It begins before the server does, says so, goes on, and keeps what it has read when it ends."""
    port = free_port()
    folder = tmp_path / "log"
    with following(f"redis://127.0.0.1:{port}", folder) as (process, said):
        until(lambda: "cannot be reached" in said.read_text(), 60)
        with redis(tmp_path, port), client.Redis(port=port) as server:
            server.xadd("rides", {"row": '{"n": 1}'})
            until(lambda: kept(folder) == [1], 60)
            server.xadd("rides", {"row": '{"n": 2}'})
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        assert set(kept(folder)) <= {1, 2}
        assert "going on" in said.read_text()


def test_users_passwords_and_certificates(tmp_path: Path) -> None:
    """Over TLS with a certificate that SSL_CERT_FILE names; a wrong password is one sentence that does not hold it."""
    port, plain = free_port(), free_port()
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    may = ["--user", "driftd", "on", ">hidden-one", "~rides", "-@all", "+type", "+xinfo", "+xrange", "+xread", "+multi",
           "+exec"]
    secure = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
              "--tls-auth-clients", "no"]
    trusted = {"SSL_CERT_FILE": str(certificate)}
    login = ("--user", "driftd", "--password", "env:REDIS_PASSWORD")
    with redis(tmp_path, plain, *secure, *may), client.Redis(port=plain) as server:
        server.xadd("rides", {"row": '{"n": 1}'})
        address = f"rediss://127.0.0.1:{port}"
        done = once(address, tmp_path / "log", *login, REDIS_PASSWORD="hidden-one", **trusted)
        assert (done.returncode, kept(tmp_path / "log")) == (0, [1]), done.stderr
        wrong = once(address, tmp_path / "log", *login, REDIS_PASSWORD="hidden-two", **trusted)
        untrusted = once(address, tmp_path / "log", *login, REDIS_PASSWORD="hidden-one")
        forbidden = once(address, tmp_path / "log", "--topic", "other", *login, REDIS_PASSWORD="hidden-one", **trusted)
    for refused, sentence in ((wrong, "refuses user and password"), (untrusted, "certificate"), (forbidden, "refuses")):
        assert (refused.returncode, sentence in refused.stderr) == (4, True), refused
        assert "hidden" not in refused.stderr


def test_a_cluster_that_refuses_or_does_not_answer(tmp_path: Path) -> None:
    """A user who is not known, and no broker, are one sentence each, which does not hold the password."""
    with tansu(tmp_path, "--authentication") as port:
        login = ("--user", "driftd", "--password", "env:KAFKA_PASSWORD")
        done = once(f"kafka://127.0.0.1:{port}", tmp_path / "log", *login, KAFKA_PASSWORD="hidden-one")
    assert (done.returncode, "the cluster refuses user and password" in done.stderr) == (4, True), done.stderr
    assert "hidden" not in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    done = once(f"kafka://127.0.0.1:{closed}", tmp_path / "log")
    assert (done.returncode, "the cluster cannot be read now" in done.stderr) == (4, True)
