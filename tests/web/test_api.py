"""The API: every answer fits the OpenAPI document, pages of windows are all of them, bad questions get a sentence."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from monitor import page_links
from monitor.config import Config
from monitor.escape import json_text
from monitor.expose.documents import explained, history_document
from monitor.expose.plain_json import plain
from monitor.expose.prometheus import Metrics
from monitor.expose.view import View
from monitor.gate_result import read_gate_result
from monitor.store import Store
from monitor.web.app import App
from monitor.web.openapi import document
from monitor.web.pages import Pages
from monitor.web.running import Running
from tests.gate.test_gate_result import GATE
from tests.web.test_pages import HOSTILE, NOW, Site, remember, serving

DOCUMENT = document()


@pytest.fixture
def site() -> Iterator[Site]:
    with Store.memory() as store:
        remember(store, "m", "x")
        remember(store, HOSTILE[0], HOSTILE[2], windows=3)
        [request] = store.requests.all("m")
        assert store.gates.record(request, read_gate_result(GATE), NOW)
        server = serving(store, "m", HOSTILE[0])
        yield Site(server, store)
        server.close()


def asked(site: Site, path: str) -> Any:
    status, text, headers = site.get(path)
    assert (status, headers["content-type"]) == (200, "application/json"), (path, text)
    return json.loads(text)


def fits(path: str, answer: Any) -> None:
    """Raises where an answer is not what the OpenAPI document says of its path."""
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": DOCUMENT["components"]}).validate(answer)


def test_every_answer_is_as_described(site: Site) -> None:
    """Each path of the document answers in its schema, for models and columns of any name."""
    request = site.store.requests.all("m")[0].id
    walked = set()
    for path in DOCUMENT["paths"]:
        for model in ("m", HOSTILE[0]):
            whole = path.format(model=page_links.part(model), window="2026-01-05", request=request)
            fits(path, asked(site, whole))
            walked.add(path)
    assert walked == set(DOCUMENT["paths"])
    assert asked(site, "/api/openapi.json") == DOCUMENT


def test_the_document_names_every_path(site: Site) -> None:
    """What is served below /api stands in the document, which is OpenAPI 3.1."""
    with Store.memory() as store:
        routes = {path for route in serving_app(store).routes if (path := route.path).startswith("/api/")}
    assert routes - {"/api/openapi.json"} == set(DOCUMENT["paths"])
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"])


def serving_app(store: Store) -> App:
    pages = Pages(store, Config, View, Running, lambda: NOW)
    return App(Metrics("1"), View, lambda: None, lambda: None, pages=pages)


def test_a_request_and_its_window_have_the_gate(site: Site) -> None:
    """What a gate said of the candidate is with the request, and with the window that its need began with."""
    request = site.store.requests.all("m")[0].id
    told = asked(site, f"/api/v1/requests/{request}")["gate"]
    assert read_gate_result({name: value for name, value in told.items() if name != "at"}) == read_gate_result(GATE)
    assert asked(site, "/api/v1/models/m/windows/2026-01-19")["gates"] == {request: told}


def test_windows_and_scores_come_in_pages(site: Site) -> None:
    """Following `next` gives every window once, newest pages first, each oldest first."""
    starts, path = [], "/api/v1/models/m/windows?limit=3"
    while True:
        answer = asked(site, path)
        starts = [one["window"]["start"] for one in answer["windows"]] + starts
        if answer["next"] is None:
            break
        path = f"/api/v1/models/m/windows?limit=3&before={answer['next']}"
    assert starts == ["2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z", "2026-01-19T00:00:00Z", "2026-01-26T00:00:00Z"]


def test_scores_by_metric_and_column(site: Site) -> None:
    """`metric` and `column` narrow the scores; segments are told apart."""
    drift = asked(site, "/api/v1/models/m/scores?metric=drift&column=x")["scores"]
    assert [one["score"]["status"] for one in drift] == ["ok", "ok", "drifted", "drifted"]
    whole = asked(site, "/api/v1/models/m/scores?metric=accuracy&limit=1")["scores"]
    assert [(one["score"]["value"], one["score"]["segment"]) for one in whole] == [(0.77, None), (0.1, "x=a")]
    assert asked(site, "/api/v1/models/m/scores?metric=none")["scores"] == []


def test_documents_are_those_of_the_commands(site: Site) -> None:
    """History and the explanation of a window are made by the functions that the commands print."""
    windows = site.store.trends.windows("m", limit=100)
    history = json.loads(json_text(plain(history_document(site.store, "m", windows))))
    assert asked(site, "/api/v1/models/m/windows") == history | {"schema_version": 1, "next": None}
    window = json.loads(json_text(plain(explained(site.store, windows[2]))))
    assert asked(site, "/api/v1/models/m/windows/2026-01-19") == window | {"schema_version": 1}


@pytest.mark.parametrize(("path", "status"), [
    ("models/none", 404), ("models/none/windows", 404), ("models/m/windows/none", 404), ("requests/none", 404),
    ("models/m/windows?limit=0", 400), ("models/m/windows?limit=501", 400), ("models/m/windows?limit=x", 400),
    ("models/m/scores?limit=11", 400), ("models/m/scores?before=x", 400), ("none", 404),
])
def test_bad_questions_get_a_sentence(site: Site, path: str, status: int) -> None:
    """What is unknown is 404, what cannot be meant is 400, each with one line."""
    answer = site.get(f"/api/v1/{path}")
    assert (answer[0], len(answer[1].splitlines())) == (status, 1)
