"""Generated logs: every row is used or named in the ledger, and labels join as pandas joins them on text."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from monitor.config import ModelSection, Roles
from monitor.sources.log import Log

START, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
ABSURD = (datetime(1970, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
ROLES = Roles(
    timestamp="t", id="id", prediction="p", probability=None, label="label", label_timestamp=None, model_version=None,
    features={},
)
IDS: dict[str, Callable[[int], object]] = {
    "number": lambda n: n,
    "twenty digits": lambda n: 10**19 + n,
    "leading zeros": lambda n: f"{n:06d}",
    "text": lambda n: f"r-{n}é",
    "decimal": lambda n: f"{n}.50",
}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[pa.Table, pa.Table, str]:
    """A log, its labels, and the format of their files."""
    kind, format = draw(st.sampled_from(sorted(IDS))), draw(st.sampled_from(["parquet", "csv"]))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, share = draw(st.integers(3, 60)), draw(st.sampled_from([0.0, 0.1, 0.5]))
    ids = [IDS[kind](n) if chance.random() >= share else None for n in range(count)]
    times: list[datetime | None] = [
        START + int(n // chance.integers(1, 4)) * HOUR if chance.random() >= share else None for n in range(count)
    ]
    if count > 6 and times.count(None) < count - 4 and draw(st.booleans()):
        times[int(chance.integers(count))] = ABSURD[int(chance.integers(len(ABSURD)))]
    again = chance.integers(0, count, int(share * count))
    order = [*range(count), *again.tolist()]
    said = [int(chance.integers(0, 3)) for _ in order]
    log = pa.table({
        "t": pa.array([times[n] for n in order], pa.timestamp("us", "UTC")),
        "id": _ids([ids[n] for n in order], kind), "p": said,
    })
    known = chance.integers(0, count + 5, count)
    labels = pa.table({
        "id": _ids([IDS[kind](int(n)) if chance.random() >= share / 2 else None for n in known], kind),
        "label": pa.array([int(chance.integers(0, 9)) if chance.random() > 0.1 else None for _ in known], pa.int64()),
    })
    return log, labels, format


def _ids(values: list[object], kind: str) -> pa.Array:
    return pa.array(values, {"number": pa.int64(), "twenty digits": pa.uint64()}.get(kind, pa.string()))


def _write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=16)


def _expected(log: pa.Table, labels: pa.Table) -> tuple[pd.DataFrame, int]:
    """The rows that are used with their labels, and how many have no timestamp that can be."""
    frame = pd.DataFrame({"t": log["t"].to_pylist(), "id": _texts(log), "p": log["p"].to_pylist()}, dtype=object)
    good = frame.t.map(lambda t: isinstance(t, datetime) and not pd.isna(t) and t not in ABSURD)
    rows = frame[good]
    rows = rows[rows.id.isna() | ~rows.duplicated(["id", "t"], keep="last")]
    told = pd.DataFrame({"id": _texts(labels), "label": labels["label"].to_pylist()}, dtype=object).dropna()
    told = told.drop_duplicates("id", keep="last")
    return rows.merge(told, on="id", how="left"), int((~good).sum())


def _texts(table: pa.Table) -> list[str | None]:
    return [None if value is None else str(value) for value in table["id"].to_pylist()]


def _check(log: pa.Table, labels: pa.Table, format: str, folder: Path) -> None:
    _write(log, folder / f"log.{format}")
    _write(labels, folder / f"labels.{format}")
    model = ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(folder / f"log.{format}")},
        "labels": {"path": str(folder / f"labels.{format}")}, "reference": {"first": "1d"},
    })
    opened = Log(model, ROLES, datetime(2300, 1, 1, tzinfo=UTC))
    expected, lost = _expected(log, labels)
    ledger = opened.account()
    assert ledger.untimed + ledger.apart == lost
    assert ledger.read + ledger.unplaced == len(log)
    assert ledger.read == ledger.used + ledger.repeated + ledger.contradicting + ledger.astray
    assert ledger.used == len(expected)
    assert ledger.without_id == int(expected.id.isna().sum())
    table = opened.rows(None, None, {"id", "label", "p"})
    found = zip(_texts(table), table["p"].to_pylist(), table["label"].to_pylist(), strict=True)
    right = ((None if pd.isna(row.id) else row.id, row.p, None if pd.isna(row.label) else row.label)
             for row in expected.itertuples())
    assert sorted(map(str, found)) == sorted(map(str, right))


@pytest.mark.torture(24)
def test_rows_in_are_rows_used_and_rows_named(effort, seed, figure) -> None:
    """Ids of five kinds, blanks, repetitions, absurd times, labels given twice or to nobody, as Parquet and as CSV."""
    count = effort(50, 2000)

    @seeded(seed)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(worlds())
    def holds(world: tuple[pa.Table, pa.Table, str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _check(*world, Path(folder))

    holds()
    figure(f"{count} generated logs: every row used or named, every label where pandas joins it on text")
