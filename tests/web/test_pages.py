"""The pages about models, windows, columns and requests: asked over a socket, read as a browser would."""

import base64
import hashlib
import http.client
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin

import pytest

from monitor import page_links
from monitor.config import Config, ModelSection
from monitor.errors import CannotJudge
from monitor.expose.prometheus import Metrics
from monitor.expose.view import View, read_view
from monitor.gate_result import ShadowAnswer, ShadowState, read_gate_result
from monitor.records import Action, Episode, EpisodeState, Score, ScoreStatus, Window
from monitor.store import Store
from monitor.store.shadows import Shadow
from monitor.web.app import App
from monitor.web.pages import Pages
from monitor.web.running import Running
from monitor.web.server import WebServer
from tests.gate.test_gate_result import GATE
from tests.store.conftest import T0, WEEK, dispatch, episode, reference, snapshot, verdict

HOSTILE = (
    '"><script>alert(1)</script>', "' onload='alert(1)", "a\nb", "../../x", "..", "~" + "a" * 24, "a/b?c#d", "%2e%2e",
    "\u202eevil\x1b[31m", "é ü", " ", "x" * 200_000, "{{ 7 * 7 }}",
)
VOID = {"meta", "link", "br", "input"}
NOW = T0 + 20 * WEEK


class Page(HTMLParser):
    """What a page is made of: tags with their attributes, in order, each closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, *names: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag in names]


@dataclass
class Site:
    server: WebServer
    store: Store

    def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection(self.server.address, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {key.lower(): value for key, value in answer.getheaders()}
        finally:
            connection.close()

    def page(self, path: str) -> Page:
        status, text, _ = self.get(path)
        assert status == 200, (path, status, text)
        return Page(text)


def remember(store: Store, model: str, column: str, windows: int = 4) -> None:
    """Windows of a model in which one column drifts from the third on, and a need with its request."""
    assert store.references.install(replace(reference(), model=model, origin=column, model_version=column), None, T0)
    for at in range(windows):
        taken = snapshot(at)
        window = replace(taken.window, model=model)
        moved = at >= 2
        scores = (
            Score(metric="drift", method="psi", column=column, value=0.5 if moved else 0.01, threshold=0.2,
                  status=ScoreStatus.DRIFTED if moved else ScoreStatus.OK, reason=column),
            Score(metric="accuracy", value=0.8 - at / 100, reference=0.9, low=0.7, high=0.9, provisional=at == 3),
            Score(metric="accuracy", segment=f"{column}=a", value=0.1),
            Score(metric="regret", value=float(at), threshold=2.0),
        )
        need = replace(episode(), id=Episode.new_id(model, "r1", column, window), model=model, window=window,
                       trigger=column, reason=column)
        said = replace(verdict(), window=window, action=Action.RETRAIN if at == 2 else Action.ALERT, fired=(column,),
                       reasons=(column,))
        asked = at == 2
        assert store.checks.commit(
            replace(taken, window=window, scores=scores, model_version=column), expected_reference="r1", verdict=said,
            episode=need if asked else None,
            dispatch=replace(dispatch(need), model=model, pipeline=column, reason=column) if asked else None,
        )


def serving(store: Store, *models: str, evidently: Callable[[Window], str] | None = None) -> WebServer:
    config = Config(models={name: ModelSection.model_validate(
        {"name": name, "predictions": {"path": "."}, "reference": {"source": {"path": "."}}}) for name in models})
    view: View = read_view(store, config, NOW)
    pages = Pages(store, lambda: config, lambda: view, Running, lambda: NOW, evidently=evidently)
    return WebServer("127.0.0.1:0", App(Metrics("1"), lambda: view, lambda: None, lambda: None, pages=pages))


@pytest.fixture
def site(store: Store) -> Iterator[Site]:
    remember(store, "m", "x")
    server = serving(store, "m")
    yield Site(server, store)
    server.close()


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as opened:
        yield opened


def crawled(site: Site, *, sorted_too: bool = True) -> dict[str, Page]:
    """Every page that links lead to from the first one; tables sorted in every way, or as they are."""
    found: dict[str, Page] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in found or path.startswith(("/metrics", "/api")) or ("?sort" in path and not sorted_too):
            continue
        found[path] = site.page(path)
        base = f"http://{site.server.address}{path}"
        for link in found[path].all("a"):
            whole = urldefrag(urljoin(base, link["href"]))[0]
            assert whole.startswith(f"http://{site.server.address}/"), (path, link)
            waiting.append(whole.removeprefix(f"http://{site.server.address}"))
    return found


def test_every_link_leads_to_a_page(site: Site) -> None:
    """From the first page all others are reached, and no link leads astray."""
    pages = crawled(site)
    assert {"/", "/models/m", "/models/m/columns/x", "/models/m/windows/2026-01-05"} < set(pages)
    assert any(path.startswith("/requests/driftd-") for path in pages)
    assert "/models/m/windows/2026-01-05?sort=-column" in pages


def test_pages_are_for_everybody(site: Site) -> None:
    """Each page has a language, a title, one heading, landmarks; pictures have names, tables captions and heads."""
    for path, page in crawled(site).items():
        alone = path.endswith("/report")        # one file, to be sent
        assert page.all("html") == [{"lang": "en"}]
        assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, not alone, not alone], path
        assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
        for picture in page.all("svg"):
            assert "aria-hidden" in picture or (picture["role"] in ("img", "group") and picture["aria-label"]), path
        assert len(page.all("table")) == len(page.all("caption")), path
        assert all("scope" in head for head in page.all("th")), path
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), path
        assert not any("style" in attrs or name.startswith("on") for _, attrs in page.tags for name in attrs), path
        assert [script["src"].split("/")[-1] for script in page.all("script")] == ["driftd.js"] * (not alone), path


def test_a_model_says_how_it_does(site: Site) -> None:
    """Metric and reference, provisional marked as such, what drifted, what waiting costs, each window's verdict."""
    text = site.get("/models/m")[1]
    for words in ("0.77", "reference 0.9", "provisional", "1 of 1", "150%", "x fires", "drifted in 2 of 4 windows"):
        assert words in text, words
    assert text.count('class="mark asked"') == 2      # in the chart of the metric and of the cost


