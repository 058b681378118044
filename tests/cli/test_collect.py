"""`driftd collect` of a topic, from the cluster that librdkafka, the client's library, plays: no broker of Kafka's."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

confluent_kafka = pytest.importorskip("confluent_kafka")

PARTITIONS = 4


PLAYED = {"test.mock.num.brokers": 2}            # in this process, as long as its producer lives


class Cluster:
    """A topic `rides` of four partitions, and the address of its cluster."""

    def __init__(self, **settings: Any) -> None:
        self.producer = confluent_kafka.Producer({**(settings or PLAYED), "log_level": 0})
        brokers = self.producer.list_topics(timeout=30).brokers.values()
        self.address = "kafka://" + ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def send(self, *values: bytes | None, partition: int | None = None) -> None:
        for number, value in enumerate(values):
            place = number % PARTITIONS if partition is None else partition
            self.producer.produce("rides", value, partition=place)
        assert self.producer.flush(30) == 0

    def rows(self, *numbers: int) -> None:
        self.send(*(json.dumps({"n": number}).encode() for number in numbers))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def kept(folder: Path) -> list[int]:
    files = sorted(folder.glob("*/rides-*.jsonl"))
    return sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())


def test_each_row_of_all_partitions_is_kept_once(cluster: Cluster, driftd: Any, tmp_path: Path) -> None:
    """A second run goes on where the folder ends; what is no row is kept apart."""
    cluster.rows(*range(400))
    cluster.send(None, b"[1]", b"\xff")
    command = ("collect", cluster.address, "--topic", "rides", "--folder", "log", "--once")
    first = driftd(*command, "--json")
    assert first.code == 0, first
    assert (first.json["rows"], first.json["unusable"], first.json["files"]) == (400, 3, 1)
    cluster.rows(*range(400, 500))
    assert driftd(*command).out == "log: 100 rows of rides in 1 files, 0 messages that are none\n"
    assert kept(tmp_path / "log") == list(range(500))
    (apart,) = (tmp_path / "log").glob("*/_rides-*.jsonl")
    reasons = [json.loads(line)["reason"] for line in apart.read_text().splitlines()]
    assert sorted(reasons) == ["has no value", "is not UTF-8", "is not a JSON object"]


def test_messages_that_had_gone_are_counted(cluster: Cluster, driftd: Any, tmp_path: Path) -> None:
    """The mock cluster keeps 5 MB of a partition: what it let go meanwhile is said, with the offsets."""
    command = ("collect", cluster.address, "--topic", "rides", "--folder", "log", "--once", "--json")
    cluster.send(b'{"n": 0}', partition=0)
    assert driftd(*command).code == 0
    large = json.dumps({"n": 1, "text": "x" * 500_000}).encode()
    for _ in range(20):
        cluster.send(large, partition=0)
    (gap,) = driftd(*command).json["gaps"]
    last, lost = len(kept(tmp_path / "log")), 21 - len(kept(tmp_path / "log"))
    assert 0 < last < 20
    assert f" {lost} messages of partition 0, offsets 1 to {lost}, had gone before they were read" in gap


def test_another_topic_of_the_same_name_is_refused(driftd: Any, tmp_path: Path) -> None:
    """Where it ends before the folder does, nothing is read."""
    for size, code in ((40, 0), (8, 4)):
        cluster = Cluster()
        cluster.rows(*range(size))
        done = driftd("collect", cluster.address, "--topic", "rides", "--folder", "log", "--once")
        assert done.code == code
    assert "it is another topic; collect it into another folder" in done.err
    assert kept(tmp_path / "log") == list(range(40))


def test_what_cannot_be_reached_is_one_sentence(cluster: Cluster, driftd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No topic, no server, an address that is never called, a password that is written or not there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    monkeypatch.delenv("NOT_SET", raising=False)
    cases: list[tuple[int, str, list[str]]] = [
        (4, "there is no such topic, expected one to read", [cluster.address]),
        (4, "the server cannot be reached", [f"redis://127.0.0.1:{closed}"]),
        (4, "leads to a cloud's metadata service, which driftd never calls", ["kafka://169.254.169.254:9092"]),
        (2, "the address holds a password", ["kafka://ann:hidden@127.0.0.1:9092"]),
        (2, "is no host of an address, expected HOST:PORT", ["kafka://127.0.0.1:99999"]),
        (2, "has a path", ["kafka://127.0.0.1/rides"]),
        (2, "expected redis://host:6379/0", ["redis://127.0.0.1/rides"]),
        (2, "the address is none of a stream, expected one such as redis://", ["kafkas://127.0.0.1"]),
        (2, "a password is never written on a command line", ["kafka://127.0.0.1", "--password", "hidden"]),
        (2, "the environment variable NOT_SET is not set", ["kafka://127.0.0.1", "--password", "env:NOT_SET"]),
    ]
    for code, sentence, words in cases:
        done = driftd("collect", *words, "--topic", "absent", "--folder", "log", "--once")
        assert (done.code, sentence in done.err, "hidden" in done.err) == (code, True, False), (words, done)


def test_without_its_client_the_extra_is_named(driftd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the command that installs it."""
    for kind, package in (("kafka", "confluent_kafka"), ("redis", "redis")):
        monkeypatch.setitem(sys.modules, package, None)
        done = driftd("collect", f"{kind}://127.0.0.1", "--topic", "t", "--folder", "log")
        assert (done.code, done.err) == (2, f'{kind}:// needs the extra: pip install "driftd[{kind}]"\n')
