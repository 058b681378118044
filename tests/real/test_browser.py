"""The pages in a real Chromium: on every screen, live, with the keyboard, without scripts, and what people do there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from monitor.config import Config, ModelSection
from monitor.expose.prometheus import Metrics
from monitor.expose.view import read_view
from monitor.store import Store
from monitor.web.actions import Actions
from monitor.web.app import App
from monitor.web.pages import Pages
from monitor.web.passwords import Passwords
from monitor.web.policy import Policy
from monitor.web.running import Running
from monitor.web.server import WebServer
from tests.real.browser import Browser
from tests.real.conftest import until
from tests.web.conftest import asked
from tests.web.test_pages import HOSTILE, NOW, remember

pytestmark = pytest.mark.real
AXE = Path(__file__).resolve().parents[2] / ".real/runners/node_modules/axe-core/axe.min.js"
EVIL = HOSTILE[0]
PAGES = ("/", "/sign-in", "/models/m", "/models/m/windows/2026-01-19", "/models/m/windows/2026-01-19?sort=-value",
         "/models/m/columns/x", "/models/m/report")
SCREENS = {"desk": (1280, 900), "tablet": (768, 1024), "phone": (390, 844)}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with Store.memory() as made:
        remember(made, "m", "x", windows=12)
        remember(made, EVIL, HOSTILE[1], windows=3)
        yield made


@pytest.fixture(scope="module")
def browser(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    section = {"predictions": {"path": "."}, "reference": {"source": {"path": "."}}, "retrain": {"pipeline": "p"}}
    config = Config(models={name: ModelSection.model_validate(section | {"name": name}) for name in ("m", EVIL)})
    views: list[Any] = [read_view(store, config, NOW)]

    def changed() -> None:
        views[0] = read_view(store, config, NOW)

    actions = Actions(store, lambda: config, lambda: NOW, asked, changed)
    pages = Pages(store, lambda: config, lambda: views[0], Running, lambda: NOW, actions)
    password = Passwords({"ann": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()})
    policy = Policy(passwords=password, scopes={"ann": frozenset({"read", "act"})})
    app = App(Metrics("1"), lambda: views[0], lambda: None, lambda: None, policy=policy, pages=pages)
    server = WebServer("127.0.0.1:0", app)
    with Browser(tmp_path_factory.mktemp("browser"), f"http://{server.address}") as opened:
        sign_in(opened)
        until(lambda: opened.run("return location.pathname") == "/")
        yield opened
    server.close()


def sign_in(browser: Browser, path: str = "/", password: str = "secret") -> None:
    """As a person does: open a page, be led to the form, fill it in."""
    browser.go(path)
    browser.write("input[name=user]", "ann")
    browser.write("input[name=password]", password)
    browser.click(".sign-in button")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_on_every_screen(browser: Browser, store: Store, screen: str, scheme: str) -> None:
    """No page is wider than its screen, breaks the policy or the rules of accessibility, or asks another server."""
    browser.screen(*SCREENS[screen], scheme)
    request = f"/requests/{store.requests.all('m')[0].id}"
    for path in (*PAGES, request, f"{request}/report"):
        browser.go(path)
        wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, screen, wide)
        loaded = browser.run("return performance.getEntriesByType('resource').map((one) => new URL(one.name).host)")
        assert len(loaded) <= 3, (path, loaded)
        assert set(loaded) <= {browser.run("return location.host")}, (path, loaded)
        assert browser.complaints() == [], path
        browser.run(AXE.read_text(encoding="utf-8") + "; window.axe = axe; return null")
        violations = browser.run(
            "document.querySelectorAll('details').forEach((one) => { one.open = true; });"
            "const found = await axe.run(); return found.violations.map("
            "(one) => one.id + ': ' + one.nodes.map((node) => node.target + ' ' + node.failureSummary).slice(0, 3))")
        assert violations == [], (path, screen, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["desk", "phone"])
def test_signing_out_and_in(browser: Browser, screen: str, scheme: str) -> None:
    """Signed out, every page leads to the form, an open one too; a wrong password is told, the right one goes on."""
    browser.screen(*SCREENS[screen], scheme)
    browser.go("/sign-in")
    assert "You are signed in as ann." in browser.text()
    browser.click("form[action=sign-out] button")
    until(lambda: "Password" in browser.text())
    sign_in(browser, "/models/m", "wrong")
    until(lambda: "There is no such user with this password." in browser.text())
    assert browser.run("return document.documentElement.scrollWidth - window.innerWidth") <= 0
    browser.run(AXE.read_text(encoding="utf-8") + "; window.axe = axe; return null")
    assert browser.run("return (await axe.run()).violations.map((one) => one.id)") == []
    browser.complaints()                    # that the form was refused
    browser.write("input[name=password]", "secret\ue007")
    until(lambda: browser.run("return location.pathname") == "/models/m")
    browser.run("fetch('/sign-out', {method: 'POST', redirect: 'manual'}).then("
                "() => document.dispatchEvent(new Event('visibilitychange')))")
    until(lambda: browser.run("return location.pathname") == "/sign-in")
    browser.write("input[name=user]", "ann")
    browser.write("input[name=password]", "secret")
    browser.click(".sign-in button")
    until(lambda: browser.run("return location.pathname") == "/models/m")


def test_a_link_from_elsewhere_needs_no_second_sign_in(browser: Browser) -> None:
    """A link in a message, which is another site's page, opens the page for who is signed in."""
    own = browser.run("return location.origin")
    browser.address, kept = own.replace("127.0.0.1", "localhost"), browser.address
    browser.go("/sign-in")
    browser.address = kept
    browser.run("const link = document.createElement('a'); link.href = given[0] + '/models/m';"
                "document.body.append(link); link.click()", own)
    until(lambda: browser.run("return location.href") == f"{own}/models/m")


