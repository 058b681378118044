"""Random streams: `decide` beside a naive second writing of the same rules, and what must never happen."""

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.config.sections import ApprovalSection, RetrainSection, SourceSection, VersionsSection
from monitor.decide.decision import decide
from monitor.decide.episodes import approve, is_open, lapse, reject, supersede
from monitor.records import EpisodeState, Reference, Score, ScoreStatus, Silence, SnapshotStatus

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
COOLDOWN, BUDGET, SPAN = 30 * HOUR, 2, 10 * DAY
LAPSE = 50 * HOUR
LIMITS = RetrainSection(pipeline="ci", cooldown="30h", budget="2 per 10d", min_labels=0)
ASKING = LIMITS.model_copy(update={"approval": ApprovalSection(request="person", lapse="50h")})
DATE, FRESH = 9, 45     # windows, and labelled rows, after which these two ask
TRIGGERS = (
    {"name": "acc", "metric": "accuracy", "below": 0.5, "clear": 0.6, "windows": "2 of 3", "action": "retrain"},
    {"name": "pays", "metric": "regret", "above": 2.0, "action": "retrain"},
    {"name": "low", "metric": "accuracy", "below": 0.5},
    {"name": "date", "every": f"{DATE}d", "action": "retrain"},
    {"name": "fresh", "metric": "new_rows", "above": FRESH, "unless": ["low"], "action": "retrain"},
    {"name": "both", "all": ["low", "date"]},
    {"name": "back", "metric": "version_regret", "above": 0.5, "action": "rollback"},
)
NAMES = ("broken-data", "source", "acc", "pays", "low", "date", "fresh", "both", "back")
ASKERS = ("back", "acc", "pays", "date", "fresh")
VERSIONS = VersionsSection(predictions=SourceSection(path="of/{version}.csv"))

GOOD, BROKEN, FAILED, THIN = (
    SnapshotStatus.OK, SnapshotStatus.SCHEMA_CHANGED, SnapshotStatus.SOURCE_FAILED, SnapshotStatus.INSUFFICIENT_DATA,
)


@dataclass(frozen=True)
class Look:
    """One check, and what the world did before it."""

    back: int               # 0: a new window; k: the k-th newest is measured again
    status: SnapshotStatus
    accuracy: float | None
    gain: float | None
    earlier: dict[str, float]       # gains of versions that served before
    mature: bool
    newest: bool
    acting: bool
    paused: bool
    maintained: bool
    person: bool            # a retrain takes a person's word
    hours: int
    world: str


looks = st.builds(
    Look,
    back=st.sampled_from([0, 0, 0, 1, 2]),
    status=st.sampled_from([GOOD] * 6 + [BROKEN, FAILED, THIN]),
    accuracy=st.sampled_from([None, 0.4, 0.4, 0.55, 0.7]),
    gain=st.sampled_from([None, -1.0, 0.5, 1.5, 3.0]),
    earlier=st.sampled_from([{}, {"1": 2.0}, {"1": 2.5, "2": 1.0}, {"1": 2.5, "2": 3.5}, {"2": -2.0}]),
    mature=st.sampled_from([True, True, False]),
    newest=st.sampled_from([True, True, True, False]),
    acting=st.sampled_from([True, True, True, False]),
    paused=st.sampled_from([False, False, False, True]),
    maintained=st.sampled_from([False, False, False, True]),
    person=st.sampled_from([False, False, True]),
    hours=st.integers(1, 60),
    world=st.sampled_from(
        ["nothing", "accepted", "accepted", "ended", "ended", "failed", "new reference", "yes", "yes", "no"]
    ),
)


# Little stands in the way here, so that sums of gains of earlier versions grow.
returning = st.lists(st.builds(
    Look, back=st.sampled_from([0] * 9 + [1]), status=st.sampled_from([GOOD] * 12 + [BROKEN]), accuracy=st.just(0.7),
    gain=st.sampled_from([None, -0.2, 0.1, 1.5]),
    earlier=st.sampled_from([{"1": 1.1}, {"1": 1.1}, {"1": 1.2, "2": 1.3}, {"1": 0.5}, {"1": 2.5}, {"1": 2.5}]),
    mature=st.sampled_from([True] * 9 + [False]), newest=st.just(True), acting=st.just(True), paused=st.just(False),
    maintained=st.just(False), person=st.sampled_from([False, False, True]), hours=st.integers(20, 60),
    world=st.sampled_from(["nothing"] * 9 + ["accepted", "ended", "new reference", "yes", "no"]),
), min_size=4, max_size=12)


