"""Flipped bits in Parquet: refused where a checksum or the footer shows them."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import open_source

START = datetime(2026, 1, 1, tzinfo=UTC)


def _write(path: Path, **options: object) -> pa.Table:
    chance = random.Random(4)
    table = pa.table({
        "t": pa.array([START + n * timedelta(hours=1) for n in range(120)], pa.timestamp("us", "UTC")),
        "x": [chance.gauss(0, 1) for _ in range(120)], "name": chance.choices(["red", "green"], k=120),
        "label": [chance.choice([0, 1, None]) for _ in range(120)],
    })
    pq.write_table(table, path, row_group_size=40, **options)
    return table


def _read(path: Path, start: datetime | None = None, end: datetime | None = None) -> pa.Table:
    return open_source(SourceSection(path=str(path)), ZoneInfo("UTC")).read(None, timestamp="t", start=start, end=end)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_flip_in_the_header_of_a_page_gives_no_other_rows(tmp_path: Path, version: str) -> None:
    """With checksums, of which a page's header is no part: the rows as they were, or a sentence."""
    path, chance = tmp_path / "a.parquet", random.Random(1)
    _write(path, write_page_checksum=True, data_page_version=version)
    whole, right = path.read_bytes(), _read(path)
    footer = pq.ParquetFile(path).metadata
    starts = [footer.row_group(group).column(place).data_page_offset for group in range(3) for place in range(4)]
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        data[chance.choice(starts) + chance.randrange(40)] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            assert _read(path).equals(right)
        except SourceError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("words", [["a", "b", "z"], ["1", "20", "3"], [1, 2, 9]], ids=str)
def test_categories_that_a_row_group_does_not_use_are_no_damage(tmp_path: Path, words: list[object]) -> None:
    """A data frame's categories are written with every row group, whichever of them its rows have."""
    path, indices = tmp_path / "a.parquet", [0] * 40 + [1, 0] * 20 + [2] * 40
    coded = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), pa.array(words))
    times = pa.array([START + n * timedelta(hours=1) for n in range(120)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"t": times, "word": coded}), path, row_group_size=40)
    numbers = [int(str(words[at])) if str(words[at]).isdigit() else words[at] for at in indices]
    assert _read(path)["word"].to_pylist() == numbers
    assert _read(path, START + timedelta(hours=80))["word"].to_pylist() == numbers[80:]


@pytest.mark.parametrize(("column", "value"), [("x", 1e9), ("label", 7), ("t", START + timedelta(days=900))])
def test_values_beyond_those_of_the_footer_are_damage(tmp_path: Path, column: str, value: object) -> None:
    """A footer that belongs to other values, as after a flip in a file without checksums, is refused by column."""
    path = tmp_path / "a.parquet"
    table = _write(path, use_dictionary=False, compression="none")
    values = table[column].to_pylist()
    values[max(place for place, one in enumerate(values) if one is not None)] = value
    other = table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))
    pq.write_table(other, tmp_path / "b.parquet", row_group_size=40, use_dictionary=False, compression="none")
    data = (tmp_path / "b.parquet").read_bytes()
    size = int.from_bytes(path.read_bytes()[-8:-4], "little")
    (tmp_path / "c.parquet").write_bytes(data[:-8 - int.from_bytes(data[-8:-4], "little")]
                                         + path.read_bytes()[-8 - size:])
    with pytest.raises(SourceError, match=f"column '{column}' of row group 2 holds other values"):
        _read(tmp_path / "c.parquet")


def test_times_that_the_footer_hides_are_found(tmp_path: Path) -> None:
    """A footer whose times lie elsewhere would keep a row group from being read: it is proved first."""
    path = tmp_path / "a.parquet"
    table = _write(path, use_dictionary=False, compression="none")
    later = table.set_column(0, "t", pa.array([at.as_py() + timedelta(days=30) for at in table["t"]],
                                              table.schema.field("t").type))
    pq.write_table(later, tmp_path / "b.parquet", row_group_size=40, use_dictionary=False, compression="none")
    good, other = path.read_bytes(), (tmp_path / "b.parquet").read_bytes()
    footer = other[-8 - int.from_bytes(other[-8:-4], "little"):]
    path.write_bytes(good[:-8 - int.from_bytes(good[-8:-4], "little")] + footer)
    with pytest.raises(SourceError, match="column 't' of row group 0 holds other values than its footer says"):
        _read(path, START, START + timedelta(days=9))
