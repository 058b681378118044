"""Objects of a store are read like local files: S3 by an emulator (moto) on the loopback, HTTP by a real server."""

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import deltalake
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import orc

from monitor.cli import main
from monitor.config.sections import SourceSection
from monitor.errors import ConfigError, SourceError
from monitor.outgoing import guard
from monitor.sources import Source, copies, open_source
from tests.retrain.conftest import Seen, Server, serving
from tests.sources import made_tables as lake

KEYS = {"access_key": {"env": "S3_KEY"}, "secret_key": {"env": "S3_SECRET"}}


@dataclass(frozen=True)
class Bucket:
    """A bucket of an emulated S3, with the same files in a local folder."""

    endpoint: str
    files: Any
    local: Path

    def put(self, name: str, data: bytes) -> None:
        (self.local / name).parent.mkdir(parents=True, exist_ok=True)
        (self.local / name).write_bytes(data)
        with self.files.open_output_stream(f"bucket/{name}", compression=None) as stream:
            stream.write(data)

    def put_folder(self, folder: str) -> None:
        for path in (path for path in (self.local / folder).rglob("*") if path.is_file()):
            self.put(str(path.relative_to(self.local)), path.read_bytes())

    def remove(self, name: str) -> None:
        (self.local / name).unlink()
        self.files.delete_file(f"bucket/{name}")

    def source(self, path: str, **storage: Any) -> Source:
        return source_of(f"s3://bucket/{path}", **({**KEYS, "endpoint": self.endpoint} | storage))


def source_of(path: str, **storage: Any) -> Source:
    return open_source(SourceSection.model_validate({"path": path, "storage": storage}), ZoneInfo("UTC"))


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("S3_KEY", "AKIAEXAMPLE")
    monkeypatch.setenv("S3_SECRET", "s3cr3t-of-the-store")
    monkeypatch.setenv("DRIFTD_COPIES", str(tmp_path / "state" / copies.FOLDER))
    files = pyarrow.fs.S3FileSystem(
        access_key="AKIAEXAMPLE", secret_key="s3cr3t-of-the-store", region="us-east-1", scheme="http",
        endpoint_override=emulator.removeprefix("http://"), allow_bucket_creation=True, allow_bucket_deletion=True,
    )
    files.create_dir("bucket")
    yield Bucket(emulator, files, tmp_path / "local")
    files.delete_dir("bucket")


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def stripes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    orc.write_table(table, sink)
    return bytes(sink.getvalue())


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return bytes(sink.getvalue())


def csv(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink)
    return bytes(sink.getvalue())


def test_the_same_files_give_the_same_rows(bucket: Bucket) -> None:
    """A folder, a pattern and a file of a bucket hold what the same paths on the disk hold, partitions included."""
    bucket.put("log/site=a/1.parquet", parquet(lake.rows()))
    bucket.put("log/site=b/2.parquet", parquet(lake.rows(6)))
    bucket.put("log/_unfinished/3.parquet", parquet(lake.rows(12)))
    bucket.put("log/site=b/4.parquet.tmp", b"half")
    bucket.put("log/notes.txt", b"nothing to read")
    bucket.put("stripes/site=a/1.orc", stripes(lake.rows()))
    bucket.put("streams/site=a/1.arrows", stream(lake.rows()))
    bucket.put("texts/a.csv.gz", gzip.compress(csv(lake.rows())))
    bucket.put("texts/b.csv", csv(lake.rows(6)))
    bucket.put("texts/c.jsonl", b'{"ts": "2024-01-01T00:00:00Z", "x": 1}\n')
    for path in ("log", "log/", "log/site=*/*.parquet", "log/**/*.parquet", "log/site=b/2.parquet", "texts/*.csv*",
                 "texts/c.jsonl", "stripes", "streams/**/*.arrows"):
        ours, theirs = bucket.source(path), source_of(str(bucket.local / path))
        assert ours.read(None).to_pydict() == theirs.read(None).to_pydict(), path
        assert ours.schema() == theirs.schema()
        assert ours.content_id() == theirs.content_id()
        assert ours.guesses() == theirs.guesses()
        assert ours.strays("ts").rows == theirs.strays("ts").rows
        seen = [(one.name, one.hash, one.bytes) for one in ours.contents("predictions", [])]
        on_disk = [(one.name, one.hash, one.bytes) for one in theirs.contents("predictions", [])]
        assert seen == [(name.replace(str(bucket.local), "s3://bucket"), *rest) for name, *rest in on_disk]
        scans = [source.scan("ts", None, None) for source in (ours, theirs)]
        values = [[part.to_pydict() for part in scan.parts(["x"])] for scan in scans if scan]
        assert len(values) in (0, 2)
        assert not values or values[0] == values[1]


