"""What a message looks like in each channel, received by real servers, and that no text in it acts."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import apprise
import pytest
from apprise.plugins.slack import NotifySlack
from PIL import Image
from structlog.testing import capture_logs

from docs.write import MESSAGES_PAGE, with_messages
from monitor.config.sections import NotifySection
from monitor.config.values import Secret
from monitor.notify.deliver import PICTURE, deliver
from monitor.notify.letter import Letter
from monitor.notify.notifier import WAITS, Notifier
from monitor.records import Message
from monitor.store import Store
from tests.notify.test_notifier import (
    NOW,
    HandClock,
    Mailbox,
    MakeSecret,
    Receiver,
    free_port,
    mail_to,
    mailbox,
    receiver,
    secret,
)

__all__ = ["mailbox", "receiver", "secret"]
EVIL = ("<!channel> <at>ann</at> @here [pay](https://evil.example) `rm` *b* _i_ ~s~ <script>alert(1)</script> &amp; "
        "\\*x\\*")
SAID = Message(
    id="m1", model="flights", kind="firing", title="flights: drift fires", created_at=NOW,
    body="drift fires: 3 of 9 columns drifted.\nROC AUC now 0.612, before 0.684.\ndriftd asks for no retrain.",
)
LETTER = Letter.of(SAID, "https://driftd.example.org")


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "white").save(file, "PNG")
    return file.getvalue()


class Text(HTMLParser):
    """The words of a page, and which tags it has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def mailed(mailbox: Mailbox) -> EmailMessage:
    [mail] = mailbox.mails
    assert isinstance(mail.content, bytes)
    read = message_from_bytes(mail.content, policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


@pytest.fixture
def slack(receiver: Receiver, secret: MakeSecret, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Secret]:
    """Addresses of a Slack that lives in this process."""
    receiver.reply = b"ok"
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{receiver.port}/services")
    return lambda: secret("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general")


def test_a_mail_has_both_forms_and_shows_its_picture(mailbox: Mailbox, secret: MakeSecret) -> None:
    """Plain for who reads plain, HTML with a link and the picture in it, and nothing loaded from elsewhere."""
    assert deliver(secret(mail_to(mailbox)), LETTER, picture()).ok
    mail = mailed(mailbox)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    for said in (*SAID.body.split("\n"), "https://driftd.example.org/models/flights", LETTER.id):
        assert said in plain.get_content()
        assert said in html.get_content()
    assert 'href="https://driftd.example.org/models/flights/report"' in html.get_content()
    [image] = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert image.get_content() == picture()
    assert image["Content-ID"] == f"<{PICTURE}>"
    assert f'src="cid:{PICTURE}"' in html.get_content()
    assert html.get_content().count("src=") == 1


def test_a_mail_as_plain_text_where_the_address_says_so(mailbox: Mailbox, secret: MakeSecret) -> None:
    """`?format=text` in the address is kept."""
    assert deliver(secret(mail_to(mailbox) + "&format=text"), LETTER).ok
    mail = mailed(mailbox)
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r", "").startswith(SAID.body)


def test_slack_gets_its_own_form(slack: Any, receiver: Receiver) -> None:
    """Title, sentences, named links; a webhook takes no attachment, and the message arrives all the same."""
    assert deliver(slack(), LETTER, picture()).ok
    [body] = receiver.bodies
    assert receiver.paths == ["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    assert body["mrkdwn"] is True
    [attachment] = body["attachments"]
    assert attachment["title"] == "flights: drift fires"
    assert attachment["text"].startswith("drift fires: 3 of 9 columns drifted.\n\nROC AUC now 0.612, before 0.684.\n")
    assert "<https://driftd.example.org/models/flights|Page of flights>" in attachment["text"]


def test_teams_gets_a_card() -> None:
    """What Apprise makes of it for a workflow of Teams: a card with the title and Markdown."""
    service = apprise.Apprise.instantiate("workflows://teams.example.org:443/WORKFLOW/SIGNATURE")
    assert service.resolve_format(None).value == "markdown"
    card = service.gen_payload(LETTER.written("markdown"), LETTER.title)["attachments"][0]["content"]
    assert [block["text"].split("\n")[0] for block in card["body"] if block["type"] == "TextBlock"] == [
        "flights: drift fires", "drift fires: 3 of 9 columns drifted."]
    assert "[Page of flights](https://driftd.example.org/models/flights)" in json.dumps(card)


def test_a_web_hook_gets_plain_text_and_the_picture(receiver: Receiver, secret: MakeSecret) -> None:
    """json:// carries the text as it always did, and the picture beside it."""
    assert deliver(secret(f"json://127.0.0.1:{receiver.port}/in"), LETTER, picture()).ok
    [body] = receiver.bodies
    assert body["message"] == LETTER.written("text")
    assert base64.b64decode(body["attachments"][0]["base64"]) == picture()


def test_nothing_in_a_text_acts_in_a_mail(mailbox: Mailbox, secret: MakeSecret) -> None:
    """Markup in a name is shown as text."""
    letter = Letter.of(replace(SAID, body=f"{EVIL}\n{EVIL}", title=EVIL, model=EVIL), "https://driftd.example.org")
    assert deliver(secret(mail_to(mailbox)), letter).ok
    html = mailed(mailbox).get_body(("html",))
    assert html is not None
    shown = Text(html.get_content())
    assert shown.tags == {"div", "p", "b", "a", "br", "small"}
    assert EVIL in shown.words


def test_nothing_in_a_text_acts_in_slack(slack: Any, receiver: Receiver) -> None:
    """No mention, no link under another name, nothing set bold: the only link is ours."""
    letter = Letter.of(replace(SAID, body=f"{EVIL}\n{EVIL}", title=EVIL, model=EVIL), "https://driftd.example.org")
    assert deliver(slack(), letter).ok
    text = receiver.bodies[0]["attachments"][0]["text"]
    assert text.count("<") == text.count(">") == 2
    assert text.count("<https://driftd.example.org/models/") == 2
    assert not set("*~`") & set(re.sub(r"<https://driftd[^|]*\|", "", text))
    assert "@here" not in text


def test_nothing_in_a_text_acts_in_teams() -> None:
    """No mention and no link but ours."""
    letter = Letter.of(replace(SAID, body=f"{EVIL}\n{EVIL}", title=EVIL, model=EVIL), "https://driftd.example.org")
    text = letter.written("markdown")
    assert not set("<>*~`") & set(re.sub(r"\(https://driftd[^)]*\)", "", text) + letter.titled("markdown"))
    assert text.count("](") == 2
    assert "](https://evil" not in text
    service = apprise.Apprise.instantiate("workflows://teams.example.org:443/WORKFLOW/SIGNATURE")
    assert "entities" not in service.gen_payload(text, letter.title)["attachments"][0]["content"]["msteams"]


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bytes]]]:
    """Slack's API for bots, as far as a message with a file needs it."""
    took: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            took.append((self.path.partition("?")[0], body))
            self._answer()

        def do_GET(self) -> None:
            took.append((self.path.partition("?")[0], b""))
            self._answer()

        def _answer(self) -> None:
            told: dict[str, Any] = {"ok": True, "channel": "C1", "file_id": "F1", "files": [{"id": "F1"}]}
            told["upload_url"] = f"{base}/upload"
            text = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(NotifySlack, "api_url", base + "/api/{}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield took
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bot_of_slack_uploads_the_picture(uploads: list[tuple[str, bytes]], secret: MakeSecret) -> None:
    """With a bot's token the picture goes to the channel too."""
    assert deliver(secret("slack://xoxb-1234-1234-abc124/#general"), LETTER, picture()).ok
    assert "/api/chat.postMessage" in [path for path, _ in uploads]
    assert any(picture() in body for path, body in uploads if path == "/upload")


def test_a_message_that_failed_goes_again_without_its_picture(tmp_path: Path, secret: MakeSecret) -> None:
    """A picture is no reason to lose a message."""
    asked, clock = [], HandClock()

    def drawn(message: Message) -> bytes:
        asked.append(message.id)
        return picture()

    with Store.memory() as store:
        store.messages.add(replace(SAID, next_try_at=NOW))
        section = NotifySection(urls=(secret(f"json://127.0.0.1:{free_port()}/in"),))
        people = Notifier(store.messages, section, clock, picture=drawn)
        people.send_due()
        clock.forward(WAITS[0])
        people.send_due()
    assert asked == ["m1"]


def test_a_message_whose_picture_cannot_be_drawn_goes_without(receiver: Receiver, secret: MakeSecret) -> None:
    """Whatever is wrong with it, people are told; the log says so."""
    def broken(message: Message) -> bytes:
        raise OverflowError("no such number")

    with Store.memory() as store, capture_logs() as lines:
        store.messages.add(replace(SAID, next_try_at=NOW))
        section = NotifySection(urls=(secret(f"json://127.0.0.1:{receiver.port}/in"),))
        assert Notifier(store.messages, section, HandClock(), picture=broken).send_due() == 1
    assert receiver.bodies[0]["attachments"] == []
    assert [line["event"] for line in lines] == ["message without its picture", "message sent"]


def test_the_documentation_shows_the_messages_of_the_code() -> None:
    """Each kind of message, in the formats of the channels; `docs/write.py` rewrites them."""
    text = MESSAGES_PAGE.read_text(encoding="utf-8")
    assert with_messages(text) == text
