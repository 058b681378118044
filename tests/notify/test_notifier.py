"""Messages reach people through real servers, are tried again for days, and never show an address."""

import io
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from structlog.testing import capture_logs

from monitor.config.sections import NotifySection
from monitor.config.values import Secret
from monitor.notify.heartbeat import heartbeat
from monitor.notify.notifier import UNCLEAR_WAITS, WAITS, Notifier
from monitor.records import Message, Silence
from monitor.store import Store

MakeSecret = Callable[..., Secret]
PASSWORD = "correct-horse-battery"

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, span: timedelta) -> None:
        self.now += span


@dataclass
class Mailbox:
    """What a mail server took; it refuses every recipient whose address begins with "nobody"."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(envelope)
        return "250 OK"


@dataclass
class Receiver:
    """An HTTP server that answers every request with `answer` and keeps what came."""

    port: int = 0
    answer: int = 200                    # 0: none, the connection is closed
    delay: float = 0                     # seconds before it
    reply: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox(port=free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept, stopped = Receiver(), Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            kept.bodies.append(json.loads(body) if body else None)
            self._reply()

        def do_GET(self) -> None:
            self._reply()

        def _reply(self) -> None:
            kept.paths.append(self.path)
            if kept.answer == 0:
                return
            stopped.wait(kept.delay)
            self.send_response(kept.answer)
            for name, value in kept.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(kept.reply)))
            self.end_headers()
            self.wfile.write(kept.reply)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield kept
    stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> MakeSecret:
    """Put an address into an environment variable and return the reference to it."""

    def make(value: str, name: str = "ALERT_URL") -> Secret:
        monkeypatch.setenv(name, value)
        return Secret("env", name)

    return make


@pytest.fixture
def every_log() -> Iterator[io.StringIO]:
    """What a root logger at DEBUG writes; pytest's own capture also sees what never reaches the root."""
    root, text = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def message(number: int = 1, kind: str = "firing") -> Message:
    return Message(
        id=f"m{number}", model="flights", kind=kind, title=f"flights: retraining-pays fires ({number})",
        body="regret 2.4 passed 2.0\nwindow 2013-06-03 to 2013-06-10",
        created_at=NOW + timedelta(seconds=number),
    )


def notifier(store: Store, clock: HandClock, *urls: Secret) -> Notifier:
    return Notifier(store.messages, NotifySection(urls=urls), clock)


def mail_to(box: Mailbox, name: str = "ops") -> str:
    return f"mailto://127.0.0.1:{box.port}?from=driftd@example.org&to={name}@example.org"


def test_a_message_arrives_as_mail(
    store: Store, clock: HandClock, mailbox: Mailbox, secret: MakeSecret
) -> None:
    """A due message becomes one mail with its title and body, and is not sent again."""
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    people = notifier(store, clock, secret(mail_to(mailbox)))
    assert (people.send_due(), people.send_due()) == (1, 0)
    [mail] = mailbox.mails
    assert mail.rcpt_tos == ["ops@example.org"]
    assert isinstance(mail.content, bytes)
    content = message_from_bytes(mail.content, policy=policy.default)
    assert content["Subject"] == "flights: retraining-pays fires (1)"
    assert "regret 2.4 passed 2.0" in content.as_string()
    assert store.messages.all()[0].sent_at == clock()


@pytest.mark.parametrize(
    ("url", "link"),
    [(None, ""), ("https://driftd.example.org/", "https://driftd.example.org/models/flights\n"),
     ("http://ops.example/driftd", "http://ops.example/driftd/models/flights\n")],
)
def test_a_message_leads_to_the_page_of_its_model(
    store: Store, clock: HandClock, receiver: Receiver, secret: MakeSecret, url: str | None, link: str
) -> None:
    """Where `daemon.url` says how people reach them, page and report stand behind the words."""
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    section = NotifySection(urls=(secret(f"json://127.0.0.1:{receiver.port}/in"),))
    Notifier(store.messages, section, clock, url=url).send_due()
    [body] = receiver.bodies
    report = f"report: {link.strip()}/report\n" if link else ""
    assert f"window 2013-06-03 to 2013-06-10\n{link}{report}message " in body["message"]


def test_a_message_arrives_at_a_web_hook(
    store: Store, clock: HandClock, receiver: Receiver, secret: MakeSecret
) -> None:
    """The same message through json:// carries title, body and how grave it is."""
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    assert notifier(store, clock, secret(f"json://127.0.0.1:{receiver.port}/in")).send_due() == 1
    [body] = receiver.bodies
    assert body["title"] == "flights: retraining-pays fires (1)"
    assert body["message"].startswith("regret 2.4 passed 2.0")
    assert body["type"] == "warning"


