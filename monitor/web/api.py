"""The API: JSON of models, windows, scores and requests, the same records as the commands' `--json`.

What it answers stands in ANSWERS, from which the OpenAPI document is made (`openapi.py`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request as Asked

from monitor import page_links
from monitor.escape import bounded, json_text
from monitor.expose.documents import explained, history_document, scored
from monitor.expose.plain_json import plain
from monitor.expose.status_document import Request, status_document
from monitor.expose.view import View
from monitor.records import SCHEMA_VERSION, Json, to_json
from monitor.store import Store
from monitor.store.trends import Looked
from monitor.times import Clock
from monitor.untrusted import parse_json

MOST = 500              # windows of one answer …
USUAL = 100
FEW = 50                # … with the scores of every column …
VERY_FEW = 10           # … and of every metric too


class Api:
    """Makes each document. Thread safe."""

    def __init__(self, store: Store, view: Callable[[], View], clock: Clock) -> None:
        self._store, self._view, self._clock = store, view, clock
        self.routes: Mapping[str, Callable[[Asked], str]] = {
            "/api/v1/models": self._text(self.models),
            "/api/v1/models/{model}": self._text(self.model),
            "/api/v1/models/{model}/windows": self._text(self.windows),
            "/api/v1/models/{model}/windows/{window}": self._text(self.window),
            "/api/v1/models/{model}/scores": self._text(self.scores),
            "/api/v1/requests/{request}": self._text(self.request),
        }

    def _text(self, make: Callable[[Asked], Json]) -> Callable[[Asked], str]:
        return lambda asked: json_text(bounded({"schema_version": SCHEMA_VERSION, **plain(make(asked))}), indent=1)

    def models(self, asked: Asked) -> Json:
        """The state of every model: what `driftd status --json` prints."""
        return status_document(self._view())

    def model(self, asked: Asked) -> Json:
        """The state of one model."""
        document = status_document(self._view())
        name = self._model(asked)
        return document | {"models": [one for one in document["models"] if one["model"] == name]}

    def windows(self, asked: Asked) -> Json:
        """What was decided for each window, oldest first: what `driftd history --json` prints."""
        windows, next_page = self._page(asked, MOST)
        return history_document(self._store, self._model(asked), windows) | {"next": next_page}

    def window(self, asked: Asked) -> Json:
        """One window in full: what `driftd history --explain WINDOW --json` prints."""
        name, key = self._model(asked), asked.path_params["window"]
        start = page_links.window_start(key)
        found = self._store.trends.starting(name, start, self._clock()) if start is not None else []
        named = [one for one in found if page_links.window_key(one.window) == key]
        if not named:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no window that starts then has been checked")
        return explained(self._store, named[-1])

    def scores(self, asked: Asked) -> Json:
        """Scores by window, oldest first: of one metric, of one column, or all of them."""
        metric, column = asked.query_params.get("metric"), asked.query_params.get("column")
        windows, next_page = self._page(asked, MOST if column else FEW if metric else VERY_FEW)
        metrics = None if metric is None else (metric,)
        found = self._store.trends.scores([one.id for one in windows], metrics, column)
        told = [one for looked in windows for one in scored(looked, found[looked.id])]
        return {"model": self._model(asked), "scores": told, "next": next_page}

    def request(self, asked: Asked) -> Json:
        """A retrain request: its delivery, its run, what its gate said, and the event that was sent."""
        found = self._store.requests.get(asked.path_params["request"])
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such request")
        gated = self._store.gates.of([found.id]).get(found.id)
        return {
            "model": found.model, "request": to_json(Request.of(found)), "gate": gated and gated.to_json(),
            "event": parse_json(found.body),
        }

    def _model(self, asked: Asked) -> str:
        given = asked.path_params["model"]
        found = next((one.name for one in self._view().models if page_links.names(given, one.name)), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such model")
        return found

    def _page(self, asked: Asked, most: int) -> tuple[list[Looked], str | None]:
        """The windows asked for, and the `before` of the answer that comes next, if there are more."""
        query = asked.query_params
        limit, before = _limit(query.get("limit"), most), _before(query.get("before"))
        found = self._store.trends.windows(self._model(asked), limit=limit + 1, until=self._clock(), before=before)
        more = len(found) > limit
        return found[1:] if more else found, page_links.window_key(found[1].window) if more else None


def _limit(text: str | None, most: int) -> int:
    if text is None:
        return min(USUAL, most)
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    if not 1 <= limit <= most:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"limit: expected a number from 1 to {most}")
    return limit


def _before(text: str | None) -> datetime | None:
    found = None if text is None else page_links.window_start(text)
    if text is not None and found is None:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "before: expected a date such as 2013-05-06")
    return found
