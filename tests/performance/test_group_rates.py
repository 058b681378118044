"""The rates of protected groups, held to Fairlearn's recorded numbers (fairlearn.json)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.config.sections import FairnessSection
from monitor.errors import CannotJudge
from monitor.performance.group_rates import rate_scores
from monitor.records import Score, ScoreStatus

ROLES = Roles("timestamp", None, "prediction", None, "label", None, None, {})
CASES = json.loads((Path(__file__).parent / "fairlearn.json").read_text(encoding="utf-8"))["cases"]


def people(rows: list[list[Any]]) -> pa.Table:
    """A table with the given number of rows of each (group, label, prediction)."""
    every = [(group, label, said) for group, label, said, times in rows for _ in range(times)]
    group, label, said = zip(*every, strict=True)
    return pa.table({"group": group, "label": label, "prediction": said})


def rates(before: pa.Table, now: pa.Table, min_rows: int = 30, **given: Any) -> dict[tuple[str, str | None], Score]:
    section = FairnessSection(columns=("group",), **given)
    found = rate_scores(before, now, ROLES, section, min_rows, provisional=True)
    return {(score.metric, score.segment): score for score in found}


@pytest.mark.parametrize("case", CASES)
def test_rates_are_fairlearns_each_over_its_own_rows(case: dict[str, Any]) -> None:
    """Selection over all rows, true positives over positives only, false positives over negatives only."""
    now = people(case["rows"])
    found = rates(now, now)
    for metric, expected in case["rates"].items():
        for group, value in expected.items():
            own = [row for row in case["rows"] if str(row[0]) == group]
            over = {"selection_rate": own, "true_positive_rate": [r for r in own if r[1] == 1],
                    "false_positive_rate": [r for r in own if r[1] == 0]}[metric]
            score = found[metric, f"group={group}"]
            assert score.n == sum(row[3] for row in over)
            assert score.value == pytest.approx(value, abs=1e-12)
            assert score.reference == score.value
            assert score.provisional == (metric != "selection_rate")


def test_provisional_rates_stand_beside_the_reference_at_the_same_age() -> None:
    """Labels that come first are all hits, those of the ninth day are all misses; selection needs no label."""
    roles, start = replace(ROLES, label_timestamp="told"), datetime(2024, 1, 1, tzinfo=UTC)

    def log(day: int, said: list[int], delays: list[int]) -> pa.Table:
        at = [start + timedelta(days=day)] * len(said)
        told = [one + timedelta(days=delay) for one, delay in zip(at, delays, strict=True)]
        moments = pa.array(told, pa.timestamp("us", "UTC"))
        return pa.table({"timestamp": pa.array(at, moments.type), "group": ["a"] * len(said), "label": [1] * len(said),
                         "prediction": said, "told": moments})

    before, now = log(0, [1] * 40 + [0] * 60, [1] * 40 + [9] * 60), log(100, [1] * 40, [1] * 40)

    def beside(day: int, provisional: bool = True) -> dict[str, float | None]:
        section = FairnessSection(columns=("group",))
        found = rate_scores(before, now, roles, section, 30, provisional, start + timedelta(days=day))
        return {score.metric: score.reference for score in found}

    assert beside(102)["true_positive_rate"] == 1.0
    assert beside(110)["true_positive_rate"] == 0.4
    assert beside(102, provisional=False)["true_positive_rate"] == 0.4
    assert beside(102)["selection_rate"] == 0.4


def test_the_comparison_group_is_the_largest_of_the_reference_whatever_the_window_holds() -> None:
    """The comparison group is the largest of the reference in every window, unless one is configured."""
    before = people([["a", 1, 1, 60], ["b", 0, 1, 90]])
    now = people([["a", 1, 1, 500], ["b", 0, 1, 40]])
    compared = {segment for (_, segment), score in rates(before, now).items() if score.method == "comparison"}
    assert compared == {"group=b"}
    named = rates(before, now, comparison={"group": "a"})
    assert {segment for (_, segment), score in named.items() if score.method == "comparison"} == {"group=a"}


def test_a_comparison_group_that_is_not_there_is_said() -> None:
    """The reason names the groups there are."""
    now = people([["a", 1, 1, 60], ["b", 0, 1, 90]])
    score = rates(now, now, comparison={"group": "c"})["selection_rate", "group"]
    assert score.reason == 'group has no group "c" to compare with, it has b, a'


def test_few_rows_count_in_the_pool_but_are_not_judged_and_very_few_are_not_told() -> None:
    """A rate over 12 rows is kept, a rate over 9 rows is not."""
    before = people([["a", 1, 1, 600], ["b", 0, 1, 90], ["c", 0, 1, 90]])
    now = people([["a", 1, 1, 600], ["b", 0, 1, 12], ["c", 0, 1, 9]])
    found = rates(before, now)
    twelve, nine = found["selection_rate", "group=b"], found["selection_rate", "group=c"]
    assert (twelve.status, twelve.value, twelve.n) == (ScoreStatus.INSUFFICIENT, 1.0, 12)
    assert (nine.value, nine.n, nine.reference, nine.reason) == (None, None, None, "fewer than 10 rows")


def test_without_labels_only_selection_is_told() -> None:
    """Demographic parity needs no labels."""
    now = people(CASES[0]["rows"]).drop_columns(["label"])
    assert {metric for metric, _ in rates(now, now)} == {"selection_rate"}


def test_more_than_two_classes_cannot_be_judged() -> None:
    """Fairness compares a positive answer with a negative one."""
    now = pa.table({"group": ["a", "b", "c"], "label": ["x", "y", "z"], "prediction": ["x", "y", "z"]})
    with pytest.raises(CannotJudge, match="a binary task has two classes"):
        rates(now, now)


def test_groups_beyond_the_twentieth_and_rare_ones_are_said() -> None:
    """Which are left out is told in one score; where every group is rare there is none to compare with."""
    rows = [[f"g{at:02}", at % 2, 1, 40 - at] for at in range(25)]
    reasons = [one.reason or "" for one in rates(people(rows), people(rows)).values()]
    assert sum("5 beyond the 20 most frequent" in reason for reason in reasons) == 1
    rare = people([[f"g{at}", 1, 1, 3] for at in range(5)])
    score = rates(rare, people(rows))["selection_rate", "group"]
    assert "there is no largest group to compare with: name one under fairness.comparison" in score.reason
