import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from monitor.config.sections import CsvSection, SourceSection
from monitor.errors import SourceError
from monitor.sources import Source, open_source

PARIS = ZoneInfo("Europe/Paris")
UTC_ZONE = ZoneInfo("UTC")


def csv_source(path: Path | str, zone: ZoneInfo = UTC_ZONE, **csv: object) -> Source:
    return open_source(SourceSection(path=str(path), csv=CsvSection.model_validate(csv)), zone)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_french_export_is_read_as_it_was_meant(tmp_path: Path) -> None:
    """BOM-less cp1252, semicolons, decimal commas and day-first local times are guessed and shown."""
    text = "date;ville;dose\n3/4/2026 9:05;Orléans;1,5\n25/04/2026 23:30:10;Évry;12\n"
    path = write(tmp_path / "a.csv", text, "cp1252")
    source = csv_source(path, PARIS)
    table = source.read(None, timestamp="date")
    assert table["date"].to_pylist() == [
        datetime(2026, 4, 3, 7, 5, tzinfo=UTC), datetime(2026, 4, 25, 21, 30, 10, tzinfo=UTC),
    ]
    assert table["ville"].to_pylist() == ["Orléans", "Évry"]
    assert table["dose"].to_pylist() == [1.5, 12.0]
    assert source.guesses() == {"delimiter": ";", "decimal": ",", "encoding": "cp1252", "day_first": "true"}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    """Excel's UTF-8 mark disappears."""
    path = write(tmp_path / "a.csv", "\ufefft\tx\n2026-01-01\té\n")
    assert csv_source(path).read(None)["x"].to_pylist() == ["é"]
    assert csv_source(path).schema().names == ["t", "x"]


def test_utf16_is_recognised_by_its_mark(tmp_path: Path) -> None:
    """Excel's "Unicode text" is read too."""
    path = write(tmp_path / "a.csv", "a\tb\n1\té\n", "utf-16")
    assert csv_source(path).read(None).to_pydict() == {"a": [1], "b": ["é"]}


def test_guesses_can_be_overridden(tmp_path: Path) -> None:
    """A configured value is not guessed."""
    path = write(tmp_path / "a.csv", "t;x\n03/04/2026;1.5\n")
    source = csv_source(path, day_first=False, decimal=".", delimiter=";", encoding="utf-8")
    assert source.read(None, timestamp="t")["t"].to_pylist() == [datetime(2026, 3, 4, tzinfo=UTC)]
    assert source.guesses()["day_first"] == "false"


@pytest.mark.parametrize(("text", "day"), [
    ("t,x\n03/04/2026,1\n03/25/2026,1\n", 4),     # the 25 can only be a day
    ("t,x\n03/04/2026,1\n", 4),                   # nothing settles it
    ("t,x\n03.04.2026,1\n", 3),                   # dots
    ("t,x\n2026-03-04,1\n", 4),                   # ISO
])  # fmt: skip
def test_the_order_of_dates_is_taken_from_all_of_them(tmp_path: Path, text: str, day: int) -> None:
    """One unambiguous date decides how the others are read."""
    times = csv_source(write(tmp_path / "a.csv", text)).read(["t"], timestamp="t")["t"]
    assert times[0].as_py().day == day


def test_a_guess_without_evidence_says_so(tmp_path: Path) -> None:
    """If every date can be read both ways, validate --show names the setting."""
    guesses = csv_source(write(tmp_path / "a.csv", "t,x\n03/04/2026,1\n")).guesses()
    assert guesses["day_first"] == "false (no date decides it; set csv.day_first if this is wrong)"
    assert "day_first" not in csv_source(write(tmp_path / "b.csv", "t,x\n2026-03-04,1\n")).guesses()


def test_years_of_two_digits_are_read(tmp_path: Path) -> None:
    """25.04.26 is a day in April."""
    path = write(tmp_path / "a.csv", "t,x\n03.04.26,1\n25.04.26 10:00,1\n")
    assert [t.day for t in csv_source(path).read(["t"], timestamp="t")["t"].to_pylist()] == [3, 25]


