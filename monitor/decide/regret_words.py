"""Regret told to people: one sentence that needs no glossary, its figures for who knows the method, and the Score."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from monitor.config.sections import ModelSection, TriggerSection
from monitor.decide.regret import Regret, Step
from monitor.metric_catalogue import CATALOGUE
from monitor.records import Score, ScoreStatus
from monitor.wording import compared, day, each, number, several, shown, titled

_NEARLY = 0.995     # of the price: rounded it is all of it


def score(model: ModelSection, regret: Regret) -> Score | None:
    """The Score `regret`: value and threshold in sd × windows; None where nothing asks or is known."""
    trigger = next((t for t in model.triggers if t.metric == "regret" and t.above is not None), None)
    if trigger is None and not regret.steps:
        return None
    price = None if trigger is None else price_of(trigger, regret)
    if not regret.steps:
        return Score(metric="regret", threshold=price, status=ScoreStatus.INSUFFICIENT, reason=regret.lack)
    last = regret.steps[-1]
    mature = regret.steps[:len(regret.steps) - last.ahead]
    labelled = sum(s.snapshot.labelled for s in mature[-last.windows:]) if last.windows else 0
    words = cost(regret, last, price, model.timezone)
    return Score(metric="regret", value=last.total, threshold=price, n=labelled, reason=words)


def price_of(trigger: TriggerSection, regret: Regret) -> float | None:
    """What a retrain costs by this trigger, in sd × windows; None while it cannot be told."""
    return None if trigger.above is None else regret.price(trigger.above)


def cost(regret: Regret, step: Step, price: float | None, zone: ZoneInfo) -> str:
    """How the model does, what a retrain would gain, and what waiting has cost beside it: for anybody."""
    return "; ".join([*_standing(step), *_gained(regret, step), *_waited(step, price, zone)])


def _standing(step: Step) -> Iterator[str]:
    found = None if step.measured is None else compared(step.measured)
    usual = step.lost is not None and step.lost.status is ScoreStatus.OK
    if found is not None:
        yield f"the model is {found} before{', by no more than windows differ' * (usual and found == 'worse than')}"


def _gained(regret: Regret, step: Step) -> Iterator[str]:
    if not step.total:
        yield "a retrain would gain nothing that can be told from chance"
        return
    row = CATALOGUE.get(regret.metric or "")
    title, much = titled(row.name) if row else "of the metric", shown(regret.metric or "", rate(step) * regret.sd)
    if row is None or row.higher_is_better:
        yield f"a retrain would gain about {much} {title}"
    elif row.signed:
        yield f"a retrain would bring its {title} nearer to zero by about {much}"
    else:
        yield f"a retrain would lower its {title} by about {much}"


def _waited(step: Step, price: float | None, zone: ZoneInfo) -> Iterator[str]:
    if not step.total:
        return
    waiting = f"waiting since {day(step.since, zone)} has cost"
    if not price:
        yield f"{waiting} something, and what a retrain costs is not known yet"
    elif step.total > price:
        yield f"{waiting} more than a retrain does{'' if step.sure else ', but that may still be chance'}"
    elif step.total >= _NEARLY * price:
        yield f"{waiting} about as much as a retrain does"
    else:
        yield f"{waiting} {step.total / price:.0%} of what a retrain does"


def figures(regret: Regret, step: Step, price: float | None, zone: ZoneInfo) -> str:
    """The sum up to a window, in sd × windows and in the metric, and what it is held against."""
    priced = "the price of a retrain is not known" if price is None else f"a retrain costs {number(price)}"
    if not step.total:
        return f"the regret up to {day(step.snapshot.window.end, zone)} is 0; {priced}"
    metric = regret.metric or "of the metric"
    lost = f"regret is {number(step.total)} sd × windows in {several(step.windows + step.ahead, 'window')}"
    mean = f"{number(rate(step) * regret.sd)} {metric} {each(regret.pace)} since {day(step.since, zone)}"
    hoped = f", {number(rate(step) * step.ahead)} of that assumed for {step.ahead} without labels yet"
    doubt = "" if step.sure else f"; noise alone may reach {number(step.bound)}"
    less = f"; {regret.realised.words}" if regret.realised.share < 1 else ""
    return f"{lost} ({mean}{hoped * bool(step.ahead)}); {priced}{_price_range(regret, price)}{doubt}{less}"


def rate(step: Step) -> float:
    """What waiting has cost in a window, on average, in sd."""
    return step.total / (step.windows + step.ahead)


def lacks(regret: Regret, price: float | None) -> str:
    """What must come before it asks, in words."""
    if not regret.steps or not price:
        return "once it can be computed what waiting has cost, and that passes the price of a retrain"
    last = regret.steps[-1]
    share = f" ({last.total / price:.0%} of it so far)" if last.total < _NEARLY * price else ""
    doubt = "" if last.sure else ", beyond what chance explains"
    return f"once waiting has cost more than a retrain does{share}{doubt}"


def _price_range(regret: Regret, price: float | None) -> str:
    """A price of sd × windows in the metric: as uncertain as the sd is."""
    scale = regret.scale
    if price is None or scale is None or scale.low is None or scale.high is None:
        return ""
    low, high = number(price * scale.low), number(price * scale.high)
    return f" ({number(price * regret.sd)} {regret.metric} × windows, {low} to {high} as the sd is uncertain)"