class Naive:
    """The rules once more, over plain lists and dicts: windows are whole numbers."""

    def __init__(self):
        self.seen = {}              # window -> Look, the newest revision only
        self.first = 0              # first window of the current reference
        self.fires = dict.fromkeys(NAMES, False)
        self.need = None            # [trigger, window, state]
        self.waits_since = None     # when a person was asked
        self.declined = {}          # trigger -> windows below it no longer count for its date or rows
        self.accepted = []
        self.answered = False       # the last request's run ended well
        self.paid = 0               # windows below it are paid for
        self.version = None         # to go back to, as the newest vote has it

    def accuracy_votes(self, retrain):
        level = 0.6 if retrain and self.fires["acc"] else 0.5
        votes = {}
        for window, look in self.seen.items():
            silent = look.status in (BROKEN, FAILED) or look.accuracy is None or (retrain and not look.mature)
            votes[window] = None if silent else look.accuracy < level
        return votes

    def regret_votes(self):
        votes, total, made, last, self.regret = dict.fromkeys(self.seen), 0.0, 0, None, {}
        for window in sorted(self.seen):
            look = self.seen[window]
            if window >= self.paid and look.status is GOOD and look.mature and look.gain is not None:
                made = made + 1 if total else 1
                total, last = max(0.0, total + look.gain), window
                votes[window], self.regret[window] = total > 2.0, total
        awaited = [w for w in sorted(self.seen) if last is not None and w > last and not self.seen[w].mature]
        for ahead, window in enumerate((w for w in awaited if self.seen[w].status is GOOD), start=1):
            self.regret[window] = total * (made + min(ahead, made)) / made
            votes[window] = self.regret[window] > 2.0 or None     # never clears
        return votes

    def noise(self):
        """Of a gain, as the gains of challengers tell it."""
        told = [self.seen[w] for w in sorted(self.seen)]
        gains = [look.gain for look in told if look.status is GOOD and look.mature and look.gain is not None]
        steps = sorted(abs(b - a) for a, b in pairwise(gains))
        cap = steps[-(-8 * len(steps) // 10) - 1] if steps else 0.0
        varied = sum(min(step, cap) ** 2 for step in steps) / max(1, len(steps)) / 2
        below = sum(gain**2 for gain in gains if gain < 0) / max(1, len(gains))
        seen = max(varied, 8 * below)
        return max(seen, (10 * 0.36 + len(steps) * seen) / (10 + len(steps))) ** 0.5

    def back_votes(self):
        """What each window says of each version: the version to go back to, None, or no vote."""
        votes = dict.fromkeys(self.seen)
        best: dict[int, tuple[float, str]] = {}
        for version in ("1", "2"):
            for window, (total, pays) in self.sums(version).items():
                pays = pays and total - 0.5 >= max(0.0, self.regret.get(window, 0.0) - 2.0)
                if window not in votes:
                    continue
                votes[window] = votes[window] or False
                if pays and total > best.get(window, (0.0, ""))[0]:
                    best[window] = (total, version)
        for window in votes:
            if window in best:
                votes[window] = best[window][1]
            elif votes[window] is False and not self.seen[window].mature:
                votes[window] = None          # never clears
        return votes

    def sums(self, version):
        """By window the sum of a version, and whether all but its price beside a retrain's speaks for it."""
        counted = [w for w in sorted(self.seen) if w >= self.paid and version in self.seen[w].earlier
                   and self.seen[w].status is GOOD and self.seen[w].mature]
        gains = [self.seen[w].earlier[version] for w in counted]
        sigma, total, run, found = max(self.noise(), own_noise(gains)), 0.0, [], {}
        for at, gain in enumerate(gains):
            run = [*run, gain - sigma / 2] if total else [gain - sigma / 2]
            total = max(0.0, total + run[-1])
            fresh = sum(self.seen[w].gain or 0.0 for w in counted[max(0, at - 2): at + 1])
            sure = total >= 3 * sigma * len(run) ** 0.5 and sum(one > 0 for one in run) >= 3 and total > fresh
            found[counted[at]] = total, sure and total - max(run) > 0.5
        behind = [w for w in sorted(self.seen) if counted and w > counted[-1] and not self.seen[w].mature]
        for ahead, window in enumerate((w for w in behind if self.seen[w].status is GOOD), start=1):
            grown = 1 + min(ahead, len(run)) / len(run)
            found[window] = total * grown, sure and (total - max(run)) * grown > 0.5
        return found

    def begun(self, name):
        """The window from which dates and rows count."""
        return max(self.first, self.paid, min(self.seen), self.declined.get(name, 0))

    def date_votes(self):
        silent = {w: look.status in (BROKEN, FAILED) for w, look in self.seen.items()}
        return {w: None if silent[w] else w + 1 >= self.begun("date") + DATE for w in self.seen}

    def fresh_votes(self):
        votes, total = dict.fromkeys(self.seen), 0
        for window in sorted(self.seen):
            look = self.seen[window]
            if window >= self.begun("fresh") and look.status is GOOD and look.mature:
                total += 10
                votes[window] = total > FRESH
        return votes

    def step(self, look, window, now, in_flight):
        self.seen[window] = look
        if look.status is BROKEN:
            self.fires["broken-data"] = True
        elif look.status is GOOD and window == max(self.seen):
            self.fires["broken-data"] = False
        if look.status is FAILED:
            self.fires["source"] = True
        elif window == max(self.seen):
            self.fires["source"] = False
        stands = {}
        for name, votes, m, n in (
            ("acc", self.accuracy_votes(True), 2, 3),
            ("pays", self.regret_votes(), 1, 1),
            ("low", self.accuracy_votes(False), 1, 1),
            ("date", self.date_votes(), 1, 1),
            ("fresh", self.fresh_votes(), 1, 1),
            ("back", self.back_votes(), 1, 1),
        ):
            if name == "fresh" and self.fires["low"]:
                stands[name] = False
                continue
            newest = [votes[w] for w in sorted(votes, reverse=True) if votes[w] is not None][:n]
            if votes[window] is not None:
                self.fires[name] = sum(map(bool, newest)) >= m
            stands[name] = self.fires[name] and sum(map(bool, newest)) >= m
            self.version = newest[0] if name == "back" and newest and newest[0] else None
        self.fires["both"] = self.fires["low"] and self.fires["date"]
        return self.settle(look, stands, now, in_flight)

    def settle(self, look, stands, now, in_flight):
        guards = {
            "observing": not look.acting,
            "paused": look.paused,
            "maintenance": look.maintained,
            "catching-up": not look.newest,
            "broken-data": self.fires["broken-data"],
            "stale-source": self.fires["source"],
            "few-rows": look.status is THIN,
            "run-in-flight": in_flight,
            "cooldown": bool(self.accepted) and now - self.accepted[-1] < COOLDOWN,
            "budget": sum(now - at < SPAN for at in self.accepted) >= BUDGET,
        }
        against = [name for name, speaks in guards.items() if speaks]
        if self.need and self.need[2] == "requested" and self.answered and now - self.accepted[-1] >= COOLDOWN:
            self.need[2] = "cleared"
        asks = "awaiting_approval" if look.person else "requested"
        if self.need and self.need[2] not in ("cleared", "superseded"):
            name, _, state, version = self.need
            other = name == "back" and self.version not in (None, version) and state != "requested"
            if other or not self.fires[name]:
                self.need[2] = "cleared"
            elif stands[name] and not against and (state, asks) in (
                ("suppressed", "requested"), ("suppressed", "awaiting_approval"), ("awaiting_approval", "requested"),
            ):
                return self.ask(asks, now), against
            return False, against
        wanting = [name for name in ASKERS if stands[name]]
        if wanting and (self.need is None or max(self.seen) > self.need[1]):
            version = self.version if wanting[0] == "back" else None
            self.need = [wanting[0], max(self.seen), "suppressed", version]
            return not against and self.ask(asks, now), against
        return False, against

    def ask(self, state, now):
        self.need[2], self.waits_since = state, now
        return state == "requested"

    def waits(self):
        return self.need is not None and self.need[2] == "awaiting_approval"

    def decline(self, state):
        self.need[2] = state
        self.declined[self.need[0]] = self.need[1] + 1

    def new_reference(self):
        self.first = max(self.seen, default=-1) + 1
        self.seen = {}
        self.need = None
        self.declined = {}


class World:
    """The real thing and the naive one on the same stream, and every decision made."""

    def __init__(self, made):
        self.made, self.naive = made, Naive()
        self.past, self.now, self.next = made.history(), made.START, 0
        self.asked_at = None        # end of the newest window when the unanswered request was made
        self.decisions = []

    def answer(self, what):
        """What happens to the request under way, or a promotion."""
        if what == "accepted" and self.asked_at is not None:
            self.past = replace(self.past, accepted=(*self.past.accepted, self.now), paid_until=self.asked_at)
            self.naive.accepted.append(self.now)
            self.naive.paid = self.next_paid
            self.asked_at = None
        elif what in ("ended", "failed") and self.asked_at is None:
            well = self.past.answered or (what == "ended" and self.past.in_flight is not None)
            self.past = replace(self.past, in_flight=None, answered=well)
            self.naive.answered = well
        elif what in ("yes", "no") and self.naive.waits():
            self.word(what == "yes")
        elif what == "new reference" and self.next:
            self.naive.new_reference()
            since = self.made.START + self.next * DAY
            reference = Reference(
                model="flights", id=f"ref-{self.next}", model_version=None, origin="next", since=since
            )
            standing = self.past.episode
            ended = supersede(standing) if is_open(standing) else standing
            self.past = replace(self.past, snapshots=(), reference=reference, episode=ended, declined={})

    def word(self, yes):
        """A person's answer, written as the store would."""
        standing = self.past.episode
        if yes:
            self.past = replace(self.past, episode=approve(standing, "ann", "fine", self.now))
            self.naive.need[2] = "requested"
            self.sent()
        else:
            self.declined(reject(standing, "ann", "no", self.now))

    def declined(self, episode):
        self.naive.decline(episode.state)
        assert episode.approval.decision is episode.state
        known = {**self.past.declined, episode.trigger: episode.window.end}
        self.past = replace(self.past, episode=episode, declined=known)

    def lapse(self):
        overdue = self.naive.waits() and self.now - self.naive.waits_since >= LAPSE
        lapsed = lapse(self.made.model(retrain=ASKING), self.past.episode, self.now)
        assert (lapsed is not None) == overdue
        if lapsed is not None:
            self.declined(lapsed)

    def sent(self):
        """A request is on its way."""
        self.asked_at, self.next_paid = self.made.START + self.next * DAY, self.next
        self.past = replace(self.past, in_flight=self.made.run(), answered=False)
        self.naive.answered = False

    def look(self, look):
        self.now += look.hours * HOUR
        self.lapse()
        self.answer(look.world)
        window = self.next - look.back
        if look.back == 0 or window < max(self.naive.first, 0):
            window, self.next = self.next, self.next + 1
        one = self.made.snapshot(
            self.made.window(window, DAY), *_scores(look), status=look.status, mature=look.mature, rows=10,
            labelled=10, reference_id=self.past.reference.id,
        )
        limits = ASKING if look.person else LIMITS
        mode = "act" if look.acting else "observe"
        model = self.made.model(*TRIGGERS, retrain=limits, mode=mode, versions=VERSIONS)
        silent = Silence(model="flights", until=self.now + DAY, reason="moving", maintenance=True)
        silences = (silent,) if look.maintained else ()
        self.past = replace(self.past, paused="ann paused it" if look.paused else None, silences=silences)
        in_flight = self.past.in_flight is not None
        expected = self.naive.step(look, window, self.now, in_flight)
        decision = decide(model, self.past, one, self.now, newest=look.newest)
        self.decisions.append((look, decision, self.past, self.now))
        self.write(one, decision)
        return decision, expected

    def write(self, one, decision):
        self.past = self.made.after(self.past, one, decision)
        if decision.withdraw and self.asked_at is not None:
            self.past, self.asked_at = replace(self.past, in_flight=None), None
        if decision.request:
            self.sent()


def _scores(look):
    scores = [Score(metric="metric_sd", value=1.0)]
    if look.accuracy is not None:
        scores.append(Score(metric="accuracy", value=look.accuracy, provisional=not look.mature))
    if look.gain is not None:
        scores.append(Score(metric="challenger_gain", value=look.gain))
    return [*scores, *(Score(metric="version_gain", method=name, value=gain) for name, gain in look.earlier.items())]


def own_noise(gains):
    """As the steps between neighbouring gains of one version tell it, unmoved by a few large ones."""
    steps = [abs(b - a) for a, b in pairwise(gains)]
    return median(steps) / 0.6745 / 2**0.5 if steps else 0.0


def _play(made, stream):
    world = World(made)
    for look in stream:
        world.look(look)
    return world


many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
streams = st.lists(looks, min_size=1, max_size=30)


@many
@given(stream=streams)
def test_decide_agrees_with_the_naive_rules(made, stream):
    """Firing states, requests, the need's state and the guards are those of the second writing, at every step."""
    agree(made, stream)


def calm(gain, *earlier):
    """A day after the other in which nothing stands in the way, with what version 1 gains on it."""
    return [Look(back=0, status=GOOD, accuracy=0.7, gain=gain, earlier={"1": one}, mature=True, newest=True,
                 acting=True, paused=False, maintained=False, person=False, hours=24, world="nothing")
            for one in earlier]


@settings(many, max_examples=60)
@example(stream=calm(None, 2.5, 2.5, 2.5))               # two windows are too few
@example(stream=calm(None, 0.4, 0.4, 0.4, 0.4, 5.0))     # most of it comes from one
@example(stream=calm(1.5, 1.6, 1.6, 1.6))                # a new model would do better still
@given(stream=returning)
def test_going_back_agrees_with_the_naive_rules(made, stream):
    """Where earlier versions do better for long, it is asked at the same window for the same version."""
    agree(made, stream)


def agree(made, stream):
    """Hold `decide` against the naive rules at every look of a history."""
    world = World(made)
    for look in stream:
        decision, (asked, against) = world.look(look)
        assert set(decision.verdict.fired) == {name for name, fires in world.naive.fires.items() if fires}
        assert decision.request == asked
        episode, need = world.past.episode, world.naive.need
        if need is not None:
            assert (episode.trigger, episode.state, episode.version) == (need[0], need[2], need[3])
        if decision.verdict.guards:
            assert list(decision.verdict.guards) == against


@many
@given(stream=streams)
def test_limits_hold_whatever_comes(made, stream):
    """No need asks twice, one is open at a time, and no request breaks cooldown, budget or a guard."""
    world = _play(made, stream)
    asked = [(look, d, past, now) for look, d, past, now in world.decisions if d.request]
    assert len({d.episode.id for _, d, _, _ in asked}) == len(asked)
    for look, decision, past, now in asked:
        assert look.acting
        assert look.newest
        assert not look.paused
        assert not look.maintained
        assert not look.person
        assert look.status is GOOD
        assert past.in_flight is None
        assert all(now - at >= COOLDOWN for at in past.accepted)
        assert sum(now - at < SPAN for at in past.accepted) < BUDGET
        assert not {"broken-data", "source"} & set(decision.verdict.fired)
    for look, decision, past, _ in world.decisions:
        awaits = decision.episode is not None and decision.episode.state is EpisodeState.AWAITING_APPROVAL
        assert not awaits or (look.person and not decision.request and decision.episode.approval.asked_at)
        standing = decision.ended or decision.episode
        if standing is not None and is_open(past.episode):
            assert standing.id == past.episode.id
        if decision.ended is not None:
            assert past.answered
            assert not is_open(decision.ended)


@many
@given(stream=streams)
def test_silence_never_clears(made, stream):
    """A failed, broken or empty-handed window clears no trigger but the built-in one it speaks of."""
    for look, decision, past, _ in _play(made, stream).decisions:
        was = {name for name, one in past.firing.items() if one.firing}
        cleared = {f.trigger for f in decision.firing if not f.firing and f.trigger in was}
        if look.status in (FAILED, BROKEN):
            assert not cleared & {"acc", "low", "pays", "broken-data"}
        if look.accuracy is None:
            assert not cleared & {"acc", "low"}
        if not look.mature or look.gain is None:
            assert "pays" not in cleared
        if not look.mature:
            assert "acc" not in cleared


@many
@given(stream=streams, again=st.integers(1, 5))
def test_looking_again_adds_no_vote(made, stream, again):
    """The same window measured once more, with the same scores, changes no firing state and asks for nothing new."""
    world = _play(made, stream)
    last = max(world.past.snapshots, key=lambda s: s.window.start, default=None)
    if last is None or last.status is not GOOD:
        return
    model = made.model(*TRIGGERS, retrain=LIMITS, mode="observe")
    before = decide(model, world.past, last, world.now, newest=True)
    past = made.after(world.past, last, before)
    for revision in range(1, again + 1):
        decision = decide(model, past, replace(last, revision=revision), world.now, newest=True)
        assert decision.verdict.fired == before.verdict.fired
        assert not decision.request
        past = made.after(past, replace(last, revision=revision), decision)


@pytest.mark.parametrize("status", [ScoreStatus.INSUFFICIENT, ScoreStatus.FAILED])
def test_scores_that_say_nothing_never_ask(made, status):
    """However low a failed or insufficient value stands, nothing fires."""
    for value in (0.0, None):
        score = Score(metric="accuracy", value=value, status=status)
        decisions, _ = made.play(made.model(*TRIGGERS[:3]), [made.snapshot(i, score) for i in range(4)])
        assert not any(d.request or d.verdict.fired for d in decisions)
