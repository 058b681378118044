"""Charts in files of their own: SVG in the page's colours, and the same as PNG."""

import io
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from monitor.charts.alone import _SAMPLES, svg_file
from monitor.charts.bars import bars
from monitor.charts.figure import Drawing, style
from monitor.charts.heat import LEVELS, Row, heat
from monitor.charts.line import Mark, Point, Words, line
from monitor.charts.lines import COLOURS, GREY, Series, lanes, lines
from monitor.charts.raster import SCALE, png
from monitor.records import Spread

AT = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=7 * week) for week in range(6)]
EVIL = "<script>alert(1)</script>&\x1b[31m'\""


def of_everything(name: str) -> list[Drawing]:
    """Each kind of chart, with all that it can show."""
    points = [
        Point(at=at, value=number, low=number - 1, high=number + 1, reference=2, band=(1, 3), limit=4, bad=number > 4,
              provisional=number > 4, when=name)
        for number, at in enumerate(AT)
    ]
    row = Row(name, "columns/x", [0, 1, 2, 3, 4, 5], name, lambda at: name)
    spread = Spread(labels=(name, "b"), window=(0.25, 0.75), reference=(0.5, 0.5), numbers=False)
    return [
        line(points, Words(caption=name, value=name), UTC, [Mark(AT[2], "asked", name), Mark(AT[3], "promoted", name)]),
        lines(AT, [Series(name, one, [1, None, *range(4)]) for one in (*COLOURS, GREY)], name, UTC, limit=("price", 2)),
        lanes(AT[0], AT[-1], [(name, "c0", AT[:2]), (name, GREY, [])], name, UTC),
        heat([row], AT, [name] * 6, name, UTC), bars(spread, name),
    ]


@pytest.mark.parametrize("name", ["distance", EVIL, "é中\u202e", "x" * 500])
def test_a_file_holds_its_charts_and_nothing_that_acts(name: str) -> None:
    """Well-formed, loads nothing, runs nothing; a name from data is text."""
    text = svg_file(of_everything(name), name, name)
    root = ElementTree.fromstring(text)
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {
        "svg", "style", "g", "a", "rect", "path", "circle", "text", "title"}
    assert not re.search(r"url\(|@import|src=|https?://(?!www\.w3\.org)", text)


def test_whatever_is_drawn_can_be_a_png() -> None:
    """Every chart, with names that the font does not have; small enough for a mail."""
    text = svg_file(of_everything(f"é中{EVIL}"))
    made, root = png(text), ElementTree.fromstring(text)
    picture = Image.open(io.BytesIO(made))
    assert picture.size == (int(root.attrib["width"]) * SCALE, int(root.attrib["height"]) * SCALE)
    assert len(made) < 100_000


def test_the_png_has_the_colours_of_the_page() -> None:
    """Cells of a heat map and bars have, light, the colour that the style sheet gives their class."""
    text = svg_file([heat([Row("x", "x", [0, 1, 2, 3, 4, 5], "", str)], AT, ["w"] * 6, "columns", UTC)])
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", style()[:style().index("@media")]))
    picture = Image.open(io.BytesIO(png(text))).convert("RGB")
    # The drawing begins 16 from the left, and its first row 16 + 20 + 2 + 4 from the top.
    y = (16 + 20 + 2 + 4 + 6) * SCALE
    places = [round((16 + 180 + 532 * (at + 0.5) / 6) * SCALE) for at in range(6)]
    shown = [bytes(picture.getpixel((x, y))).hex() for x in places]
    assert shown == [colours[one or "ground"].removeprefix("#") for one in LEVELS]


def test_every_key_of_a_legend_has_a_look() -> None:
    """What a legend names is drawn beside it in its own file, and on pages by the style sheet."""
    kinds = {kind for one in of_everything("x") for kind, _ in one.keys}
    assert kinds >= {"line", "interval", "ref", "band", "limit", "loose", "bad", "asked", "promoted"}
    assert all(f".k-{kind}" in style() for kind in kinds)
    assert all(kind in _SAMPLES or f".{kind}," in style() for kind in kinds)


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6).filter(any))
@example([None] * 5 + [5e-324])
@example([1.7e308, -1.7e308] * 3)
@example([1e-308, 2e-308] * 3)
@example([1.0, 1.0 + 2**-52] * 3)
def test_any_numbers_can_be_drawn(values: list[float | None]) -> None:
    """Also those near the limits of a float, and with gaps."""
    text = svg_file([lines(AT, [Series("a", "c0", values)], "a", UTC, zero=True)])
    assert "nan" not in text.partition("</style>")[2]
    ElementTree.fromstring(text)
