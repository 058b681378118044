"""Drift scores of whole tables: what is judged, what is not and why."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.config.sections import ColumnDrift, DriftSection, QualitySection
from monitor.drift.column_scores import TableSide, column_scores, prediction_kinds
from monitor.records import Score

GENERATOR = np.random.default_rng(3)


def roles(probability: str | None = None, **features: Any) -> Roles:
    return Roles("timestamp", None, "prediction", probability, "label", None, None, features)


def table(rows: int, shift: float = 0.0, **more: Any) -> pa.Table:
    generator = np.random.default_rng(rows)
    base = {
        "x": generator.normal(shift, 1, rows),
        "word": generator.choice(["a", "b", "c"], rows),
        "prediction": generator.integers(0, 2, rows),
        "label": generator.integers(0, 2, rows),
    }
    return pa.table(base | more)


def scores(reference: pa.Table, window: pa.Table, parts: Roles, **section: Any) -> dict[Any, Score]:
    sides, said = (TableSide(reference), TableSide(window)), prediction_kinds(reference, parts, None)
    drift = DriftSection(**{"threshold": "evidently", **section})
    found = column_scores(*sides, parts.features, said, drift, QualitySection(), min_rows=100)
    found = [s for s in found if s.metric in ("drift", "prediction_drift", "drifted_share")]
    assert all(s.value is None or np.isfinite(s.value) for s in found)
    return {(s.metric, s.column): s for s in found}


def test_a_shifted_column_drifts_and_the_others_do_not() -> None:
    """Each feature has one drift score with method and rows; one more score is the share that drifted."""
    found = scores(table(3000), table(2000, shift=2), roles(x="numerical", word="categorical"))
    assert found["drift", "x"].status == "drifted"
    assert (found["drift", "word"].status, found["drift", "word"].method) == ("ok", "jensenshannon")
    assert found["drift", "x"].n == 2000
    share = found["drifted_share", None]
    assert (share.value, share.threshold, share.status) == (0.5, 0.5, "drifted")
    assert share.reason == "1 of 2 columns drifted: x"


@pytest.mark.parametrize(("moved", "status"), [(0, "ok"), (1, "ok"), (2, "drifted"), (3, "drifted")])
def test_half_of_the_columns_make_the_data_drifted(moved: int, status: str) -> None:
    """Without calibrated thresholds the configured share decides: half of four columns by default."""
    names = {f"x{place}": "numerical" for place in range(4)}
    chance = np.random.default_rng(3)
    before, now = (pa.table({name: chance.normal(3.0 * (place < by), 1, 300) for place, name in enumerate(names)})
                   for by in (0, moved))
    share = scores(before, now, roles(**names), threshold="evidently")["drifted_share", None]
    assert (share.value, share.threshold, share.status) == (moved / 4, 0.5, status)


def test_too_few_rows_are_no_statement() -> None:
    """Below min_rows every score is insufficient, with a reason and without a value."""
    found = scores(table(3000), table(99, shift=5), roles(x="numerical", word="categorical"))
    assert {s.status for s in found.values()} == {"insufficient"}
    assert {s.value for s in found.values()} == {None}
    assert found["drift", "x"].reason == "the window has 99 rows, fewer than the 100 required"


def test_an_empty_window_is_insufficient() -> None:
    """A window without rows is no error and no drift."""
    found = scores(table(3000), table(3000).slice(0, 0), roles(x="numerical"))
    assert {s.status for s in found.values()} == {"insufficient"}


@pytest.mark.parametrize(
    ("bad", "kind", "status", "reason"),
    [
        (pa.nulls(1500, pa.float64()), "numerical", "failed", "every value in the window is missing"),
        (pa.nulls(1500), "numerical", "failed", "every value in the window is missing"),
        (pa.array(["one"] * 1500), "numerical", "failed", "the column holds text, expected numbers"),
        (pa.array([1.0] * 20 + [None] * 1480), "numerical", "insufficient",
         "the window has 20 values, fewer than the 100 required"),
    ],
)
def test_a_column_that_cannot_be_judged_costs_only_itself(
    bad: Any, kind: Any, status: str, reason: str
) -> None:
    """An all-null, textual or nearly empty column is one score with its reason; the others are judged."""
    found = scores(
        table(2000, y=GENERATOR.normal(size=2000)), table(1500, y=bad), roles(y=kind, x="numerical")
    )
    assert (found["drift", "y"].status, found["drift", "y"].reason) == (status, reason)
    assert found["drift", "x"].status == "ok"
    assert found["drifted_share", None].reason == "0 of 1 columns drifted; 1 could not be judged"


def test_a_missing_column_is_named() -> None:
    """A column the window lacks is a failed score that says where it is missing."""
    found = scores(table(2000, y=np.zeros(2000)), table(1500), roles(y="numerical", x="numerical"))
    assert found["drift", "y"].reason == "the window has no column y"


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_method_that_raises_is_one_failed_score() -> None:
    """Values whose range overflows break the bins of psi: one sentence is the reason and the others go on."""
    values = GENERATOR.normal(size=1500)
    values[:2] = 1e308, -1e308
    found = scores(table(2000), table(1500, x=values), roles(word="categorical", x="numerical"), method="psi")
    assert found["drift", "x"].status == "failed"
    assert str(found["drift", "x"].reason).startswith("psi failed: ")
    assert found["drift", "word"].status == "ok"


def test_a_method_for_all_gives_way_where_it_cannot_be_used() -> None:
    """With ks for all, categorical columns are judged as by auto and say so; asked for by name it fails."""
    parts = roles(word="categorical", x="numerical")
    found = scores(table(2000), table(1500), parts, method="ks", threshold=0.01)
    assert (found["drift", "x"].method, found["drift", "x"].threshold) == ("ks", 0.01)
    assert (found["drift", "word"].method, found["drift", "word"].threshold) == ("jensenshannon", 0.1)
    assert found["drift", "word"].reason == "ks is not for categorical columns: chosen as by auto"
    named = {"columns": {"word": ColumnDrift(method="ks")}}
    found = scores(table(2000), table(1500), roles(word="categorical"), **named)
    assert found["drift", "word"].reason == "ks is not for categorical columns, and word is one"


def test_an_unknown_method_names_the_known_ones() -> None:
    """A misspelt method is a failed score that lists what there is."""
    found = scores(table(2000), table(1500), roles(x="numerical"), method="pis")
    assert 'there is no drift method "pis", expected auto or psi,' in str(found["drift", "x"].reason)


@pytest.mark.parametrize(("method", "drifts_below"), [("ks", True), ("psi", False)])
def test_a_threshold_keeps_the_methods_direction(method: str, drifts_below: bool) -> None:
    """A p-value drifts below its threshold, a distance above."""
    for threshold, side in ((1e-12, not drifts_below), (0.999999, drifts_below)):
        section = {"method": method, "threshold": threshold}
        found = scores(table(2000), table(1500, shift=0.1), roles(x="numerical"), **section)
        assert (found["drift", "x"].status == "drifted") == side


def test_classes_and_probabilities_are_the_predictions_of_a_classifier() -> None:
    """A classifier's predictions are categories and its probabilities numbers, each scored by itself."""
    before, now = (table(n, p=GENERATOR.random(n)) for n in (2000, 1500))
    found = scores(before, now, roles(probability="p"))
    assert found["prediction_drift", "prediction"].method == "jensenshannon"
    assert found["prediction_drift", "p"].method == "wasserstein"
    assert found["drifted_share", None].status == "insufficient"