def test_an_address_that_has_it_does_not_get_it_again(
    store: Store, clock: HandClock, mailbox: Mailbox, receiver: Receiver, secret: MakeSecret
) -> None:
    """While one address fails the other, already reached, gets no second copy."""
    receiver.answer = 503
    urls = secret(mail_to(mailbox)), secret(f"json://127.0.0.1:{receiver.port}/in", "HOOK")
    people = notifier(store, clock, *urls)
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    assert people.send_due() == 0
    [kept] = store.messages.all()
    assert kept.tries == 1
    assert kept.reason is not None
    assert "503" in kept.reason
    clock.forward(WAITS[0])
    receiver.answer = 200
    assert people.send_due() == 1
    assert (len(mailbox.mails), len(receiver.bodies)) == (1, 2)


def test_a_slow_receiver_gets_it_a_few_times_under_one_id(
    store: Store, clock: HandClock, receiver: Receiver, secret: MakeSecret
) -> None:
    """What may have arrived comes again after 10 min, 2 h and 12 h, known by its id; then it is given up."""
    receiver.answer = 0                  # the connection is closed without an answer
    people = notifier(store, clock, secret(f"json://127.0.0.1:{receiver.port}/in"))
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    waits = []
    while store.messages.due(clock()):
        assert people.send_due() == 0
        if (next_try := store.messages.all()[0].next_try_at) is not None:
            waits.append(next_try - clock())
            clock.now = next_try
    assert waits == list(UNCLEAR_WAITS)
    [body] = {one["message"] for one in receiver.bodies}
    assert len(receiver.bodies) == 4
    assert re.search(r"\nmessage [0-9a-f]{16}$", body)
    assert "given up" in (store.messages.all()[0].reason or "")


def test_one_that_may_have_it_does_not_get_it_whenever_another_fails(
    store: Store, clock: HandClock, receiver: Receiver, secret: MakeSecret
) -> None:
    """Each address has its own next time."""
    receiver.answer = 0
    urls = secret(f"json://127.0.0.1:{receiver.port}/in"), secret(f"json://127.0.0.1:{free_port()}/in", "HOOK")
    people = notifier(store, clock, *urls)
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    for expected in (1, 1, 1, 2):        # at once, after 1 min, 6 min, 10 min
        people.send_due()
        assert len(receiver.bodies) == expected
        clock.now = store.messages.all()[0].next_try_at or clock.now


def test_a_receiver_may_take_its_time(
    store: Store, clock: HandClock, receiver: Receiver, secret: MakeSecret
) -> None:
    """One that answers after six seconds has it, once."""
    receiver.delay = 6
    people = notifier(store, clock, secret(f"json://127.0.0.1:{receiver.port}/in"))
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    assert (people.send_due(), people.send_due(), len(receiver.bodies)) == (1, 0, 1)


def test_it_is_tried_for_three_days_then_given_up(
    store: Store, clock: HandClock, secret: MakeSecret
) -> None:
    """Waits grow from a minute to six hours; after three days of those one log line gives the message up."""
    people = notifier(store, clock, secret(f"json://127.0.0.1:{free_port()}/in"))
    store.messages.add(message())
    waits = []
    clock.forward(timedelta(minutes=1))
    with capture_logs() as lines:
        while store.messages.due(clock()):
            assert people.send_due() == 0
            if (next_try := store.messages.all()[0].next_try_at) is not None:
                waits.append(next_try - clock())
                clock.now = next_try
    assert waits == list(WAITS)
    assert sum(waits, timedelta()) > timedelta(days=3)
    assert [line["event"] for line in lines].count("message given up") == 1
    assert "given up" in (store.messages.all()[0].reason or "")


def test_nobody_to_tell_is_said_once(store: Store, clock: HandClock) -> None:
    """Without addresses messages leave the outbox unsent with their reason, and the log says so once."""
    store.messages.add(message(1))
    store.messages.add(message(2))
    clock.forward(timedelta(minutes=1))
    with capture_logs() as lines:
        people = notifier(store, clock)
        assert people.send_due() == 0
        assert not store.messages.due(clock())
    assert len(lines) == 1
    assert {(kept.sent_at, kept.reason) for kept in store.messages.all()} == {
        (None, "nobody to tell: [notify] urls is empty")
    }


