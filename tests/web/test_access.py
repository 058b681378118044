"""Who is let in, by which name, from which page; every request goes over a socket to a real server."""

import base64
import http.client
import re
from contextlib import suppress

import bcrypt
import pytest

from monitor.web.failures import AT_ONCE
from tests.web.conftest import ACT_TOKEN, CANARY, METRICS_TOKEN, READ_TOKEN, TOKENS, Serve, Site

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  ann: {HASH}\n  bob: {HASH.replace('$2b$', '$2y$')}\n"
PAGES = ("/models/x", "/models/x/report", "/requests/x/report",
         "/models/x/windows/x", "/models/x/windows/x/evidently", "/models/x/columns/x", "/requests/x", "/actions/x")
API = ("/api/openapi.json", "/api/v1/models", *(f"/api/v1/models/x{rest}" for rest in (
    "", "/windows", "/windows/x", "/scores")), "/api/v1/requests/x")
GUARDED = ("/", "/metrics", "/api/status", "/static/x", *PAGES, *API, "/v1/runs/x", "/v1/mlflow", "/v1/captures/x",
           "/elsewhere")


def bearer(token: str) -> str:
    return f"Bearer {token}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


WRONG = {
    "absent": None, "empty": "", "another scheme": "Digest x", "wrong token": bearer("x" * 32),
    "prefix of a token": bearer(READ_TOKEN[:-1]), "token as a password": basic("wall", READ_TOKEN),
    "wrong password": basic("ann", "x"), "unknown user": basic("eve", PASSWORD), "no password": basic("ann", ""),
    "zero byte": basic("ann", PASSWORD + "\0"), "no base64": "Basic %%%", "no colon": "Basic YW5u",
    "no UTF-8": "Basic " + base64.b64encode(b"\xff:x").decode(), "hash as the password": basic("ann", HASH),
}


@pytest.fixture
def site(serve: Serve) -> Site:
    return serve("users.ann = ['read']\n" + TOKENS, USERS)


