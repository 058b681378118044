"""One table of awkward columns, written in each format, and all that is worked out from it."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from monitor.config.column_roles import Roles, find_roles
from monitor.config.sections import Columns, DriftSection, QualitySection, SourceSection
from monitor.drift.column_scores import TableSide, column_scores
from monitor.drift.text import text_scores
from monitor.quality.column_checks import schema_changes
from monitor.records import Score
from monitor.sources import Source, open_source
from monitor.sources.column_types import text_columns
from monitor.sources.known_types import KnownTypes
from monitor.sources.log import facts

Rows = dict[str, list[Any]]
ID = "prediction_id"
START = datetime(2026, 1, 1, tzinfo=UTC)
DECIMALS = {ID: (38, 0), "money": (12, 2)}
Opener = Callable[[KnownTypes], Source]


def awkward(seed: int, rows: int = 240, *, later: bool = False) -> Rows:
    """Return columns of Python values; `later`: a window in which many have moved."""
    rng = np.random.default_rng(seed)

    def some(*values: Any) -> list[Any]:
        chances = np.arange(1, len(values) + 1, dtype=float)[:: -1 if later else 1]
        return [values[at] for at in rng.choice(len(values), rows, p=chances / chances.sum())]

    def holes(values: list[Any]) -> list[Any]:
        return [None if hole else value for value, hole in zip(values, rng.random(rows) < 0.2, strict=True)]

    def normal() -> list[float]:
        return [float(x) for x in rng.normal(2 if later else 0, 1, rows).round(4)]

    whole = [int(n) for n in rng.integers(0, 1000, rows)]
    return {
        "timestamp": [START + timedelta(minutes=7 * n, days=90 * later) for n in range(rows)],
        ID: [Decimal(10**19 + 2 * n + later) for n in range(rows)],
        "prediction": some(0, 1), "probability": [float(p) for p in rng.random(rows).round(5)], "label": some(0, 1),
        "number": normal(), "number with holes": holes(normal()), "few": some(1, 2, 3), "many": whole,
        "whole with holes": holes(whole), "tiny": [x * 1e-9 for x in normal()], "huge": [x * 1e18 for x in normal()],
        "negative": [-abs(n) - 1 for n in whole],
        "flag": some(True, False), "flag with holes": holes(some(True, False)),
        "money": [Decimal(n) / 100 for n in whole], "constant": [5] * rows, "zero and one": some(0.0, 1.0),
        "word": some("red", "green", "blue"), "None": some("None", "Apnea", "Insomnia"),
        "missing words": some("NA", "N/A", "null", "nan", "x"), "word with holes": holes(some("a", "b")),
        "empty": holes(some("", "full")), "accents": some("Évry", "Ürümqi", "東京"), "comma": some("a,b", "c"),
        "semicolon": some("a;b", "c"), "quote": some('say "hi"', "no"), "lines": some("two\nlines", "one"),
        "blanks": some(" lead", "trail ", "none"), "zip": some("01234", "94110", "10001"),
        "store": some("1", "2", "3", "online"), "ratio or word": some("1.0", "2.50", "new"), "yes": some("yes", "no"),
        "hash": some("#1", "# 2", "3#"), "truth": some("true", "false", "maybe"),
        "version": some("1.10", "1.1", "1.1.2"),
        "case": some("A", "a", "B"), "formula": some("=1+1", "-x", "@y"), "money words": some("$5", "€5", "5"),
        "percent words": some("5%", "6", "7 %"), "one word": ["same"] * rows,
        "comment": [f"note {n} on {'b' if later else 'a'}{n % 7}" for n in range(rows)],
        "day": [date(2026, 1, 1) + timedelta(days=n % 20) for n in range(rows)],
        "moment": [START + timedelta(hours=n) for n in range(rows)], "two\twords, 'quoted'": some("u", "v"),
    }


def texted(rows: Rows) -> Rows:
    """Return the same rows with numbers, dates and times written as text, in columns of some hundred of them."""
    def text(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value if isinstance(value, bool) else str(value)

    return {name: [None if value is None else text(value) for value in values] for name, values in rows.items()}


def as_csv(path: Path, rows: Rows, sign: str = ",", point: str = ".") -> None:
    """Write CSV: an empty text is quoted, a missing value is nothing."""
    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float | Decimal):
            return repr(value).replace(".", point) if isinstance(value, float) else str(value).replace(".", point)
        if isinstance(value, date):
            return value.isoformat()
        text = str(value)
        quoted = not text or any(char in text for char in f'{sign}"\n\t')
        return '"' + text.replace('"', '""') + '"' if quoted else text

    lines = [sign.join(map(cell, row)) for row in (rows.keys(), *zip(*rows.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_semicolons(path: Path, rows: Rows) -> None:
    as_csv(path, rows, ";", ",")


def as_jsonl(path: Path, rows: Rows) -> None:
    def value(one: Any) -> str:
        if isinstance(one, Decimal):
            return str(one)
        return json.dumps(one.isoformat() if isinstance(one, date) else one)

    names = [json.dumps(name) for name in rows]
    lines = ["{" + ", ".join(f"{name}: {value(one)}" for name, one in zip(names, row, strict=True)) + "}"
             for row in zip(*rows.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_arrow(rows: Rows) -> pa.Table:
    kinds = {name: pa.decimal128(*digits) for name, digits in DECIMALS.items()}
    return pa.table({name: pa.array(values, kinds.get(name)) for name, values in rows.items()})


def as_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(as_arrow(rows), path)


def as_orc(path: Path, rows: Rows) -> None:
    orc.write_table(as_arrow(rows), path)


def as_feather(path: Path, rows: Rows) -> None:
    """Write batches of Arrow, compressed, with text as a data frame's categories and Polars' views."""
    table = as_arrow(rows)
    for name, kind in (("word", pa.dictionary(pa.int8(), pa.string())), ("zip", pa.string_view())):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
        file.write_table(table, max_chunksize=50)


def as_stream(path: Path, rows: Rows) -> None:
    table = as_arrow(rows)
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table, max_chunksize=50)


def worked_out(before: Opener, now: Opener) -> tuple[Roles, list[Score]]:
    """Return the roles, and each column's drift and quality, of a window against a reference."""
    known = KnownTypes(exact=frozenset([ID]))
    reference = before(known).read(None, timestamp="timestamp")
    known = KnownTypes(exact=frozenset([ID]), words=frozenset(text_columns(reference.schema) - {ID}))
    window = now(known).read(None, timestamp="timestamp")
    roles = find_roles(Columns(), facts(reference), None, "the table")
    section = DriftSection(threshold="evidently")
    texts = text_scores(reference, window, roles, section, 1)
    sides = TableSide(reference), TableSide(window)
    scores = column_scores(*sides, roles.features, {}, section, QualitySection(), 1, texts=texts)
    return roles, [schema_changes(reference.schema, window.schema, roles), *scores]


def require_as_in_parquet(folder: Path, write: Callable[[str, Rows], None], table: Callable[..., Source]) -> None:
    """Write a reference and a window with `write` and as Parquet; `table(name, known=…)` opens what was written.

    The roles and scores have to be those of Parquet.
    """
    for name, rows in (("before", awkward(1)), ("now", awkward(2, later=True))):
        as_parquet(folder / f"{name}.parquet", rows)
        write(name, rows)

    def file(name: str, known: KnownTypes) -> Source:
        return open_source(SourceSection(path=str(folder / f"{name}.parquet")), ZoneInfo("UTC"), known)

    def from_source(of: Callable[..., Source]) -> tuple[Roles, list[Score]]:
        return worked_out(lambda known: of("before", known=known), lambda known: of("now", known=known))

    (roles, scores), (parquet_roles, parquet_scores) = from_source(table), from_source(file)
    assert roles == parquet_roles
    assert {(s.metric, s.column): s.value for s in scores} == pytest.approx(
        {(s.metric, s.column): s.value for s in parquet_scores}, rel=1e-12)
    assert [(s.metric, s.column, s.status, s.n) for s in scores] == [
        (s.metric, s.column, s.status, s.n) for s in parquet_scores]
