"""Text from outside, in each of the forms it is written in."""

import csv
import io
import json
import tomllib
import unicodedata
import xml.dom.minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor import escape
from monitor.errors import ConfigError, UsageError

ANY = st.text(st.characters(exclude_categories=[]), max_size=60)       # lone surrogates too
HOSTILE = (
    "x\nINJECTED = 1", "\r\n[models.evil]", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\x85", "\u2028",
    "\u2029", "\u202eevil", "\u2066\u2069", "\ufeffbom", "\u200bzero", "\U000e0001", "\ud800", "\ufffe", "\x00",
    "\x7f", "", " ",
    "\t", 'q"uo\\te', "'''", '"""', "a.b", "#c", "[x]", "{0}", "%s", "L" * 200_000, "é", "日本", "\\u0041", "\\n",
)


def _shown(text: str) -> bool:
    return not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn") for sign in text)


@given(ANY)
def test_what_is_shown_is_one_line_and_bounded(text: str) -> None:
    """Names and sentences hold no sign that acts, and are no longer than stated."""
    for form, longest in ((escape.name, escape.NAME + 2), (escape.sentence, escape.SENTENCE), (escape.plain, 60)):
        assert _shown(form(text))
        assert len(form(text)) <= longest


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_without_acting(text: str) -> None:
    """The same for each text of the table, also in HTML, Markdown, chat and the log."""
    for form in (escape.name, escape.sentence, escape.html, escape.markdown, escape.markdown_name, escape.trace):
        assert _shown(form(text).replace("\u200b", ""))
        assert len(form(text)) <= escape.TRACE + 10
    assert _shown(escape.message(text).replace("\n", ""))


def test_plain_text_is_left_alone() -> None:
    """Letters of any script, spaces and signs that only show themselves stay as they are."""
    for text in ("age", "température °C", "年齢", "a – b", "50 %", "naïve\u00a0x"):
        assert escape.visible(text) == escape.name(text) == escape.sentence(text) == escape.label(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_toml_reads_back_the_same_text(text: str) -> None:
    """Any text but a lone surrogate comes back from a TOML string, a key and a list, beside a comment that holds it."""
    written = f"{escape.toml_key(text)} = [{escape.toml_string(text)}] {escape.toml_comment(text)}\nlast = 1\n"
    assert tomllib.loads(written) == {text: [text], "last": 1} if text != "last" else True
    assert len(written.splitlines()) == 2


def test_toml_refuses_what_it_cannot_hold() -> None:
    """A lone surrogate is an error in a sentence, and never another name."""
    with pytest.raises(ValueError, match="not valid Unicode"):
        escape.toml_string("a\ud800")


@given(ANY)
def test_json_reads_back_the_same_value(text: str) -> None:
    """JSON text is exact when read, on one line for every reader, and can be encoded."""
    written = escape.json_text({text: [text, 1.5, None]})
    assert json.loads(written) == {text: [text, 1.5, None]}
    assert len(written.encode().decode().splitlines()) == 1


def test_json_is_bounded_and_finite() -> None:
    """Long strings and keys lose their middle, NaN and infinities become null."""
    found = escape.bounded({"k" * 50_000: ["v" * 50_000, float("nan"), float("inf"), (1, True)]})
    (key, (value, *rest)), = found.items()
    assert len(key) == len(value) == escape.JSON_TEXT
    assert rest == [None, None, [1, True]]


@given(ANY)
def test_html_and_xml_hold_no_markup_from_outside(text: str) -> None:
    """Inside an element and an attribute the text stays text, and the whole is XML."""
    document = xml.dom.minidom.parseString(f'<a b="{escape.html(text)}">{escape.html(text)}</a>')
    assert len(document.getElementsByTagName("*")) == 1


@pytest.mark.parametrize(("text", "live"), [
    ("<script>alert(1)</script>", "<script"), ("![x](http://e/p.png)", "![x]("), ("[l](javascript:alert(3))", "]("),
    ("`code`", "`code`"), ("a|b", "a|"), ("@everyone", "@e"), ("# heading", "\n#"), ("&lt;b&gt;", "&lt;b"),
    ("http://evil.example", "http://"), ("**bold**", "**"), ("_it_", " _it_"), ("<!channel>", "<!"), ("$x$", " $x$"),
    ("> quoted", "\n>"), ("- item", "\n-"), ("x\n# heading", "\n#"), ("www.evil.example", "www.e"),
])
def test_markdown_from_outside_is_dead(text: str, live: str) -> None:
    """Tags, links, pictures, code, tables, mentions and headings are shown as they are typed."""
    assert live not in f"\n{escape.markdown(text)}".replace("\n_", "\n _")
    name = escape.markdown_name(text)
    assert live not in f"\n{name}" or name == f"`{text}`"


def test_ordinary_markdown_names_are_code() -> None:
    """A column's ordinary name is code, as before."""
    assert escape.markdown_name("max_rows") == "`max_rows`"
    assert escape.markdown("max_rows is 0.5, 3 of 4") == "max_rows is 0.5, 3 of 4"


@pytest.mark.parametrize("text", ["@everyone", "<!channel>", "<@U123>", "[l](http://e)", "`id`", "<script>"])
def test_messages_mention_nobody(text: str) -> None:
    """In chat nobody is called, and no tag or named link is made."""
    said = escape.message(f"first {text}\nsecond")
    assert text not in said
    assert said.split("\n")[1] == "second"


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", " =1", "\n=1", "＝1"])
def test_formulas_in_csv_are_text(text: str) -> None:
    """A cell that a spreadsheet would work out begins with an apostrophe."""
    assert escape.csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1.5", "+3", "1e-3", "a=b", "", "x@y", "-.5E+2"])
def test_other_cells_stay(text: str) -> None:
    """Numbers with a sign, and signs elsewhere, are no formulas."""
    assert escape.csv_cell(text) == text
    assert next(csv.reader(io.StringIO(text or '""'))) == [text]


@given(ANY)
def test_labels_are_read_back_by_prometheus(text: str) -> None:
    """A label value is one line of the exposition, at most 120 characters, equal for equal texts."""
    registry = CollectorRegistry()
    Gauge("g", "h", ["x"], registry=registry).labels(escape.label(text)).set(1)
    lines = generate_latest(registry).decode()
    (sample,) = (sample for family in text_string_to_metric_families(lines) for sample in family.samples)
    assert sample.labels["x"] == escape.label(text)
    assert len(lines.splitlines()) == 3


def test_long_labels_stay_two() -> None:
    """Values that differ only behind what is shown are still two series."""
    one, two = escape.label("L" * 5000 + "a"), escape.label("L" * 5000 + "b")
    assert one != two
    assert len(one) == len(two) == escape.NAME


def test_errors_are_one_bounded_line() -> None:
    """Whatever names an error quotes, its sentence is one line; a configuration's problems are one line each."""
    assert str(UsageError("no column 'a\nb\x1b'")) == r"no column 'a\nb\x1b'"
    assert len(str(UsageError("x" * 100_000))) == escape.SENTENCE
    assert ConfigError(["a\nb", "c"]).problems == [r"a\nb", "c"]
