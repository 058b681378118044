"""The outbox of messages: each goes to every address once, and again for days where one does not answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from monitor.config.sections import NotifySection
from monitor.config.values import Secret
from monitor.notify.deliver import Delivery, deliver
from monitor.records import Message, Silence
from monitor.times import Clock

log = structlog.get_logger(__name__)

WAITS = (
    timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
    *[timedelta(hours=6)] * 12,     # three days more, then it is given up
)


Silences = Callable[[str, datetime], Sequence[Silence]]     # those of a model that are in force at a moment


class Messages(Protocol):
    """What the notifier needs of the outbox of messages."""

    def due(self, now: datetime) -> Sequence[Message]: ...
    def record(self, message: Message) -> None: ...


class Notifier:
    """Sends due messages. One thread at a time; addresses are revealed only while sending."""

    def __init__(
        self, messages: Messages, section: NotifySection, clock: Clock, silences: Silences = lambda model, now: ()
    ) -> None:
        self._messages = messages
        self._silences = silences
        self._urls = section.urls
        self._clock = clock
        self._reached: dict[str, set[Secret]] = {}   # message id → addresses that have it already
        self._said_nobody = False

    def send_due(self) -> int:
        """Try every due message once, record what became of it, return how many have reached everybody.

        An address that took a message does not get it again while others fail. That is remembered in this
        process only: after a restart a message that reached some goes to all once more, rather than to none.
        """
        sent = 0
        for message in self._messages.due(self._clock()):
            done = self._held(message) or self._try(message)
            self._messages.record(done)
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
        return [deliver(url, title, body) for url in self._urls]

    def _try(self, message: Message) -> Message:
        if not self._urls:
            return self._nobody(message)
        reached = self._reached.setdefault(message.id, set())
        failed = []
        for url in [url for url in self._urls if url not in reached]:
            result = deliver(url, message.title, message.body, message.kind)
            if result.ok:
                reached.add(url)
            else:
                failed.append(f"{result.place}: {result.reason}")
        if failed:
            return self._failed(message, "; ".join(failed))
        del self._reached[message.id]
        log.info("message sent", message=message.id, model=message.model, kind=message.kind)
        return replace(message, tries=message.tries + 1, sent_at=self._clock(), next_try_at=None, reason=None)

    def _failed(self, message: Message, reason: str) -> Message:
        tries = message.tries + 1
        if tries > len(WAITS):
            self._reached.pop(message.id, None)
            log.error("message given up", message=message.id, model=message.model, tries=tries, reason=reason)
            return replace(message, tries=tries, next_try_at=None, reason=f"given up: {reason}")
        next_try = self._clock() + WAITS[tries - 1]
        log.warning("message not sent", message=message.id, model=message.model, reason=reason, next=next_try)
        return replace(message, tries=tries, next_try_at=next_try, reason=reason)

    def _nobody(self, message: Message) -> Message:
        if not self._said_nobody:
            log.warning("messages go to nobody: [notify] urls is empty, add an address there")
            self._said_nobody = True
        return replace(message, next_try_at=None, reason="nobody to tell: [notify] urls is empty")
