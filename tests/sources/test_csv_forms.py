"""CSV in the forms that people and programs write: what its cells mean, or one sentence that says what to set."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import CsvSection, SourceSection
from monitor.errors import SourceError
from monitor.sources import Source, open_source
from monitor.sources.known_types import KnownTypes
from monitor.sources.written_numbers import Style, doubts


def source_of(path: Path, known: KnownTypes | None = None, **csv: object) -> Source:
    section = SourceSection(path=str(path), csv=CsvSection.model_validate(csv))
    return open_source(section, ZoneInfo("UTC"), known or KnownTypes())


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., dict[str, list[Any]]]:
    def reader(text: str, encoding: str = "utf-8", **csv: object) -> dict[str, list[Any]]:
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        found: dict[str, list[Any]] = source_of(tmp_path / "a.csv", **csv).read(None).to_pydict()
        return found

    return reader


Read = Callable[..., dict[str, list[Any]]]
ROWS = {"x": [1, 2, 3], "y": ["a", "b", "c"]}


@pytest.mark.parametrize(("text", "encoding"), [
    ("# exported by a tool\nx,y\n1,a\n2,b\n3,c\n", "utf-8"),
    ("# exported, by a tool\n# of today\nx,y\n1,a\n2,b\n3,c\n", "utf-8"),
    ("#two, cells\nx,y\n1,a\n# in between\n2,b\n3,c\n# the end\n", "utf-8"),
    ("sep=;\nx;y\n1;a\n2;b\n3;c\n", "utf-8"),
    ("\ufeffsep=,\r\nx,y\r\n1,a\r\n2,b\r\n3,c\r\n", "utf-8"),
    ("x, y\n1, a\n2, b\n3, c\n", "utf-8"),
    ('x,  y\n1,  "a"\n2,  "b"\n3,  "c"\n', "utf-8"),
    ("x\ty\n1\ta\n2\tb\n3\tc\n", "utf-16"),
    ("x\ty\n1\ta\n2\tb\n3\tc\n", "utf-16-le"),
    ("x,y\n1,a\n2,b\n3,c\n", "utf-16-be"),
    ("\ufeffx|y\n1|a\n2|b\n3|c\n", "utf-8"),
], ids=range(11))
def test_what_stands_around_the_rows_is_no_row(read: Read, text: str, encoding: str) -> None:
    """Comments, Excel's first line, blanks behind delimiters and byte order marks are not part of the data."""
    assert read(text, encoding) == ROWS


def test_a_header_may_begin_with_a_hash(read: Read) -> None:
    """A first line with # that is as wide as the values below it is the header."""
    assert read("#x,y\n1,2\n3,4\n") == {"#x": [1, 3], "y": [2, 4]}


def test_quoted_cells_keep_comments_blanks_and_line_breaks(read: Read) -> None:
    """What is inside quotes is data."""
    text = '# made today\nx, y\n1, "a, b"\n2, "two\n# lines"\n3, "c"\n'
    assert read(text) == {"x": [1, 2, 3], "y": ["a, b", "two\n# lines", "c"]}
    assert read("%x\nx,y\n1,a\n", comment="%") == {"x": [1], "y": ["a"]}


@pytest.mark.parametrize(("cells", "values"), [
    (["1.549,34", "0,70", "-2.000.001,5"], [1549.34, 0.7, -2000001.5]),
    (["1\u202f549,34", "0,70", "12,00"], [1549.34, 0.7, 12.0]),
    (["1 549,34 €", "0,70 €", "-3,10 €"], [1549.34, 0.7, -3.1]),
    (["$1,549.34", "$0.70", "($3.10)"], [1549.34, 0.7, -3.1]),
    (["£5", "-£6", "£1,000,000"], [5, -6, 1000000]),
    (["USD 5.5", "USD 6.5", ""], [5.5, 6.5, None]),
    (["12.5%", "3 %", "NA"], [0.125, 0.03, None]),
    (["1'549.34", "2'000.00", "0.5"], [1549.34, 2000.0, 0.5]),
    (["1,549", "12", "1,000,000"], [1549, 12, 1000000]),
], ids=range(9))
def test_numbers_as_people_write_them(read: Read, cells: list[str], values: list[float | None]) -> None:
    """Thousands, currencies, percent signs and brackets are read, also when a comma is the decimal sign."""
    found = read("k;v\n" + "".join(f"a;{cell}\n" for cell in cells))
    assert found["v"] == pytest.approx(values)
    assert {type(value) for value in found["v"]} == {type(value) for value in values}


@pytest.mark.parametrize("cells", [["$5", "€6"], ["5%", "0.5"], ["1.2.3", "1.2.4"], ["AB12", "AB13"], ["1-2", "3-4"]])
def test_what_is_no_number_of_one_kind_is_text(read: Read, cells: list[str]) -> None:
    """Two currencies, percentages beside shares, versions and codes are words."""
    assert read("k;v\n" + "".join(f"a;{cell}\n" for cell in cells))["v"] == cells


