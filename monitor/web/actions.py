"""What people do from a page: each action with a name and a reason, protected against forgery, audited.

The name is that of who signed in. A form carries a token that only a page of ours knows, made for that name; the door
has refused requests of other pages' before (`access.py`).
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, cast, get_args

from monitor import page_links
from monitor.config import Config, ModelSection
from monitor.decide.guards import silence_words
from monitor.errors import DriftdError, StateError, UsageError
from monitor.escape import NAME, SENTENCE
from monitor.expose.view import BUILT_IN, ModelView
from monitor.promotion.versions import approve_promotion, reject_promotion, rollback
from monitor.records import Dispatch, DispatchState, Episode, EpisodeState, Silence
from monitor.retrain.approval import approve, reject
from monitor.retrain.outbox import ENDED
from monitor.retrain.requests_by_hand import UNSETTLED, Outcome, resolve, retry
from monitor.store import Store
from monitor.times import Clock, parse_duration
from monitor.web.forms import Refused, form_of
from monitor.web.policy import Principal

SPANS = ("1h", "4h", "1d", "7d")

Retrain = Callable[[str, str, str], Dispatch | Episode]      # model, by, reason


class Choice(NamedTuple):
    """A field of a form; without `options` it is a text, with one a box to tick."""

    name: str
    label: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """One action that is possible now. `grave`: it cannot be undone, so it is confirmed."""

    action: str
    title: str
    says: str
    grave: bool = False
    fields: tuple[Choice, ...] = ()


class Done(NamedTuple):
    """Where to go on, and what was done."""

    href: str
    words: str


class Actions:
    """Does what forms say. `changed` is called after each that was done. Thread safe."""

    def __init__(
        self, store: Store, config: Callable[[], Config], clock: Clock, ask: Retrain, changed: Callable[[], None]
    ) -> None:
        self._store, self._config, self._clock, self._ask, self._changed = store, config, clock, ask, changed
        self._key = secrets.token_bytes(32)
        self._do: dict[str, Callable[[ModelSection, str, str, Mapping[str, str]], str]] = {
            "approve": self._approve, "reject": self._reject, "retrain": self._retrain, "pause": self._pause,
            "resume": self._resume, "silence": self._silence, "end-silence": self._end_silence,
            "approve-version": self._approve_version, "reject-version": self._reject_version,
            "rollback": self._rollback, "retry": self._retry, "retry-new": self._retry_new, "resolve": self._resolve,
        }

    def token(self, principal: Principal) -> str:
        """What a form carries: made for who signed in, and worth nothing after a restart."""
        who = f"{principal.kind}\x1f{principal.name}"
        return hmac.new(self._key, who.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def act(self, action: str, principal: Principal, kind: str, body: bytes) -> Done:
        """Do what a form says. Raises Refused."""
        form = form_of(kind, body)
        if action not in self._do:
            raise Refused(HTTPStatus.BAD_REQUEST, "expected one of the actions of driftd's pages")
        if not hmac.compare_digest(form.get("token", "").encode(), self.token(principal).encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "the form is too old or not ours; load the page again")
        reason = _reason(form)
        if action in GRAVE and form.get("sure") != "yes":
            raise Refused(HTTPStatus.BAD_REQUEST, "this cannot be undone; tick the box that says so")
        try:
            model, href = self._subject(form)
            words = self._do[action](model, principal.name[:NAME], reason, form)
        except StateError:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this cannot be recorded at the moment; try again") from None
        except (DriftdError, ValueError) as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from None
        self._changed()
        return Done(href, words)

    def _subject(self, form: Mapping[str, str]) -> tuple[ModelSection, str]:
        """The model that a form is about, and the page to go back to."""
        models, request = self._config().models, form.get("request")
        if request is not None:
            found = self._store.requests.get(request)
            if found is None or found.model not in models:
                raise UsageError("there is no such request")
            return models[found.model], page_links.of_request(request)
        given = form.get("model", "")
        named = next((name for name in models if page_links.names(given, name)), None)
        if named is None:
            raise UsageError("there is no such model")
        return models[named], page_links.of_model(named)

    def _approve(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        written = approve(self._store, model, by, reason, self._clock())
        return f"approved; {written.pipeline} is asked within a minute"

    def _reject(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        reject(self._store, model, by, reason, self._clock())
        return "rejected; this need asks for nothing more until it has cleared"

    def _retrain(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        with self._store.transaction():
            written = self._ask(model.name, by, reason)
            self._store.audit.note(self._clock(), by, "retrain", written.id, reason)
        if isinstance(written, Dispatch):
            return f"{written.pipeline} is asked to retrain within a minute"
        return "the request waits until another person approves it"

    def _pause(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        self._store.pauses.begin(model.name, by, reason, self._clock())
        return "paused; no retrain is asked for until somebody resumes it"

    def _resume(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        if not self._store.pauses.end(model.name, by, reason, self._clock()):
            raise UsageError(f"{model.name} is not paused")
        return "resumed"

    def _silence(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        now, trigger = self._clock(), form.get("trigger") or None
        maintenance = form.get("maintenance") == "yes"
        if trigger not in (None, *_triggers(model)) or (trigger and maintenance) or form.get("for") not in SPANS:
            raise UsageError("expected how long, and a trigger of this model or maintenance, not both")
        until = now + parse_duration(form["for"])
        one = Silence(model=model.name, until=until, reason=reason, trigger=trigger, maintenance=maintenance, by=by)
        self._store.silences.add(one, now)
        return silence_words(one, model.timezone)

    def _end_silence(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        if not self._store.silences.end(model.name, by, reason, self._clock()):
            raise UsageError(f"{model.name} is not silenced by hand")
        return "messages are sent again"

    def _approve_version(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        waiting = self._store.promotions.waiting(model.name)
        move = approve_promotion(self._store, model, by, reason, self._clock())
        if move is not None:
            return f"approved; the alias will be moved to version {move.to_version} within a minute"
        return f"approved; version {waiting.version if waiting else ''} is in service from the next check on"

    def _reject_version(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        rejected = reject_promotion(self._store, model, by, reason, self._clock())
        return f"version {rejected.version} is rejected"

    def _rollback(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        to = form.get("version", "")
        if not to or len(to) > NAME:
            raise UsageError("expected the version to go back to")
        move = rollback(self._store, model, to, by, reason, self._clock())
        return f"the alias will be moved from version {move.from_version} to {to} within a minute"

    def _retry(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        retry(self._store, _request(form), new_attempt=False, by=by, reason=reason, now=self._clock())
        return "the request is sent again within a minute, under the same id"

    def _retry_new(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        new = retry(self._store, _request(form), new_attempt=True, by=by, reason=reason, now=self._clock())
        return f"a new attempt, {new.id}, is sent within a minute"

    def _resolve(self, model: ModelSection, by: str, reason: str, form: Mapping[str, str]) -> str:
        outcome = form.get("outcome")
        if outcome not in get_args(Outcome):
            raise UsageError("expected what became of it")
        told = resolve(self._store, _request(form), cast(Outcome, outcome), by=by, reason=reason, now=self._clock())
        return f"the request is {told.state.value}"


def forms_of_model(model: ModelView, section: ModelSection) -> Iterator[Form]:
    """The actions that are possible about a model now."""
    if model.episode is not None and model.episode.state is EpisodeState.AWAITING_APPROVAL:
        yield Form("approve", "Approve the retrain", "The pipeline is asked.", grave=True)
        yield Form("reject", "Reject the retrain", "This need asks for nothing more until it has cleared.", grave=True)
    if model.waiting is not None:
        version = model.waiting.version
        yield Form("approve-version", "Approve the new version", f"Version {version} comes into service.", grave=True)
        yield Form("reject-version", "Reject the new version", f"Version {version} does not.", grave=True)
    if section.retrain is not None:
        yield Form("retrain", "Retrain now", f"{section.retrain.pipeline} is asked; guards do not hold it back.",
                   grave=True)
    if model.paused:
        yield Form("resume", "Resume", "Retrains are asked for again.")
    else:
        yield Form("pause", "Pause", "No retrain is asked for; checks and alerts go on.")
    yield Form("silence", "Silence", "Messages are kept and sent afterwards.", fields=(
        Choice("for", "for", SPANS), Choice("trigger", "about", ("", *_triggers(section))),
        Choice("maintenance", "hold back retrain requests too", ("yes",)),
    ))
    if any(silence.by for silence in model.silences):
        yield Form("end-silence", "End silences", "Those set by hand end; messages are sent again.")
    if section.registry is not None:
        yield Form("rollback", "Roll back", "The registry's alias names an earlier version again.", grave=True,
                   fields=(Choice("version", "to version"),))


def forms_of_request(request: Dispatch) -> Iterator[Form]:
    """The actions that are possible about a request now."""
    if request.state in UNSETTLED:
        yield Form("retry", "Send it again", "Under the same id; refused if a second run could start.", grave=True)
    if request.state in (*ENDED, DispatchState.DELIVERED):
        yield Form("retry-new", "A new attempt", "The request is repeated under a new id.", grave=True)
    if request.state not in ENDED or request.state is DispatchState.UNKNOWN:
        yield Form("resolve", "Say what became of it", "When only a person can find out.", grave=True,
                   fields=(Choice("outcome", "it", get_args(Outcome)),))


GRAVE = frozenset({
    "approve", "reject", "approve-version", "reject-version", "retrain", "rollback", "retry", "retry-new", "resolve",
})


def _reason(form: Mapping[str, str]) -> str:
    reason = form.get("reason", "").strip()
    if not reason or len(reason) > SENTENCE:
        raise Refused(HTTPStatus.BAD_REQUEST, f"expected a reason of at most {SENTENCE} characters")
    return reason


def _request(form: Mapping[str, str]) -> str:
    if "request" not in form:
        raise UsageError("expected the request that is meant")
    return form["request"]


def _triggers(model: ModelSection) -> tuple[str, ...]:
    return (*(trigger.name for trigger in model.triggers), *BUILT_IN)
