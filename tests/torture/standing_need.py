"""A model whose need always stands, and the few things its daemon does every few seconds, on a clock set by hand."""

import random
from datetime import UTC, datetime, timedelta

from monitor.config.sections import ModelSection
from monitor.decide.decision import decide
from monitor.records import Dispatch, DispatchState, Reference, Score, ScoreStatus, Snapshot, SnapshotStatus, Window
from monitor.retrain.outbox import Outbox, new_dispatch
from monitor.retrain.pipelines import Answer, Key
from monitor.store import Store
from monitor.times import WatchedClock, format_duration

START = datetime(2026, 3, 2, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
COOLDOWN, RUN, BUDGET = 5 * MINUTE, 2 * SECOND, 3
STEP = 5 * SECOND


class Place:
    """A pipeline that takes everything, while it is up."""

    def __init__(self) -> None:
        self.taken, self.up = 0, True
        self.ids: list[str] = []

    def key(self) -> Key:
        return "native"

    def submit(self, dispatch: Dispatch) -> Answer:
        if not self.up:
            return Answer(state=DispatchState.PENDING, reason="connection refused")
        self.taken += 1
        self.ids.append(dispatch.id)
        return Answer(state=DispatchState.DELIVERED, reason="accepted")

    def find(self, dispatch: Dispatch) -> Answer | None:
        return None

    def follow(self, dispatch: Dispatch) -> Answer:
        return Answer(state=dispatch.state)

    def check(self) -> list[str]:
        return []


class World:
    """A model whose need always stands, its daemon's clock, and the true time, which nobody sets."""

    def __init__(self, store: Store | None = None, cooldown: timedelta = COOLDOWN, budget: int = BUDGET) -> None:
        self.store, self.place = store or Store.memory(), Place()
        self.passed, self.ahead = timedelta(0), timedelta(0)
        self.asked: list[timedelta] = []             # true times
        self.model = ModelSection.model_validate({
            "name": "m", "mode": "act", "metric": "accuracy", "predictions": {"path": "x.csv"},
            "reference": {"source": {"path": "r.csv"}}, "window": {"size": "10s", "min_rows": 1},
            "triggers": [{"name": "worse", "metric": "accuracy", "below": 0.7, "action": "retrain"}],
            "retrain": {"pipeline": "p", "cooldown": format_duration(cooldown), "budget": f"{budget} per 1d",
                        "min_labels": 0, "run_timeout": "2s"},
        })
        self.reference = Reference(model="m", id="r", model_version="1", origin="r.csv", since=START - DAY)
        self.start()
        self.store.references.install(self.reference, None, self.clock())

    def wall(self) -> datetime:
        return START + self.passed + self.ahead

    def start(self) -> None:
        """The daemon, anew."""
        self.clock = WatchedClock(self.wall, lambda: self.passed.total_seconds())
        self.store.read_stamps_by(self.clock)
        self.store.future.restamp(self.clock())
        self.outbox = Outbox(self.store, {"p": self.place}, self.clock, random.Random(1))
        self.mend = 0

    def run(self, span: timedelta) -> None:
        """Let true time pass; what the service does every few seconds is done."""
        end = self.passed + span
        while self.passed < end:
            self.passed = min(end, self.passed + STEP)
            if any(jump < timedelta(0) for jump in self.clock.jumps()):
                self.store.future.wake(self.clock())
                self.mend = 12
            if self.mend and self.clock.settled():
                self.store.future.restamp(self.clock())
                self.mend -= 1
            self.check()
            before = self.place.taken
            self.outbox.send_due()
            self.asked += [self.passed] * (self.place.taken - before)

    def check(self) -> None:
        """A window that has just closed and is bad: one check of it."""
        now = self.clock()
        window = Window(model="m", start=now - 10 * SECOND, end=now, spec="10s")
        score = Score(metric="accuracy", value=0.1, low=0.0, high=0.2, n=50, status=ScoreStatus.OK)
        snapshot = Snapshot(
            window=window, revision=0, taken_at=now, reference_id="r", model_version="1", config_hash="c",
            code_version="0", rows=50, labelled=50, late=0, sampled=1.0, mature=True, status=SnapshotStatus.OK,
            reason=None, scores=(score,),
        )
        reference = self.store.references.current("m")
        assert reference is not None
        history = self.store.checks.history("m", reference, None, now=now, run_timeout=RUN, spec="10s")
        made = decide(self.model, history, snapshot, now, newest=True)
        request = made.request and made.episode is not None
        dispatch = new_dispatch(self.model, made.episode, snapshot, made.verdict, reference, now) if request else None
        self.store.checks.commit(
            snapshot, expected_reference="r", verdict=made.verdict, firing=made.firing, episode=made.episode,
            ended=made.ended, dispatch=dispatch, withdraw=made.withdraw, messages=made.messages,
        )
