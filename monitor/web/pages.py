"""The pages about one model, one window, one column, one request: which there are, and what each is made from."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from threading import Lock
from typing import Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request

from monitor import page_links
from monitor.charts.bars import bars
from monitor.config import Config, ModelSection
from monitor.errors import DriftdError
from monitor.expose.view import ModelView, View
from monitor.govern.html_report import html
from monitor.govern.report import gather, of_need
from monitor.records import Dispatch, Spread, Window
from monitor.store import Store
from monitor.store.trends import Looked
from monitor.times import Clock
from monitor.web.actions import Actions, Done, Form, forms_of_model, forms_of_request
from monitor.web.api import Api
from monitor.web.column_page import column_page
from monitor.web.model_page import model_page
from monitor.web.policy import ACT
from monitor.web.render import render, root_of
from monitor.web.running import Looks, Running
from monitor.web.window_page import SORTS, request_page, window_page
from monitor.wording import day

REPORTED = 100          # windows of a model's report
KEPT = 32               # pages that are kept for as long as nothing has changed …
LARGE = 300_000         # … and have at most so many bytes


class Pages:
    """Makes the pages from the store. Thread safe."""

    def __init__(
        self, store: Store, config: Callable[[], Config], view: Callable[[], View], running: Callable[[], Running],
        clock: Clock, actions: Actions | None = None, spread: Callable[[Window, str], Spread] | None = None,
        evidently: Callable[[Window], str] | None = None,
    ) -> None:
        self._spread, self._evidently, self._reading = spread, evidently, Lock()
        self.actions = actions
        self.api = Api(store, view, clock)
        self._said: OrderedDict[str, str] = OrderedDict()    # what was done lately, by a key in the address
        self._store, self._config, self._view, self._running, self._clock = store, config, view, running, clock
        self._lock = Lock()
        self._kept: OrderedDict[Any, bytes] = OrderedDict()
        self._made_from: object = None

    def __call__(self, request: Request, make: Callable[[Request], str]) -> bytes:
        """A page made once for as long as nothing was written and no configuration came."""
        source = (self._store.version(), self._view(), self._running())
        who = request.state.principal if ACT in request.state.principal.scopes else None
        key = (request.scope["path"], request.scope["query_string"], who, request.state.sign_in)
        with self._lock:
            if source != self._made_from:
                self._kept.clear()
                self._made_from = source
            kept = self._kept.get(key)
        if kept is None:
            kept = make(request).encode()
            if len(kept) > LARGE:
                return kept
            with self._lock:
                self._kept[key] = kept
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return kept

    def model(self, request: Request) -> str:
        """A model, with `?before=` a window's key those before it."""
        view = self._model(request)
        running = self._running()
        looks = running.looks.get(view.name, Looks())
        before = _moment(request.query_params.get("before"))
        told = model_page(self._store, view, looks, self._clock(), before)
        section = self._config().models.get(view.name)
        about = {"model": page_links.path_name(view.name)}
        forms = forms_of_model(view, section) if section else ()
        return self._page("model.html", request, told | {"running": running}, about, forms)

    def window(self, request: Request) -> str:
        """A window; `?sort=` a heading of its scores, `?page=` so many scores on."""
        view, query = self._model(request), request.query_params
        looked = self._looked(request, view)
        sort, page = query.get("sort", "status"), query.get("page", "0")
        sort = sort if sort.removeprefix("-") in SORTS else "status"
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 5 else 0
        told = window_page(self._store, view, looked, sort, number)
        return self._page("window.html", request, told | {"evidently": self._evidently is not None})

    def evidently(self, request: Request) -> str:
        """Evidently's own report of a window, made now by a worker and not kept; one at a time."""
        looked = self._looked(request, self._model(request))
        if self._evidently is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "only a running service reads rows")
        if not self._reading.acquire(blocking=False):
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "other rows are being read, try again in a moment")
        try:
            return self._evidently(looked.window)
        except DriftdError as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
        finally:
            self._reading.release()

    def _looked(self, request: Request, view: ModelView) -> Looked:
        """The window that a path names."""
        key = request.path_params["window"]
        start = page_links.window_start(key)
        found = self._store.trends.starting(view.name, start, self._clock()) if start is not None else []
        named = [one for one in found if page_links.window_key(one.window) == key]
        if not named:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no window that starts then has been checked")
        return named[-1]

    def column(self, request: Request) -> str:
        """A column of a model; with `?values=yes` how its values are spread, for which rows have to be read."""
        view, given = self._model(request), request.path_params["column"]
        column = self._column(view, given)
        told = column_page(self._store, view, column, self._clock())
        if told is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such column in the newest windows")
        asked = self._spread is not None and request.query_params.get("values") == "yes"
        nothing = {"spread": None, "power": None, "lack": None}
        found = nothing | (self._values(told["newest"].window, column) if asked else {})
        return self._page("column.html", request, told | found | {"can_read": self._spread is not None and not asked})

    def _values(self, window: Window, column: str) -> dict[str, Markup | str | None]:
        """The picture of a column's values, or why there is none; one at a time, since it costs a worker."""
        if self._spread is None or not self._reading.acquire(blocking=False):
            return {"lack": "Another column is being read; load the page again in a moment."}
        try:
            told = self._spread(window, column)
            found = bars(told, "Its values in the newest window, over the reference's")
            return {"spread": Markup(found.html()), "power": told.power}
        except DriftdError as error:
            return {"lack": f"Its values cannot be shown: {error}."}
        finally:
            self._reading.release()

    def request(self, request: Request) -> str:
        """A retrain request."""
        found, view = self._request(request)
        told = request_page(self._store, view, found)
        return self._page("request.html", request, told, {"request": found.id}, forms_of_request(found))

    def model_report(self, request: Request) -> str:
        """The report of a model, one file: its newest windows."""
        view = self._model(request)
        section = self._section(view)
        return html(gather(self._store, section, self._clock(), REPORTED), section.timezone, "report")

    def need_report(self, request: Request) -> str:
        """The report of the need that a request answers, one file."""
        found, view = self._request(request)
        need, section = self._store.episodes.get(found.episode_id), self._section(view)
        if need is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such request")
        report = of_need(gather(self._store, section, self._clock()), need)
        since = day(need.window.start, section.timezone)
        return html(report, section.timezone, f"report of the need {need.trigger} since {since}")

    def refused(self, request: Request, words: str) -> str:
        """What is told of an action that was not done."""
        return render(
            "refused.html", sign_in=request.state.sign_in, root="../", title="Not done", trail=(), words=words)

    def done(self, done: Done) -> str:
        """The address to go on at after an action, which tells of it."""
        key = secrets.token_urlsafe(8)
        with self._lock:
            self._said[key] = done.words
            while len(self._said) > KEPT:
                self._said.popitem(last=False)
        return f"{done.href}?done={key}"

    def _column(self, view: ModelView, given: str) -> str:
        """The column that a part of a path names; where it is a digest, among those of the newest window."""
        scores = view.newest.scores if view.newest else ()
        known = {score.column for score in scores if score.column is not None}
        return next((name for name in known if page_links.names(given, name)), given)

    def _request(self, request: Request) -> tuple[Dispatch, ModelView]:
        found = self._store.requests.get(request.path_params["request"])
        view = next((one for one in self._view().models if found is not None and one.name == found.model), None)
        if found is None or view is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such request")
        return found, view

    def _section(self, view: ModelView) -> ModelSection:
        section = self._config().models.get(view.name)
        if section is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the model is no longer configured")
        return section

    def _model(self, request: Request) -> ModelView:
        given = request.path_params["model"]
        found = next((one for one in self._view().models if page_links.names(given, one.name)), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such model")
        return found

    def _page(
        self, template: str, request: Request, told: dict[str, Any], about: dict[str, str] | None = None,
        forms: Iterable[Form] = (),
    ) -> str:
        """`about`: what forms of this page name; they are there for who may act."""
        principal = request.state.principal
        acting = self.actions is not None and ACT in principal.scopes
        return render(
            template, sign_in=request.state.sign_in, root=root_of(request.scope["path"]), **told, who=principal.name,
            about=about or {},
            forms=list(forms) if acting else [], done=self._said.get(request.query_params.get("done", "")),
            token=self.actions.token(principal) if acting and self.actions else "",
        )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = page_links.window_start(text)
    if found is None:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "before: expected a date such as 2013-05-06")
    return found
