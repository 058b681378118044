"""What every kind of pipeline makes of every answer of a real server; and that no request runs twice."""

import json
import socket
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.errors import ConfigError
from monitor.records import DispatchState
from monitor.retrain.outbox import Outbox
from tests.retrain.delivering import pipeline
from tests.retrain.kinds import KINDS, Side

pytestmark = pytest.mark.usefixtures("places")

PENDING, AMBIGUOUS, ABANDONED = "pending", "ambiguous", "abandoned"
ANSWERS = {      # what the request for a run is answered with: what becomes of the request
    "408": ((408, {}, b""), AMBIGUOUS),
    "500": ((500, {}, b"oops"), AMBIGUOUS),
    "502": ((502, {}, b""), AMBIGUOUS),
    "503": ((503, {}, b""), AMBIGUOUS),
    "504": ((504, {}, b""), AMBIGUOUS),
    "599": ((599, {}, b""), AMBIGUOUS),
    "hangs up": (None, AMBIGUOUS),
    "no HTTP": (b"garbage\r\n\r\n", AMBIGUOUS),
    "503, come back": ((503, {"Retry-After": "120"}, b""), PENDING),
    "429": ((429, {}, b""), PENDING),
    "429, come back": ((429, {"Retry-After": "120"}, b""), PENDING),
    "425": ((425, {}, b""), PENDING),
    "403, rate limit": ((403, {}, {"message": "API rate limit exceeded"}), PENDING),
    "a login page": ((200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Sign in</title>"), PENDING),
    "301": ((301, {"Location": "/elsewhere"}, b""), PENDING),
    "302": ((302, {"Location": "/elsewhere"}, b""), PENDING),
    "307": ((307, {"Location": "/elsewhere"}, b""), PENDING),
    "308": ((308, {"Location": "/elsewhere"}, b""), PENDING),
    "400": ((400, {}, {"message": "no"}), ABANDONED),
    "401": ((401, {}, b""), PENDING),
    "402": ((402, {}, b""), PENDING),
    "403": ((403, {}, b""), PENDING),
    "404": ((404, {}, b""), PENDING),
    "407": ((407, {}, b""), PENDING),
    "410": ((410, {}, b""), ABANDONED),
    "413": ((413, {}, b""), ABANDONED),
    "422": ((422, {}, {"message": "no"}), ABANDONED),
    "423": ((423, {}, b""), PENDING),
}
ASKED = [name for name in KINDS if name not in ("webhook", "github event")]      # that can be asked for a run
FINDABLE = [name for name, kind in KINDS.items() if kind.key == "findable"]
NATIVE = [name for name, kind in KINDS.items() if kind.key == "native"]


def secret_of(name: str) -> str:
    return "whsec_" + "c2VjcmV0" * 6 if name == "webhook" else "t0ken"


def opened(name: str, url: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Any:
    """The pipeline of a kind that goes to this address."""
    monkeypatch.setenv("TOKEN", secret_of(name))
    return pipeline(name, url, **more)


def answering(name: str, side: Side, answer: Any, *, taken: bool = False) -> Any:
    """All is well but for the request for a run, which is answered so; `taken`: after it made one."""
    def reply(seen: Any) -> Any:
        if not KINDS[name].is_start(seen):
            return side(seen)
        if taken:
            side(seen)
        return answer

    return reply


@pytest.mark.parametrize("name", KINDS)
def test_a_request_starts_one_run_that_is_told_who_asks(server, dispatch, monkeypatch, name) -> None:
    """Accepted in one go; the run gets our id and the evidence."""
    server.reply = side = Side(name)
    pipeline = opened(name, server.url, monkeypatch)
    answer = pipeline.submit(dispatch)
    assert (answer.state, side.starts) == (KINDS[name].accepted, 1), answer.reason
    assert pipeline.key() == KINDS[name].key
    started = next(seen for seen in server.seen if KINDS[name].is_start(seen))
    if name != "webhook":
        told = KINDS[name].told(started)
        assert told["driftd_id"] == dispatch.id
        assert json.loads(told["driftd_evidence"])["model"] == "m"


@pytest.mark.parametrize("name", KINDS)
def test_every_answer_means_one_thing(server, dispatch, monkeypatch, name) -> None:
    """Wait and send again, unclear, or rejected; redirects are never followed and no secret is told."""
    for answer, (given, expected) in ANSWERS.items():
        server.seen.clear()
        server.reply = answering(name, Side(name), given)
        found = opened(name, server.url, monkeypatch).submit(dispatch)
        assert (answer, found.state) == (answer, expected), found.reason
        assert secret_of(name) not in str(found)
        assert all("elsewhere" not in seen.path for seen in server.seen)
        assert sum(map(KINDS[name].is_start, server.seen)) <= 2      # a credential is renewed, an older API tried
        if "come back" in answer:
            assert found.retry_after == timedelta(seconds=120)


@pytest.mark.parametrize("name", ASKED)
def test_a_success_without_a_run_is_unclear(server, dispatch, monkeypatch, name) -> None:
    """It may have been accepted; where the queue item is all there is, the run is found by our id."""
    good = {"jenkins": 201, "prefect": 201, "gitlab": 201, "kubernetes": 201, "azureml": 201}.get(name, 200)
    server.reply = answering(name, Side(name), (good, {}, b"taken"))
    found = opened(name, server.url, monkeypatch).submit(dispatch)
    assert (found.state, found.handle) == ("queued" if name == "jenkins" else AMBIGUOUS, None)


@pytest.mark.parametrize("name", KINDS)
def test_no_answer_in_time_is_unclear(server, dispatch, monkeypatch, name) -> None:
    """The server takes the request and says nothing until the time is over."""
    def slow(seen: Any) -> Any:
        if KINDS[name].is_start(seen):
            server.stop.wait(5)
            return None
        return side(seen)

    side = Side(name)
    server.reply = slow
    assert opened(name, server.url, monkeypatch, timeout=timedelta(seconds=0.2)).submit(dispatch).state == AMBIGUOUS
    server.stop.set()


@pytest.mark.parametrize("name", KINDS)
def test_what_surely_was_not_sent_is_sent_again(dispatch, monkeypatch, name) -> None:
    """Nobody listens there: nothing has left, also where something is asked for first."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    found = opened(name, url, monkeypatch).submit(dispatch)
    assert found.state == PENDING, found.reason


@pytest.mark.parametrize("name", ASKED)
def test_a_run_is_followed_to_its_end(server, dispatch, monkeypatch, name) -> None:
    """Each word of the other side means one state; one that nobody knows is unknown, never failed."""
    server.reply = side = Side(name)
    pipeline = opened(name, server.url, monkeypatch)
    answer = pipeline.submit(dispatch)
    odd = {"kubernetes": "queued", "github": "queued"}.get(name, "unknown")    # conditions; a status before its end
    for side.word, expected in (*KINDS[name].words.items(), ("surprise", odd)):
        running = replace(dispatch, state=answer.state, handle=answer.handle)
        for _ in range(2):           # a queue item first, then its build
            told = pipeline.follow(running)
            running = replace(running, state=told.state, handle=told.handle or running.handle)
        assert (side.word, running.state) == (side.word, expected)


@pytest.mark.parametrize("name", ASKED)
def test_trouble_in_asking_is_no_failed_run(server, dispatch, monkeypatch, name) -> None:
    """The state stays as it was."""
    server.reply = side = Side(name)
    pipeline = opened(name, server.url, monkeypatch)
    answer = pipeline.submit(dispatch)
    running = replace(dispatch, state=DispatchState.RUNNING, handle=answer.handle)
    for trouble in ((500, {}, b""), (200, {}, b"<html>"), (200, {}, []), None, b"garbage"):
        server.reply = lambda seen, trouble=trouble: side(seen) if "token" in seen.path else trouble
        assert pipeline.follow(running).state == DispatchState.RUNNING


LOGIN = (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Sign in</title><form>")


@pytest.mark.parametrize("name", ASKED)
def test_a_login_page_is_not_the_api(server, dispatch, monkeypatch, name) -> None:
    """With 200 everywhere: a look beforehand says so, a request waits, and a run is not believed to have ended."""
    pipeline = opened(name, server.url, monkeypatch)
    server.reply = lambda seen: LOGIN
    problems = pipeline.check()
    waiting = pipeline.submit(dispatch)
    running = pipeline.follow(replace(dispatch, state=DispatchState.RUNNING, handle="1"))
    assert (len(problems), waiting.state, running.state) == (1, PENDING, DispatchState.RUNNING)
    if name not in ("airflow", "azureml"):       # what gives them a token is behind the same login
        assert 'a page for people "Sign in"' in problems[0]
        assert 'a page for people "Sign in"' in waiting.reason


@pytest.mark.parametrize("answer", [
    (401, {}, {"message": "Bad credentials"}), (403, {}, b""), (404, {}, {"message": "Not Found"}), (429, {}, b""),
    (302, {"Location": "/login"}, b""), (307, {"Location": "/login"}, b""), LOGIN, (503, {"Retry-After": "5"}, b""),
], ids=["401", "403", "404", "429", "302", "307", "login", "503"])
@pytest.mark.parametrize("name", KINDS)
def test_a_refusal_that_passes_costs_nothing(server, store, clock, kit, monkeypatch, name, answer) -> None:
    """Refused twice, people are told; then the same id is taken, and there is one run."""
    side = Side(name)
    server.reply = answering(name, side, answer)
    made = kit.request_in(store)
    outbox = Outbox(store, {"p": opened(name, server.url, monkeypatch)}, clock)
    for told in (0, 1):
        outbox.send_due()
        waiting = store.requests.get(made.id)
        assert (waiting.state, waiting.unclear, len(store.messages.all())) == (PENDING, 0, told)
        clock.now = waiting.next_try_at
    server.reply = side
    outbox.send_due()
    assert (store.requests.get(made.id).state, side.starts) == (KINDS[name].accepted, 1)


@pytest.mark.parametrize("name", KINDS)
def test_the_other_sides_reason_is_quoted(server, dispatch, monkeypatch, name) -> None:
    """What it says of a request that it rejects is told, without the credential it repeats."""
    def refuse(seen: Any) -> Any:
        echoed = " ".join(seen.headers.get(header, "") for header in KINDS[name].secret_headers)
        return 422, {}, {"message": f"No ref found for: main {echoed}"}

    server.reply = lambda seen: refuse(seen) if KINDS[name].is_start(seen) else Side(name)(seen)
    answer = opened(name, server.url, monkeypatch).submit(dispatch)
    assert answer.state == ABANDONED
    assert 'rejects the request (422): "No ref found for: main' in answer.reason
    assert secret_of(name) not in answer.reason


@pytest.mark.parametrize("trouble", [(500, {}, b""), None, b"garbage"])
@pytest.mark.parametrize("name", [*NATIVE, *FINDABLE])
def test_an_unclear_answer_never_makes_a_second_run(server, store, clock, kit, monkeypatch, name, trouble) -> None:
    """Where the pipeline knows ids the same goes again; where it can be searched its run is found."""
    side = Side(name)
    server.reply = answering(name, side, trouble, taken=True)
    made = kit.request_in(store)
    outbox = Outbox(store, {"p": opened(name, server.url, monkeypatch)}, clock)
    outbox.send_due()
    assert store.requests.get(made.id).state == AMBIGUOUS
    server.reply = side
    clock.forward(timedelta(minutes=1))
    outbox.send_due()
    assert (store.requests.get(made.id).state, side.starts) == (KINDS[name].accepted, 1)


def test_where_nobody_can_tell_the_request_is_held(server, store, clock, kit, monkeypatch) -> None:
    """An event of GitHub's cannot be looked for: nothing is sent again, and a person is asked."""
    side = Side("github event")
    server.reply = answering("github event", side, (500, {}, b""), taken=True)
    made = kit.request_in(store)
    outbox = Outbox(store, {"p": opened("github event", server.url, monkeypatch)}, clock)
    outbox.send_due()
    clock.forward(timedelta(days=3))
    outbox.send_due()
    held = store.requests.get(made.id)
    assert (held.state, held.next_try_at, side.starts) == (AMBIGUOUS, None, 1)
    assert f"driftd resolve {made.id}" in held.reason


@pytest.mark.parametrize("name", FINDABLE)
def test_a_listing_that_lags_is_waited_for(server, store, clock, kit, monkeypatch, name) -> None:
    """Within the grace period the run may not be shown yet; the request is not sent again."""
    side = Side(name, hidden=True)
    server.reply = answering(name, side, None, taken=True)
    made = kit.request_in(store)
    outbox = Outbox(store, {"p": opened(name, server.url, monkeypatch)}, clock)
    outbox.send_due()
    server.reply = side
    for hidden in (True, True, False):
        side.hidden = hidden
        clock.forward(timedelta(minutes=1))
        outbox.send_due()
    assert (store.requests.get(made.id).state, side.starts) == (KINDS[name].accepted, 1)


@pytest.mark.parametrize("name", KINDS)
def test_a_look_beforehand_starts_nothing(server, monkeypatch, name) -> None:
    """All is well: no problem, and no run."""
    server.reply = side = Side(name)
    assert opened(name, server.url, monkeypatch).check() == []
    assert side.starts == 0


@pytest.mark.parametrize("answer", [(404, {}, b""), (401, {}, b""), (500, {}, b"<html>"), None])
@pytest.mark.parametrize("name", [name for name in ASKED if name != "github"])
def test_a_look_beforehand_tells_what_is_wrong(server, monkeypatch, name, answer) -> None:
    """One sentence, without the secret, whatever comes back."""
    server.reply = lambda seen: Side(name)(seen) if "token" in seen.path else answer
    problems = opened(name, server.url, monkeypatch).check()
    assert len(problems) == 1
    assert secret_of(name) not in problems[0]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "sagemaker"])
def test_a_secret_that_cannot_be_read_is_named(server, dispatch, monkeypatch, name) -> None:
    """Nothing is sent without it."""
    server.reply = side = Side(name)
    pipeline = opened(name, server.url, monkeypatch)
    monkeypatch.delenv("TOKEN")
    with pytest.raises(ConfigError, match="TOKEN"):
        pipeline.submit(dispatch)
    assert side.starts == 0
    assert "TOKEN" in pipeline.check()[0]
