"""The outbox of messages: each goes to every address once, and again for days where one does not answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from monitor.config.sections import NotifySection
from monitor.config.values import Secret
from monitor.notify.deliver import Delivery, deliver
from monitor.notify.letter import Letter
from monitor.records import Message, Silence
from monitor.times import Clock, Wait

log = structlog.get_logger(__name__)

WAITS = (
    timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
    *[timedelta(hours=6)] * 12,     # three days more, then it is given up
)
UNCLEAR_WAITS = (timedelta(minutes=10), timedelta(hours=2), timedelta(hours=12))   # where it may have arrived

Picture = Callable[[Message], bytes | None]                 # PNG that goes with a message, None where there is none
Silences = Callable[[str, datetime], Sequence[Silence]]     # those of a model that are in force at a moment


class Messages(Protocol):
    """What the notifier needs of the outbox of messages."""

    def due(self, now: datetime) -> Sequence[Message]: ...
    def record(self, message: Message) -> None: ...


@dataclass(slots=True)
class _Places:
    """How far one message has come with each address."""

    done: set[Secret] = field(default_factory=set)               # that have it, or do not get it any more
    due: dict[Secret, Wait] = field(default_factory=dict)        # that get it again, and when
    wrong: dict[Secret, str] = field(default_factory=dict)       # that do not have it for sure, and why

    def note(self, url: Secret, result: Delivery, tries: int, now: datetime) -> None:
        """Take in what became of a try that so many came before."""
        waits = UNCLEAR_WAITS if result.unclear else WAITS
        self.due.pop(url, None)
        self.wrong.pop(url, None)
        if not result.ok:
            self.wrong[url] = f"{result.place}: {result.reason}"
        if result.ok or tries >= len(waits):
            self.done.add(url)
        else:
            self.due[url] = Wait(now, waits[tries])


class Notifier:
    """Sends due messages. One thread at a time; addresses are revealed only while sending.

    `url`: where people reach the page; each message then has the addresses of its model's and of its report.
    `picture`: is attached where a channel takes attachments.
    """

    def __init__(
        self, messages: Messages, section: NotifySection, clock: Clock, silences: Silences = lambda model, now: (),
        url: str | None = None, picture: Picture = lambda message: None,
    ) -> None:
        self._messages = messages
        self._silences = silences
        self._urls = section.urls
        self._url = url
        self._picture = picture
        self._clock = clock
        self._places: dict[str, _Places] = {}    # by message id
        self._said_nobody = False

    def send_due(self) -> int:
        """Try every due message once, record what became of it, return how many have reached everybody.

        An address that took a message does not get it again while others fail, and one that may have taken it
        gets it less often. That is remembered in this process only: after a restart a message that reached some
        goes to all once more, rather than to none. Each carries an id, by which a repeat is known.
        """
        sent = 0
        for message in self._messages.due(self._clock()):
            done = self._held(message) or self._try(message)
            self._messages.record(done)      # raises StateError: who has it is remembered, and nobody gets it twice
            if done.next_try_at is None:
                self._places.pop(message.id, None)
            sent += done.sent_at is not None
        return sent

    def _held(self, message: Message) -> Message | None:
        """The message put off to the end of a silence; None where nothing silences it."""
        silences = self._silences(message.model, self._clock())
        found = [silence for silence in silences if silence.trigger in (None, message.trigger)]
        if not found:
            return None
        last = max(found, key=lambda one: one.until)
        return replace(message, next_try_at=last.until, reason=f"silenced: {last.reason}")

    def test(self, title: str, body: str) -> list[Delivery]:
        """Send one message to every address now; nothing is recorded."""
        return [deliver(url, Letter(title=title, body=body)) for url in self._urls]

    def _try(self, message: Message) -> Message:
        if not self._urls:
            return self._nobody(message)
        places = self._places.setdefault(message.id, _Places())
        now, letter = self._clock(), Letter.of(message, self._url)
        due = [url for url in self._urls
               if url not in places.done and (url not in places.due or places.due[url].over(now))]
        # A message that did not get through goes again without its picture: that may have been the reason.
        picture = self._drawn(message) if due and not message.tries else None
        for url in due:
            places.note(url, deliver(url, letter, picture), message.tries, now)
        again = min((wait.until for wait in places.due.values()), default=None)
        after = replace(message, tries=message.tries + 1, next_try_at=again)
        return self._noted(after, places)

    def _drawn(self, message: Message) -> bytes | None:
        try:
            return self._picture(message)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a picture, the message goes out
            log.warning("message without its picture", message=message.id, model=message.model, reason=repr(error))
            return None

    def _noted(self, after: Message, places: "_Places") -> Message:
        """A message after a try: sent, given up, or with what is wrong until the next one."""
        reason, about = "; ".join(places.wrong.values()), {"message": after.id, "model": after.model}
        if places.due:
            log.warning("message not sent", **about, reason=reason, next=after.next_try_at)
            return replace(after, reason=reason)
        if places.wrong:
            log.error("message given up", **about, tries=after.tries, reason=reason)
            return replace(after, reason=f"given up: {reason}")
        log.info("message sent", **about, kind=after.kind)
        return replace(after, sent_at=self._clock(), reason=None)

    def _nobody(self, message: Message) -> Message:
        if not self._said_nobody:
            log.warning("messages go to nobody: [notify] urls is empty, add an address there")
            self._said_nobody = True
        return replace(message, next_try_at=None, reason="nobody to tell: [notify] urls is empty")
