"""When an alert or a retrain is due, and where and how often a retrain is asked for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from monitor.config.section import Section, exactly_one
from monitor.config.values import (
    Budget,
    BudgetText,
    ChangeText,
    Duration,
    Level,
    LevelText,
    Persistence,
    PersistenceText,
    PlainLevel,
    PositiveDuration,
)

MEASURED = ("above", "below", "rise", "drop", "drifted")     # conditions of a trigger that go with a metric
CONDITIONS = (*MEASURED, "every", "cron", "all", "any")


class TriggerSection(Section):
    """One condition: a metric compared with a number, a date, or a combination of other triggers of the model."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*CONDITIONS))

    name: str
    """Name of the trigger in messages and metrics."""
    metric: str = ""
    """[Any metric](metrics.md#what-is-measured), with `above`, `below`, `rise`, `drop` or `drifted`."""
    column: str | None = None
    """Watch only this column."""
    segment: str | None = None
    """Watch one segment, `"origin=JFK"`, or every value of a column, `"origin"`, with bounds that [hold for all at
    once](fairness.md#triggers)."""
    method: str | None = None
    """Watch only this drift method."""
    above: LevelText | None = None
    """The metric is more than this. For `regret` also a price: `"0.02 for 30d"` is a loss of 0.02 of the metric for
    30 days."""
    about: BudgetText | None = None
    """How often retrains are wanted, such as `"4 per year"`. Only for `regret`, beside the price in `above` that
    [`backtest --suggest`](commands.md#backtest) proposes for it."""
    below: PlainLevel | None = None
    """The metric is less than this."""
    rise: ChangeText | None = None
    """The metric is higher than on the reference by `"15%"` of that value, or by `3.5`."""
    drop: ChangeText | None = None
    """The metric is lower than on the reference, by a percentage or a number."""
    drifted: Literal[True] | None = None
    """The score is beyond its own threshold."""
    every: PositiveDuration | None = None
    """This much time has passed since the last accepted request or the reference: `"90d"`."""
    cron: str | None = None
    """One of these dates has passed: `"0 6 1 * *"`, in the model's time zone."""
    all: tuple[str, ...] | None = Field(default=None, min_length=1)
    """All of these triggers of the model fire."""
    any: tuple[str, ...] | None = Field(default=None, min_length=1)
    """At least one of these triggers of the model fires."""
    unless: tuple[str, ...] = ()
    """While one of these triggers fires, this one keeps its state: it neither begins to fire nor clears, and asks for
    no retrain."""
    windows: PersistenceText = Persistence(1, 1)
    """`"2 of 3"`: it fires when two of the three newest judged windows meet the condition."""
    clear: float | None = None
    """The level at which it clears again. Default: the threshold."""
    action: Literal["alert", "retrain", "rollback"] = "alert"
    """What follows when it fires: `"alert"`, `"retrain"`, or, for `version_regret`, `"rollback"`."""

    @property
    def members(self) -> tuple[str, ...]:
        """The triggers named by `all` or `any`."""
        return self.all or self.any or ()

    @model_validator(mode="after")
    def _one_condition(self) -> "TriggerSection":
        given = [k for k in CONDITIONS if getattr(self, k) is not None]
        if not given and self.about is not None:
            return self         # it has no price yet: a rule refuses it and says how to find one
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of {', '.join(CONDITIONS)}, got {got}")
        return self


DEFAULT_TRIGGERS = (
    TriggerSection(name="drift", metric="drifted_share", drifted=True),
    TriggerSection(name="retraining-pays", metric="regret", above=Level(2.0), action="retrain"),
)

# Every model has these too, unless a trigger of its file has the same name.
BUILT_IN_TRIGGERS = (
    TriggerSection(name="performance-lost", metric="performance_lost", drifted=True, windows=Persistence(2, 3)),
    TriggerSection(name="labels-lost", metric="labels_lost", drifted=True),
    TriggerSection(name="predictions-collapsed", metric="prediction_collapse", drifted=True, windows=Persistence(2, 2)),
)


BACK = 0.25     # what going back costs, as a share of a retrain


def going_back(triggers: Sequence[TriggerSection]) -> TriggerSection:
    """Return the trigger that models with `versions` have too: it fires where going back pays."""
    priced = (one.above for one in triggers if one.metric == "regret" and one.action == "retrain" and one.above)
    price = next(priced, Level(2.0))
    return TriggerSection(
        name="going-back-pays", metric="version_regret", above=replace(price, number=BACK * price.number),
        action="rollback",
    )


class ApprovalSection(Section):
    """Which steps need a person's approval."""

    request: Literal["automatic", "person"] = "automatic"
    """`"automatic"`, or `"person"`: a retrain request waits for a person's approval."""
    lapse: PositiveDuration = timedelta(days=7)
    """A request that nobody answers for this long is dropped."""
    promotion: Literal["automatic", "person"] = "automatic"
    """`"automatic"`, or `"person"`: a new version waits for [`driftd approve --promotion`](promotion.md#promotion)."""


class RetrainSection(Section):
    """Where retrains of the model are asked for, and how often at most."""

    pipeline: str
    """Name of a `[pipelines.NAME]`."""
    cooldown: Duration = timedelta(days=3)
    """Shortest time between an accepted request and the next one."""
    budget: BudgetText = Budget(4, timedelta(days=365))
    """Largest number of accepted requests in a span of time; also `"4 per year"`."""
    min_labels: int = Field(default=100, ge=0)
    """Labelled rows that are needed since the reference or the last request."""
    queue_timeout: PositiveDuration = timedelta(days=1)
    """A run that has not begun this long after its request was accepted is `unknown`, and people are told."""
    run_timeout: PositiveDuration = timedelta(days=1)
    """A run that has not ended this long after it began is `unknown`; a run that cannot be followed counts as over."""
    approval: ApprovalSection = ApprovalSection()
    """Which steps need a person's approval."""
