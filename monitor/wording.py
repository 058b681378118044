"""Dates, numbers and lists as people write them."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.metric_catalogue import CATALOGUE, Unit
from monitor.records import Score, Window
from monitor.times import format_duration

MINUTE = 60
BARS = "▁▂▃▄▅▆▇█"
_TITLES = {"auc": "AUC", "f1": "F1", "mae": "MAE", "mape": "MAPE", "r2": "R²", "rmse": "RMSE", "roc": "ROC"}


def day(moment: datetime, zone: ZoneInfo) -> str:
    """3 May 2013; with the time of day unless it is midnight."""
    local = moment.astimezone(zone)
    clock = f" {local:%H:%M}" if (local.hour, local.minute) != (0, 0) else ""
    return f"{local.day} {local:%b %Y}{clock}"


def span(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """A window in words, as short as it is clear."""
    first, last = day(start, zone), day(end, zone)
    year = first[-5:] if first[-5:] == last[-5:] and ":" not in first + last else ""
    return f"{first.removesuffix(year)} – {last}" if year.strip().isdigit() else f"{first} – {last}"


def stretch(window: Window, zone: ZoneInfo) -> str:
    return f"{day(window.start, zone)} to {day(window.end, zone)}"


def number(value: float) -> str:
    """Four significant digits; large numbers to the unit."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def shown(metric: str, value: float | None) -> str:
    """A value of a metric in its unit, to four significant digits; empty where there is none."""
    if value is None or math.isnan(value):
        return ""
    row = CATALOGUE.get(metric)
    if row is not None and row.unit is Unit.SECONDS and abs(value) >= MINUTE:
        return format_duration(timedelta(minutes=round(value / MINUTE)))
    return number(value)


def titled(metric: str) -> str:
    """A metric's name among words: ROC AUC, log loss."""
    return " ".join(_TITLES.get(word, word) for word in metric.split("_"))


def compared(score: Score) -> str | None:
    """How a performance score is beside the reference's: surely worse, surely better, or as good as that.

    Sure is what its 95 % interval leaves out. None where one of the numbers is not known.
    """
    row = CATALOGUE.get(score.metric)
    if row is None or score.value is None or score.reference is None or score.low is None or score.high is None:
        return None
    value, before, margin = score.value, score.reference, (score.high - score.low) / 2
    if row.signed:
        low, high, before = abs(value) - margin, abs(value) + margin, abs(before)
    else:
        low, high = score.low, score.high
    if low <= before <= high:
        return "as good as"
    return "better than" if (low > before) is row.higher_is_better else "worse than"


def spark(values: Sequence[float], low: float, high: float, width: int = 40) -> str:
    """A line of bars between `low` and `high`, at most `width` of them, each the mean of its stretch."""
    size = max(1, -(-len(values) // width))
    means = [sum(part) / len(part) for part in (values[at:at + size] for at in range(0, len(values), size))]
    return "".join(BARS[_level(value, low, high)] for value in means)


def _level(value: float, low: float, high: float) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return min(len(BARS) - 1, max(0, int(share * len(BARS))))


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def each(pace: timedelta | None) -> str:
    """a week, a day, an hour; other spans are called a window."""
    names = {timedelta(hours=1): "an hour", timedelta(days=1): "a day", timedelta(days=7): "a week"}
    return names.get(pace, "a window") if pace else "a window"
