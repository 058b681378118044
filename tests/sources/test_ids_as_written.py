"""Ids are compared as they are written, whatever the files' formats and types are."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.sources import open_source
from monitor.sources.ids import join_labels, row_ids
from monitor.sources.known_types import KnownTypes
from monitor.sources.rows import once_each

Writer = Callable[[Path, list[Any], pa.DataType, str, list[Any]], Path]
KNOWN = KnownTypes(exact=frozenset(["id"]))
ROWS = 40


def as_csv(path: Path, ids: list[Any], kind: pa.DataType, name: str, values: list[Any]) -> Path:
    lines = [f"{'' if id is None else id},{value}" for id, value in zip(ids, values, strict=True)]
    path.with_suffix(".csv").write_text("\n".join([f"id,{name}", *lines]) + "\n")
    return path.with_suffix(".csv")


def as_jsonl(path: Path, ids: list[Any], kind: pa.DataType, name: str, values: list[Any]) -> Path:
    def written(id: Any) -> str:
        return str(id) if isinstance(id, int | float | Decimal) else json.dumps(None if id is None else str(id))

    lines = [f'{{"id": {written(id)}, "{name}": {value}}}' for id, value in zip(ids, values, strict=True)]
    path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
    return path.with_suffix(".jsonl")


def as_parquet(path: Path, ids: list[Any], kind: pa.DataType, name: str, values: list[Any]) -> Path:
    stored = [id.bytes if isinstance(id, UUID) and pa.types.is_fixed_size_binary(kind) else
              str(id) if isinstance(id, UUID) else id for id in ids]
    pq.write_table(pa.table({"id": pa.array(stored, kind), name: values}), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


RANDOM = np.random.default_rng(5)
IDS: dict[str, tuple[list[Any], pa.DataType]] = {
    "twenty digits": ([f"202611{n:014d}" for n in range(ROWS)], pa.string()),
    "beyond signed 64 bits": ([int(n) for n in RANDOM.integers(2**63, 2**64 - 1, ROWS, np.uint64)], pa.uint64()),
    "beyond 53 bits": ([2**60 + n for n in range(ROWS)], pa.int64()),
    "decimals of a database": ([Decimal(10**25 + n) for n in range(ROWS)], pa.decimal128(38, 0)),
    "leading zeros": ([f"{n:06d}" for n in range(ROWS)], pa.string()),
    "floats": ([float(n) for n in range(ROWS)], pa.float64()),
    "floats beside nulls": ([None, *(float(n) for n in range(1, ROWS))], pa.float64()),
    "small numbers": (list(range(-3, ROWS - 3)), pa.int16()),
    "uuids": ([UUID(int=n * 7919) for n in range(ROWS)], pa.string()),
    "uuids as bytes": ([UUID(int=n * 7919) for n in range(ROWS)], pa.binary(16)),
    "numbers and words": ([n if n % 3 else f"a{n}" for n in range(ROWS)], pa.string()),
    "dates": ([f"2026-01-{n + 1:02d}" for n in range(31)], pa.string()),
}


def read(path: Path) -> pa.Table:
    return open_source(SourceSection(path=str(path)), ZoneInfo("UTC"), KNOWN).read(None)


@pytest.mark.parametrize("labels_in", [as_csv, as_jsonl, as_parquet])
@pytest.mark.parametrize("log_in", [as_csv, as_jsonl, as_parquet])
@pytest.mark.parametrize("kind", IDS)
def test_labels_meet_their_rows_in_every_pair_of_formats(
    tmp_path: Path, kind: str, log_in: Writer, labels_in: Writer
) -> None:
    """Each row gets the label of its id, whichever way the two files write ids of this kind."""
    ids, arrow = IDS[kind]
    if pa.types.is_string(arrow) and (log_in is as_parquet or labels_in is as_parquet):
        ids = [None if id is None else str(id) for id in ids]
    numbers = list(range(len(ids)))
    shuffled = [int(n) for n in np.random.default_rng(1).permutation(len(ids))]
    log = log_in(tmp_path / "log", ids, arrow, "n", numbers)
    labels = labels_in(tmp_path / "labels", [ids[n] for n in shuffled], arrow, "label", shuffled)
    joined = join_labels(read(log), read(labels), "id", "label", None)
    expected = [None if id is None else n for id, n in zip(ids, joined["n"].to_pylist(), strict=True)]
    assert joined["label"].to_pylist() == expected


def test_whole_numbers_that_became_floats_meet_the_integers(tmp_path: Path) -> None:
    """A data frame writes 17 as 17.0 beside a null; it is the same id."""
    log = as_csv(tmp_path / "log", [None, "17.0", "18.0"], pa.string(), "n", [0, 1, 2])
    labels = as_parquet(tmp_path / "labels", [18, 17], pa.int64(), "label", [8, 7])
    assert join_labels(read(log), read(labels), "id", "label", None)["label"].to_pylist() == [None, 7, 8]


def test_ids_that_differ_as_written_stay_apart(tmp_path: Path) -> None:
    """017 is not 17, A1 is not a1, and 1.0 is not 1 where each has a label of its own."""
    ids = ["017", "17", "A1", "a1", "1", "1.0", "0x11", "1e3", "1000"]
    log = as_csv(tmp_path / "log", ids, pa.string(), "n", list(range(len(ids))))
    labels = as_csv(tmp_path / "labels", [*ids[::-1]], pa.string(), "label", list(range(len(ids)))[::-1])
    assert join_labels(read(log), read(labels), "id", "label", None)["label"].to_pylist() == list(range(len(ids)))
    few = as_csv(tmp_path / "few", ["17"], pa.string(), "label", [1])
    assert join_labels(read(log), read(few), "id", "label", None)["label"].drop_null().to_pylist() == [1]


def test_a_row_has_one_id_in_every_format(tmp_path: Path) -> None:
    """The ids by which windows are cut and rows are sampled are the same in all formats."""
    for ids, arrow in ([list(range(5)), pa.int32()], [[float(n) for n in range(5)], pa.float64()]):
        paths = [write(tmp_path / "a", ids, arrow, "n", ids) for write in (as_csv, as_jsonl, as_parquet)]
        assert [row_ids(read(path), "id").to_pylist() for path in paths] == [["0", "1", "2", "3", "4"]] * 3


def test_rows_without_an_id_are_no_repetitions(tmp_path: Path) -> None:
    """Two rows of one moment without an id are two rows; two with the same id are one."""
    frame = pd.DataFrame({"id": ["a", "a", None, None], "t": pd.to_datetime(["2026-01-01"] * 4)})
    assert once_each(pa.Table.from_pandas(frame), "id", "t").tolist() == [False, True, True, True]