def test_a_refused_mail_says_why(
    store: Store, clock: HandClock, mailbox: Mailbox, secret: MakeSecret
) -> None:
    """`driftd notify test` shows the mail server's own words."""
    [result] = notifier(store, clock, secret(mail_to(mailbox, "nobody"))).test("driftd", "a test")
    assert not result.ok
    assert result.place == 'mailto://127.0.0.1 from { env = "ALERT_URL" }'
    assert "no such person here" in (result.reason or "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nonsense://token-of-ours/path", "nonsense://… is not an address Apprise understands"),
        ("token-of-ours", "an address without a scheme is not an address Apprise understands"),
    ],
)
def test_a_wrong_address_is_an_answer(
    store: Store, clock: HandClock, secret: MakeSecret, url: str, expected: str
) -> None:
    """An address that is none fails with a sentence that does not repeat it."""
    [result] = notifier(store, clock, secret(url)).test("driftd", "a test")
    assert not result.ok
    assert "token-of-ours" not in str(result)
    assert expected in (result.reason or "")


def test_a_secret_that_is_not_set_is_an_answer(store: Store, clock: HandClock) -> None:
    """An unset variable fails its own address, by name, and no exception escapes."""
    [result] = notifier(store, clock, Secret("env", "DRIFTD_TEST_UNSET")).test("driftd", "a test")
    assert (result.place, result.ok) == ('{ env = "DRIFTD_TEST_UNSET" }', False)
    assert "DRIFTD_TEST_UNSET is not set" in (result.reason or "")


@pytest.mark.parametrize("answer", [200, 403, 301])
def test_no_log_shows_an_address(
    store: Store, clock: HandClock, receiver: Receiver, secret: MakeSecret, answer: int,
    every_log: io.StringIO, capfd: pytest.CaptureFixture[str],
) -> None:
    """With every logger at DEBUG, no log line, output, row or result holds the password or the path."""
    receiver.answer, receiver.headers = answer, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}
    url = f"json://jo:{PASSWORD}@127.0.0.1:{receiver.port}/{PASSWORD}?+token={PASSWORD}"
    people = notifier(store, clock, secret(url))
    store.messages.add(message())
    clock.forward(timedelta(minutes=1))
    with capture_logs() as lines:
        sent, [result] = people.send_due(), people.test("driftd", "a test")
    assert (sent, result.ok) == ((1, True) if answer == 200 else (0, False))
    assert f"/{PASSWORD}" in receiver.paths[0]
    assert "/elsewhere" not in receiver.paths
    told = [str(lines), str(result), every_log.getvalue(), *capfd.readouterr(), str(store.messages.all())]
    assert not [text for text in told if PASSWORD in text]


def test_a_heartbeat_is_fetched_and_its_failure_only_logged(receiver: Receiver, secret: MakeSecret) -> None:
    """The address is fetched once; a bad answer, no server or no secret is a log line without the path."""
    url = f"http://127.0.0.1:{receiver.port}/ping/{PASSWORD}"
    with capture_logs() as lines:
        heartbeat(secret(url))
        assert not lines
        receiver.answer = 500
        heartbeat(url)
        heartbeat(f"http://127.0.0.1:1/ping/{PASSWORD}")
        heartbeat(Secret("env", "DRIFTD_TEST_UNSET"))
        heartbeat(f"not an address {PASSWORD}")
        heartbeat(f"http://[{PASSWORD}")
    assert receiver.paths[:2] == [f"/ping/{PASSWORD}"] * 2
    assert [line["event"] for line in lines] == ["heartbeat failed"] * 5
    assert PASSWORD not in str(lines)
    assert "500" in lines[0]["reason"]


def test_a_silence_keeps_messages_back_until_it_is_over(
    store: Store, clock: HandClock, mailbox: Mailbox, secret: MakeSecret
) -> None:
    """What is about the silenced trigger waits, with the reason; all else goes out; afterwards nothing is lost."""
    until = NOW + timedelta(hours=2)
    silent = Silence(model="flights", until=until, reason="a known holiday", trigger="drift")
    store.messages.add(replace(message(1), trigger="drift"))
    store.messages.add(message(2))
    section = NotifySection(urls=(secret(mail_to(mailbox, "ops")),))
    people = Notifier(store.messages, section, clock, lambda model, now: [silent] if now < until else [])
    clock.forward(timedelta(minutes=1))
    assert people.send_due() == 1
    held, _ = store.messages.all("flights")
    assert (held.next_try_at, held.reason, held.tries) == (until, "silenced: a known holiday", 0)
    clock.forward(timedelta(hours=2))
    assert people.send_due() == 1
    assert len(mailbox.mails) == 2
