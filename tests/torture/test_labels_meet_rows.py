"""Labels meet their rows, whatever ids, nulls, repetitions, formats and encodings a log is made of.

Each example draws a log and its labels, writes them in two formats, and joins them as pandas joins their ids as text.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from monitor.config.sections import SourceSection
from monitor.sources import open_source
from monitor.sources.ids import join_labels
from monitor.sources.known_types import KnownTypes

WORDS = st.text("abcXYZ019_-./é東", min_size=1, max_size=6).filter(lambda text: not text.endswith(".0"))
KINDS: dict[str, tuple[st.SearchStrategy[Any], pa.DataType]] = {
    "small numbers": (st.integers(-5, 50), pa.int32()),
    "long numbers": (st.integers(2**53 - 3, 2**63 - 1), pa.int64()),
    "unsigned": (st.integers(2**63 - 2, 2**64 - 1), pa.uint64()),
    "decimals": (st.integers(10**19, 10**19 + 50).map(Decimal), pa.decimal128(38, 0)),
    "digits": (st.text("0123456789", min_size=1, max_size=25), pa.string()),
    "words": (WORDS, pa.string()),
    "uuids": (st.uuids().map(str), pa.string()),
    "words for missing": (st.sampled_from(["NA", "None", "null", "nan", "true", "1e5", "0x1", "1,5"]), pa.string()),
    "dates": (st.dates().map(str), pa.string()),
}
FORMATS = st.sampled_from(["csv", "semicolons", "tabs", "jsonl", "parquet"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
Column = tuple[str, list[Any]]


@st.composite
def logs(draw: st.DrawFn) -> tuple[pa.DataType, list[Any], list[Any]]:
    """The type of the ids, the ids of the log's rows, and those of the labels, in any order, with nulls and twins."""
    values, kind = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    pool = draw(st.lists(values, min_size=1, max_size=12, unique=True))
    some = st.lists(st.sampled_from([*pool, None]), min_size=1, max_size=25)
    return kind, draw(some), draw(some)


def write(folder: Path, form: str, encoding: str, ids: list[Any], kind: pa.DataType, other: Column) -> Path:
    name, values = other
    if form == "parquet":
        pq.write_table(pa.table({"id": pa.array(ids, kind), name: values}), folder / f"{name}.parquet")
        return folder / f"{name}.parquet"
    if form == "jsonl":
        text = pa.types.is_string(kind)
        shown = ["null" if id is None else json.dumps(id) if text else str(id) for id in ids]
        rows = [f'{{"id": {id}, "{name}": {value}}}' for id, value in zip(shown, values, strict=True)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        return folder / f"{name}.jsonl"
    texts = [None if id is None else str(id) for id in ids]
    frame = pd.DataFrame({"id": pd.array(texts, dtype="string"), name: values})
    sign = {"csv": ",", "semicolons": ";", "tabs": "\t"}[form]
    frame.to_csv(folder / f"{name}.csv", index=False, sep=sign, encoding=encoding)
    return folder / f"{name}.csv"


def joined_by_pandas(log: list[Any], labels: list[Any]) -> list[int | None]:
    """The label of each row: the newest of its id, compared as text."""
    newest = pd.Series(range(len(labels)), index=[None if id is None else str(id) for id in labels])
    newest = newest[[id is not None for id in labels]]
    newest = newest[~newest.index.duplicated(keep="last")]
    found = pd.Series([None if id is None else str(id) for id in log]).map(newest)
    return [None if pd.isna(label) else int(label) for label in found]


@pytest.mark.torture(23)
def test_labels_are_joined_as_pandas_joins_text(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """Every row gets the label that pandas gives it by the text of its id, in each pair of formats."""
    examples = effort(50, 2000)
    read = KnownTypes(exact=frozenset(["id"]))

    @hypothesis_seed(seed)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(logs(), FORMATS, FORMATS, ENCODINGS)
    def join(drawn: tuple[pa.DataType, list[Any], list[Any]], log_in: str, labels_in: str, encoding: str) -> None:
        kind, ids, labelled = drawn
        with TemporaryDirectory() as folder:
            places = [
                write(Path(folder), log_in, encoding, ids, kind, ("n", list(range(len(ids))))),
                write(Path(folder), labels_in, encoding, labelled, kind, ("label", list(range(len(labelled))))),
            ]
            log, labels = (
                open_source(SourceSection(path=str(place)), ZoneInfo("UTC"), read).read(None) for place in places
            )
        found = join_labels(log, labels, "id", "label", None)
        assert found["n"].to_pylist() == list(range(len(ids)))
        assert found["label"].to_pylist() == joined_by_pandas(ids, labelled)

    join()
    figure(f"{examples} logs, 0 differences")
