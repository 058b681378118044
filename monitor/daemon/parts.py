"""What is built from each configuration: who checks, who delivers requests, who asks registries, who tells people."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from monitor.config import Loaded
from monitor.records import Dispatch, Episode, Spread, Verdict, Window
from monitor.store import Store
from monitor.times import Clock
from monitor.workers.pool import Workers


class Checks(Protocol):
    def check(self, name: str) -> list[Verdict]: ...
    def request(self, name: str, by: str, reason: str) -> Dispatch | Episode: ...
    def spread(self, window: Window, column: str) -> Spread: ...
    def evidently_page(self, window: Window) -> str: ...


class Requests(Protocol):
    def recover(self) -> Any: ...
    def send_due(self) -> Any: ...
    def follow(self) -> Any: ...


class Registered(Protocol):
    def move(self) -> list[str]: ...
    def look(self) -> list[str]: ...
    def track(self) -> Any: ...


class People(Protocol):
    def send_due(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What is built anew from each configuration; all its memory is in the store."""

    checker: Checks
    outbox: Requests
    registries: Registered
    notifier: People


Build = Callable[[Loaded, Store, Workers, Clock], Parts]


def build(loaded: Loaded, store: Store, workers: Workers, clock: Clock) -> Parts:
    """Put together what a configuration asks for. Raises DriftdError before anything has an effect."""
    from monitor.check.checker import Checker
    from monitor.expose.model_charts import message_picture
    from monitor.notify.notifier import Notifier
    from monitor.promotion.registry import Registries
    from monitor.retrain.outbox import Outbox

    return Parts(
        checker=Checker(loaded, store, workers, clock),
        outbox=Outbox.of(loaded.config, store, clock),
        registries=Registries(loaded.config, store, clock),
        notifier=Notifier(
            store.messages, loaded.config.notify, clock, partial(store.silences.in_force, loaded.config),
            loaded.config.daemon.url, partial(message_picture, store, loaded.config),
        ),
    )
