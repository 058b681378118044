"""Models that die on real data: the built-in triggers say so within two mature windows, and are quiet otherwise."""

from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.dead_models import DATA, HARMS, SETS, change, firing, measured
from monitor.config import ModelSection


def prepared(folder: Path, name: str, harm: str | None) -> ModelSection:
    if not (DATA / name).is_dir():
        pytest.skip(f"the shared data set {name} is not on this machine")
    log = pq.read_table(DATA / name / "production.parquet")
    pq.write_table(log if harm is None else change(log, harm), folder / "log.parquet")
    return ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(folder / "log.parquet")},
        "reference": {"source": {"path": str(DATA / name / "reference.parquet")}}, "triggers": (),
    })


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", SETS)
def test_a_dead_model_is_noticed_within_two_mature_windows(tmp_path: Path, name: str, harm: str) -> None:
    """Whatever kills the model, a built-in trigger fires at the second mature window at the latest."""
    found = firing(list(measured(prepared(tmp_path, name, harm), 2)))
    assert any(one[1] for one in found.values()), (found, harm)


@pytest.mark.parametrize(
    ("name", "weeks"), [("elec2", None), ("flights_nyc13", 20), ("bike_sharing", None), ("car_loan", 21)]
)
def test_untouched_logs_are_quiet(tmp_path: Path, name: str, weeks: int | None) -> None:
    """In 52 windows of an untouched log built-in triggers begin once at most; car_loan drifts from week 21 on."""
    found = firing(list(measured(prepared(tmp_path, name, None), weeks)))
    count = len(found["labels-lost"])
    begun = sum(now and not before for one in found.values() for before, now in pairwise([False, *one]))
    assert begun <= max(1, count // 52), found
