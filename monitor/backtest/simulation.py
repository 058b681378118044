"""A backtest's rehearsal: what policies would have gained if a retrain put the challenger of its moment into service.

Challengers are fitted at the start of every window, on labels known by then, and scored on that window; those of at
most MOST_FITTED moments are also scored on all later windows. Any schedule is then scored from this table.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from monitor.backtest.policies import Policy, compare
from monitor.backtest.schedules import Scores
from monitor.backtest.simulated_triggers import Played, Round, play
from monitor.check.requests import AHEAD, Ahead, AheadRequest
from monitor.config.sections import ModelSection, SourceSection, TriggerSection, VersionsSection, going_back
from monitor.config.trigger_sections import BACK
from monitor.decide.regret import pace_of
from monitor.errors import CannotJudge
from monitor.history import disjoint
from monitor.metric_catalogue import CATALOGUE, METRICS, PERFORMANCE, better_by
from monitor.records import Json, Score, ScoreStatus, Snapshot, Window, to_json
from monitor.workers.task import Runner

MOST_FITTED = 104       # moments whose challengers are scored on every later window
FEWEST = 4              # windows there must be to say anything
AT_ONCE = 2             # tasks; the workers are the limit
_TOO_FEW = "there are too few labelled rows to fit or score a challenger"
_OF_THE_MODEL = tuple(name for name, row in CATALOGUE.items() if row.of_version)

Values = dict[str, float]                   # metrics by name
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class World:
    """`served[j]`: metrics of the original model on window j; `of_age[j]`: of a challenger as old as it;
    `fitted[i][j]`: of the challenger of window i's start."""

    windows: tuple[Window, ...]
    metric: str
    served: tuple[Values, ...]
    fitted: tuple[dict[int, Values], ...]
    of_age: tuple[Values, ...]

    def of(self, windows: Sequence[Window]) -> "World":
        """Return the part of this world on the given windows."""
        kept = [at for at, one in enumerate(self.windows) if one in windows]
        place = {at: number for number, at in enumerate(kept)}
        fitted = ({place[j]: found for j, found in self.fitted[at].items() if j in place} for at in kept)
        served, of_age = (tuple(values[at] for at in kept) for values in (self.served, self.of_age))
        return replace(
            self, windows=tuple(self.windows[at] for at in kept), served=served, of_age=of_age, fitted=tuple(fitted)
        )

    def own(self, j: int) -> float | None:
        """Return the score on window j of the challenger fitted just before it."""
        return self.fitted[j].get(j, {}).get(self.metric)

    def values(self, champion: int, j: int) -> Values:
        """Return the metrics on window j of the model retrained before window `champion`; 0 is the original model."""
        for one in range(champion, 0, -1):       # where none could be fitted the one before stays
            if found := self.fitted[one].get(j):
                return found
        return self.served[j]

    def rehearsal(self, j: int) -> tuple[Score, ...]:
        """Return the rehearsal scores of a check of mature window j."""
        before = self.fitted[j - 1].get(j, {}).get(self.metric) if j else None
        own, served, of_age = self.own(j), self.served[j].get(self.metric), self.of_age[j].get(self.metric)
        return (
            self._gain("challenger_gain", own, served),
            self._gain("challenger_placebo", own, before),
            self._gain("challenger_gap", of_age, served),
        )

    def _gain(self, name: str, mine: float | None, other: float | None) -> Score:
        score = Score(metric=name, method=self.metric)
        if mine is None or other is None:
            return replace(score, status=ScoreStatus.INSUFFICIENT, reason=_TOO_FEW)
        return replace(score, value=better_by(self.metric, mine, other))

    def scores(self, sd: float) -> Scores:
        """Return the score matrix, in reference sd; a window that cannot be scored is 0 for every model."""
        found = np.zeros((len(self.windows) + 1, len(self.windows)))
        for champion in range(len(self.windows) + 1):
            for j in range(champion, len(self.windows)):
                found[champion, j] = self._scaled(champion, j, sd)
        return Scores(found)

    def _scaled(self, champion: int, j: int, sd: float) -> float:
        value = self.values(champion, j).get(self.metric, self.served[j].get(self.metric))
        return 0.0 if value is None or self.metric not in self.served[j] else better_by(self.metric, value, 0.0) / sd

    def as_served(self, snapshot: Snapshot, champion: int, earlier: Sequence[int] = ()) -> Snapshot:
        """Return a snapshot with the performance and gains of another model in service, and how much better models that
        served `earlier` do.
        """
        if not champion and not earlier:
            return snapshot
        j = self.windows.index(snapshot.window)
        values = self.values(champion, j) if snapshot.mature else {}
        found = (self._of_another(score, values, j) if champion else score for score in snapshot.scores)
        gains = (self._version_gain(row, values, j) for row in earlier)
        return replace(snapshot, scores=tuple(score for score in (*found, *gains) if score is not None))

    def _version_gain(self, row: int, values: Values, j: int) -> Score | None:
        mine, other = self.values(row, j).get(self.metric), values.get(self.metric)
        if mine is None or other is None:
            return None
        return Score(metric="version_gain", method=str(row), value=better_by(self.metric, mine, other))

    def _of_another(self, score: Score, values: Values, j: int) -> Score | None:
        if score.metric == "challenger_gain":
            return self._gain_over(score, values.get(self.metric), self.served[j].get(self.metric))
        if score.metric == "performance_lost":
            return None if self.metric not in values else _lost(score, values[self.metric])
        if score.metric in _OF_THE_MODEL:
            return None
        if score.metric not in PERFORMANCE:
            return score
        if score.segment is not None or score.metric not in values:
            return None
        return replace(score, value=values[score.metric], low=None, high=None)

    def _gain_over(self, gain: Score, other: float | None, served: float | None) -> Score:
        """Return the gain of a window's own challenger over another model, from that over the original one."""
        if gain.value is None or other is None or served is None:
            return replace(gain, value=None, status=ScoreStatus.INSUFFICIENT, reason=gain.reason or _TOO_FEW)
        return replace(gain, value=gain.value - better_by(self.metric, other, served))


