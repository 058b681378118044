"""Going back told to people: how a version that served before does beside the one in service, and the Scores of it."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from monitor.config.sections import ModelSection
from monitor.decide.going_back import METRIC, Best, GoingBack
from monitor.decide.regret_words import price_of, rate
from monitor.escape import name
from monitor.records import Score
from monitor.wording import day, each, number, several, shown, titled


def words(back: GoingBack, best: Best, price: float, zone: ZoneInfo) -> str:
    """How much better it does than the version in service, and what that comes to beside what going back costs."""
    step, metric = best.step, back.regret.metric
    if not step.total:
        return "no version that served before does better than the one in service by more than chance"
    much = f"{shown(metric or '', rate(step) * back.regret.sd)} {titled(metric or 'of the metric')}"
    current = "the one in service" if back.current is None else f"version {name(back.current)} in service"
    told = f"version {name(best.version)}, which served before, does better than {current} by about {much}"
    if not best.enough:
        sum_so_far = f"{step.total / price:.0%} of what" if price else "no more than"
        return f"{told} {each(back.regret.pace)}; since {day(step.since, zone)} that is {sum_so_far} going back costs"
    doubt = f", but {best.doubt}" if best.doubt else ""
    return f"{told} {each(back.regret.pace)}; since {day(step.since, zone)} that is more than going back costs{doubt}"


def figures(best: Best, price: float) -> str:
    """The sum and what it is held against, in sd × windows."""
    step = best.step
    hoped = f", {step.ahead} of them without labels yet" if step.ahead else ""
    return (f"the sum is {number(step.total)} sd × windows in {several(step.windows + step.ahead, 'window')}{hoped}; "
            f"going back costs {number(price)}; chance alone may reach {number(step.bound)}")


def scores(model: ModelSection, back: GoingBack) -> Iterator[Score]:
    """Yield `version_regret` of each version after the newest window that tells of it."""
    trigger = next((t for t in model.triggers if t.metric == METRIC and t.above is not None), None)
    price = None if trigger is None else price_of(trigger, back.regret)
    if price is None:
        return
    for version in back.versions:
        best = version.last(price)
        yield Score(metric=METRIC, method=version.name, value=best.step.total, threshold=price,
                    reason=words(back, best, price, model.timezone))
