"""What pipelines with a JSON API over HTTP have in common: one exchange, and what its end means for a request."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from monitor.errors import ConfigError
from monitor.http import NotSent, Reply, Unclear, send
from monitor.records import Dispatch, DispatchState
from monitor.retrain.evidence import short
from monitor.retrain.pipelines import Answer, Key
from monitor.retrain.pipelines.answers import failure, trouble, unanswered, waiting_time
from monitor.retrain.pipelines.credentials import Credential, Nobody, Send
from monitor.untrusted import MALFORMED

LISTING_LIMIT = 8_000_000                    # bytes
TOLD = ("driftd_id", "driftd_evidence")      # parameters every run is given
LISTED = 50                                  # runs looked through at once


class Rest(ABC):
    """A pipeline whose runs are started and asked after by JSON; a kind says how in `_start`, `_ask_run`, `_run`."""

    KEY: ClassVar[Key] = "native"
    ACCEPTED: ClassVar[tuple[int, ...]] = (200, 201)
    KNOWN: ClassVar[tuple[int, ...]] = ()    # answers that say: such a run is there already

    def __init__(self, where: str, timeout: timedelta, ca: Path | None, credential: Credential | None = None) -> None:
        self._where = where
        self._timeout, self._ca = timeout, ca
        self._credential = credential or Nobody()

    @abstractmethod
    def _start(self, dispatch: Dispatch) -> Reply:
        """Ask for a run under the request's id, once."""

    @abstractmethod
    def _ask_run(self, dispatch: Dispatch) -> Reply:
        """Ask for the run of a request."""

    @abstractmethod
    def _run(self, told: Any) -> Answer:
        """Read a run. Raises one of MALFORMED where it is none."""

    def key(self) -> Key:
        return self.KEY

    def submit(self, dispatch: Dispatch) -> Answer:
        """Hand the request over, once. Raises ConfigError when a secret or a file cannot be read."""
        try:
            if not_yet := self._not_yet():
                return Answer(state=DispatchState.PENDING, reason=not_yet)
            reply = self._start(dispatch)
            if reply.status in self.KNOWN:
                return self._confirmed(dispatch, reply)
        except (NotSent, Unclear) as error:
            return trouble(error)
        if reply.status not in self.ACCEPTED:
            return failure(reply, self._where)
        try:
            return self._accepted(reply)
        except MALFORMED:
            reason = f"{self._where} answered {reply.status} without a run: it may have been accepted"
            return Answer(state=DispatchState.AMBIGUOUS, reason=reason)

    def find(self, dispatch: Dispatch) -> Answer | None:
        """Look for the run that carries our id."""
        try:
            return self._search(dispatch)
        except (NotSent, Unclear, ConfigError, *MALFORMED) as error:
            return Answer(state=DispatchState.AMBIGUOUS, reason=f"looking for the run failed: {_words(error)}")

    def follow(self, dispatch: Dispatch) -> Answer:
        """Ask how the run is; trouble in asking leaves the state as it was."""
        try:
            reply = self._ask_run(dispatch)
            if reply.status == 200:
                return self._run(reply.json())
            return unanswered(reply, self._gone(dispatch, reply))
        except (NotSent, Unclear, ConfigError, *MALFORMED) as error:
            return Answer(state=dispatch.state, reason=f"asking for the run failed: {_words(error)}", heard=False)

    def check(self) -> list[str]:
        """Whether a request could go out now, starting nothing."""
        try:
            return self._problems()
        except ConfigError as error:
            return error.problems
        except (NotSent, Unclear) as error:
            return [str(error)]
        except MALFORMED:
            return [f"{self._where} answers in a form that is not known here"]

    @abstractmethod
    def _problems(self) -> list[str]:
        """What would keep a request from becoming a run, with lines to paste."""

    def _not_yet(self) -> str | None:
        """Why a run would not start if it were asked for now; then nothing is sent."""
        return None

    def _accepted(self, reply: Reply) -> Answer:
        """Read the answer to a request that was taken."""
        return self._run(reply.json())

    def _search(self, dispatch: Dispatch) -> Answer | None:
        return None

    def _gone(self, dispatch: Dispatch, reply: Reply) -> DispatchState:
        """The state of a run that is not shown: as it was."""
        return dispatch.state

    def _confirmed(self, dispatch: Dispatch, refused: Reply) -> Answer:
        """A run is there already: it is ours if it can be read under our id."""
        reply = self._ask_run(dispatch)
        if reply.status == 200:
            try:
                return self._run(reply.json())
            except MALFORMED:
                reason = f"{self._where} has the request already, and shows no run of it"
                return Answer(state=DispatchState.AMBIGUOUS, reason=reason)
        return failure(refused, self._where) if reply.status == 404 else failure(reply, self._where)

    def _ask(
        self, method: str, url: str, body: Any = None, *, headers: Mapping[str, str] | None = None, limit: int = 64_000
    ) -> Reply:
        """One exchange; a credential that is not accepted is renewed once where it can be."""
        payload, kind = body, {"Content-Type": "application/json"}
        if body is not None and not isinstance(body, bytes):
            payload = json.dumps(body).encode()
        for last in (False, True):
            given = {"Accept": "application/json", **kind, **self._credential.headers(), **(headers or {})}
            reply = self._send(method, url, headers=given, body=payload, limit=limit)
            if last or reply.status not in (401, 403) or waiting_time(reply) or not self._credential.renew():
                return reply.of_the_api(self._where)
        raise AssertionError("the second answer is always given")

    @property
    def _send(self) -> Send:
        return sender(self._timeout, self._ca)

    def _read(self, url: str, what: str, limit: int = LISTING_LIMIT) -> Any:
        """The JSON at an address. Raises NotSent, Unclear, ValueError."""
        reply = self._ask("GET", url, limit=limit)
        if reply.status != 200:
            raise Unclear(f"{what} cannot be read from {self._where} ({reply.status})")
        return reply.json()


def sender(timeout: timedelta, ca: Path | None) -> Send:
    """`http.send` with these bounds."""
    def one(method: str, url: str, **given: Any) -> Reply:
        return send(method, url, timeout=timeout, ca=ca, **given)

    return one


def parameters(dispatch: Dispatch, also: Mapping[str, str]) -> dict[str, str]:
    """What a run is told: our id, the gist of the evidence, and what the configuration adds."""
    return {**also, "driftd_id": dispatch.id, "driftd_evidence": short(dispatch.body)}


def stated(states: Mapping[str, DispatchState], word: object, **also: Any) -> Answer:
    """An answer by the other side's word for the state; one that is not known is unknown, never failed."""
    return Answer(state=states.get(str(word), DispatchState.UNKNOWN), reason=f"the run is {word}", **also)


def missing(needed: Iterable[str], declared: Iterable[object], where: str, what: str) -> list[str]:
    """A sentence for the parameters that a run would refuse or never see; none where all are declared."""
    known = {str(name) for name in declared}
    absent = [name for name in needed if name not in known]
    return [f"{where} does not declare {', '.join(absent)}; add {what}"] if absent else []


def segment(text: str) -> str:
    """A name as one part of a path."""
    return quote(text, safe="")


def _words(error: BaseException) -> str:
    return "the answer could not be read" if isinstance(error, MALFORMED) else str(error)
