"""The sign-in page and its sessions, over a socket as a browser uses them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, unquote, urlencode, urljoin, urlsplit

import bcrypt
import pytest
from structlog.testing import capture_logs

from monitor.config import load
from monitor.web.failures import AT_ONCE, REFILL
from monitor.web.forms import FORM
from monitor.web.guesses import OF_CLIENT, OF_USER, Guesses
from monitor.web.passwords import Passwords
from monitor.web.policy import Policy, Principal
from monitor.web.sessions import LIFETIME, MOST, Sessions
from monitor.web.settings import read_settings
from monitor.web.sign_in import SIGN_IN, SIGN_OUT
from tests.web.conftest import READ_TOKEN, TOKENS, Answer, Serve, Site, configured
from tests.web.test_access import HASH, PASSWORD, USERS, basic, bearer

PAGE = {"Accept": "text/html,application/xhtml+xml", "Sec_Fetch_Site": "none"}
ANN_ACTS = "users.ann = ['read', 'act']\n" + TOKENS


@dataclass
class Person:
    """A browser with a cookie jar."""

    site: Site
    cookies: str = ""

    def ask(self, path: str, method: str = "GET", form: dict[str, str] | None = None, **headers: str) -> Answer:
        sent = {**PAGE, **({"Cookie": self.cookies} if self.cookies else {})}
        if form is not None:
            sent |= {"Content_Type": FORM, "Sec_Fetch_Site": "same-origin",
                     "Origin": f"http://127.0.0.1:{self.site.port}"}
        body = None if form is None else urlencode(form).encode()
        answer = self.site.ask(path, method, body=body, **(sent | headers))
        for given in answer.headers.get_all("Set-Cookie", ()):
            morsels = SimpleCookie(given)
            self.cookies = "; ".join(f"{name}={one.value}" for name, one in morsels.items() if one["max-age"] != "0")
        return answer

    def sign_in(self, user: str = "ann", password: str = PASSWORD, to: str = "", **headers: str) -> Answer:
        return self.ask(SIGN_IN, "POST", {"user": user, "password": password, "to": to}, **headers)


@pytest.fixture
def site(serve: Serve) -> Site:
    return serve(ANN_ACTS, USERS, names=("m",))


@pytest.mark.parametrize("path", ["/", "/models/m?before=2026-01-05", "/models/a%2Fb", "/metrics", "/elsewhere"])
def test_a_browser_is_led_to_the_page_and_back(site: Site, path: str) -> None:
    """Who asks for a page signs in by a form and comes to what was asked for; nothing of it is told before."""
    person = Person(site)
    led = person.ask(path)
    assert (led.status, led.body) == (303, b"")
    where = urlsplit(urljoin(f"http://h{path}", led.headers["Location"]))
    assert where.path == SIGN_IN
    form = person.ask(f"{where.path}?{where.query}")
    assert (form.status, b"</form>" in form.body, b"<script" in form.body) == (200, True, False)
    to = parse_qs(where.query).get("to", [""])[0]
    arrived = person.sign_in(to=to)
    assert (arrived.status, urljoin("http://h/sign-in", arrived.headers["Location"])) == (303, f"http://h{path}")


def test_a_session_reads_and_acts_in_the_users_name(site: Site) -> None:
    """With the cookie pages are read, forms are done with the token of the page, and the audit names the user."""
    person = Person(site)
    person.sign_in()
    text = person.ask("/models/m").body.decode()
    token = re.search(r'name="token" value="(\w+)"', text)
    assert token is not None
    given = {"token": token[1], "model": "m", "reason": "because"}
    assert person.ask("/actions/pause", "POST", given | {"token": "x"}).status == 403
    assert person.ask("/actions/pause", "POST", given, Origin="http://evil.example").status == 403
    assert person.ask("/actions/pause", "POST", given, Sec_Fetch_Site="cross-site").status == 403
    assert site.store.audit.by_people() == []
    assert person.ask("/actions/pause", "POST", given).status == 303
    assert [entry.actor for entry in site.store.audit.by_people()] == ["ann"]
    assert Person(site).ask("/actions/pause", "POST", given).status == 401


def test_machines_get_401_and_their_credentials_go_on_working(site: Site) -> None:
    """Without Accept: text/html, or to send something, there is no redirect; tokens and Basic need no session."""
    for accept in ("*/*", "application/json", ""):
        assert site.ask("/", Accept=accept).status == 401
    assert Person(site).ask("/actions/pause", "POST", {}).status == 401
    for given in (bearer("x" * 32), basic("ann", "x")):
        assert Person(site).ask("/", Authorization=given).status == 401
    for given in (bearer(READ_TOKEN), basic("ann", PASSWORD)):
        assert site.ask("/", Authorization=given).status == 200


def test_the_cookie_is_for_the_browser_alone(site: Site) -> None:
    """No script reads it, no other site's page has it sent, it ends with the session, and over TLS it stays there."""
    given = Person(site).sign_in().headers["Set-Cookie"]
    assert re.fullmatch(
        rf"driftd-{site.port}=[\w-]{{43}}; HttpOnly; Max-Age={LIFETIME}; SameSite=strict", given), given
    behind = Person(site).sign_in(Origin=f"https://127.0.0.1:{site.port}").headers["Set-Cookie"]
    assert "; Secure" in behind


