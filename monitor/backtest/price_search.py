"""Find the price of a retrain that gives a wished rate of retrains on a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from monitor.backtest.policies import Policy, compare, grid, nearest
from monitor.backtest.replay import Backtest
from monitor.backtest.simulated_triggers import play
from monitor.backtest.simulation import Rehearsal, alone, spread_of
from monitor.config.sections import ModelSection, TriggerSection
from monitor.config.values import Budget, Level
from monitor.errors import UsageError
from monitor.escape import toml_string
from monitor.records import Json
from monitor.times import format_duration

LOW, HIGH = 0.05, 200.0         # prices that are tried, sd × windows …
COARSE, FINE = 2.0, 1.12        # … each so many times the one before
SPAN = timedelta(days=30)       # prices are said as so much of the metric, lost for so long


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A price for a trigger on regret, and the result it would have had on this log."""

    trigger: TriggerSection
    about: Budget
    wanted: int                 # retrains on this log
    level: Level
    sds: float                  # the same price, sd × windows
    policy: Policy

    @property
    def lines(self) -> list[str]:
        """The lines of the trigger for the configuration."""
        return [
            f"name   = {toml_string(self.trigger.name)}", 'metric = "regret"',
            f"about  = {toml_string(str(self.about))}", f"above  = {toml_string(str(self.level))}",
            'action = "retrain"',
        ]

    def to_json(self) -> Json:
        """What `backtest --json` says of it."""
        one = self.policy
        return {
            "trigger": self.trigger.name, "about": str(self.about), "wanted": self.wanted, "above": str(self.level),
            "price": self.sds, "retrains": one.retrains, "gain": one.gain, "paid": one.retrains * self.sds,
            "net": one.net, "net_interval": one.net_interval, "lead": one.lead, "lead_interval": one.lead_interval,
            "lines": self.lines,
        }


def suggest(result: Backtest, told: Rehearsal, about: Budget | None) -> Suggestion:
    """Find the price at which regret would have asked about as often as wished. Raises UsageError without a rate."""
    assert result.world is not None
    model = result.played
    trigger = _trigger(model.triggers)
    rate = about or trigger.about
    if rate is None:
        raise UsageError('no rate of retrains is given, expected --about "4 per year", or about in a trigger on regret')
    if not rate.count or not rate.span:
        raise UsageError(f'"{rate}" is not a rate, expected a text such as "4 per year"')
    budget = model.retrain.budget if model.retrain else rate
    if rate.count * budget.span > budget.count * rate.span:
        raise UsageError(f'"{rate}" is more than retrain.budget, "{budget}", allows')
    sd, pace = spread_of(model, result.snapshots)
    world = result.world.of([step.window for step in told.rounds])
    wanted = max(1, round(rate.count * (pace * len(told.rounds) / rate.span)))
    schedules: dict[float, list[int]] = {}

    def count(sds: float) -> None:
        level = _level(sds, sd, pace)
        price = level.number / sd * (SPAN / pace)
        if price not in schedules:
            schedules[price] = play(_priced(model, trigger, level), told.rounds, world.as_served).schedule

    for sds in grid(LOW, HIGH, COARSE):
        count(sds)
    near = nearest({price: len(made) for price, made in schedules.items()}, wanted)
    for sds in grid(near / COARSE, near * COARSE, FINE):
        count(sds)
    price = nearest({price: len(made) for price, made in schedules.items()}, wanted)
    policy = compare(told.scores, price, {trigger.name: schedules[price]})[0]
    return Suggestion(trigger, rate, wanted, _level(price, sd, pace), price, policy)


def _trigger(triggers: Sequence[TriggerSection]) -> TriggerSection:
    """Return the trigger on regret that has `about`, else the first one that retrains, else a new one."""
    found = [trigger for trigger in triggers if trigger.metric == "regret" and trigger.action == "retrain"]
    new = TriggerSection(name="retraining-pays", metric="regret", above=Level(1.0), action="retrain")
    return next((price for price in found if price.about), found[0] if found else new)


def _priced(model: ModelSection, trigger: TriggerSection, level: Level) -> ModelSection:
    priced = trigger.model_copy(update={"above": level})
    others = tuple(one for one in model.triggers if one.name != trigger.name)
    return alone(model.model_copy(update={"triggers": (priced, *others)}), trigger.name)


def _level(sds: float, sd: float, pace: timedelta) -> Level:
    """Return the price as it is written: a loss of the metric, to two digits, for 30 days."""
    return Level(float(Decimal(f"{sds * sd * (pace / SPAN):.2g}")), SPAN)


def words(one: Suggestion, metric: str) -> list[str]:
    """Return the suggestion as two lines of text."""
    each = format_duration(SPAN)
    short = "" if one.policy.retrains == one.wanted else f"; no price gives exactly {one.wanted}"
    found = f"{one.level.number:g} {metric} for {each} ({one.sds:.3g} sd × windows)"
    paid = one.policy.retrains * one.sds
    return [
        f'"{one.about}" is {one.wanted} on this log; at {found} regret asks {one.policy.retrains} times{short}',
        f"they would have gained {one.policy.gain:.3g} sd × windows and cost {paid:.3g}",
    ]