def test_the_order_of_dates_is_taken_from_all_files(tmp_path: Path) -> None:
    """A file of the first days of a month alone would be misread."""
    write(tmp_path / "a.csv", "t,x\n03/04/2026,1\n")
    write(tmp_path / "b.csv", "t,x\n25/04/2026,1\n")
    times = csv_source(tmp_path).read(None, timestamp="t")["t"].to_pylist()
    assert [t.month for t in times] == [4, 4]


def test_quoted_line_breaks_and_delimiters_stay_inside_their_field(tmp_path: Path) -> None:
    """A note with a line break is one value."""
    path = write(tmp_path / "a.csv", 'a,note\n1,"two\nlines, one ""value"""\n2,x\n')
    assert csv_source(path).read(None).to_pydict() == {"a": [1, 2], "note": ['two\nlines, one "value"', "x"]}


def test_numbers_of_several_files_become_one_type(tmp_path: Path) -> None:
    """A file of whole numbers beside one of fractions reads as floats, also when only the first is read."""
    write(tmp_path / "a.csv", "t,x,y\n2026-01-01,1,\n2026-01-02,2,\n")
    write(tmp_path / "b.csv", "t,x,y\n2026-02-01,1.5,b\n")
    source = csv_source(tmp_path / "*.csv")
    january = source.read(None, timestamp="t", end=datetime(2026, 1, 31, tzinfo=UTC))
    assert january["x"].type == pa.float64()
    assert january["y"].null_count == 2
    assert source.schema().field("x").type == pa.float64()
    assert source.read(["x"])["x"].to_pylist() == [1.0, 2.0, 1.5]


def test_one_bad_value_does_not_turn_other_windows_into_text(tmp_path: Path) -> None:
    """A stray ERR among numbers shows as text only where it is read."""
    rows = "".join(f"2026-01-{day:02d},{day}.5\n" for day in range(1, 29))
    path = write(tmp_path / "a.csv", "t,x\n" + rows + "2026-02-01,ERR\n")
    source = csv_source(path)
    january = source.read(["x"], timestamp="t", end=datetime(2026, 1, 31, tzinfo=UTC))
    assert january["x"].type == pa.float64()
    assert source.read(["x"], timestamp="t")["x"].type == pa.string()


def test_a_half_written_last_line_is_left_for_the_next_look(tmp_path: Path) -> None:
    """A row is read once its line is complete; only the last newline may be missing."""
    path = write(tmp_path / "a.csv", "a,b\n1,2\n3,")
    assert csv_source(path).read(None).num_rows == 2          # an empty last field is a field
    write(path, "a,b\n1,2\n3")
    assert csv_source(path).read(None)["a"].to_pylist() == [1]
    write(path, 'a,b\n1,2\n3,"open')
    assert csv_source(path).read(None)["a"].to_pylist() == [1]
    write(path, "a,b\n1,2\n3,4")
    assert csv_source(path).read(None)["a"].to_pylist() == [1, 3]


def test_empty_files_hold_no_rows(tmp_path: Path) -> None:
    """An empty file, or one with only a header, has zero rows."""
    path = write(tmp_path / "a.csv", "")
    assert csv_source(path).read(["t", "x"], timestamp="t").num_rows == 0
    write(path, "t,x\n")
    table = csv_source(path).read(["t", "x"], timestamp="t")
    assert table.num_rows == 0
    assert table["t"].type == pa.timestamp("us", "UTC")
    write(tmp_path / "b.csv", "t,x\n2026-01-01,1\n")
    assert csv_source(tmp_path).read(["t", "x"], timestamp="t").to_pydict()["x"] == [1]


def test_one_row_and_an_all_null_column(tmp_path: Path) -> None:
    """A log of one row with an all-null column is read."""
    table = csv_source(write(tmp_path / "a.csv", "t,x,y\n2026-01-01,,1\n")).read(None, timestamp="t")
    assert table.num_rows == 1
    assert table["x"].null_count == 1