def test_thousands_can_be_set(read: Read) -> None:
    """Where the cells do not tell what a sign means, the file does."""
    assert read("x;y\n1.549;2\n")["x"] == [1.549]
    assert read("x;y\n1.549;2\n", thousands=".", decimal=",")["x"] == [1549]


WORDS = ["None", "NA", "N/A", "null", "NULL", "nan", "NaN"]


@pytest.mark.parametrize("word", WORDS)
def test_words_for_missing_are_words_among_words(read: Read, word: str) -> None:
    """Among words, or quoted among numbers, each is a word; among numbers alone it is missing."""
    assert read(f"x,y\n{word},1\nInsomnia,2\n,3\n")["x"] == [word, "Insomnia", None]
    assert read(f'x,y\n"{word}",1\nInsomnia,2\n"",3\n')["x"] == [word, "Insomnia", ""]
    assert read(f"x,y\n{word},1\n2.5,2\n,3\n")["x"] == [None, 2.5, None]
    assert read(f'x,y\n"{word}",1\n2.5,2\n,3\n')["x"] == [word, "2.5", None]
    assert read(f'"x","y"\n"{word}","1"\n"2.5","2"\n"","3"\n')["x"] == [None, 2.5, None]


WITH_UNITS = {"12 kg": "kg", "3.5km/h": "km/h", "20 °C": "°C", "7 m2": "m2", "5 pcs": "pcs", "1e3 Hz": "Hz",
              "R$ 5": "R$", "Rs. 5": "Rs.", "US$5": "US$", "No 5": "No"}


@pytest.mark.parametrize("form", WITH_UNITS)
def test_numbers_with_a_unit_are_said_and_can_be_read(tmp_path: Path, form: str) -> None:
    """A column of numbers with one unit is text, which is said with the key that makes it numbers."""
    number = re.search(r"\d[\d.e]*", form)
    assert number
    cells = [form.replace(number[0], str(n)) for n in range(1, 41)]
    (tmp_path / "a.csv").write_text("\n".join(["x", *cells]) + "\n")
    text = source_of(tmp_path / "a.csv").read(None)
    assert text["x"].to_pylist() == cells
    said, key = next(doubts(text, Style())).split("; ")
    assert said == f"x is read as text, since it holds numbers with the unit {WITH_UNITS[form]!r}"
    assert key == 'columns.types.x = "number" reads it as numbers, and what is none as missing'
    known = KnownTypes(numbers=frozenset(["x"]))
    assert source_of(tmp_path / "a.csv", known).read(None)["x"].to_pylist() == list(range(1, 41))
    pq.write_table(pa.table({"x": cells}), tmp_path / "a.parquet")
    assert source_of(tmp_path / "a.parquet", known).read(None)["x"].to_pylist() == list(range(1, 41))


@pytest.mark.parametrize(("cells", "why"), [
    (["5 kg", "6 lb"], "numbers with the unit 'kg', 'lb'"), (["5 kg", "6"], "numbers with the unit 'kg' in some rows"),
    (["5", "35%"], "numbers with the unit '%' in some rows"), (["5", "7", "tbd"], "numbers but for 'tbd' in 20 rows"),
    (["5", "7", "9", "8", "a", "b", "c", "d"],
     "numbers but for 'a' in 20 rows, 'b' in 20 rows, 'c' in 20 rows and 1 more"),
    (["red", "blue", "5"], None), (["A5", "B6"], None), (["5A", "6B", "7C", "8D"], None), (["1.2.3", "1.10.1"], None),
    (["2026-W01", "2026-W02"], None), (["5", "x"], None),
], ids=str)
def test_what_is_nearly_numbers_is_said(cells: list[str], why: str | None) -> None:
    """Words among numbers and several units are named; codes, versions and words are no numbers to anybody."""
    varied = [re.sub(r"(\d)", rf"\g<1>{n}", cell) for n in range(20) for cell in cells]
    found = list(doubts(pa.table({"x": cells * 20 if cells == ["5", "x"] else varied}), Style(), settable=False))
    assert found == ([] if why is None else [f"x is read as text, since it holds {why}"])


def test_a_declared_number_with_several_units_keeps_the_usual_one(tmp_path: Path) -> None:
    """What is of another kind than most is missing, and nothing is added up that has not one unit."""
    (tmp_path / "a.csv").write_text("x\n5 kg\n6 kg\n7 lb\n8\nnone known\n")
    found = source_of(tmp_path / "a.csv", KnownTypes(numbers=frozenset(["x"]))).read(None)
    assert found["x"].to_pylist() == [5, 6, None, None, None]


def test_one_column_may_have_the_other_decimal_sign(read: Read) -> None:
    """In a file of decimal commas a column with points is numbers too, if it holds nothing else; and the other way."""
    rows = "".join(f"{n},5;{n}.25431;{n},{n}0;1.{n}.0\n" for n in range(1, 9))
    found = read(f"x;probability;y;version\n{rows}")
    assert found["x"] == [n + 0.5 for n in range(1, 9)]
    assert found["probability"] == [n + 0.25431 for n in range(1, 9)]
    assert found["version"][0] == "1.1.0"
    assert read("x;y;z\n1.5;2,25;7.5\n2.5;3,5;8.5\n")["y"] == [2.25, 3.5]


