"""An SVG of ours as PNG, for mail and chats, which show no SVG: straight paths, rectangles, circles and text."""

import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from monitor.charts.figure import style

SCALE, DRAWN = 2, 4             # pixels of the picture for each unit, and of the larger one it is made from
COLOURS = 256                   # of the picture
_HIDDEN = ("title", "style")
_STEP = re.compile(r"([MmLlHhVvZz])([^MmLlHhVvZz]*)")
_NUMBERS = re.compile(r"-?\d*\.?\d+")
_IN_FONT = {"×": "x", "–": "-", "—": "-", "→": "to", "≥": ">=", "≤": "<=", "²": "2"}

Place = tuple[float, float]
Look = Mapping[str, str]
Chain = tuple[frozenset[str], ...]      # of an element and those around it, outermost first: a tag, .class, …


@dataclass(frozen=True, slots=True)
class _Rule:
    """Declarations for what stands within `parts`, the last of which is the element itself."""

    parts: Chain
    look: Look


def png(svg: str) -> bytes:
    """Draw it, light. Text keeps what the font at hand has: Latin letters without accents, digits, signs."""
    from PIL import Image, ImageDraw

    root = ElementTree.fromstring(svg)
    width, height = (int(root.attrib[name]) for name in ("width", "height"))
    image = Image.new("RGB", (width * DRAWN, height * DRAWN), "white")
    _draw(root, (), {}, (0.0, 0.0), ImageDraw.Draw(image, "RGBA"))
    small = image.resize((width * SCALE, height * SCALE), Image.Resampling.BOX)
    file = io.BytesIO()
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw(one: ElementTree.Element, above: Chain, look: Look, by: Place, pen: Any) -> None:
    tag = one.tag.rpartition("}")[2]
    if tag in _HIDDEN:
        return
    chain = (*above, frozenset({tag, *(f".{name}" for name in one.get("class", "").split())}))
    look = {**look, **_styled(chain)}
    if moved := one.get("transform"):
        right, down = map(float, _NUMBERS.findall(moved))
        by = by[0] + right, by[1] + down
    if tag == "path":
        for points in _subpaths(one.attrib["d"]):
            _shape(points, look, by, pen)
    elif tag == "rect":
        x, y, w, h = (float(one.attrib[name]) for name in ("x", "y", "width", "height"))
        _shape([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)], look, by, pen)
    elif tag == "circle":
        x, y, r = (float(one.attrib[name]) for name in ("cx", "cy", "r"))
        box = [_pixel((x - r, y - r), by), _pixel((x + r, y + r), by)]
        pen.ellipse(box, _colour("fill", look), _colour("stroke", look), _width(look))
    elif tag == "text":
        _write(one, look, by, pen)
    for inner in one:
        _draw(inner, chain, look, by, pen)


def _shape(points: list[Place], look: Look, by: Place, pen: Any) -> None:
    fill, stroke = _colour("fill", look), _colour("stroke", look)
    placed = [_pixel(point, by) for point in points]
    if fill and len(placed) > 2:
        pen.polygon(placed, fill)
    if stroke:
        dashes = [float(one) * DRAWN for one in _NUMBERS.findall(look.get("stroke-dasharray", ""))]
        for part in _dashed(placed, dashes) if dashes else [placed]:
            pen.line(part, stroke, _width(look), joint="curve")


def _write(one: ElementTree.Element, look: Look, by: Place, pen: Any) -> None:
    from PIL import ImageFont

    size = _NUMBERS.search(look.get("font-size", look.get("font", "")))
    font = ImageFont.load_default(float(size[0] if size else 12) * DRAWN)
    anchor = {"end": "rs", "middle": "ms"}.get(look.get("text-anchor", ""), "ls")
    place = _pixel((float(one.attrib["x"]), float(one.attrib["y"])), by)
    bold = DRAWN // 3 if look.get("font-weight") == "600" else 0
    colour = _colour("fill", look)
    pen.text(place, _letters(one.text or ""), colour, font, anchor=anchor, stroke_width=bold, stroke_fill=colour)