def test_codes_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    """Postcode 01234 is not the number 1234."""
    assert csv_source(write(tmp_path / "a.csv", "c,n\n01234,08\n56789,9\n")).read(None).to_pydict() == {
        "c": ["01234", "56789"], "n": [8, 9],
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(tmp_path: Path, newline: str) -> None:
    """Line ends of Unix, Windows and old Macs are read."""
    path = write(tmp_path / "a.csv", newline.join(["", "a,b", "1,x", "2,y", ""]))
    assert csv_source(path).read(None).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    """The row numbers that data frames write without a name are not a column."""
    assert csv_source(write(tmp_path / "a.csv", ",a\n0,5\n1,6\n")).schema().names == ["a"]


def test_epoch_seconds_and_milliseconds_are_told_apart(tmp_path: Path) -> None:
    """The magnitude of a number tells its time unit."""
    path = write(tmp_path / "a.csv", "s,ms,f,day\n1767225600,1767225600000,1767225600.5,20260101\n")
    table = csv_source(path).read(None, timestamp="s", moments=["ms", "f", "day"])
    assert {table[name][0].as_py() for name in ("s", "ms", "day")} == {datetime(2026, 1, 1, tzinfo=UTC)}
    assert table["f"][0].as_py().microsecond == 500_000


def test_offsets_and_local_times_may_be_mixed(tmp_path: Path) -> None:
    """A moment with an offset keeps it; one without is local."""
    times = ("2026-07-01T12:00:00Z", "2026-07-01 12:00", "2026-07-01T12:00:00.123456789+05:30")
    path = write(tmp_path / "a.csv", "t,x\n" + "".join(f"{time},1\n" for time in times))
    hours = [t.hour for t in csv_source(path, PARIS).read(["t"], timestamp="t")["t"].to_pylist()]
    assert hours == [12, 10, 6]


def test_unusual_dates_are_still_read(tmp_path: Path) -> None:
    """Twelve-hour clocks and written months are parsed by pandas."""
    path = write(tmp_path / "a.csv", "t,x\n3/25/2026 2:05 PM,1\n")
    assert csv_source(path).read(["t"], timestamp="t")["t"][0].as_py() == datetime(2026, 3, 25, 14, 5, tzinfo=UTC)


def test_both_ends_of_a_range_are_included(tmp_path: Path) -> None:
    """Rows with start ≤ timestamp ≤ end are read; rows without a time are not."""
    path = write(tmp_path / "a.csv", "t,x\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n,4\n")
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    source = csv_source(path)
    assert source.read(["x"], timestamp="t", start=first, end=last)["x"].to_pylist() == [1, 2]
    assert source.read(["x"], timestamp="t", start=last)["x"].to_pylist() == [2, 3]
    assert source.read(["x"])["x"].to_pylist() == [1, 2, 3, 4]


def test_a_file_rewritten_in_place_is_read_anew(tmp_path: Path) -> None:
    """The fingerprint changes with the content, and cached facts are dropped."""
    path = write(tmp_path / "a.csv", "t,x\n2026-01-01,1\n")
    source = csv_source(path)
    before = source.fingerprint(), source.content_id(), source.read(["x"], timestamp="t")["x"].to_pylist()
    write(path, "t,x\n2026-01-01,2\n")
    os.utime(path, ns=(1, 1))
    after = source.fingerprint(), source.content_id(), source.read(["x"], timestamp="t")["x"].to_pylist()
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True, True]


@pytest.mark.parametrize(("text", "columns", "sentence"), [
    ("a,b\n1,2\n1,2,3\n4,5\n", None, "Row #3: Expected 2 columns, got 3"),
    ("a,a\n1,2\n", None, "column a occurs twice"),
    ("a,b\n1,2\n", ["c"], "has no column c, expected it among a, b"),
])
def test_damage_is_one_sentence_that_names_the_file(
    tmp_path: Path, text: str, columns: list[str] | None, sentence: str
) -> None:
    """Irregular rows, duplicate columns and missing columns are each one clear error."""
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(SourceError) as error:
        csv_source(path).read(columns)
    assert str(path) in str(error.value)
    assert sentence in str(error.value)


def test_what_is_no_time_is_named(tmp_path: Path) -> None:
    """A timestamp column that holds no times is one clear error."""
    path = write(tmp_path / "a.csv", "t,x\nsoon,true\n")
    with pytest.raises(SourceError, match="column t: holds a value that is not a time"):
        csv_source(path).read(None, timestamp="t")
    with pytest.raises(SourceError, match="column x: is of type bool"):
        csv_source(path).read(None, timestamp="x")


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    """A misspelt encoding is one clear error."""
    with pytest.raises(SourceError, match=r"csv\.encoding 'utf8000' is not known"):
        csv_source(write(tmp_path / "a.csv", "a\n1\n"), encoding="utf8000").read(None)
