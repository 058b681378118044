"""Requests on their way: sent when due, never under a second id, then followed to the end of the run."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from monitor.config.pipeline_sections import Pipeline as PipelineSection
from monitor.config.section import Section
from monitor.config.sections import Config, ModelSection
from monitor.errors import ConfigError, StateError, Stopping, UsageError
from monitor.escape import name
from monitor.records import Dispatch, DispatchState, Episode, Message, Reference, Snapshot, Verdict
from monitor.retrain.evidence import event
from monitor.retrain.pipelines import Answer, Pipeline, open_pipeline
from monitor.retrain.pipelines.alias import ALIAS, Alias
from monitor.store import LEASE, Store
from monitor.times import Clock, Wait, as_of_now, format_duration, utcnow

LADDER = tuple(timedelta(seconds=s) for s in (
    0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
))                                           # the wait before each try; the last one for ever
SOONEST = timedelta(minutes=5)               # who asks to be asked again at once waits so long, from the second try on
JITTER = 0.2                                 # waits are up to so much longer, so that senders spread
GRACE = timedelta(minutes=10)                # listings lag: how long a run may stay unfound before a second send
LOOK_AGAIN = timedelta(seconds=30)
FOLLOW_EVERY = timedelta(seconds=15)
TIMEOUT = timedelta(days=1)                  # of the queue, and of the run
UNHEARD = timedelta(days=14)                 # how much longer an end is waited for while nobody answers
REFUSED_AT, WORRY_AT = 2, 5                  # the try after which people hear that it is refused, or not answered

FOLLOWED = (DispatchState.QUEUED, DispatchState.RUNNING, DispatchState.BLOCKED)
ENDED = (
    DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.CANCELLED, DispatchState.ABANDONED,
    DispatchState.WITHDRAWN, DispatchState.UNKNOWN,
)
ACCEPTED = (
    *FOLLOWED, DispatchState.DELIVERED, DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.CANCELLED,
)
TOLD = (*ENDED, DispatchState.BLOCKED)       # people hear of these

log = structlog.get_logger(__name__)


def new_dispatch(
    model: ModelSection,
    episode: Episode,
    snapshot: Snapshot,
    verdict: Verdict | None,
    reference: Reference,
    now: datetime,
    url: str | None = None,
) -> Dispatch:
    """The first request of an episode, to be written together with it; its id is the same whenever it is made.

    Without a verdict the episode's own reason, a person's, is the evidence. `url`: where people reach the
    page. Raises UsageError without a pipeline.
    """
    if model.retrain is None:
        raise UsageError(f"{model.name} has no [models.{model.name}.retrain] that names a pipeline")
    dispatch_id = Dispatch.new_id(episode.id, 1)
    reasons = [] if verdict else [episode.reason]
    by_alias = episode.version is not None and model.registry is not None
    return Dispatch(
        id=dispatch_id, episode_id=episode.id, attempt=1, model=episode.model,
        pipeline=ALIAS if by_alias else model.retrain.pipeline,
        state=DispatchState.PENDING, created_at=now, next_try_at=now,
        body=event(dispatch_id, model, snapshot, verdict, reference, now, reasons=reasons, url=url,
                   version=episode.version),
    )


class Outbox:
    """Sends what is due and follows what runs.

    `pipelines` by name, open or as sections of the configuration; `queue_timeout` and `run_timeout` by model
    (default a day).
    """

    def __init__(
        self,
        store: Store,
        pipelines: Mapping[str, Pipeline | PipelineSection],
        clock: Clock = utcnow,
        rng: random.Random | None = None,
        *,
        queue_timeout: Mapping[str, timedelta] | None = None,
        run_timeout: Mapping[str, timedelta] | None = None,
    ) -> None:
        self._store = store
        opened = {name: _opened(pipeline, store.folder) for name, pipeline in pipelines.items()}
        self._pipelines: dict[str, Pipeline] = {ALIAS: Alias(store), **opened}
        self._clock = clock
        self._rng = rng or random.Random()
        self._queue_timeout, self._run_timeout = queue_timeout or {}, run_timeout or {}
        self._ask_at: dict[str, Wait] = {}
        self._unwritten: dict[str, Callable[[], Dispatch]] = {}  # by request: how to record what could not be

    @classmethod
    def of(cls, config: Config, store: Store, clock: Clock = utcnow) -> "Outbox":
        """The outbox a configuration asks for. Raises DriftdError when a pipeline cannot be opened."""
        asked = {name: model.retrain for name, model in config.models.items() if model.retrain}
        return cls(
            store, config.pipelines, clock, queue_timeout={name: one.queue_timeout for name, one in asked.items()},
            run_timeout={name: one.run_timeout for name, one in asked.items()},
        )

    def recover(self) -> list[Dispatch]:
        """At start, by the holder of the state: what was being sent when the last one ended is ambiguous."""
        return self._store.requests.recover(self._clock())

    def send_due(self) -> list[Dispatch]:
        """Send everything that is due, each once; a pipeline in trouble never stops the others.

        Raises StateError when the state cannot be written; an answer that could not be recorded is kept for the
        next call, and lost with this process, when the lease of its request ends.
        """
        done = [self._record_again(request) for request in list(self._unwritten)]
        while (claimed := self._store.requests.claim(self._clock())) is not None:
            done.append(self._send(claimed))
        return done

    def follow(self) -> list[Dispatch]:
        """Ask after every run under way; return those whose state or handle changed."""
        changed = [self._follow(d) for d in self._store.requests.all(states=FOLLOWED) if self._may_ask(d)]
        return [d for d in changed if d is not None]

    def _send(self, claimed: Dispatch) -> Dispatch:
        pipeline = self._pipelines.get(claimed.pipeline)
        if pipeline is None:
            reason = f"the pipeline {claimed.pipeline} is not in the configuration"
            return self._settle(claimed, Answer(state=_unsent(claimed), reason=reason))
        try:
            if claimed.state == DispatchState.AMBIGUOUS:
                return self._clear_up(claimed, pipeline)
            return self._settle(claimed, pipeline.submit(claimed))
        except (Stopping, StateError):           # its lease ends, or the next start finds it: it is cleared up
            raise
        except ConfigError as error:             # a secret that cannot be read: nothing has left
            return self._settle(claimed, Answer(state=_unsent(claimed), reason=str(error)))
        except Exception as error:               # a pipeline's bug must not stop the others
            log.exception("sending failed", dispatch=claimed.id, pipeline=claimed.pipeline)
            reason = f"sending failed in driftd itself ({type(error).__name__}); the log says where"
            return self._settle(claimed, Answer(state=DispatchState.AMBIGUOUS, reason=reason))

    def _clear_up(self, claimed: Dispatch, pipeline: Pipeline) -> Dispatch:
        """Nobody knows whether this was accepted: what can be done depends on the pipeline's key."""
        key = pipeline.key()
        if key == "native":
            return self._again(claimed, pipeline)
        if key == "blind":
            return self._hold(claimed, "whether it was accepted cannot be found out there")
        found = pipeline.find(claimed)
        if found is not None and found.state != DispatchState.AMBIGUOUS:
            return self._settle(claimed, found)
        now = self._clock()
        if found is not None:
            return self._settle(replace(claimed, tries=claimed.tries + 1), found)
        if now < as_of_now(self._clock, claimed.sent_at or claimed.created_at) + GRACE:
            return self._write(claimed, replace(claimed, next_try_at=now + LOOK_AGAIN))
        if claimed.unclear > 1:
            return self._hold(claimed, "it was sent twice and no run of it can be found")
        return self._again(claimed, pipeline)

    def _again(self, claimed: Dispatch, pipeline: Pipeline) -> Dispatch:
        """The same id once more."""
        sending = replace(
            claimed, state=DispatchState.SENDING, tries=claimed.tries + 1, sent_at=self._clock(),
            next_try_at=self._clock() + LEASE,
        )
        if not self._store.requests.record(sending, was=DispatchState.AMBIGUOUS, at=self._clock()):
            return claimed
        return self._settle(sending, pipeline.submit(sending))

    def _hold(self, claimed: Dispatch, why: str) -> Dispatch:
        reason = f"{why}; look at {claimed.pipeline}, then say driftd resolve {claimed.id}"
        held = replace(claimed, state=DispatchState.AMBIGUOUS, next_try_at=None, reason=reason)
        return self._write(claimed, held, tell="held")

    def _settle(self, claimed: Dispatch, answer: Answer) -> Dispatch:
        """Write what an answer means for a request that was being sent or looked for."""
        now, state = self._clock(), answer.state
        if state == DispatchState.PENDING and claimed.unclear:
            state = DispatchState.AMBIGUOUS      # this try was not taken, an earlier one still may have been
        after = self._applied(claimed, answer, state, now)
        if state == DispatchState.AMBIGUOUS and answer.state == state and claimed.state == DispatchState.SENDING:
            after = replace(after, unclear=claimed.unclear + 1)
        if state in (DispatchState.PENDING, DispatchState.AMBIGUOUS):
            step = self._wait(max(claimed.tries, 1))
            wait = max(answer.retry_after, min(step, SOONEST)) if answer.retry_after else step
            after = replace(after, next_try_at=now + wait)
            worry = after.tries == WORRY_AT or (answer.heard and after.tries == REFUSED_AT)
            return self._write(claimed, after, tell="held" if worry else None)
        return self._write(claimed, after, tell="outcome" if state in TOLD else None, answer=answer)

    def _applied(self, before: Dispatch, answer: Answer, state: DispatchState, now: datetime) -> Dispatch:
        accepted = now if state in ACCEPTED else None
        result = answer.result
        return replace(
            before, state=state, reason=answer.reason, next_try_at=None,
            handle=answer.handle or before.handle, url=answer.url or before.url,
            accepted_at=before.accepted_at or accepted,
            running_at=before.running_at or (now if state == DispatchState.RUNNING else None),
            ended_at=now if state in ENDED else None,
            new_version=result.model_version if result else before.new_version,
            new_reference=result.reference if result else before.new_reference,
        )

    def _follow(self, before: Dispatch) -> Dispatch | None:
        now, pipeline = self._clock(), self._pipelines.get(before.pipeline)
        answer = Answer(state=before.state, reason=f"the pipeline {before.pipeline} is not in the configuration")
        if pipeline is not None:
            answer = self._asked(pipeline, before)
        self._ask_at[before.id] = Wait(now, answer.retry_after or FOLLOW_EVERY)
        after = self._applied(before, answer, answer.state, now)
        if answer.state in FOLLOWED and (late := self._late(after, now, answer.heard)):
            given_up = Answer(state=DispatchState.UNKNOWN, reason=f"{late}; last: {answer.reason}")
            after = self._applied(after, given_up, given_up.state, now)
        if after == before:
            return None
        news = after.state in TOLD and after.state != before.state
        self._write(before, after, tell="outcome" if news else None, answer=answer)
        return after if (after.state, after.handle) != (before.state, before.handle) else None

    def _late(self, dispatch: Dispatch, now: datetime, heard: bool) -> str | None:
        """Which deadline a run has passed; while nobody answers, days offline cost it nothing."""
        if dispatch.running_at is None:
            since, limits, what = dispatch.accepted_at or dispatch.created_at, self._queue_timeout, "begun"
        else:
            since, limits, what = dispatch.running_at, self._run_timeout, "ended"
        limit = limits.get(dispatch.model, TIMEOUT)
        over = now >= as_of_now(self._clock, since) + limit + (timedelta(0) if heard else UNHEARD)
        return f"it has not {what} within {format_duration(limit)}" if over else None

    def _asked(self, pipeline: Pipeline, before: Dispatch) -> Answer:
        try:
            return pipeline.follow(before)
        except Exception as error:               # trouble in asking is never a failed run
            log.exception("asking for a run failed", dispatch=before.id, pipeline=before.pipeline)
            reason = f"asking for the run failed ({type(error).__name__})"
            return Answer(state=before.state, reason=reason, heard=False)

    def _may_ask(self, dispatch: Dispatch) -> bool:
        wait = self._ask_at.get(dispatch.id)
        return wait is None or wait.over(self._clock())

    def _write(
        self, before: Dispatch, after: Dispatch, tell: str | None = None, answer: Answer | None = None
    ) -> Dispatch:
        """Record the change, with the message about it and what the run told, unless a hand came first."""
        try:
            return self._write_now(before, after, tell, answer)
        except StateError:
            if before.state not in FOLLOWED:     # a run is asked after again
                self._unwritten[before.id] = partial(self._write_now, before, after, tell, answer)
            raise

    def _record_again(self, request: str) -> Dispatch:
        """Record an answer that came while the state could not be written. Raises StateError."""
        recorded = self._unwritten[request]()
        del self._unwritten[request]
        return recorded

    def _write_now(self, before: Dispatch, after: Dispatch, tell: str | None, answer: Answer | None) -> Dispatch:
        with self._store.transaction():
            if not self._store.requests.record(after, was=before.state, at=self._clock()):
                return self._store.requests.get(before.id) or before
            if tell is not None:
                self._store.messages.add(message(after, tell, self._clock()))
            if answer is not None and (made := answer.result):
                self._store.lineage.note_version(after.model, made.model_version, made.facts, self._clock())
            if answer is not None and answer.gate:
                self._store.gates.record(after, answer.gate, self._clock())
        log.info("retrain request", dispatch=after.id, state=after.state, tries=after.tries, reason=after.reason)
        return after

    def _wait(self, tries: int) -> timedelta:
        """How long to wait after so many tries."""
        return LADDER[min(tries, len(LADDER) - 1)] * (1 + JITTER * self._rng.random())


