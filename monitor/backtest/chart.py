"""A rehearsal as a picture: the metric of the model in service, the retrains of each policy, regret and its price."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from monitor.backtest.policies import Policy
from monitor.backtest.simulation import ASSUMES, Rehearsal
from monitor.charts.alone import page, svg_file
from monitor.charts.figure import Drawing
from monitor.charts.lines import COLOURS, GREY, Series, lanes, lines
from monitor.charts.raster import png
from monitor.escape import html
from monitor.metric_catalogue import METRICS
from monitor.wording import shown, titled


def draw(told: Rehearsal, model: str, zone: ZoneInfo, file: Path) -> None:
    """Write the picture in the form that the file's ending names: .svg, .html or .png."""
    title, drawings = f"{model}: what each schedule of retrains would have given", list(_drawings(told, zone))
    if file.suffix == ".html":
        body = "\n".join(one.html() for one in drawings)
        file.write_text(page(title, f"{body}\n<p>{html(ASSUMES)}</p>"), encoding="utf-8")
        return
    svg = svg_file(drawings, title, ASSUMES)
    if file.suffix == ".png":
        file.write_bytes(png(svg))
    else:
        file.write_text(svg, encoding="utf-8")


def _drawings(told: Rehearsal, zone: ZoneInfo) -> Iterator[Drawing]:
    shown_of = [policy for policy in told.policies if policy.schedule is not None]
    colours = _colours(shown_of)
    ends = [one.window.end for one in told.rounds]
    scale = told.sd if METRICS[told.metric].higher_is_better else -told.sd
    served = [
        Series(policy.name, colours[policy.name], [
            scale * score for score in told.scores.served(policy.schedule or [], policy.back)
        ])
        for policy in reversed(shown_of)
    ]
    yield lines(ends, served, f"{titled(told.metric)} of the model in service", zone,
                of=lambda value: shown(told.metric, value))
    rows = [(policy.name, colours[policy.name], [ends[at] for at in policy.schedule or []]) for policy in shown_of]
    yield lanes(ends[0], ends[-1], rows, "When each retrains, and how often", zone)
    regrets = [
        Series(name, colours[name], [score.value if score else None for score in simulated.regret])
        for name, simulated in told.played.items()
    ]
    if any(value is not None for one in regrets for value in one.values):
        yield lines(ends, regrets, "Regret, in reference sd × windows, and the price of a retrain", zone,
                    limit=("price of a retrain", told.price), zero=True)


def _colours(policies: Sequence[Policy]) -> dict[str, str]:
    """A class for each policy; never retraining is grey."""
    others = [policy.name for policy in policies if policy.kind != "never"]
    return {policy.name: GREY for policy in policies} | {
        name: COLOURS[place % len(COLOURS)] for place, name in enumerate(others)}
