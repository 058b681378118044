"""A reference that is the beginning of a log, from memory: at each moment as if it were read then."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config import ModelSection
from monitor.reference import reference_data
from monitor.reference.reference_data import ReferenceData, load_reference
from monitor.sources.log import Log

START, DAY, HOUR = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
FIRST, DAYS = 6, 12
MOMENTS = [START + FIRST * DAY + age for age in (HOUR, 20 * HOUR, 2 * DAY, 3 * DAY, 5 * DAY, 6 * DAY)]


def log(seed: int) -> tuple[pa.Table, pa.Table]:
    """Rows, and their labels: some late, some never, some without a time, some corrected days later."""
    chance = np.random.default_rng(seed)
    at = [START + n * HOUR for n in range(24 * DAYS)]
    x = chance.normal(size=len(at))
    utc = pa.timestamp("us", "UTC")
    rows = pa.table({"timestamp": pa.array(at, utc), "id": [f"r{n}" for n in range(len(at))], "x": x,
                     "prediction": x + chance.normal(size=len(at)) / 3})
    longest = chance.choice([5, 30])
    delays = [HOUR * chance.random() * longest for _ in at]
    never = chance.random(len(at)) < chance.choice([0, 0.05])
    undated = chance.random(len(at)) < chance.choice([0, 0.05])
    last = 24 * FIRST - 3                                # a row near the end of the reference
    if seed % 4 == 0:
        delays[last] = 3.5 * DAY                         # longer than any before
    elif seed % 4 == 1:
        delays[3], never[last - 9:last] = 5 * DAY, True
    elif seed % 4 == 2:
        delays, undated[last] = [HOUR] * len(at), True
    known = [None if none else moment + delay for none, moment, delay in zip(undated, at, delays, strict=True)]
    labels = pa.table({"id": rows["id"], "label": pa.array(x, mask=never), "label_timestamp": pa.array(known, utc)})
    return rows, labels


def model_of(folder: Path, seed: int, *, apart: bool) -> ModelSection:
    rows, labels = log(seed)
    if apart:
        corrected = [3, 5] if seed % 2 else []
        again = labels.take(pa.array(corrected, pa.int64()))
        again = again.set_column(1, "label", pa.array([9.0] * len(again), pa.float64()))
        times = [START + FIRST * DAY + (2 * DAY if seed % 4 == 1 else 4 * DAY)] * len(again)
        again = again.set_column(2, "label_timestamp", pa.array(times, labels.schema.field(2).type))
        pq.write_table(pa.concat_tables([labels, again]), folder / "labels.parquet")
    else:
        for name in labels.column_names[1:]:
            rows = rows.append_column(name, labels[name])
    pq.write_table(rows, folder / "log.parquet")
    return ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(folder / "log.parquet")}, "reference": {"first": f"{FIRST}d"},
        "labels": {"path": str(folder / "labels.parquet")} if apart else None, "window": {"size": "1d", "min_rows": 5},
        "task": "regression", "label_delay": "1d",
    })


def told(found: ReferenceData) -> dict[str, object]:
    judged = found.performance
    return {
        "rows": found.answers, "id": found.id, "maturity": found.maturity, "roles": found.roles, "said": found.said,
        "labelled": int(found.labelled.sum()), "norm": judged and judged.norm, "sd": judged and judged.sd,
    }


@pytest.mark.parametrize("apart", [False, True], ids=["in the log", "apart"])
@pytest.mark.parametrize("seed", range(8))
def test_each_moment_sees_the_labels_of_its_time(tmp_path: Path, *, seed: int, apart: bool) -> None:
    """Moment after moment in one process, with labels that come and are corrected meanwhile, as by itself."""
    model = model_of(tmp_path, seed, apart=apart)

    def at(moment: datetime) -> dict[str, object]:
        return told(load_reference(model, moment, START, None, hold=True))

    alone = []
    for moment in MOMENTS:
        reference_data._final.clear()
        alone.append(at(moment))
    reference_data._final.clear()
    assert [at(moment) for moment in MOMENTS] == alone


@pytest.mark.parametrize("apart", [False, True], ids=["in the log", "apart"])
def test_a_reference_whose_labels_have_all_come_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, apart: bool
) -> None:
    """Window after window of a replay needs no row of it again; a file that was written since is read."""
    model, read = model_of(tmp_path, 0, apart=apart), []
    real = Log.window

    def noted(*given: object, **more: object) -> object:
        read.append(given)
        return real(*given, **more)

    monkeypatch.setattr(Log, "window", noted)
    first = load_reference(model, MOMENTS[-1], START, None, hold=True)
    count = len(read)
    assert told(load_reference(model, MOMENTS[-1] + DAY, START, None, hold=True)) == told(first)
    assert len(read) == count
    changed = pq.read_table(tmp_path / "log.parquet").slice(0, 24 * DAYS - 1)
    pq.write_table(changed.set_column(3, "prediction", changed["x"]), tmp_path / "log.parquet")
    found = load_reference(model, MOMENTS[-1] + DAY, START, None, hold=True)
    assert found.answers["prediction"] != first.answers["prediction"]