def _letters(text: str) -> str:
    replaced = "".join(_IN_FONT.get(sign, sign) for sign in text)
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", replaced) if not unicodedata.combining(sign))
    return "".join(sign if sign.isascii() or sign in "±…’" else "?" for sign in bare)


def _pixel(point: Place, by: Place) -> Place:
    return (point[0] + by[0]) * DRAWN, (point[1] + by[1]) * DRAWN


def _width(look: Look) -> int:
    return max(1, round(float(look.get("stroke-width", "1")) * DRAWN))


def _colour(kind: str, look: Look) -> tuple[int, ...] | None:
    from PIL import ImageColor

    said = look.get(kind, "none" if kind == "stroke" else "#000")
    if said == "none":
        return None
    red, green, blue, *rest = ImageColor.getrgb(said)
    return red, green, blue, round((rest[0] if rest else 255) * float(look.get(f"{kind}-opacity", "1")))


def _subpaths(steps: str) -> Iterator[list[Place]]:
    """The corners of each part of a path of straight lines."""
    points: list[Place] = []
    for step, given in _STEP.findall(steps):
        numbers = [float(one) for one in _NUMBERS.findall(given)]
        if step == "Z" or step == "z":
            points.append(points[0])
            continue
        size = 1 if step in "HhVv" else 2
        for at in range(0, len(numbers), size):
            x, y = points[-1] if points and step.islower() else (0.0, 0.0)
            if step in "Hh":
                points.append((x + numbers[at], points[-1][1]))
            elif step in "Vv":
                points.append((points[-1][0], y + numbers[at]))
            elif step in "Mm" and at == 0:
                if len(points) > 1:
                    yield points
                points = [(x + numbers[0], y + numbers[1])]
            else:
                points.append((x + numbers[at], y + numbers[at + 1]))
    if len(points) > 1:
        yield points


def _dashed(points: list[Place], dashes: list[float]) -> Iterator[list[Place]]:
    """The dashes of a line through the points, in turns drawn and left out."""
    at, left, drawn = 0, dashes[0], True
    for (x0, y0), (x1, y1) in pairwise(points):
        length, gone = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 0.0
        while gone < length:
            step = min(left, length - gone)
            if drawn:
                yield [(x0 + (x1 - x0) * share / length, y0 + (y1 - y0) * share / length)
                       for share in (gone, gone + step)]
            gone, left = gone + step, left - step
            if left <= 0:
                at, drawn = (at + 1) % len(dashes), not drawn
                left = dashes[at]


@lru_cache(512)
def _styled(chain: Chain) -> dict[str, str]:
    """What the rules say of the last of these elements, each of which stands in the one before."""
    found = [rule for rule in _rules() if rule.parts[-1] <= chain[-1] and _stands(rule.parts[:-1], chain[:-1])]
    found.sort(key=lambda rule: sum(name.startswith(".") for part in rule.parts for name in part))
    return {name: value for rule in found for name, value in rule.look.items()}


def _stands(parts: Chain, chain: Chain) -> bool:
    """Whether the elements hold the parts, in their order."""
    rest = iter(chain)
    return all(any(part <= one for one in rest) for part in parts)


@cache
def _rules() -> tuple[_Rule, ...]:
    """The rules of the style sheet, its light colours put in; those for what a mouse does are left out."""
    sheet = re.sub(r"/\*.*?\*/", "", style(), flags=re.DOTALL)
    sheet = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", sheet)
    colours = dict(re.findall(r"--([\w-]+):\s*([^;]+);", sheet))
    rules = []
    for selectors, said in re.findall(r"([^{}]+)\{([^{}]*)\}", sheet):
        placed = re.sub(r"var\(--([\w-]+)\)", lambda found: colours[found[1]], said)
        look = {name.strip(): value.strip().lstrip() for name, _, value in
                (one.partition(":") for one in placed.split(";")) if value}
        for selector in selectors.split(","):
            if ":" not in selector:
                parts = selector.replace(">", " ").split()
                rules.append(_Rule(tuple(frozenset(re.findall(r"\.?[\w-]+", part)) for part in parts), look))
    return tuple(rules)
