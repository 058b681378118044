"""A rehearsal as a picture: the metric of the model in service, the retrains of each policy, regret and its price.

SVG, alone or in an HTML page that loads nothing; PNG by Pillow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from monitor.backtest.simulation import ASSUMES, Rehearsal
from monitor.escape import html, sentence
from monitor.metric_catalogue import METRICS

LEFT, TOP, WIDTH, HEIGHT, RIGHT, GAP, LANE = 70, 50, 640, 200, 220, 40, 18
GREY, COLOURS = "#999999", ("#2b6cb0", "#d08770", "#4c956c", "#8e5aa8", "#b5893b")
SCALE = 3       # of the PNG, drawn larger for smooth lines


@dataclass(frozen=True, slots=True)
class Line:
    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.5


@dataclass(frozen=True, slots=True)
class Text:
    x: float
    y: float                    # of the middle of the line
    words: str
    colour: str = "#444444"
    size: int = 12
    right: bool = False         # ends at x


Shape = Line | Text
Series = tuple[str, str, Sequence[float | None]]      # name, colour, a value a window


def draw(told: Rehearsal, model: str, zone: ZoneInfo, file: Path) -> None:
    """Write the picture in the form that the file's ending names: .svg, .html or .png."""
    shapes, height = _shapes(told, model, zone)
    if file.suffix == ".png":
        _png(shapes, height, file)
        return
    svg = _svg(shapes, height)
    page = f'<!doctype html><meta charset="utf-8"><title>driftd: {html(model)}</title>\n{svg}'
    file.write_text(page if file.suffix == ".html" else svg, encoding="utf-8")


def _shapes(told: Rehearsal, model: str, zone: ZoneInfo) -> tuple[list[Shape], int]:
    sign = 1.0 if METRICS[told.metric].higher_is_better else -1.0
    shown = [policy for policy in told.policies if policy.schedule is not None]
    colours = dict(zip([policy.name for policy in shown if policy.kind != "never"], COLOURS * 9, strict=False))
    scale = sign * told.sd
    served: list[Series] = [
        (policy.name, colours.get(policy.name, GREY), [scale * v for v in told.scores.served(policy.schedule or [])])
        for policy in reversed(shown)
    ]
    shapes: list[Shape] = [Text(LEFT, 22, f"{model}: {told.metric} of the model in service", size=15)]
    shapes += _panel(told, zone, served, TOP)
    lanes = TOP + HEIGHT + GAP
    for number, policy in enumerate(shown):
        y = lanes + LANE * number
        colour = colours.get(policy.name, GREY)
        shapes.append(Line(((LEFT, y), (LEFT + WIDTH, y)), "#dddddd", 1))
        marks = (_x(told, at + 1) for at in policy.schedule or [])
        shapes += [Line(((x, y - 6), (x, y + 6)), colour, 3) for x in marks]
        shapes.append(Text(LEFT + WIDTH + 8, y, f"{policy.name}: {policy.retrains}", colour))
    bottom = lanes + LANE * len(shown) + GAP
    regrets = [
        (name, colours[name], [score.value if score else None for score in simulated.regret])
        for name, simulated in told.played.items()
    ]
    if any(value is not None for _, _, values in regrets for value in values):
        shapes.append(Text(LEFT, bottom - 14, "Regret, in sd × windows, and the price of a retrain", size=15))
        priced: Series = ("the price", "#c0392b", [told.price] * len(told.rounds))
        shapes += _panel(told, zone, [*regrets, priced], bottom, least=0.0)
        bottom += HEIGHT + GAP
    shapes.append(Text(LEFT, bottom, ASSUMES))
    return shapes, bottom + 24


def _panel(
    told: Rehearsal, zone: ZoneInfo, series: Sequence[Series], top: float, least: float | None = None
) -> list[Shape]:
    """Draw lines over the windows, with a scale at the left and dates below."""
    values = [v for _, _, line in series for v in line if v is not None]
    low, high = min(values) if least is None else least, max(values)
    far = high - low or 1.0

    def y(value: float) -> float:
        return top + HEIGHT * (1 - (value - low) / far)

    shapes: list[Shape] = []
    for step in range(5):
        level = low + far * step / 4
        shapes.append(Line(((LEFT, y(level)), (LEFT + WIDTH, y(level))), "#eeeeee", 1))
        shapes.append(Text(LEFT - 6, y(level), f"{level:.4g}", right=True))
    for at in range(0, len(told.rounds), max(1, len(told.rounds) // 5)):
        date = told.rounds[at].window.start.astimezone(zone)
        shapes.append(Text(_x(told, at), top + HEIGHT + 14, f"{date:%Y-%m-%d}"))
    for number, (name, colour, line) in enumerate(series):
        points = tuple((_x(told, at + 0.5), y(v)) for at, v in enumerate(line) if v is not None)
        shapes += [Line(points, colour)] if len(points) > 1 else []
        shapes.append(Text(LEFT + WIDTH + 8, top + 8 + LANE * number, name, colour))
    return shapes


def _x(told: Rehearsal, at: float) -> float:
    return LEFT + WIDTH * at / len(told.rounds)


def _svg(shapes: Sequence[Shape], height: int) -> str:
    body = "\n".join(_line(shape) if isinstance(shape, Line) else _text(shape) for shape in shapes)
    size = f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" width="{LEFT + WIDTH + RIGHT}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')


def _line(one: Line) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in one.points)
    return f'<polyline points="{points}" fill="none" stroke="{one.colour}" stroke-width="{one.width}"/>'


def _text(one: Text) -> str:
    anchor = ' text-anchor="end"' if one.right else ""
    place = f'x="{one.x:.1f}" y="{one.y + one.size / 3:.1f}" font-size="{one.size}"'
    return f'<text {place} fill="{one.colour}"{anchor}>{html(one.words)}</text>'


def _png(shapes: Sequence[Shape], height: int, file: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    size = (LEFT + WIDTH + RIGHT, height)
    picture = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), "white")
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        if isinstance(shape, Line):
            points = [(x * SCALE, y * SCALE) for x, y in shape.points]
            pen.line(points, fill=shape.colour, width=round(shape.width * SCALE))
        else:
            font = ImageFont.load_default(shape.size * SCALE)
            place = (shape.x * SCALE, shape.y * SCALE)
            words = sentence(shape.words.replace("×", "x"))         # the font has no ×
            pen.text(place, words, shape.colour, font, anchor="rm" if shape.right else "lm")
    picture.resize(size, Image.Resampling.LANCZOS).save(file)
