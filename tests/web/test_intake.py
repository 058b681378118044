"""Events that serving platforms post: kept once acknowledged, whole lines whatever happens, read as a capture."""

import json
import os
import threading
from base64 import b64encode
from pathlib import Path
from zoneinfo import ZoneInfo

import cloudevents.conversion
import pytest
from cloudevents.http import CloudEvent

from monitor.config.sections import SourceSection
from monitor.sources import open_source
from monitor.web import intake
from tests.web.conftest import ACT_TOKEN, CAPTURE_TOKEN, READ_TOKEN, TOKENS, Answer, Serve, Site

KIND = "org.kubeflow.serving.inference"
ODD_EVENT = {"specversion": "1.0", "id": "1", "type": f"{KIND}.request", "source": "/x"}


@pytest.fixture
def site(serve: Serve) -> Site:
    return serve('captures = "captured"\n' + TOKENS)


def event(kind: str, id: str, body: object, at: str | None = "2026-01-01T00:00:00+00:00") -> CloudEvent:
    given = {"type": f"{KIND}.{kind}", "source": "http://iris", "id": id}
    return CloudEvent(given | ({"time": at} if at else {}) | {"datacontenttype": "application/json"}, body)


def post(site: Site, headers: dict[str, str], body: bytes, name: str = "iris", token: str = CAPTURE_TOKEN) -> Answer:
    return site.ask(f"/v1/captures/{name}", "POST", body=body, Authorization=f"Bearer {token}", **headers)


def kept(site: Site, name: str = "iris") -> list[str]:
    return [line for file in sorted((site.folder / "captured" / name).glob("*.jsonl"))
            for line in file.read_text().splitlines()]


def test_requests_and_answers_of_kserve_become_rows(site: Site) -> None:
    """In each form of the binding, as its own library writes them; what has no time came when it was posted."""
    forms = {"binary": cloudevents.conversion.to_binary, "structured": cloudevents.conversion.to_structured}
    for number, form in enumerate(forms.values()):
        for kind, body in (("request", {"instances": [{"x": number}]}), ("response", {"predictions": [number]})):
            assert post(site, *form(event(kind, f"r-{number}", body))).status == 202
    batch = [json.loads(cloudevents.conversion.to_json(event(*one, at=None))) for one in (
        ("request", "r-2", {"instances": [{"x": 2}]}), ("response", "r-2", {"predictions": [2]}))]
    assert post(site, {"Content-Type": "application/cloudevents-batch+json"}, json.dumps(batch).encode()).status == 202
    place = SourceSection(path=str(site.folder / "captured/iris"))
    rows = open_source(place, ZoneInfo("UTC")).read(None, timestamp="timestamp").sort_by("id").to_pylist()
    assert [(row["id"], row["x"], row["prediction"]) for row in rows] == [(f"r-{n}", n, n) for n in range(3)]
    assert [row["timestamp"].year == 2026 and row["timestamp"].month == 1 for row in rows] == [True, True, False]


def test_bodies_that_are_no_json(site: Site) -> None:
    """Text is kept as text, bytes in Base64: the same bytes either way."""
    head = {"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Type": f"{KIND}.request", "Ce-Source": "/x"}
    for kind, body in (("text/csv", b"1,2\n"), ("application/octet-stream", b"\xff\0"), ("application/json", b"{")):
        assert post(site, head | {"Content-Type": kind}, body).status == 202
    told = [json.loads(line) for line in kept(site)]
    assert [one.get("data", one.get("data_base64")) for one in told] == [
        "1,2\n", b64encode(b"\xff\0").decode(), b64encode(b"{").decode()]


