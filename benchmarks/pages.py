"""What the pages cost the server: the overview of many models, and one model with many windows and columns."""

import http.client
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.rows import Asked, Row
from monitor.config import Config, ModelSection
from monitor.expose.prometheus import Metrics
from monitor.expose.view import read_view
from monitor.records import Action, Reference, Score, ScoreStatus, Snapshot, SnapshotStatus, Verdict, Window
from monitor.store import Store
from monitor.web.app import App
from monitor.web.pages import Pages
from monitor.web.running import Running
from monitor.web.server import WebServer

MODELS, WINDOWS = 100, 100
LARGE_WINDOWS, COLUMNS = 500, 100
WEEK = timedelta(days=7)
BEGIN = datetime(2015, 1, 5, tzinfo=UTC)
NOW = BEGIN + LARGE_WINDOWS * WEEK
GOALS = "≤ 100 ms, 250 KB, 4 requests"
OTHER_GOALS = {"its report, one file": "≤ 500 KB", "its scores of drift, 50 windows": ""}


def pages(asked: Asked) -> list[Row]:
    """Processor milliseconds of a page that nobody has asked for before; its bytes, and its requests."""
    with Store.memory() as store:
        for number in range(MODELS):
            _fill(store, f"model-{number:03}", WINDOWS, 10)
        _fill(store, "large", LARGE_WINDOWS, COLUMNS)
        names = [f"model-{number:03}" for number in range(MODELS)]
        newest = f"{BEGIN + (LARGE_WINDOWS - 1) * WEEK:%Y-%m-%d}"
        asks = {
            f"overview, {MODELS} models × {WINDOWS} windows": (names, "/"),
            f"model, {LARGE_WINDOWS} windows × {COLUMNS} columns": (["large"], "/models/large"),
            "its newest window": (["large"], f"/models/large/windows/{newest}"),
            "one of its columns": (["large"], "/models/large/columns/column-001"),
            "its report, one file": (["large"], "/models/large/report"),
            "its scores of drift, 50 windows": (["large"], "/api/v1/models/large/scores?metric=drift"),
        }
        found = {what: _measured(store, models, path, asked.runs) for what, (models, path) in asks.items()}
    first = next(iter(found.values()))[0]
    return [
        Row(what=what, value=taken, ratio=taken / first, also={"KB": size / 1000, "requests": requests},
            goal=OTHER_GOALS.get(what, GOALS))
        for what, (taken, size, requests) in found.items()
    ]


def _measured(store: Store, models: list[str], path: str, runs: int) -> tuple[float, int, int]:
    """Median milliseconds without what was made before, bytes with what the page loads, and so many requests."""
    with _served(store, models) as (server, forget):
        _get(server, path)                       # templates are compiled once in the life of a daemon
        times, body = [], b""
        for _ in range(max(5, runs)):
            forget()
            begun = time.process_time()
            body = _get(server, path)
            times.append(time.process_time() - begun)
        loads = sorted(set(re.findall(r'(?:src|href)="[./]*(static/[^"]+)"', body.decode())))
        size = len(body) + sum(len(_get(server, f"/{one}")) for one in loads)
    return 1000 * statistics.median(times), size, 1 + len(loads)


@contextmanager
def _served(store: Store, models: list[str]) -> Iterator[tuple[WebServer, Callable[[], None]]]:
    config = Config(models={name: ModelSection.model_validate({
        "name": name, "predictions": {"path": "."}, "reference": {"source": {"path": "."}}}) for name in models})
    views = [read_view(store, config, NOW)]
    made = Pages(store, lambda: config, lambda: views[0], Running, lambda: NOW)
    server = WebServer("127.0.0.1:0", App(Metrics("1"), lambda: views[0], lambda: None, lambda: None, pages=made))

    def forget() -> None:
        """Another view, so that no page is known."""
        views[0] = replace(views[0], messages_pending=views[0].messages_pending + 1)

    try:
        yield server, forget
    finally:
        server.close()


def _get(server: WebServer, path: str) -> bytes:
    connection = http.client.HTTPConnection(server.address, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return body


def _fill(store: Store, model: str, windows: int, columns: int) -> None:
    """Windows of a model, a fifth of whose columns drift now and then."""
    chance = random.Random(model)
    reference = Reference(model=model, id="r", model_version="1", origin="reference.parquet", since=BEGIN, rows=10_000)
    store.references.install(reference, None, BEGIN)
    with store.transaction():
        for place in range(LARGE_WINDOWS - windows, LARGE_WINDOWS):
            window = Window(model=model, start=BEGIN + place * WEEK, end=BEGIN + (place + 1) * WEEK, spec="7d")
            scores = tuple(_scores(chance, columns))
            taken = Snapshot(
                window=window, revision=0, taken_at=window.end, reference_id="r", model_version="1", config_hash="c",
                code_version="1", rows=10_000, labelled=9_000, late=0, sampled=1.0, mature=True,
                status=SnapshotStatus.OK, reason=None, scores=scores,
            )
            said = Verdict(window=window, revision=0, at=window.end, action=Action.ALERT, fired=("drift",), guards=(),
                           reasons=("drift: drifted_share is 0.6 (limit 0.5). It fires since 3 Mar 2015.",) * 5)
            store.checks.commit(taken, expected_reference="r", verdict=said)


def _scores(chance: random.Random, columns: int) -> Iterator[Score]:
    error = chance.uniform(80, 120)
    yield Score(metric="rmse", value=error, reference=95.0, low=error - 9, high=error + 9)
    yield Score(metric="metric_sd", method="rmse", value=8.0)
    yield Score(metric="regret", value=chance.uniform(0, 9), threshold=12.0)
    for number in range(columns):
        name, moved = f"column-{number:03}", chance.random() < 0.2
        yield Score(metric="drift", method="psi", column=name, value=chance.uniform(0.1, 2.0) if moved else 0.05,
                    threshold=0.1, status=ScoreStatus.DRIFTED if moved else ScoreStatus.OK)
        yield Score(metric="missing_share", column=name, value=0.0, reference=0.0, threshold=0.2)