def test_a_request_has_the_table_of_its_gate(site: Site) -> None:
    """Candidate and champion overall and in segments, with bounds, what refuses and why; the story has a step."""
    [request] = site.store.requests.all("m")
    assert "The gate" not in site.get(f"/requests/{request.id}")[1]
    hostile = read_gate_result(GATE | {"reasons": [HOSTILE[0]]})
    assert site.store.gates.record(request, hostile, NOW)
    page = site.page(f"/requests/{request.id}")
    text = " ".join(" ".join(page.text).split())
    for words in ("3,000 rows, 2,900 labelled, judged by rmse", "b=2 300 40 52 -12 -15 -9 refused : shown to be worse",
                  "mae difference sex=f 0.1 0.2 0.3", "data contract, temp: the candidate has no such column"):
        assert words in text, words
    assert len(page.all("script")) == 1
    steps = [attrs["href"] for attrs in site.page("/models/m").all("a") if attrs["href"].endswith("#gate")]
    assert steps == [f"../requests/{request.id}#gate"]


def test_a_candidate_in_shadow_has_its_table(store: Store) -> None:
    """On the page of its model: how it stands, beside what, since when, and the gate's table; nothing of it acts."""
    begun = store.shadows.begin(Shadow(model="m", version=HOSTILE[0], champion="7", since=T0, began_at=NOW))
    result = read_gate_result(GATE)
    store.shadows.record(begun, ShadowAnswer(
        state=ShadowState.UNDECIDED, reason="rmse is better by 2", days_left=3.2, result=result,
    ), NOW)
    server = serving(store, "m")
    page = Site(server, store).page("/models/m")
    server.close()
    text = " ".join(" ".join(page.text).split())
    for words in ("in shadow is undecided: rmse is better by 2; about 4 days left at the present rate of labels",
                  "beside version 7, on rows since", "b=2 300 40 52 -12 -15 -9 refused : shown to be worse"):
        assert words in text, words
    assert len(page.all("script")) == 1


