"""The pictures of pages and messages in the documentation, which `make pictures` takes anew.

They show the demo, played to its end, in a real Chromium.
"""

import base64
import io
import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from docs.example_messages import URL
from monitor.check.checker import Checker
from monitor.config import load
from monitor.demo import world
from monitor.demo.output import Show
from monitor.demo.story import Story
from monitor.expose import logs
from monitor.expose.model_charts import message_picture
from monitor.expose.prometheus import Metrics
from monitor.expose.view import read_view
from monitor.notify.letter import Letter
from monitor.store import Store
from monitor.web.app import App
from monitor.web.pages import Pages
from monitor.web.running import Running
from monitor.web.server import WebServer
from monitor.workers.pool import Workers
from tests.real.browser import Browser

pytestmark = pytest.mark.real
PICTURES = Path(__file__).resolve().parents[2] / "docs/pictures"
MOST_BYTES = 150_000
DESK, PHONE = (1100, 980), (390, 1500)
MODEL = "/models/bikes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo leaves behind."""
    made = tmp_path_factory.mktemp("demo")
    logs.configure("text", level=logging.WARNING)
    with Story(made, Show(Console(file=io.StringIO()))) as story:
        story.play()
    return made


@pytest.fixture(scope="module")
def browser(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    loaded, now = load(folder / "driftd.toml"), world.CLOSED
    with (Store.open(folder / "state", exclusive=False) as store,
          Workers(1, 4096, timedelta(minutes=5)) as workers):
        checker, view = Checker(loaded, store, workers, lambda: now), read_view(store, loaded.config, now)
        pages = Pages(store, lambda: loaded.config, lambda: view, Running, lambda: now, spread=checker.spread,
                      evidently=checker.evidently_page)
        server = WebServer("127.0.0.1:0", App(Metrics("1"), lambda: view, lambda: None, lambda: None, pages=pages))
        with Browser(tmp_path_factory.mktemp("browser"), f"http://{server.address}") as opened:
            yield opened
        server.close()


def taken(browser: Browser, name: str) -> None:
    """Keep what the window shows, in few colours, so that it is small."""
    file = PICTURES / f"{name}.png"
    browser.picture(file)
    with Image.open(file) as shot:
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size <= MOST_BYTES, name


def linked(browser: Browser, part: str) -> str:
    """The path of the first link on the page that has this in it."""
    found = browser.run("const paths = [...document.querySelectorAll('main a')].map((one) => "
                        "new URL(one.getAttribute('href'), location).pathname);"
                        "return paths.find((one) => one.includes(given[0]))", part)
    return str(found)


if os.environ.get("DRIFTD_PICTURES"):

    def test_the_pictures_of_the_pages(browser: Browser) -> None:
        """The overview, a model, a window, a column and a request, light and dark, and a model on a phone."""
        for scheme, end in (("light", ""), ("dark", "-dark")):
            browser.screen(1100, 420, scheme)
            browser.go("/")
            taken(browser, f"page-overview{end}")
            browser.screen(*DESK, scheme)
            browser.go(MODEL)
            taken(browser, f"page-model{end}")
        browser.screen(*DESK)
        request, window = linked(browser, "/requests/"), linked(browser, "/windows/")
        for name, path in {"window": window, "request": request,
                           "column": f"{MODEL}/columns/temp?values=yes"}.items():
            browser.go(path)
            taken(browser, f"page-{name}")
        browser.screen(*PHONE, "dark")
        browser.go(MODEL)
        taken(browser, "page-phone")
        assert browser.complaints() == []

    def test_the_picture_of_a_mail(browser: Browser, folder: Path) -> None:
        """A mail about the demo's last request, as a mail program shows it."""
        loaded = load(folder / "driftd.toml")
        with Store.open(folder / "state", exclusive=False) as store:
            message = [one for one in store.messages.all("bikes") if one.kind == "requested"][-1]
            picture = message_picture(store, loaded.config, message)
        assert picture is not None
        shown = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        body = Letter.of(message, URL).written("html", "mail.png").replace("cid:mail.png", shown)
        page = f'<meta charset="utf-8"><body style="margin: 1.5rem">{body}'.replace(f"{folder}/", "")
        (folder / "mail.html").write_text(page, encoding="utf-8")
        browser.screen(800, 680)
        browser.address, served = "file://", browser.address
        browser.go(str(folder / "mail.html"))
        taken(browser, "message-mail")
        browser.address = served