def test_which_texts_mean_missing_can_be_set(read: Read) -> None:
    """csv.missing holds in every column, beside the usual words among numbers."""
    found = read('x,y\n-999,unknown\n5,a\nNA,"unknown"\n', missing=["-999", "unknown"])
    assert found == {"x": [None, 5, None], "y": [None, "a", "unknown"]}


def test_codes_with_leading_zeros_are_found_anywhere(read: Read) -> None:
    """One postal code with a zero, far behind the sample that is guessed from, makes the column text."""
    rows = [f"{10000 + n},{n}" for n in range(60_000)]
    rows[41_234] = "01234,5"
    found = read("zip,n\n" + "\n".join(rows) + "\n")
    assert found["zip"][41_234] == "01234"
    assert found["zip"][0] == "10000"
    assert found["n"][1] == 1


@pytest.mark.parametrize(("text", "sentence"), [
    ("2026-01-01T00:00:00Z,a1,0.5\n2026-01-02T00:00:00Z,a2,0.6\n2026-01-03T00:00:00Z,a3,0.7\n",
     "its first row holds values .* write them as the first line"),
    ("x,y\n1,2\n% the end\n3,4\n", "lines that are no rows begin with csv.comment"),
    ("t,x,y\n1,2,3,\n4,5,6,\n7,8,9,\n", "Expected 3 columns, got 4"),
    ("t;x;y\n1;2;3;\n4;5;6;\n7;8;9;\n", "Expected 3 columns, got 4"),
])
def test_what_cannot_be_read_says_what_to_set(read: Read, text: str, sentence: str) -> None:
    """A file without a header, and lines that are no rows, are refused in one sentence."""
    with pytest.raises(SourceError, match=sentence):
        read(text)


def test_columns_named_by_years_or_numbers_have_a_header(read: Read) -> None:
    """A header of numbers is a header: nothing in it is a time."""
    assert read("0,1,2\n5,0.5,7\n6,0.5,8\n") == {"0": [5, 6], "1": [0.5, 0.5], "2": [7, 8]}
    assert list(read("name,2020,2021\na,1,2\nb,3,4\n")) == ["name", "2020", "2021"]


def test_a_column_of_words_in_one_file_holds_words_in_all(tmp_path: Path) -> None:
    """Numbers of one file keep the form they are written in if another file of the source has words there."""
    (tmp_path / "a.csv").write_text("x,y\n1.0,1\n007,2\n")
    (tmp_path / "b.csv").write_text("x,y\n2.50,3\n3,4\n")
    (tmp_path / "c.csv").write_text("x,y\nonline,5\n,6\n")
    assert source_of(tmp_path).read(None)["x"].to_pylist() == ["1.0", "007", "2.50", "3", "online", None]


def test_types_that_are_known_hold_for_every_read(tmp_path: Path) -> None:
    """A column that holds words in the reference is text where it holds only numbers; a declared number is a number."""
    (tmp_path / "a.csv").write_text("t,x,y\n2026-01-01,1,1.5\n2026-01-02,2.0,ERR\n2026-01-03,3,7\n")
    known = KnownTypes(words=frozenset(["x"]), numbers=frozenset(["y"]))
    table = source_of(tmp_path / "a.csv", known).read(None)
    assert table["x"].to_pylist() == ["1", "2.0", "3"]
    assert table["y"].to_pylist() == [1.5, None, 7.0]
    assert source_of(tmp_path / "a.csv", known).schema().field("x").type == pa.string()
    assert source_of(tmp_path / "a.csv").schema().field("x").type == pa.float64()
    pq.write_table(pa.table({"y": ["1.5", "ERR", "7"]}), tmp_path / "a.parquet")
    assert source_of(tmp_path / "a.parquet", known).read(None)["y"].to_pylist() == [1.5, None, 7.0]


@pytest.mark.parametrize("write", [
    lambda frame, path: frame.to_csv(path, index=False),
    lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=","),
    lambda frame, path: frame.to_csv(path, index=False, quoting=1),
    lambda frame, path: frame.to_csv(path, index=False, encoding="utf-16"),
    lambda frame, path: frame.to_csv(path, index=False, na_rep="NULL"),
], ids=["plain", "semicolons", "all quoted", "utf-16", "NULL"])
def test_a_data_frame_comes_back_as_it_was(tmp_path: Path, write: Callable[[pd.DataFrame, Path], None]) -> None:
    """Numbers, words and missing numbers of a data frame are the same in each way to write it."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({
        "x": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300).round(4)), "n": rng.integers(0, 9, 300),
        "city": rng.choice(["Évry", "NA City", "O'Fallon, MO", 'the "Hague"'], 300), "b": rng.random(300) < 0.5,
    })
    write(frame, tmp_path / "a.csv")
    found = source_of(tmp_path / "a.csv").read(None)
    assert found["x"].to_pylist() == [None if np.isnan(x) else x for x in frame["x"]]
    for name in ("n", "city", "b"):
        assert found[name].to_pylist() == frame[name].tolist()