def _opened(pipeline: Pipeline | PipelineSection, folder: Path | None) -> Pipeline:
    return open_pipeline(pipeline, folder) if isinstance(pipeline, Section) else pipeline


def _unsent(claimed: Dispatch) -> DispatchState:
    """The state of a claimed request of which nothing left this time."""
    return DispatchState.AMBIGUOUS if claimed.unclear else DispatchState.PENDING


def message(dispatch: Dispatch, kind: str, now: datetime) -> Message:
    """What people are told about a request; the same event has the same id."""
    where, back = f" ({dispatch.url})" if dispatch.url else "", dispatch.version
    asked = "retrain" if back is None else f"going back to version {name(back)}"
    return Message(
        id=f"{dispatch.id}:{kind}:{dispatch.state}:{dispatch.tries}", model=dispatch.model, kind=kind,
        title=f"{dispatch.model}: {asked} {_WORDS.get(dispatch.state, dispatch.state)}",
        body=f"{dispatch.reason or dispatch.state}{where}.\nPipeline {dispatch.pipeline}, request {dispatch.id}.",
        created_at=now, next_try_at=now,
    )


_WORDS = {
    DispatchState.PENDING: "request does not get through",
    DispatchState.AMBIGUOUS: "request is unclear",
    DispatchState.BLOCKED: "waits for a person",
    DispatchState.ABANDONED: "request was rejected",
    DispatchState.UNKNOWN: "run is no longer followed",
}
