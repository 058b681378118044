"""Does a rule to retrain pay? Real streams, replayed with the scores that any schedule of retrains would have had.

Two figures of merit, each the mean over the four streams and over prices of 1, 1.5, 2, 2.5 and 3, in reference sd ×
windows. *Net*: gain less what the retrains cost, as a share of the best schedule in hindsight. *Lead*: the share of the
gain of the best schedule with as many retrains, less what a calendar with as many recovers. Intervals (95 %): what
is lost against the best, on blocks of four windows drawn with replacement, the schedules held fast.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial

import numpy as np

from benchmarks.rows import Asked, Row
from benchmarks.streams import Stream
from monitor.backtest import schedules as hindsight
from monitor.backtest.schedules import Schedule
from monitor.backtest.simulated_triggers import Round, play
from monitor.config.sections import ModelSection, ReferenceSection, RetrainSection, SourceSection, TriggerSection
from monitor.config.values import Budget, Level
from monitor.records import Score, Snapshot, SnapshotStatus, Window

STREAMS = ("bike_sharing", "elec2", "flights_nyc13", "car_loan")
NULLS = ("bike_sharing_null", "car_loan_null")      # the order of time destroyed: only more data helps
PRICES = (1.0, 1.5, 2.0, 2.5, 3.0)
RESAMPLES = 400
SIGMAS, DELAYS = (0.2, 0.4, 0.7), (0, 1)            # of pure noise, in reference sd; of its labels, in windows
REST = 3                                            # windows after a retrain in which the usual triggers are silent
WEEK, START = timedelta(days=7), datetime(2013, 1, 7, tzinfo=UTC)

Policy = Callable[[Stream, float], Schedule]


def closed_loop(asked: Asked) -> list[Row]:
    """The figures of every policy; slow: more pure noise. Raises Absent where the shared data are not there."""
    return [_row(name, policy, draws=10 if asked.slow else 2) for name, policy in POLICIES.items()]


def _row(name: str, policy: Policy, draws: int) -> Row:
    made = schedules(policy)
    low, high = interval(made)
    leads = [lead({key: one for key, one in made.items() if key[0] is stream}) for stream in streams()]
    bare = policy in REGRETS
    also: dict[str, float | str] = {
        "95 %": f"{low:.2f} to {high:.2f}",
        "lead": f"{np.mean(leads):+.2f}",
        "lowest": f"{min(leads):+.2f}",
        "retrains": float(np.mean([len(one) for one in made.values()])),
        "in noise": noise(policy, draws) if bare else "",
        "null losers": losers(policy) if bare else "",
    }
    goal = "≥ 0.85" if policy is driftd else ""
    return Row(what=name, value=net(made), ratio=net(made) / net(schedules(driftd)), also=also, goal=goal)


def driftd(stream: Stream, price: float) -> Schedule:
    """When the product asks for a retrain; each request is met at once and brings a new reference."""
    rounds = [_round(stream, now) for now in range(len(stream))]
    return play(_model(price), rounds, partial(_served, stream)).schedule


def _round(stream: Stream, now: int) -> Round:
    looked = (_snapshot(stream, j, mature=bool(stream.known[j] <= now)) for j in _seen(stream, now))
    return Round(_window(now).end, tuple(looked))


def _seen(stream: Stream, now: int) -> list[int]:
    """The windows to look at when one closes: those whose labels are known from then on, and that one."""
    return [*(j for j in range(now) if stream.known[j] == now), now]


def plain(stream: Stream, price: float) -> Schedule:
    """Regret without allowance, evidence or forecast: S ← max(0, S + gain), a retrain at S ≥ price."""
    champion, schedule, total = 0, [], 0.0
    for now in range(len(stream)):
        for j in (j for j in range(champion, now + 1) if stream.known[j] == now):
            total = max(0.0, total + stream.score[j, j] - stream.score[champion, j])
        if total >= price:
            schedule.append(now)
            champion, total = now + 1, 0.0
    return schedule


def drifted(how: str, stream: Stream, price: float) -> Schedule:
    """Whenever half of the columns have drifted from the reference of the model in service."""
    return _rested(stream, lambda now, champion: bool(stream.drift[how][champion, now] >= 0.5))


def worse(sigmas: float, stream: Stream, price: float) -> Schedule:
    """Whenever two known windows in a row score so many reference sd below the reference."""
    def is_worse(now: int, champion: int) -> bool:
        known = [j for j in range(champion, now + 1) if stream.known[j] <= now][-2:]
        return len(known) == 2 and all(stream.score[champion, j] < stream.usual - sigmas for j in known)

    return _rested(stream, is_worse)


def calendar(stream: Stream, price: float) -> Schedule:
    """Every so many windows: the number that pays best over all streams and prices, known in hindsight."""
    return list(range(_best_period() - 1, len(stream) - 1, _best_period()))


def never(stream: Stream, price: float) -> Schedule:
    return []


def _rested(stream: Stream, fires: Callable[[int, int], bool]) -> Schedule:
    champion, schedule = 0, []
    for now in range(len(stream)):
        if now - champion >= REST - 1 and fires(now, champion):
            schedule.append(now)
            champion = now + 1
    return schedule


REGRETS = (driftd, plain)     # the only ones that can be played on noise without columns
POLICIES: dict[str, Policy] = {
    "driftd": driftd,
    "plain regret": plain,
    "best calendar in hindsight": calendar,
    "Evidently: half of the columns": partial(drifted, "evidently"),
    "PSI: half of the columns": partial(drifted, "psi"),
    "accuracy falls by 1 sd": partial(worse, 1.0),
    "accuracy falls by 2 sd": partial(worse, 2.0),
    "never": never,
}
Schedules = dict[tuple[Stream, float], Schedule]


@cache
def streams(names: tuple[str, ...] = STREAMS) -> tuple[Stream, ...]:
    return tuple(map(Stream.read, names))


def net(schedules: Schedules) -> float:
    """The mean share of the best net gain."""
    return float(np.mean([s.paid(made, p).sum() / s.paid(_best(s, p), p).sum() for (s, p), made in schedules.items()]))


def lead(schedules: Schedules) -> float:
    """The mean lead over a calendar with as many retrains; 0 where there is none."""
    return float(np.mean([hindsight.lead(s, made) or 0.0 for (s, _), made in schedules.items()]))


def interval(schedules: Schedules) -> tuple[float, float]:
    """Of net, from blocks of windows drawn with replacement."""
    draw = np.random.default_rng(0)
    nets = [_resampled(schedules, draw) for _ in range(RESAMPLES)]
    low, high = np.quantile(nets, (0.025, 0.975))
    return float(low), float(high)


def noise(policy: Policy, draws: int) -> float:
    """The mean number of retrains in 52 windows in which there is nothing to gain."""
    asked = [
        len(policy(Stream.noise(sigma, delay, seed), price))
        for sigma in SIGMAS for delay in DELAYS for price in PRICES for seed in range(draws)
    ]
    return float(np.mean(asked))


def losers(policy: Policy) -> float:
    """The share of retrains whose model gains less than the price over the one before, until the next retrain."""
    played = [(price, _realised(stream, policy(stream, price))) for price in PRICES for stream in streams(NULLS)]
    lost = [gain < price for price, gains in played for gain in gains]
    return float(np.mean(lost)) if lost else 0.0


def _realised(stream: Stream, schedule: Schedule) -> list[float]:
    models, ends = [0, *(now + 1 for now in schedule)], [*(now + 1 for now in schedule[1:]), len(stream)]
    return [
        float(np.sum(stream.score[new, new:end] - stream.score[old, new:end]))
        for old, new, end in zip(models, models[1:], ends, strict=False)
    ]


@cache
def schedules(policy: Policy) -> Schedules:
    """What a policy does on each stream at each price."""
    return {(stream, price): policy(stream, price) for stream in streams() for price in PRICES}


@cache
def _best(stream: Stream, price: float) -> Schedule:
    return stream.best(price)


@cache
def _best_period() -> int:
    def value(period: int) -> float:
        return net({(s, p): list(range(period - 1, len(s) - 1, period)) for s in streams() for p in PRICES})

    return max(range(1, 53), key=value)


def _resampled(schedules: Schedules, draw: np.random.Generator) -> float:
    shares = []
    for stream in streams():
        drawn = hindsight.blocks(len(stream), draw)
        for price in PRICES:
            best = stream.paid(_best(stream, price), price)
            lost = best - stream.paid(schedules[stream, price], price)
            shares.append(1 - lost[drawn].sum() / best.sum())
    return float(np.mean(shares))


def _model(price: float) -> ModelSection:
    pays = TriggerSection(name="pays", metric="regret", above=Level(price), action="retrain")
    limits = RetrainSection(pipeline="ci", cooldown=timedelta(0), budget=Budget(9999, timedelta(days=1)), min_labels=0)
    return ModelSection(
        name="stream", mode="act", predictions=SourceSection(path="log.csv"), reference=ReferenceSection(first=WEEK),
        triggers=(pays,), retrain=limits,
    )


def _window(index: int) -> Window:
    return Window(model="stream", start=START + index * WEEK, end=START + (index + 1) * WEEK, spec="weeks")


def _snapshot(stream: Stream, window: int, *, mature: bool) -> Snapshot:
    return Snapshot(
        window=_window(window), revision=int(mature), taken_at=_window(window).end, reference_id="",
        model_version=None, config_hash="", code_version="", rows=1000, labelled=1000 * mature, late=0, sampled=1.0,
        mature=mature, status=SnapshotStatus.OK, reason=None, scores=(),
    )


def _served(stream: Stream, snapshot: Snapshot, champion: int) -> Snapshot:
    window = (snapshot.window.start - START) // WEEK
    return replace(snapshot, scores=_rehearsal(stream, window, champion)) if snapshot.mature else snapshot


def _rehearsal(stream: Stream, window: int, champion: int) -> tuple[Score, ...]:
    """Challengers know only what was labelled before the window they are scored on."""
    score = stream.score
    gain = Score(metric="challenger_gain", value=float(score[window, window] - score[champion, window]))
    found = (Score(metric="metric_sd", method="score", value=1.0), gain)
    if window < 2:      # the first challenger is the model as shipped
        return found
    return (*found, Score(metric="challenger_placebo", value=float(score[window, window] - score[window - 1, window])))