def test_signing_out_ends_the_session(site: Site) -> None:
    """The page says who is signed in; after signing out the old cookie opens nothing."""
    person = Person(site)
    person.sign_in()
    assert b"signed in as ann" in person.ask(SIGN_IN).body
    kept = person.cookies
    out = person.ask(SIGN_OUT, "POST", {})
    assert (out.status, urljoin("http://h/sign-out", out.headers["Location"])) == (303, "http://h/sign-in")
    assert person.cookies == ""
    assert site.ask("/", Cookie=kept).status == 401


def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    """A browser has one session."""
    person = Person(site)
    person.sign_in()
    before = person.cookies
    person.sign_in("bob")
    assert (site.ask("/", Cookie=before).status, site.ask("/", Cookie=person.cookies).status) == (401, 200)


def test_a_change_of_the_users_entry_counts_at_once(site: Site) -> None:
    """Another password or none ends the session; other scopes hold from the next request on; nothing else ends it."""
    person = Person(site)
    person.sign_in()
    other = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
    statuses = {}
    for what, daemon, web in (
        ("scopes", "", USERS), ("another user", ANN_ACTS, USERS.replace("$2y$", "$2b$")),
        ("hers", ANN_ACTS, USERS.replace(f"ann: {HASH}", f"ann: {other}")),
    ):
        site.app.policy = read_settings(load(configured(site.folder, daemon, web))).policy
        text = site.ask("/models/m", Cookie=person.cookies)
        statuses[what] = (text.status, b"<form" in text.body)
    assert statuses == {"scopes": (200, False), "another user": (200, True), "hers": (401, False)}
    site.app.policy = read_settings(load(configured(site.folder, ANN_ACTS, USERS))).policy
    assert site.ask("/", Cookie=person.cookies).status == 401       # what has ended does not come back


def test_a_session_ends_after_its_time() -> None:
    """Twelve hours, however much is asked for meanwhile; and there are only so many."""
    now = [0.0]
    sessions, passwords = Sessions(lambda: now[0]), Passwords({"ann": HASH})
    token = sessions.begin("ann", passwords)
    for now[0] in (0.0, LIFETIME - 1.0):
        assert sessions.user(token, passwords) == "ann"
    now[0] = LIFETIME
    assert sessions.user(token, passwords) is None
    now[0] = 0.0
    assert sessions.user(token, passwords) is None
    tokens = [sessions.begin("ann", passwords) for _ in range(MOST + 1)]
    assert [sessions.user(one, passwords) for one in (tokens[0], tokens[1], tokens[-1])] == [None, "ann", "ann"]


@pytest.mark.parametrize("given", [
    {"user": "ann", "password": "x"}, {"user": "eve", "password": PASSWORD}, {"user": "ann"}, {"password": PASSWORD},
    {"user": "ann", "password": PASSWORD + "\0"}, {"user": '"><script>', "password": "\ud800"},
])
def test_who_is_not_known_is_told_the_same(site: Site, given: dict[str, str]) -> None:
    """A wrong password, an unknown user and noise get one sentence, and no cookie."""
    body = urlencode(given, errors="surrogatepass").encode()
    answer = site.ask(SIGN_IN, "POST", body=body, Content_Type=FORM, **PAGE)
    assert answer.headers["Set-Cookie"] is None
    if b"%ED" not in body:      # what is no UTF-8 is no form
        assert (answer.status, b"There is no such user with this password." in answer.body) == (403, True)
        assert site.refused("wrong_credentials") == 1
    assert b"<script" not in answer.body


def test_noise_signs_nobody_in(site: Site) -> None:
    """What is no form of ours is 400, what another site's page sends 403, what is too long 413."""
    good = urlencode({"user": "ann", "password": PASSWORD}).encode()
    assert site.ask(SIGN_IN, "POST", body=good, Content_Type="text/plain").status == 400
    assert site.ask(SIGN_IN, "POST", body=b"\xff", Content_Type=FORM).status == 400
    assert site.ask(SIGN_IN, "POST", body=good, Content_Type=FORM, Sec_Fetch_Site="cross-site").status == 403
    assert site.ask(SIGN_IN, "POST", body=b"x" * 20_000, Content_Type=FORM).status == 413


