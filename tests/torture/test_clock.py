"""Row 8: a clock that is wrong for a while, in either direction; cron through DST in four zones over ten years."""

import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from monitor.config import cron
from monitor.config.sections import ModelSection
from monitor.decide.decision import decide
from monitor.records import Dispatch, DispatchState, Reference, Score, ScoreStatus, Snapshot, SnapshotStatus, Window
from monitor.retrain.outbox import Outbox, new_dispatch
from monitor.retrain.pipelines import Answer, Key
from monitor.store import Store
from monitor.times import WatchedClock

START = datetime(2026, 3, 2, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
YEAR = 365 * DAY
SPANS = [SECOND, 29 * SECOND, 31 * SECOND, MINUTE, HOUR, DAY, 30 * DAY, YEAR, 10 * YEAR]
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut")
COOLDOWN, RUN, BUDGET = 5 * MINUTE, 2 * SECOND, 3
STEP = 5 * SECOND


class Place:
    """A pipeline that takes everything."""

    def __init__(self) -> None:
        self.taken = 0

    def key(self) -> Key:
        return "native"

    def submit(self, dispatch: Dispatch) -> Answer:
        self.taken += 1
        return Answer(state=DispatchState.DELIVERED, reason="accepted")

    def find(self, dispatch: Dispatch) -> Answer | None:
        return None

    def follow(self, dispatch: Dispatch) -> Answer:
        return Answer(state=dispatch.state)

    def check(self) -> list[str]:
        return []


class World:
    """A model whose need always stands, its daemon's clock, and the true time, which nobody sets."""

    def __init__(self) -> None:
        self.store, self.place = Store.memory(), Place()
        self.passed, self.ahead = timedelta(0), timedelta(0)
        self.asked: list[timedelta] = []             # true times
        self.model = ModelSection.model_validate({
            "name": "m", "mode": "act", "metric": "accuracy", "predictions": {"path": "x.csv"},
            "reference": {"source": {"path": "r.csv"}}, "window": {"size": "10s", "min_rows": 1},
            "triggers": [{"name": "worse", "metric": "accuracy", "below": 0.7, "action": "retrain"}],
            "retrain": {"pipeline": "p", "cooldown": "5m", "budget": f"{BUDGET} per 1d", "min_labels": 0,
                        "run_timeout": "2s"},
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


def too_soon(asked: list[timedelta]) -> list[timedelta]:
    """Requests before the cooldown or the budget allowed them, by true time."""
    gaps = [later for earlier, later in itertools.pairwise(asked) if later - earlier < COOLDOWN - STEP]
    many = [last for first, last in zip(asked, asked[BUDGET:], strict=False) if last - first < DAY - STEP]
    return gaps + many


@pytest.mark.torture(8)
def test_a_clock_that_was_wrong_bypasses_nothing_and_holds_nothing_up(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """While it is wrong no request comes too soon; once it is right the next one comes within 60 s of its time."""
    chance, late, count = random.Random(seed), [], effort(6, 2 * len(SPANS) * 5)
    for number in range(count):
        span = SPANS[number // 2 % len(SPANS)] if count > 6 else SPANS[(3 * number + seed) % len(SPANS)]
        world = World()
        world.run(chance.uniform(0.1, 0.9) * COOLDOWN)
        assert len(world.asked) == 1
        world.ahead = span if number % 2 else -span
        world.run(chance.uniform(20, 90) * SECOND)
        world.ahead = timedelta(0)
        world.run(COOLDOWN + 2 * MINUTE)
        assert not too_soon(world.asked), (span, world.asked)
        assert len(world.asked) >= 2, (span, world.asked)
        late.append(world.asked[1] - world.asked[0] - COOLDOWN)
    allowed = 90 * SECOND + 60 * SECOND      # what was written while the clock was wrong counts from its return
    assert max(late) <= allowed, late
    figure(f"{count} clocks wrong by 1 s to 10 years for 20 to 90 s: no request before cooldown or budget allowed it, "
           f"the next one at most {max(late).total_seconds():.0f} s behind its time")


@pytest.mark.torture(8)
def test_requests_of_a_wrong_clock_do_not_hold_up_a_restarted_daemon(
    effort: Callable[[int, int], int], figure: Callable[[str], None]
) -> None:
    """The daemon ends while the clock is ahead, and starts when it is right: it asks as if all had been asked now."""
    spans = SPANS[4:][: effort(2, 9)]
    for span in spans:
        world = World()
        world.ahead = span
        world.run(MINUTE)
        assert len(world.asked) == 1
        world.ahead = timedelta(0)
        world.start()
        again = world.passed
        world.run(COOLDOWN + MINUTE)
        assert len(world.asked) == 2
        assert COOLDOWN - STEP <= world.asked[1] - again <= COOLDOWN + MINUTE
    figure(f"{len(spans)} daemons that were started behind a wrong clock: each asked again when its cooldown was over")


@pytest.mark.torture(8)
@pytest.mark.parametrize("expression", ["0 0 * * *", "30 2 * * *", "30 1 * * *", "59 23 * * *"])
def test_cron_comes_once_a_day_through_dst(expression: str, figure: Callable[[str], None]) -> None:
    """Ten years in four zones: one time on each day of the local calendar, and the same times backwards."""
    for name in ZONES:
        zone, end = ZoneInfo(name), datetime(2034, 1, 1, tzinfo=UTC)
        at, found = datetime(2024, 1, 1, tzinfo=zone).astimezone(UTC) - SECOND, []
        while (due := cron.next_time(expression, zone, at)) is not None and due < end:
            assert cron.last_time(expression, zone, at, due) == due
            found.append(due)
            at = due
        days = [moment.astimezone(zone).date() for moment in found]
        assert len(days) == len(set(days)) == (days[-1] - days[0]).days + 1, name
        assert len(days) > 3650
    figure(f"{expression} in {len(ZONES)} zones over 10 years: once on each day")