def test_names_from_data_do_nothing(browser: Browser) -> None:
    """A model called as a script runs none; its page says its name."""
    browser.screen(*SCREENS["desk"])
    browser.go("/")
    browser.run("[...document.querySelectorAll('a.to')].find((one) => one.innerText.includes('script')).click()")
    until(lambda: EVIL in browser.text())
    assert browser.complaints() == []
    assert browser.run("return document.scripts.length") == 1


def test_a_page_is_live(browser: Browser, store: Store) -> None:
    """What has changed is put in without loading the page anew; the rest, and what was opened, stays."""
    browser.go("/models/m")
    browser.run("document.querySelector('details.data').open = true; window.stays = 1;")
    store.pauses.begin("m", "bob", "a quiet week", NOW)
    browser.run("const at = performance.now(); document.dispatchEvent(new Event('visibilitychange'));"
                "while (!document.body.innerText.includes('live') && performance.now() - at < 9000) "
                "await new Promise((go) => setTimeout(go, 50));")
    assert browser.run("return [window.stays, document.querySelector('details.data').open]") == [1, True]
    store.pauses.end("m", "bob", "over", NOW)


def unfold(browser: Browser, title: str) -> None:
    browser.run("[...document.querySelectorAll('.actions summary')].find((one) => one.innerText === given[0]).click()",
                title)


def test_an_action_by_its_form(browser: Browser, store: Store) -> None:
    """A person opens the form, gives a reason, and reads what was done; the audit has their name."""
    browser.screen(*SCREENS["phone"])
    browser.go("/models/m")
    unfold(browser, "Pause")
    browser.write("form[action$='actions/pause'] textarea", "a <b>new</b> log")
    browser.click("form[action$='actions/pause'] button")
    until(lambda: "paused; no retrain is asked for" in browser.text())
    assert "paused by ann: a <b>new</b> log" in browser.text()
    unfold(browser, "Resume")
    browser.write("form[action$='actions/resume'] textarea", "done")
    browser.click("form[action$='actions/resume'] button")
    until(lambda: "resumed" in browser.text())
    assert [entry.action for entry in store.audit.by_people()][-2:] == ["pause", "resume"]


def test_what_cannot_be_undone_asks_first(browser: Browser, store: Store) -> None:
    """The browser itself does not send the form before the box is ticked."""
    before = len(store.audit.by_people())
    browser.go("/models/m")
    unfold(browser, "Retrain now")
    browser.write("form[action$='actions/retrain'] textarea", "why not")
    browser.click("form[action$='actions/retrain'] button")
    assert browser.run("return location.pathname") == "/models/m"
    browser.click("form[action$='actions/retrain'] input[name=sure]")
    browser.click("form[action$='actions/retrain'] button")
    until(lambda: "has not been checked yet" in browser.text())
    assert len(store.audit.by_people()) == before


def test_with_the_keyboard(browser: Browser) -> None:
    """The first stop skips to the content; what has the focus is seen."""
    browser.screen(*SCREENS["desk"])
    browser.go("/models/m")
    browser.keys("\ue004")
    assert browser.run("return document.activeElement.className") == "skip"
    assert browser.run("return document.activeElement.getBoundingClientRect().left >= 0")
    browser.keys("\ue007")
    assert browser.run("return document.activeElement.id") == "main"
    browser.keys("\ue004")
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_without_scripts(browser: Browser) -> None:
    """Everything is there to read, and the tables are sorted by links."""
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.go("/models/m/windows/2026-01-19")
        browser.click("thead th:nth-child(3) a")
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)
    until(lambda: browser.run("return location.search") == "?sort=value")
    assert "drift" in browser.text()