def _lost(score: Score, value: float) -> Score:
    """Judge whether another model's performance is beyond the limit; without its interval nothing more is known."""
    beyond = score.threshold is not None and better_by(score.method or "", value, score.threshold) < 0
    status = ScoreStatus.DRIFTED if beyond else ScoreStatus.OK
    return replace(score, value=value, low=None, high=None, status=status, reason=None)


def disjoint_windows(windows: Sequence[Window]) -> list[Window]:
    """Return the windows, given in order, without those that overlap the one before."""
    found: list[Window] = []
    for window in windows:
        if not found or (window.start, window.start_id) >= (found[-1].end, found[-1].end_id):
            found.append(window)
    return found


def rehearse(
    model: ModelSection, workers: Runner, windows: Sequence[Window], until: datetime, stretch: datetime | None,
    progress: Progress | None,
) -> World:
    """Fit and score every challenger in the workers. Raises CannotJudge if there are too few windows."""
    if len(windows) < FEWEST:
        raise CannotJudge(f"{model.name}: {len(windows)} windows, expected at least {FEWEST} to rehearse retrains on")
    everywhere = AheadRequest(
        model=model, as_of=until, stretch=stretch, hold=True, moment=None, windows=tuple(windows),
        metrics=watched_metrics(model),
    )
    apart = -(-len(windows) // MOST_FITTED)
    behind = [range(at, len(windows) if at % apart == 0 else min(at + 2, len(windows))) for at in range(len(windows))]
    requests = [everywhere] + [
        replace(everywhere, moment=windows[at].start, windows=tuple(windows[j] for j in behind[at]))
        for at in range(len(windows))
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(workers.run, AHEAD, request) for request in requests]
        answers: list[Ahead] = []
        for done, answer in enumerate(asked, 1):
            answers.append(answer.result())
            if progress:
                progress(done, len(asked))
    served, *challengers = answers
    fitted = (dict(zip(js, window.values, strict=True)) for js, window in zip(behind, challengers, strict=True))
    return World(tuple(windows), served.metric, served.values, tuple(fitted), served.of_age)


def watched_metrics(model: ModelSection) -> tuple[str, ...]:
    """Return the performance metrics that triggers watch."""
    return tuple(sorted({trigger.metric for trigger in model.triggers if trigger.metric in PERFORMANCE}))


def rounds_of(snapshots: Sequence[Snapshot], lateness: timedelta) -> list[Round]:
    """Group the snapshots of a backtest by the window that closes, when decisions are made and models change."""
    newest = {s.window: s for s in sorted(snapshots, key=lambda s: s.taken_at)}
    alone = list(disjoint(sorted(newest.values(), key=lambda s: (s.window.start, s.window.start_id))))
    mine, rounds, before = {s.window for s in alone}, [], None
    for window in alone:
        now = window.window.end + lateness
        seen = {
            s.window: s for s in sorted(snapshots, key=lambda s: s.taken_at)
            if s.window in mine and (before is None or s.taken_at > before) and s.taken_at <= now
        }
        seen.setdefault(window.window, newest[window.window])
        rounds.append(Round(now, tuple(sorted(seen.values(), key=lambda s: (s.window.start, s.window.start_id)))))
        before = now
    return rounds


def spread_of(model: ModelSection, snapshots: Sequence[Snapshot]) -> tuple[float, timedelta]:
    """Return the reference sd of the metric and the time from window to window. Raises CannotJudge if sd is unknown."""
    found = (score.value for s in snapshots for score in s.scores if score.metric == "metric_sd")
    sd, pace = next((value for value in found if value), None), pace_of(model, snapshots)
    if sd is None or pace is None:
        raise CannotJudge(f"{model.name}: the metric does not vary over reference windows, so there is no scale")
    return sd, pace


ASSUMES = "This assumes that a retrain yields the challenger; see docs/decisions.md"
AND_BACK = ", and going back"       # behind the name of a trigger that also goes back to models that served before
_NO_PRICE = 2.0         # sd × windows, where no trigger on regret says what a retrain costs


@dataclass(frozen=True)
class Rehearsal:
    """The comparison of policies at one price, and the decisions of each trigger round by round."""

    metric: str
    sd: float                            # of the metric, over reference windows
    price: float                         # of one retrain, sd × windows
    rounds: tuple[Round, ...]
    scores: Scores
    played: dict[str, Played]            # by trigger
    policies: tuple[Policy, ...]

    @property
    def back_price(self) -> str:
        """What going back costs, as a share of a retrain's price."""
        return f"{BACK:.0%}"

    def mean(self, policy: Policy) -> float:
        """Return the metric of the model in service, as a mean over the windows."""
        never = float(np.mean(self.scores.served([])))
        value = (never + policy.gain / len(self.rounds)) * self.sd
        return value if METRICS[self.metric].higher_is_better else -value

    def to_json(self) -> Json:
        """What `backtest --json` says of it."""
        policies = [self._row(policy) for policy in self.policies]
        return {"metric": self.metric, "sd": self.sd, "price": self.price, "policies": policies}

    def _row(self, policy: Policy) -> Json:
        after = None if policy.schedule is None else [to_json(self.rounds[at].now) for at in policy.schedule]
        return {
            "policy": policy.name, "kind": policy.kind, "retrains": policy.retrains, "rollbacks": len(policy.back),
            "at": after,
            "gain": policy.gain, "mean": self.mean(policy), "net": policy.net, "net_interval": policy.net_interval,
            "lead": policy.lead, "lead_interval": policy.lead_interval,
        }


def rehearsal(model: ModelSection, world: World, snapshots: Sequence[Snapshot]) -> Rehearsal:
    """Replay each retrain trigger alone, and compare it with other policies.

    Raises CannotJudge if the sd of the metric is unknown.
    """
    rounds = rounds_of([s for s in snapshots if s.window in world.windows], model.window.lateness)
    world = world.of([step.window for step in rounds])
    sd, _ = spread_of(model, snapshots)
    scores = world.scores(sd)
    played: dict[str, Played] = {}
    for trigger in model.triggers:
        if trigger.action == "retrain":
            played[trigger.name] = play(alone(model, trigger.name), rounds, world.as_served)
        if trigger.action == "retrain" and trigger.metric == "regret":
            back = play(with_going_back(model, trigger), rounds, world.as_served)
            played[f"{trigger.name}{AND_BACK}"] = back
    priced = next((s for simulated in played.values() for s in reversed(simulated.regret) if s and s.threshold), None)
    price = _NO_PRICE if priced is None or priced.threshold is None else priced.threshold
    policies = compare(
        scores, price, {name: simulated.schedule for name, simulated in played.items()},
        {name: simulated.back for name, simulated in played.items()},
    )
    return Rehearsal(world.metric, sd, price, tuple(rounds), scores, played, tuple(policies))


def alone(model: ModelSection, name: str) -> ModelSection:
    """Return the model with that trigger as the only one that retrains."""
    others = {"action": "alert"}
    triggers = tuple(
        trigger if trigger.name == name else trigger.model_copy(update=others) for trigger in model.triggers
    )
    return model.model_copy(update={"triggers": triggers})


def with_going_back(model: ModelSection, trigger: TriggerSection) -> ModelSection:
    """Return the model with that trigger as the only one that retrains, and the models that served before compared.

    Going back costs the usual share of the trigger's own price, whatever the configuration says.
    """
    only, back = alone(model, trigger.name), going_back((trigger,))
    others = (one for one in only.triggers if one.name != back.name)
    versions = model.versions or VersionsSection(predictions=SourceSection(path="{version}"))
    return only.model_copy(update={"triggers": (*others, back), "versions": versions})