def test_the_predictions_of_a_regression_are_numbers() -> None:
    """Where labels are quantities, prediction drift is measured on numbers."""
    values = GENERATOR.normal(size=2000)
    before, now = (table(n, prediction=values[:n], label=values[:n]) for n in (2000, 1500))
    assert scores(before, now, roles())["prediction_drift", "prediction"].method == "wasserstein"


def test_numbers_and_their_text_are_one_category() -> None:
    """A code that was a number in the reference and is text in the window is the same category."""
    codes = GENERATOR.integers(0, 3, 2000)
    before, now = table(2000, code=codes), table(1500, code=[str(code) for code in codes[:1500]])
    assert scores(before, now, roles(code="categorical"))["drift", "code"].status == "ok"


def test_an_absurd_value_hides_psi_drift_but_never_breaks_it() -> None:
    """One value of 1e300 gives a finite number, as Evidently's bins make it."""
    values = GENERATOR.normal(3, 1, 1500)
    values[0] = 1e300
    found = scores(table(2000), table(1500, x=values), roles(x="numerical"), method="psi")
    assert found["drift", "x"].status in ("ok", "drifted")


def test_a_prediction_nobody_has_is_one_failed_score() -> None:
    """Where neither side has the column, nothing is said of its missing values."""
    side = table(300).drop_columns(["prediction"])
    sides = TableSide(side), TableSide(side)
    kinds: dict[str, Any] = {"x": "numerical", "gone": "numerical"}
    found = column_scores(*sides, kinds, {"prediction": "categorical"}, DriftSection(), QualitySection(), min_rows=100)
    said = {(s.metric, s.column): s for s in found}
    assert said["drift", "gone"].reason == "the reference has no column gone"
    assert said["prediction_drift", "prediction"].reason == "the reference has no column prediction"
    assert {column for metric, column in said if metric == "missing_share"} == {"x"}