def test_reports_are_one_file(site: Site) -> None:
    """A model's and a need's: pictures, decisions, requests; nothing is loaded, and only their own style is let in."""
    site.store.pauses.begin("m", "ann", "a quiet week", NOW)
    [request] = site.store.requests.all("m")
    of_need = f"/requests/{request.id}/report"
    for path, windows, said in (("/models/m/report", 4, "a quiet week"), (of_need, 4, "x since 19")):
        status, text, headers = site.get(path)
        page = Page(text)
        assert (status, page.all("link", "script", "img"), len(page.all("style"))) == (200, [], 1)
        assert text.count('<circle class="dot') >= windows
        assert said in text
        sheet = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
        assert sheet is not None
        digest = base64.b64encode(hashlib.sha256(sheet[1].encode()).digest()).decode()
        assert headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_the_report_of_a_need_has_its_own_story_alone(store: Store) -> None:
    """Windows from half a year before it until the next need; its requests, and what people did about these."""
    remember(store, "m", "x", windows=40)
    server = serving(store, "m")
    [request] = store.requests.all("m")
    try:
        site = Site(server, store)
        assert site.get(f"/requests/{request.id}/report")[1].count('<circle class="dot') >= 40
        over = store.episodes.get(request.episode_id)
        assert over is not None
        store.episodes.save(replace(over, state=EpisodeState.SUPERSEDED))
        later = replace(episode(), id="f" * 40, model="m", window=replace(snapshot(10).window, model="m"))
        store.episodes.save(later)
        page = Page(site.get(f"/requests/{request.id}/report")[1])
    finally:
        server.close()
    rows = [words for words in page.text if words.startswith("2026-")]
    assert max(rows) < "2026-03-23"


def test_charts_have_their_numbers_in_a_table(site: Site) -> None:
    """What a chart draws is there as a table, for those who cannot see it."""
    text = site.get("/models/m")[1]
    for at, value in enumerate(("0.8", "0.79", "0.78", "0.77")):
        assert f"<td>{value}</td><td>0.7 to 0.9</td><td>0.9</td>" in text, at


@pytest.mark.parametrize("path", [
    "/models/none", "/models/m/windows/none", "/models/m/windows/1999-01-01", "/models/m/columns/none",
    "/requests/none", "/models/m/windows/2026-01-05T00:00:00+01:00", "/models//", "/models/m/else",
])
def test_what_is_not_there_is_404(site: Site, path: str) -> None:
    """A model, window, column or request that nobody knows is told in a sentence."""
    status, text, headers = site.get(path)
    assert (status, headers["content-type"].split(";")[0]) == (404, "text/plain")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("query", ["?before=x", "?before=0000-00-00"])
def test_a_moment_that_is_none_is_400(site: Site, query: str) -> None:
    """What cannot be a date is told what was expected."""
    assert site.get(f"/models/m{query}")[:2] == (400, "before: expected a date such as 2013-05-06\n")


@pytest.mark.parametrize("query", ["?sort=evil&page=-1", "?page=99999", "?page=%EF%BC%99", "?sort=", "?page=7"])
def test_a_query_that_means_nothing_changes_nothing(site: Site, query: str) -> None:
    """Sorting by what is no heading is the usual order; a page beyond the end is empty."""
    assert site.get(f"/models/m/windows/2026-01-05{query}")[0] == 200


