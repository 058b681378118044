"""What pipelines answer when they are broken or mean harm: nothing is raised, and what is kept can be kept."""

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.http import Reply
from monitor.records import Dispatch, DispatchState
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import LONGEST, Answer
from monitor.retrain.pipelines.answers import waiting_time
from monitor.store import Store
from tests.retrain.conftest import request_in
from tests.retrain.kinds import KINDS, Side
from tests.retrain.test_answers import opened

pytestmark = pytest.mark.usefixtures("places")

LINKS = ("html_url", "web_url", "url", "run_page_url")
ABSURD = (1e999, {"a": [1]}, 10**30, [[]], "\x1b[31m\u202e" + "x" * 60_000, True, -1)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from _leaves(one, (*path, key))


def _with(value: Any, path: tuple[Any, ...], leaf: Any) -> Any:
    made = at = copy.deepcopy(value)
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = leaf
    return made


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("webhook", "github event")])
def test_no_value_of_an_answer_does_harm(server: Any, dispatch: Dispatch, monkeypatch: Any, name: str) -> None:
    """Each value of each answer is absurd in turn: a state comes of it, and text that can be stored and shown."""
    side, known = Side(name), dict[tuple[str, str], Any]()

    def remembered(seen: Any) -> Any:
        status, headers, body = side(seen)
        body = dict.fromkeys(LINKS, "https://x") | body if isinstance(body, dict) else body
        known[seen.method, seen.path.split("?")[0]] = (status, headers, body)
        return status, headers, body

    server.reply = remembered
    pipeline = opened(name, server.url, monkeypatch)
    taken = pipeline.submit(dispatch)
    sent = replace(dispatch, state=taken.state, handle=taken.handle)
    pipeline.find(sent), pipeline.follow(sent)
    absurd = itertools.cycle(ABSURD)
    for asked, (status, headers, body) in known.copy().items():
        for path, value in zip(_leaves(body), absurd, strict=False):
            changed = (status, headers, json.dumps(_with(body, path, value)).encode())
            good = {key: answer for key, answer in known.items() if key != asked}
            server.reply = lambda seen, a=asked, g=good, c=changed: (
                c if (at := (seen.method, seen.path.split("?")[0])) == a else g.get(at) or side(seen))
            pipeline = opened(name, server.url, monkeypatch)
            for answer in (pipeline.submit(dispatch), pipeline.find(sent), pipeline.follow(sent)):
                assert answer is None or _can_be_kept(answer), (asked, path, value)
        assert isinstance(pipeline.check(), list)


def _can_be_kept(answer: Answer) -> bool:
    texts = (answer.handle, answer.url, answer.reason)
    return all(text is None or (isinstance(text, str) and len(text) <= LONGEST) for text in texts)


def test_a_link_that_is_none_stops_nobody(server: Any, store: Store, clock: Any, monkeypatch: Any) -> None:
    """The run is followed to its end, without a link."""
    side = Side("gitlab")
    server.reply = lambda seen: (*side(seen)[:2], side(seen)[2] | {"web_url": {"a": 1}})
    outbox = Outbox(store, {"p": opened("gitlab", server.url, monkeypatch)}, clock)
    request_in(store)
    [sent] = outbox.send_due()
    side.word = "success"
    [done] = outbox.follow()
    assert (sent.state, done.state, done.url) == (DispatchState.QUEUED, DispatchState.SUCCEEDED, None)


@pytest.mark.parametrize("headers", [
    *({"Retry-After": text} for text in (
        "", "²", "-5", "inf", "9" * 5000, "1e400", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:60 -2359")),
    *({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": text} for text in (
        "", "²", "-1", "9" * 5000, "99999999999999999", "1700000000000", "1700000000", "soon")),
])
def test_an_absurd_wait_is_bounded(headers: dict[str, str]) -> None:
    """Whatever a rate limit says, the wait is between a second and a day."""
    wait = waiting_time(Reply(429, headers, b""))
    assert wait is not None
    assert timedelta(seconds=1) <= wait <= timedelta(days=1)


@pytest.mark.parametrize(("reset", "seconds"), [("60", 60), ("0", 1), ("90000", 86_400)])
def test_a_reset_may_be_seconds_from_now(reset: str, seconds: int) -> None:
    """Some rate limits count from now, where GitHub's counts from 1970."""
    given = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    assert waiting_time(Reply(429, given, b"")) == timedelta(seconds=seconds)