def test_any_key_is_a_name(bucket: Bucket) -> None:
    """Also one with blanks, signs and letters of any script; a folder's own empty object is no file."""
    names = ["a b", "a+b", "a%20b", "a#b", "a?b", "a&b=c", "a'b\"c", "a\\b", "a:b", "dt=1/x", "ä", "日本"]
    for at, name in enumerate(names):
        bucket.put(f"log/{name}.csv", f"ts,x\n2024-01-01T00:00:00Z,{at}\n".encode())
    bucket.files.create_dir("bucket/log")            # an empty object "log/"
    assert sorted(bucket.source("log").read(["x"])["x"].to_pylist()) == list(range(len(names)))
    for at, name in enumerate(names):
        assert bucket.source(f"log/{name}.csv").read(["x"])["x"].to_pylist() == [at]


def test_each_object_is_copied_once(bucket: Bucket, tmp_path: Path) -> None:
    """Only what is new or written again is fetched, and what is gone is no longer there."""
    def inodes() -> dict[str, int]:
        found = (tmp_path / "state" / copies.FOLDER).rglob("*.parquet")
        return {path.name: path.stat().st_ino for path in found}

    bucket.put("log/a.parquet", parquet(lake.rows()))
    bucket.put("log/b.parquet", parquet(lake.rows(6)))
    source = bucket.source("log")
    mark, before = source.fingerprint(), inodes()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.rglob(f"{copies.FOLDER}/**/*.parquet")} == {0}
    assert (bucket.source("log").fingerprint(), inodes()) == (mark, before)
    bucket.put("log/b.parquet", parquet(lake.rows(6, count=9)))
    bucket.put("log/c.parquet", parquet(lake.rows(20)))
    assert source.fingerprint() != mark
    assert sorted(source.read(["x"])["x"].to_pylist()) == [*range(15), *range(20, 26)]
    after = inodes()
    assert after["a.parquet"] == before["a.parquet"]
    assert after["b.parquet"] != before["b.parquet"]
    bucket.remove("log/a.parquet")
    assert bucket.source("log").read(["x"])["x"].to_pylist() == [*range(6, 15), *range(20, 26)]
    assert set(inodes()) == {"b.parquet", "c.parquet"}


def test_tables_of_a_lake(bucket: Bucket, tmp_path: Path) -> None:
    """Delta and Iceberg tables in a bucket have the rows that their libraries read; files that count are copied."""
    for rows in (lake.rows(), lake.rows(6)):
        deltalake.write_deltalake(str(bucket.local / "delta"), rows, mode="append", partition_by=["country"])
    deltalake.DeltaTable(str(bucket.local / "delta")).delete("x = 3")
    bucket.put_folder("delta")
    table = lake.iceberg_table(bucket.local, lake.rows().schema)
    table.append(lake.rows())
    table.delete("x = 3")
    bucket.put_folder("lake")
    theirs = {"delta": deltalake.DeltaTable(str(bucket.local / "delta")).to_pyarrow_table(), "lake/t":
              table.scan().to_arrow()}
    for path, expected in theirs.items():
        found = bucket.source(path).read(None)
        ours = found.select(expected.column_names).to_pylist()
        assert sorted(map(repr, ours)) == sorted(map(repr, expected.to_pylist()))
    copied = list((tmp_path / "state" / copies.FOLDER).rglob("*.parquet"))
    assert 0 < len(copied) < len(list(bucket.local.rglob("*.parquet")))


def test_what_cannot_be_read_is_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence names the object by its address, never a copy, and no key."""
    bucket.put("log/bad.parquet", b"PAR1 but not really PAR1")
    bucket.put("big/a.csv", bytes(3 << 20))
    for name in (f"long/{'n' * 260}.csv", "both/a.csv", "both/a.csv/b.csv"):
        with bucket.files.open_output_stream(f"bucket/{name}") as stream:
            stream.write(b"x\n1\n")
    cases = {
        "none": (bucket.source("none"), "s3://bucket/none: there is no such object"),
        "bad": (bucket.source("log"), "s3://bucket/log/bad.parquet: is not a complete Parquet file"),
        "big": (bucket.source("big", space_mb=1), "more than storage.space_mb"),
        "long": (bucket.source("long"), "n.csv: cannot be copied (File name too long), expected a shorter name"),
        "both": (bucket.source("both"), "cannot be copied ("),
    }
    for source, sentence in cases.values():
        with pytest.raises(SourceError) as raised:
            source.read(None)
        assert sentence in str(raised.value)
        assert copies.FOLDER not in str(raised.value)
    monkeypatch.delenv("S3_SECRET")
    with pytest.raises(ConfigError, match="S3_SECRET is not set"):
        bucket.source("log").schema()


@pytest.mark.parametrize(("path", "storage"), [
    ("s3://bucket/log", {"endpoint": "http://169.254.169.254"}),
    ("gs://bucket/log", {"endpoint": "http://[fd00:ec2::254]:80", "anonymous": True}),
    ("abfs://c@account.dfs.core.windows.net/log", {"endpoint": "http://0.0.0.0:1"}),
    ("http://169.254.169.254/latest", {}),
])
def test_addresses_that_are_never_called(path: str, storage: dict[str, Any]) -> None:
    """Nothing is contacted at an address that driftd never calls."""
    with pytest.raises(SourceError, match="which driftd never calls"):
        source_of(path, **storage).schema()


def test_inner_addresses_need_to_be_allowed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store on an inner address is read only where daemon.allow_inner has it."""
    bucket.put("log/a.parquet", parquet(lake.rows()))
    monkeypatch.setattr(guard, "_inner", ())
    with pytest.raises(SourceError, match=r"an inner address that is not in daemon\.allow_inner"):
        bucket.source("log").schema()
    guard.allow_inner(["127.0.0.0/8"])
    assert bucket.source("log").read(None).num_rows == 6


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("DRIFTD_COPIES", str(tmp_path / "copies"))
    monkeypatch.setenv("WEB_TOKEN", "t0ken-of-the-web")
    with serving() as server:
        yield server