def test_a_page_that_has_not_changed_is_not_sent_again(site: Site) -> None:
    """The script asks with the tag it has; after a change it gets the new page."""
    status, _, headers = site.get("/models/m")
    tag = headers["etag"]
    assert (status, site.get("/models/m", **{"If-None-Match": tag})[:2]) == (200, (304, ""))
    site.store.pauses.begin("m", "ann", "so", NOW)
    remembered = replace(snapshot(5), window=replace(snapshot(5).window, model="m"))
    site.store.snapshots.add(remembered)
    assert site.get("/models/m", **{"If-None-Match": tag})[0] == 200


def test_names_from_data_are_names(store: Store) -> None:
    """Whatever models, columns, triggers, versions and pipelines are called, pages are whole and reachable."""
    for at, name in enumerate(HOSTILE):
        remember(store, name, HOSTILE[at - 1], windows=3)
    server = serving(store, *HOSTILE)
    try:
        site = Site(server, store)
        pages = crawled(site, sorted_too=False)
        for path, page in pages.items():
            assert len(page.all("script")) == (not path.endswith("/report")), path
            assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs), path
            assert len(path) < 400, path
            assert sum(map(len, page.text)) < 60_000, path
            assert not set("\x1b\u202e") & set("".join(page.text)), path
        assert len([path for path in pages if path.count("/") == 2 and path.startswith("/models/")]) == len(HOSTILE)
        assert len([path for path in pages if "/columns/" in path]) == len(HOSTILE)
    finally:
        server.close()


def test_an_address_names_one_thing() -> None:
    """A part of a path names the model it was made of and no other, and is one part for every browser."""
    chance = random.Random(0)
    names = [*HOSTILE, *("".join(chance.choices("a.%/~\\?#é\n ", k=3)) for _ in range(200))]
    for name in set(names):
        part = page_links.part(name)
        assert "/" not in part
        assert urljoin("http://h/models/", f"http://h/models/{part}/x").endswith(f"/{part}/x")
        assert [other for other in set(names) if page_links.names(unquote(part), other)] == [name]


def test_windows_of_rows_that_begin_together_have_addresses_of_their_own() -> None:
    """Windows of rows may begin at the same moment with another row, at any fraction of a second."""
    start = T0 + timedelta(hours=5, microseconds=7)
    windows = [Window(model="m", start=start, end=start + WEEK, spec="s", start_id=id) for id in ("", "a", "b")]
    keys = {page_links.window_key(window) for window in windows}
    assert len(keys) == 3
    assert {page_links.window_start(key) for key in keys} == {start}


def test_a_window_leads_to_evidentlys_report_where_rows_can_be_read(store: Store) -> None:
    """It is made when it is asked for, and shown where its scripts reach nothing of ours; a failure is one sentence."""
    remember(store, "m", "x")
    told = ["<script>1</script>"]

    def made(window: Window) -> str:
        if not told:
            raise CannotJudge(f"the window of {window.model} has no rows")
        return told.pop()

    server = serving(store, "m", evidently=made)
    site, path = Site(server, store), "/models/m/windows/2026-01-05"
    try:
        [link] = [one for one in site.page(path).all("a") if "evidently" in one["href"]]
        status, text, headers = site.get(f"{path.rpartition('/')[0]}/{link['href']}")
        assert (status, text) == (200, "<script>1</script>")
        policy = headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts allow-downloads; default-src 'none';")
        assert "allow-same-origin" not in policy
        status, text, headers = site.get(f"{path}/evidently")
        assert (status, text) == (503, "the window of m has no rows\n")
        assert "sandbox" not in headers["content-security-policy"]
        assert site.get("/models/m/windows/1999-01-05/evidently")[0] == 404
    finally:
        server.close()


def test_without_a_service_nothing_of_evidently_is_promised(site: Site) -> None:
    """A page that cannot read rows has no such link."""
    assert not [one for one in site.page("/models/m/windows/2026-01-05").all("a") if "evidently" in one["href"]]
    assert site.get("/models/m/windows/2026-01-05/evidently")[0] == 404
