"""Data quality beside the reference's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.config.sections import DriftSection, QualitySection
from monitor.drift.column_scores import TableSide, column_scores
from monitor.quality.column_checks import quality_scores, schema_changes
from monitor.records import Score

DRIFT = ("drift", "prediction_drift", "drifted_share")
NOW = datetime(2024, 5, 10, tzinfo=UTC)
KINDS: Any = {"x": "numerical", "word": "categorical", "t": "text"}
ROLES = Roles("timestamp", None, "prediction", None, "label", None, None, KINDS)


def table(**more: Any) -> pa.Table:
    base = {
        "timestamp": pa.array([NOW - timedelta(days=d) for d in (4, 3, 2, 1)], pa.timestamp("us", "UTC")),
        "x": [1.0, 2.0, 3.0, 4.0],
        "word": ["a", "b", "a", "b"],
        "t": ["some", "free", "text", "here"],
        "prediction": [0, 1, 0, 1],
        "label": [0, 1, 0, 1],
    }
    return pa.table(base | more)


def scores(window: pa.Table, reference: pa.Table | None = None, **section: Any) -> dict[Any, Score]:
    before = table() if reference is None else reference
    day = timedelta(days=1)
    found = quality_scores(before, window, ROLES, NOW, 2 * day, NOW - day)
    sides, said = (TableSide(before), TableSide(window)), {"prediction": "categorical"}
    columns = column_scores(*sides, KINDS, said, DriftSection(), QualitySection(**section), min_rows=1)
    return {(s.metric, s.column): s for s in [*found, *columns] if s.metric not in DRIFT}


def test_a_clean_window_breaches_nothing() -> None:
    """Data like the reference's breaches nothing, and every score has the reference's share."""
    found = scores(table())
    assert {s.status for s in found.values()} == {"ok"}
    assert found["rows", None].value == 4
    assert (found["missing_share", "x"].value, found["missing_share", "x"].reference) == (0, 0)
    assert (found["unseen_share", "word"].value, found["out_of_range_share", "x"].value) == (0, 0)
    assert (found["label_coverage", None].value, found["label_coverage", None].reference) == (1, 1)
    assert found["staleness_seconds", None].value == 86_400


def test_a_burst_of_nulls_is_a_breach_and_a_habit_is_not() -> None:
    """The share of nulls, NaN and infinities is compared with the reference's share."""
    holed = table(x=[1.0, None, float("nan"), float("inf")])
    burst = scores(holed)["missing_share", "x"]
    assert (burst.value, burst.threshold, burst.status) == (0.75, 0.2, "breached")
    assert burst.reason == "75.0% of x is missing, 0.0% in the reference"
    assert scores(holed, reference=holed)["missing_share", "x"].status == "ok"


def test_a_lost_column_is_all_missing() -> None:
    """A column the window lacks counts as all missing, and scores that need its values fail with a reason."""
    found = scores(table().drop_columns(["x"]))
    assert (found["missing_share", "x"].value, found["missing_share", "x"].status) == (1.0, "breached")
    assert found["out_of_range_share", "x"].reason == "the window has no column x"


def test_unseen_and_out_of_range_values_are_counted() -> None:
    """Categories the reference never had and numbers outside its range are shares of the present values."""
    found = scores(table(word=["a", "new", None, "b"], x=[0.5, 2.0, 3.0, 99.0]))
    assert found["unseen_share", "word"].value == pytest.approx(1 / 3)
    assert (found["out_of_range_share", "x"].value, found["out_of_range_share", "x"].n) == (0.5, 4)


def test_labels_are_overdue_only_after_the_maturity_age() -> None:
    """Young rows without a label lower the coverage; only old ones count as never labelled."""
    found = scores(table(label=[None, 1, 1, None]))
    assert found["label_coverage", None].value == 0.5
    overdue = found["never_labelled_share", None]
    assert (overdue.value, overdue.n) == (pytest.approx(1 / 3), 3)
    fresh = table().slice(3)
    assert scores(fresh)["never_labelled_share", None].status == "insufficient"