def test_a_file_on_a_web_server(web: Server) -> None:
    """It is fetched once for each state that the server tells, with the token; without one, at each look."""
    state = {"tag": '"1"', "body": csv(lake.rows())}

    def reply(seen: Seen) -> Any:
        if seen.method == "HEAD" and state["tag"] is None:
            return 405, {}, b""
        return 200, {"ETag": state["tag"]} if state["tag"] else {}, state["body"]

    web.reply = reply
    source = source_of(f"{web.url}/log.csv", token={"env": "WEB_TOKEN"})
    assert source.read(["x"])["x"].to_pylist() == list(range(6))
    assert source_of(f"{web.url}/log.csv", token={"env": "WEB_TOKEN"}).read(None).num_rows == 6
    assert [seen.method for seen in web.seen] == ["HEAD", "GET", "HEAD"]
    assert {seen.headers["authorization"] for seen in web.seen} == {"Bearer t0ken-of-the-web"}
    state |= {"tag": '"2"', "body": csv(lake.rows(6))}
    assert source.fingerprint()
    assert source.read(["x"])["x"].to_pylist() == list(range(6, 12))
    state |= {"tag": None, "body": csv(lake.rows(12))}
    assert source.fingerprint()
    assert source.read(["x"])["x"].to_pylist() == list(range(12, 18))


@pytest.mark.parametrize(("answer", "sentence"), [
    ((404, {}, b""), "the server answers 404, expected a file"),
    ((302, {"Location": "http://elsewhere/"}, b""), "answers 302 with another address, which is not followed"),
    (b"HTTP/1.1 200 X\r\nContent-Length: 50\r\nETag: 1\r\n\r\nx,y\n", "the connection was lost"),
])
def test_a_web_server_that_does_not_give_the_file(web: Server, answer: Any, sentence: str) -> None:
    """What it answers instead is said; half a file is no file."""
    web.reply = lambda seen: answer
    with pytest.raises(SourceError, match=sentence):
        source_of(f"{web.url}/log.csv").read(None)


@pytest.mark.parametrize("head", [
    {}, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, {"Last-Modified": "x"},
])
def test_an_endless_body_fills_no_disk(web: Server, head: dict[str, str]) -> None:
    """A body of unknown length is read to `space_mb` and no further; what was read of it is removed."""
    chunk = b"40000\r\n%s\r\n" % (b"x" * 0x40000)
    endless = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 40
    web.reply = lambda seen: (405, {}, b"") if seen.method == "HEAD" and not head else (
        (200, head | {"Content-Length": "9" * 30}, b"") if seen.method == "HEAD" else endless)
    with pytest.raises(SourceError, match=r"is longer than storage\.space_mb \(1\)"):
        source_of(f"{web.url}/log.csv", space_mb=1).read(None)
    assert not list(copies.folder_of("objects").rglob("*.tmp"))


def test_init_of_a_bucket(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`driftd init s3://…` writes the address; the store and its keys are those of the environment."""
    for name, value in {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_REGION": "x",
                        "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-the-store"}.items():
        monkeypatch.setenv(name, value)
    rows = lake.rows(count=400)
    answers = {"prediction": [x % 2 for x in range(400)], "label": [x % 2 for x in range(400)]}
    log = pa.table({"timestamp": rows["ts"], "x": rows["x"], **answers})
    bucket.put("capture/a.parquet", parquet(log))
    code = main(["init", "s3://bucket/capture/", "-o", str(tmp_path / "driftd.toml")])
    said = capsys.readouterr()
    assert code == 0, said
    written = (tmp_path / "driftd.toml").read_text()
    assert 'predictions = "s3://bucket/capture/"' in written
    assert "[models.capture]" in written
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said.out + said.err + written
