"""Our drift numbers against the recorded figures of Evidently 0.7.23, and the choices it makes by default."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.column_roles import FeatureKind
from monitor.config.drift_methods import METHODS
from monitor.config.sections import ColumnDrift, DriftSection, QualitySection
from monitor.drift.column_scores import TableSide, column_drift, column_scores
from monitor.drift.methods import OWN
from monitor.errors import CannotJudge
from monitor.records import Score

ORACLE = Path(__file__).resolve().parents[2] / "../shared/data/oracle"
pytestmark = pytest.mark.skipif(not ORACLE.is_dir(), reason="the oracle figures are not here")

CASES = (
    "car_loan_stable", "car_loan_drifted", "car_loan_drifted_small", "bike_w1", "bike_winter", "bike_small",
)
NAMES = {
    "Wasserstein distance (normed)": "wasserstein",
    "Jensen-Shannon distance": "jensenshannon",
    "K-S p_value": "ks",
    "chi-square p_value": "chisquare",
    "Z-test p_value": "z",
}


def load(case: str) -> tuple[dict[str, Any], pa.Table, pa.Table]:
    figures = json.loads((ORACLE / "evidently_columns.json").read_text())["cases"][case]
    reference = pq.read_table(ORACLE / f"evidently_{case}_reference.parquet")
    return figures, reference, pq.read_table(ORACLE / f"evidently_{case}_current.parquet")


def scores_of(
    figures: dict[str, Any], reference: pa.Table, window: pa.Table, section: DriftSection
) -> dict[Any, Score]:
    """The score of each column, and under None the share of the drifted ones."""
    kinds: dict[str, FeatureKind] = {name: kind for kind in ("numerical", "categorical") for name in figures[kind]}
    sides = TableSide(reference), TableSide(window)
    scores = column_scores(*sides, kinds, {}, section, QualitySection(), min_rows=1)
    return {s.column: s for s in scores if s.metric in ("drift", "drifted_share")}


@pytest.mark.parametrize("case", CASES)
def test_own_methods_give_the_recorded_numbers(case: str) -> None:
    """Every method of ours gives Evidently's number to 1e-9 on every column it was recorded for."""
    figures, reference, window = load(case)
    compared = 0
    for column, methods in figures["methods"].items():
        kind = "numerical" if column in figures["numerical"] else "categorical"
        for name in set(OWN) & methods.keys():
            both = reference[column], window[column], kind, name
            if "error" in methods[name]:
                with pytest.raises(CannotJudge, match="sides of the same size"):
                    column_drift(*both)
                continue
            _, value = column_drift(*both)
            assert value == pytest.approx(methods[name]["score"], rel=1e-9, abs=1e-15), (column, name)
            assert METHODS[name].threshold == methods[name]["threshold"]
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("case", CASES)
def test_auto_chooses_and_judges_as_evidently(case: str) -> None:
    """By default each column gets Evidently's method, threshold and number, and the drifted share agrees."""
    figures, reference, window = load(case)
    scores = scores_of(figures, reference, window, DriftSection(threshold="evidently"))
    for default in figures["default"].values():
        config, score = default["config"], scores[default["config"]["column"]]
        if config["column"] is None:
            assert score.value == pytest.approx(default["value"]["share"])
            assert (score.status == "drifted") == (default["value"]["share"] >= 0.5)
        else:
            assert (score.method, score.threshold) == (NAMES[config["method"]], config["threshold"])
            assert score.value == pytest.approx(default["value"], rel=1e-9, abs=1e-15)


def test_dictionary_encoded_strings_give_the_same_numbers() -> None:
    """Whether a source reads strings plain or dictionary encoded changes no number."""
    figures, reference, window = load("car_loan_drifted_small")
    for column in figures["categorical"]:
        plain = column_drift(reference[column], window[column], "categorical")
        both = [table[column].dictionary_encode() for table in (reference, window)]
        encoded = column_drift(both[0], both[1], "categorical")
        assert encoded == plain


def test_a_column_can_have_a_method_and_threshold_of_its_own() -> None:
    """What the configuration says of one column overrides what it says of all."""
    figures, reference, window = load("car_loan_drifted")
    section = DriftSection(method="psi", columns={"car_value": ColumnDrift(method="ks", threshold=1e-300)})
    scores = scores_of(figures, reference, window, section)
    assert (scores["car_value"].method, scores["car_value"].threshold) == ("ks", 1e-300)
    assert {s.method for name, s in scores.items() if name not in ("car_value", None)} == {"psi"}