def test_a_reference_without_overdue_labels_judges_none() -> None:
    """Where none of the reference's rows is old enough, missing labels are counted and held against nothing."""
    young = table(timestamp=pa.array([NOW - timedelta(days=1)] * 4, pa.timestamp("us", "UTC")))
    found = scores(table(label=[None] * 4), reference=young)
    overdue, lost = found["never_labelled_share", None], found["labels_lost", None]
    assert (overdue.value, overdue.reference, overdue.threshold, overdue.status) == (1, None, None, "ok")
    assert (lost.status, lost.reason) == ("insufficient", "the reference has no label that is overdue or known")


def test_a_reference_without_values_has_no_range() -> None:
    """Values beside a column that was always empty are neither inside nor outside of a range."""
    score = scores(table(), reference=table(x=pa.array([None] * 4, pa.float64())))["out_of_range_share", "x"]
    assert (score.value, score.reason) == (None, "every value in the reference is missing")


def test_an_empty_window_says_so() -> None:
    """A window without rows breaches staleness, and its shares are insufficient."""
    found = scores(table().slice(0, 0))
    assert found.pop(("rows", None)).value == 0
    assert found.pop(("staleness_seconds", None)).status == "breached"
    assert {score.status for score in found.values()} == {"insufficient"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": pa.array(["1", "2", "3", "4"])}, "column x holds text, number in the reference"),
        ({"word": pa.array([1, 2, 3, 4])}, "column word holds number, text in the reference"),
        ({"x": None}, "column x is missing"),
        ({"prediction": None, "x": None}, "column x is missing; column prediction is missing"),
        ({"label": pa.array(list("abcd"))}, "column label holds text, number in the reference"),
    ],
)
def test_a_changed_schema_is_a_breach_in_words(change: dict[str, Any], reason: str) -> None:
    """Missing columns and numbers turned into text, or the reverse, are named."""
    kept = table().drop_columns([name for name, values in change.items() if values is None])
    for name, values in change.items():
        if values is not None:
            kept = kept.set_column(kept.column_names.index(name), name, values)
    score = schema_changes(table().schema, kept.schema, ROLES)
    assert (score.status, score.value, score.reason) == ("breached", reason.count("column"), reason)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x", pa.int64()),
        ("x", pa.float32()),
        ("x", pa.decimal128(9, 2)),
        ("x", pa.null()),
        ("word", pa.large_string()),
        ("word", pa.dictionary(pa.int8(), pa.string())),
        ("prediction", pa.bool_()),
        ("label", None),
        ("extra", pa.string()),
    ],
)
def test_harmless_changes_of_type_are_none(name: str, kind: pa.DataType | None) -> None:
    """Widths, int for float, dictionaries, all-null columns, absent labels and new columns are no change."""
    fields = [field for field in table().schema if field.name != name]
    window = pa.schema([*fields, pa.field(name, kind)] if kind is not None else fields)
    score = schema_changes(table().schema, window, ROLES)
    assert (score.status, score.value, score.reason) == ("ok", 0, None)


def test_a_column_only_the_window_has_is_told_and_not_judged() -> None:
    """The reason names columns that the reference lacks, whether or not others changed; they are no change."""
    same, less = table().schema, pa.schema([pa.field("timestamp", pa.timestamp("us", "UTC"))])
    extra = [f"new{number}" for number in range(7)]
    calm = schema_changes(same, same, ROLES, extra[:1])
    assert (calm.value, calm.status) == (0.0, "ok")
    assert calm.reason == "column new0, which the reference lacks: not watched"
    broken = schema_changes(same, less, ROLES, extra)
    assert broken.status == "breached"
    told = "columns new0, new1, new2, new3, new4 and 2 more, which the reference lacks: not watched"
    assert broken.reason.endswith(f"; {told}")