def test_after_too_many_failures_the_page_says_when(site: Site) -> None:
    """Guesses by form and by Basic are counted together; then the right password waits too, and a session goes on."""
    person, guesser = Person(site), Person(site)
    person.sign_in()
    for number in range(AT_ONCE // 2):
        assert guesser.sign_in(password=f"guess {number}").status == 403
        assert site.ask("/", Authorization=basic("ann", f"other {number}")).status == 401
    answer = guesser.sign_in()
    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (429, True)
    assert b"too many wrong passwords" in answer.body
    assert guesser.cookies == ""
    assert person.ask("/").status == 200
    assert guesser.sign_in("bob").status == 303


@pytest.mark.parametrize(("most", "clients", "users"), [
    (AT_ONCE, 1, 1), (OF_CLIENT, 1, 50), (OF_USER, 50, 1),
])
@pytest.mark.anyio
async def test_failures_are_limited_for_client_and_user(most: int, clients: int, users: int) -> None:
    """One client about one user, about many users, and many clients about one user: each has its limit."""
    names = [f"u{number}" for number in range(users)]
    policy, guesses = Policy(passwords=Passwords(dict.fromkeys(names, HASH))), Guesses(lambda: 0.0)
    answers = [await guesses.check(policy, f"c{at % clients}", names[at % users], b"x") for at in range(most + 1)]
    assert [getattr(one, "reason", "") for one in answers] == ["wrong_credentials"] * most + ["too_many_failures"]
    assert getattr(answers[-1], "wait", 0) == REFILL
    assert isinstance(await guesses.check(
        Policy(passwords=Passwords({"z": HASH})), "elsewhere", "z", PASSWORD.encode()), Principal)


@pytest.mark.parametrize("to", [
    "//evil.example", "https://evil.example", "\\\\evil.example", "/\\evil.example", "javascript:alert(1)",
    "@evil.example", "x\r\nSet-Cookie: a=b", "?x=é", "\u202e", "x" * 2000, ".evil.example", "../../x", "a/%2e%2E/x",
])
def test_nobody_is_led_elsewhere(site: Site, to: str) -> None:
    """Whatever an address says, after signing in one is at a page of ours."""
    person = Person(site)
    answer = person.sign_in(to=to)
    below = f"http://127.0.0.1:{site.port}/below"        # a proxy may have put the pages below a folder
    where = urljoin(f"{below}{SIGN_IN}", unquote(answer.headers["Location"]).replace("\\", "/"))
    assert (answer.status, where.startswith(f"{below}/")) == (303, True)
    assert len(answer.headers.get_all("Set-Cookie", ())) == 1
    again = person.ask(f"{SIGN_IN}?{urlencode({'to': to})}")
    assert (again.status, again.headers["Location"]) == (303, answer.headers["Location"])


def test_a_link_of_another_site_is_followed_by_who_is_signed_in(site: Site) -> None:
    """A browser keeps the cookie back there; the page then asks for itself once more, and only once."""
    person = Person(site)
    led = person.ask("/models/m", Sec_Fetch_Site="cross-site")
    first = person.ask("/" + led.headers["Location"].removeprefix("../"), Sec_Fetch_Site="cross-site").body.decode()
    again = re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', first)
    assert again is not None
    way = "/" + again[1].replace("&amp;", "&")
    assert "refresh" not in person.ask(way, Sec_Fetch_Site="cross-site").body.decode()
    person.sign_in()
    assert person.ask(way).headers["Location"] == "./models/m"


def test_without_users_there_is_no_page(serve: Serve) -> None:
    """Where nobody can sign in, a browser gets what a machine gets."""
    site = serve(TOKENS)
    assert [site.ask(path, **PAGE).status for path in ("/", SIGN_IN)] == [401, 401]
    assert serve().ask(SIGN_IN, **PAGE).status == 404


def test_the_page_has_its_style_before_anybody_is_in(site: Site) -> None:
    """Style sheet and icon of the sign-in page are there for everybody, and no other file."""
    assert [site.ask(f"/static/{name}").status for name in ("driftd.css", "driftd.svg", "x")] == [200, 200, 401]


def test_who_came_and_went_is_in_the_log(site: Site) -> None:
    """The log names user and client; no password and no token is in it."""
    person = Person(site)
    with capture_logs() as logs:
        person.sign_in()
        token = person.cookies.partition("=")[2]
        person.ask(SIGN_OUT, "POST", {})
        person.sign_in(password="not hers")
    told = [entry for entry in logs if entry["event"] in ("Signed in.", "Signed out.")]
    assert [(entry["event"], entry["user"], entry["client"]) for entry in told] == [
        ("Signed in.", "ann", "127.0.0.1"), ("Signed out.", "ann", "127.0.0.1")]
    assert not any(secret in str(logs) for secret in (PASSWORD, token, "not hers"))
    assert site.store.audit.between(None, datetime.max.replace(tzinfo=UTC)) == []