@pytest.mark.parametrize(("headers", "body"), [
    ({}, b"{}"), ({"Content-Type": "application/cloudevents+json"}, b"{}"),
    ({"Content-Type": "application/cloudevents+json"}, b'{"specversion": "1.0", "id": "1", "type": "x"'),
    ({"Content-Type": "application/cloudevents+json"}, b"[" * 5000),
    ({"Content-Type": "application/cloudevents-batch+json"}, b'[{"specversion": "1.0"}, 7]'),
    ({"Content-Type": "application/cloudevents+json"},
     b'{"specversion": "1.0", "id": "1", "type": "x", "source": "y", "data": NaN}'),
    ({"Ce-Id": "1"}, b"{}"),
    ({"Content-Type": "application/cloudevents-batch+json"}, b"[]"),
    *(({"Content-Type": "application/cloudevents+json"}, json.dumps(ODD_EVENT | odd).encode()) for odd in (
        {"time": {"a": 1}}, {"time": [1]}, {"time": True}, {"time": 1767225600}, {"time": None}, {"time": ""},
        {"time": "yesterday"}, {"time": "99999-01-01T00:00:00Z"}, {"time": "2026-02-30T00:00:00Z"},
        {"time": "2026-01-01T00:00:60Z"}, {"time": "2026-01-01"}, {"time": "2026-01-01T00:00:00Z\n"},
        {"time": "٢٠٢٦-01-01T00:00:00Z"}, {"type": 7}, {"type": ["x"]}, {"id": {"a": 1}}, {"source": 1.5})),
    ({f"Ce-{name}": text for name, text in ODD_EVENT.items()} | {"Ce-Time": "soon"}, b"{}"),
])
def test_what_is_no_event_is_refused_in_a_sentence(site: Site, headers: dict[str, str], body: bytes) -> None:
    """Nothing of it is kept."""
    answer = post(site, headers, body)
    assert (answer.status, answer.body.count(b"\n"), b"no CloudEvent" in answer.body) == (400, 1, True)
    assert kept(site) == []


@pytest.mark.parametrize("name", ["..", ".hidden", "a%2Fb", "%2e%2e", "a" * 101, "a b", "é"])
def test_names_lead_nowhere_else(site: Site, name: str) -> None:
    """A name is that of a folder below the one that is configured."""
    path = f"/v1/captures/{name}".encode("ascii", "ignore").decode().replace(" ", "%20")
    status = site.ask(path, "POST", body=b"{}", Authorization=f"Bearer {CAPTURE_TOKEN}").status
    assert status in (404, 405)
    assert not (site.folder / "captured").exists()


def test_only_who_may(site: Site, serve: Serve) -> None:
    """Other scopes and nobody at all get no byte; without a folder nothing is there."""
    message = cloudevents.conversion.to_structured(event("request", "1", {}))
    assert [post(site, *message, token=token).status for token in (READ_TOKEN, ACT_TOKEN, "x" * 32)] == [403, 403, 401]
    assert kept(site) == []
    assert post(serve(TOKENS), *message).status == 404
    assert post(serve('captures = "captured"'), *message).status == 403      # without credentials configured


def test_a_line_cut_by_a_crash_harms_no_other(site: Site) -> None:
    """What follows a line without its end begins a line of its own."""
    message = cloudevents.conversion.to_structured(event("request", "1", {}))
    post(site, *message)
    [file] = (site.folder / "captured/iris").glob("*.jsonl")
    whole = file.read_text()
    file.write_text(whole + whole[:20])
    assert post(site, *message).status == 202
    assert kept(site) == [whole.strip(), whole[:20], whole.strip()]


def test_a_full_disk_takes_nothing_and_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is taken back; once there is room the same event is kept, once."""
    message = cloudevents.conversion.to_structured(event("request", "1", {}))

    def full(file: int, data: bytes) -> None:
        os.write(file, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(intake, "_write", full)
        assert post(site, *message).status == 503
    assert (kept(site), site.refused("capture")) == ([], 1)
    assert post(site, *message).status == 202
    assert len(kept(site)) == 1


def test_a_pipe_in_place_of_the_file_hangs_nobody(site: Site) -> None:
    """It is refused at once."""
    message = cloudevents.conversion.to_structured(event("request", "1", {}))
    post(site, *message)
    [file] = (site.folder / "captured/iris").glob("*.jsonl")
    file.unlink()
    os.mkfifo(file)
    assert post(site, *message).status == 503


def test_many_at_once_are_each_kept_once(site: Site) -> None:
    """Lines never run into each other."""
    def send(first: int) -> None:
        for number in range(first, first + 10):
            post(site, *cloudevents.conversion.to_structured(event("request", str(number), {"x": "y" * 5000})))

    threads = [threading.Thread(target=send, args=(10 * place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(json.loads(line)["id"]) for line in kept(site)) == list(range(60))


def test_too_long_is_said(site: Site) -> None:
    """An event has a limit of its own."""
    body = b"x" * (intake.EVENT_LIMIT + 1)
    assert post(site, {"Content-Type": "application/cloudevents+json"}, body).status == 413
    assert not Path(site.folder / "captured").exists()