def test_every_route_is_guarded(site: Site) -> None:
    """The list of routes that these tests walk is the application's own."""
    paths = {re.sub(r"\{.*?\}", "x", route.path) for route in site.app.routes}
    assert paths == {*GUARDED, "/healthz", "/readyz", "/sign-in", "/sign-out"} - {"/elsewhere"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", GUARDED)
def test_without_credentials_there_is_no_byte(site: Site, path: str, method: str) -> None:
    """Every path, of whatever method, is 401 without a body, and says what is asked for."""
    answer = site.ask(path, method)
    assert (answer.status, answer.body) == (401, b"")
    assert answer.headers.get_all("WWW-Authenticate") == [
        'Bearer realm="driftd"', 'Basic realm="driftd", charset="UTF-8"']


@pytest.mark.parametrize("given", WRONG)
def test_wrong_credentials_get_no_byte(site: Site, given: str) -> None:
    """Whatever is wrong with a token or a password, the answer is the same."""
    value = WRONG[given]
    for path in ("/", "/metrics", *PAGES):         # fewer than failures that a client may have
        answer = site.ask(path, **({} if value is None else {"Authorization": value}))
        assert (answer.status, answer.body) == (401, b"")


@pytest.mark.parametrize(("token", "allowed"), [
    (METRICS_TOKEN, {"/metrics"}), (READ_TOKEN, {"/", "/api/status"}), (ACT_TOKEN, set()),
])
def test_a_token_opens_what_its_scopes_say(site: Site, token: str, allowed: set[str]) -> None:
    """Each scope opens its own paths; the others are 403 without a body."""
    for path in ("/", "/metrics", "/api/status"):
        answer = site.ask(path, Authorization=bearer(token))
        assert (answer.status == 200, CANARY in answer.body.decode()) == (path in allowed, path in allowed)
        assert path in allowed or (answer.status, answer.body) == (403, b"")
    assert site.refused("scope") == 3 - len(allowed)


def test_users_have_what_is_written_of_them(site: Site) -> None:
    """A user without an entry may scrape and read; one with an entry what it says. $2y$ hashes are bcrypt too."""
    statuses = {(user, path): site.ask(path, Authorization=basic(user, PASSWORD)).status
                for user in ("ann", "bob") for path in ("/metrics", "/")}
    assert statuses == {("ann", "/metrics"): 403, ("ann", "/"): 200, ("bob", "/metrics"): 200, ("bob", "/"): 200}


def test_two_credentials_are_none(site: Site) -> None:
    """What two Authorization headers say is not guessed at."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.putrequest("GET", "/")
    for token in (READ_TOKEN, "x" * 32):
        connection.putheader("Authorization", bearer(token))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (401, b"")
    connection.close()


def test_without_credentials_configured_nobody_is_asked(serve: Serve) -> None:
    """On loopback the page and the metrics are open unless the configuration names somebody."""
    site = serve()
    assert [site.ask(path).status for path in ("/", "/metrics", "/api/status")] == [200, 200, 200]
    assert site.ask("/elsewhere").status == 404


def test_health_is_open_and_says_no_more_than_yes_or_no(site: Site) -> None:
    """Probes need no token; why something is wrong is told only to who may read, or scrape."""
    site.reasons["healthy"] = "a secret reason"
    answers = {given: site.ask("/healthz", **({"Authorization": bearer(given)} if given else {}))
               for given in ("", "x" * 32, ACT_TOKEN, READ_TOKEN, METRICS_TOKEN)}
    assert {answer.status for answer in answers.values()} == {503}
    told = [given for given, answer in answers.items() if b"secret" in answer.body]
    assert told == [READ_TOKEN, METRICS_TOKEN]
    assert site.ask("/readyz").status == 200


def test_the_second_listener_has_health_alone(site: Site) -> None:
    """Nothing but the two probes is there, whatever is presented and whatever it is called."""
    port = int(site.health.address.rpartition(":")[2])
    assert site.ask("/healthz", port=port, Host="whatever.example").body == b"ok\n"
    assert site.ask("/readyz", port=port).status == 200
    for path in GUARDED:
        answer = site.ask(path, port=port, Authorization=bearer(READ_TOKEN))
        assert answer.status == 404
        assert CANARY not in answer.body.decode()


# --- names and pages

@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:9745", "127.0.0.1.evil.example", "localhost.evil.example", "10.9.8.7", "", "[::1",
    "127.0.0.1@evil.example", "driftd.example.org.evil.example", "127.0.0.1:99999999",
])
def test_another_name_is_refused(serve: Serve, host: str) -> None:
    """Whoever asks for a name that is not ours gets no byte, health included: DNS rebinding comes that way."""
    site = serve('url = "https://driftd.example.org/x"\nallowed_hosts = ["Driftd.Models.svc"]')
    for path in (*GUARDED, "/healthz", "/readyz"):
        answer = site.ask(path, Host=host)
        assert (answer.status, answer.body) == (421, b"")


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:9745", "driftd.example.org", "driftd.example.org.",
    "DRIFTD.models.svc",
])
def test_our_names_are_answered(serve: Serve, host: str) -> None:
    """Loopback, the host of daemon.url and daemon.allowed_hosts, in any case, at any port."""
    site = serve('url = "https://driftd.example.org/x"\nallowed_hosts = ["Driftd.Models.svc"]')
    assert site.ask("/", Host=host).status == 200


def test_two_names_or_none_are_refused(serve: Serve) -> None:
    """HTTP/1.0 without Host, and two of them, are nobody's."""
    site = serve()
    for head, status in ((b"GET / HTTP/1.0\r\n\r\n", b"421"),
                         (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"400"),
                         (b"GET / HTTP/1.1\r\n\r\n", b"400")):
        with site.connect(head) as connection:
            answer = connection.recv(1000)
        assert answer.split()[1] == status
        assert CANARY.encode() not in answer


TWO_LENGTHS = (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
               b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


@pytest.mark.parametrize(("rest", "status"), [
    (TWO_LENGTHS, b"400"),
    (b"X: " + b"y" * 20_000 + b"\r\n\r\n", b"431"),
    (b"".join(b"X-%d: y\r\n" % number for number in range(4000)) + b"\r\n", b"431"),
])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_request_that_may_hide_another_is_the_last(serve: Serve, rest: bytes, status: bytes, method: bytes) -> None:
    """Two lengths, or a head beyond the limit that came in one piece: one refusal, and nothing after it is read."""
    with serve().connect(method + b" / HTTP/1.1\r\nHost: localhost\r\n" + rest) as connection:
        answer = b""
        with suppress(ConnectionError):                  # what was not read is answered by a reset
            while piece := connection.recv(65_536):
                answer += piece
    assert answer.split()[1:2] in ([status], [b"400"], [])       # 400 where the kernel handed it over in pieces
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert CANARY.encode() not in answer


@pytest.mark.parametrize("origin", [
    "http://evil.example", "null", "http://localhost:1", "file://", "https://driftd.example.org.evil.example",
    "http://127.0.0.1", "http://driftd.example.org", "https://driftd.example.org:8443",
])
def test_another_page_is_refused(serve: Serve, origin: str) -> None:
    """A request that a page of another site makes gets no byte, to read or to change something."""
    site = serve('url = "https://driftd.example.org/x"')
    for method in ("GET", "POST"):
        answer = site.ask("/", method, Origin=origin)
        assert (answer.status, answer.body) == (403, b"")
    assert site.refused("origin") == 2


def test_our_own_pages_may_ask(serve: Serve) -> None:
    """The page that was asked for by this host, and that of daemon.url behind a proxy that speaks TLS."""
    site = serve('url = "https://driftd.example.org/x"')
    assert site.ask("/", Origin=f"http://127.0.0.1:{site.port}").status == 200
    assert site.ask("/", Origin="https://driftd.example.org").status == 200
    assert site.ask("/", Origin="https://driftd.example.org", Host="driftd.example.org").status == 200


@pytest.mark.parametrize("whence", ["cross-site", "same-site", "odd"])
def test_a_browser_that_says_where_it_comes_from_changes_nothing(serve: Serve, whence: str) -> None:
    """What changes something must come from our own page, also where a browser sends no Origin."""
    site = serve()
    assert site.ask("/", "POST", Sec_Fetch_Site=whence).status == 403
    assert site.ask("/", "POST", Sec_Fetch_Site="same-origin").status == 405
    assert site.ask("/", Sec_Fetch_Site=whence).status == 200       # following a link is reading


# --- a proxy that signs people in

def test_a_trusted_proxy_says_who_somebody_is(serve: Serve) -> None:
    """The header counts from the proxy's address; scopes are those of the user it names."""
    site = serve('users.eve = []\n[daemon.proxy]\nheader = "X-User"\npeers = ["127.0.0.0/8"]')
    assert site.ask("/", X_User="ann").status == 200
    assert site.ask("/", X_User="eve").status == 403
    for bad in ("", "a\tb", "x" * 201):
        assert site.ask("/", X_User=bad).status == 401
    assert (site.ask("/").status, site.ask("/").body) == (401, b"")


def test_the_header_of_somebody_else_counts_for_nothing(serve: Serve) -> None:
    """From another address than the proxy's the header names nobody."""
    site = serve('[daemon.proxy]\nheader = "X-User"\npeers = ["10.0.0.7"]\n' + TOKENS)
    assert site.ask("/", X_User="ann").status == 401
    assert site.ask("/", X_User="ann", Authorization=bearer(READ_TOKEN)).status == 200


# --- failures

def test_a_client_that_is_wrong_too_often_must_wait(site: Site) -> None:
    """After ten wrong passwords of a user even the right one is not looked at; other users and tokens go on."""
    statuses = [site.ask("/", Authorization=basic("ann", f"guess {number}")).status for number in range(AT_ONCE + 1)]
    assert statuses == [401] * AT_ONCE + [429]
    answer = site.ask("/", Authorization=basic("ann", PASSWORD))
    assert (answer.status, answer.body) == (429, b"")
    assert int(answer.headers["Retry-After"]) > 0
    assert site.ask("/", Authorization=basic("bob", PASSWORD)).status == 200
    assert site.ask("/", Authorization=bearer(READ_TOKEN)).status == 200


def test_a_remembered_password_is_no_way_around_the_limit(site: Site) -> None:
    """That a password was right before does not let a guesser try against it without limit."""
    assert site.ask("/", Authorization=basic("ann", PASSWORD)).status == 200
    for number in range(AT_ONCE):
        site.ask("/", Authorization=basic("ann", f"guess {number}"))
    assert site.ask("/", Authorization=basic("ann", PASSWORD)).status == 429


def test_wrong_tokens_must_wait_and_right_ones_not(site: Site) -> None:
    """A guesser is slowed down; who shares its address and has the token is let in."""
    statuses = {site.ask("/", Authorization=bearer(f"{number:032}")).status for number in range(AT_ONCE + 1)}
    assert statuses == {401, 429}
    assert site.ask("/", Authorization=bearer(READ_TOKEN)).status == 200


def test_a_right_password_is_computed_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape every few seconds costs one bcrypt in all; a wrong password costs one each time."""
    computed: list[bytes] = []
    right = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        computed.append(password)
        return right(password, hashed)

    monkeypatch.setattr("bcrypt.checkpw", counted)
    site = serve("", USERS)
    for _ in range(5):
        assert site.ask("/metrics", Authorization=basic("ann", PASSWORD)).status == 200
    assert computed == [PASSWORD.encode()]
    for user in ("ann", "eve"):
        assert site.ask("/metrics", Authorization=basic(user, "wrong")).status == 401
    assert computed == [PASSWORD.encode(), b"wrong", b"wrong"]


def test_answers_carry_the_strict_headers(site: Site) -> None:
    """Refusals and pages alike: nothing is cached, loaded, framed or sniffed, and nobody is told the server's make."""
    for answer in (site.ask("/"), site.ask("/", Authorization=bearer(READ_TOKEN)), site.ask("/", Host="evil.example")):
        policy = answer.headers["Content-Security-Policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
        assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert answer.headers["Server"] is None
