"""Performance by segment: each group's own numbers, small groups, and bounds that hold for all groups at once."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as sk

from monitor.config.column_roles import Roles
from monitor.performance.confidence_intervals import wilson
from monitor.performance.performance_scores import ALPHA, Segments, segment_scores, simultaneous
from monitor.records import Score, ScoreStatus

ORACLE = (
    ("accuracy", "prediction", sk.accuracy_score), ("recall", "prediction", sk.recall_score),
    ("roc_auc", "chance", sk.roc_auc_score), ("brier", "chance", sk.brier_score_loss),
)
ROLES = Roles("timestamp", None, "prediction", "chance", "label", None, None, {})


def table(groups: dict[str, int], seed: int = 0, right: dict[str, float] | None = None) -> pa.Table:
    """Rows of each group; the prediction is right as often as is said, else in 8 of 10."""
    generator = np.random.default_rng(seed)
    origin = np.repeat(list(groups), list(groups.values()))
    label = generator.integers(0, 2, len(origin))
    hit = generator.random(len(origin)) < np.array([(right or {}).get(str(name), 0.8) for name in origin])
    said = np.where(hit, label, 1 - label)
    chance = np.clip(0.5 + (said - 0.5) * generator.random(len(origin)), 0.001, 0.999)
    return pa.table({"origin": origin, "label": label, "prediction": said, "chance": chance})


def scores(before: pa.Table, now: pa.Table, *columns: str, min_rows: int = 100) -> dict[tuple[str, str | None], Score]:
    segments = Segments(lambda: before, ROLES, "binary", "accuracy", min_rows)
    found = segment_scores(segments, now, columns or ("origin",), provisional=False)
    return {(score.metric, score.segment): score for score in found}


def test_each_group_has_its_own_numbers_beside_the_same_group_of_the_reference() -> None:
    """Value, reference and n of a segment are scikit-learn's on that group's rows alone."""
    before, now = table({"JFK": 400, "LGA": 300}, seed=1), table({"LGA": 250, "JFK": 350})
    found = scores(before, now)
    for group in ("JFK", "LGA"):
        for metric, column, measure in ORACLE:
            values = []
            for rows in (before, now):
                own = rows.filter(pa.compute.equal(rows["origin"], group))
                values.append(measure(own["label"].to_numpy(), own[column].to_numpy()))
            score = found[metric, f"origin={group}"]
            assert (score.reference, score.value) == pytest.approx(values)
            assert score.n == {"JFK": 350, "LGA": 250}[group]
            assert score.low is not None
            assert score.high is not None
            assert score.low < values[1] < score.high


def test_a_group_without_one_class_keeps_the_classes_of_the_whole() -> None:
    """A group with only "good" predictions is still scored with both classes."""
    now = pa.table({
        "origin": ["a"] * 200 + ["b"] * 200,
        "label": ["bad", "good"] * 200,
        "prediction": ["bad"] * 200 + ["bad", "good"] * 100,
        "chance": [0.2] * 200 + [0.1, 0.9] * 100,
    })
    found = scores(now, now)
    assert found["recall", "origin=a"].value == 0.0
    assert found["recall", "origin=b"].value == 1.0


def test_a_group_with_few_labelled_rows_is_insufficient() -> None:
    """99 labelled rows of 100 asked for are told, but not judged; a reference with too few gives no number."""
    before, now = table({"a": 500, "b": 40, "c": 300}), table({"a": 500, "b": 300, "c": 99})
    found = scores(before, now)
    few = found["accuracy", "origin=c"]
    assert (few.status, few.value, few.n) == (ScoreStatus.INSUFFICIENT, None, 99)
    assert few.reason == "99 rows, expected at least 100"
    assert found["accuracy", "origin=b"].reference is None
    assert found["accuracy", "origin=b"].value is not None


def test_fewer_than_ten_rows_are_suppressed_in_every_score() -> None:
    """A group of nine rows has no value, no reference and no row count."""
    before, now = table({"a": 500, "rare": 200}), table({"a": 500, "rare": 9})
    few = [score for (_, segment), score in scores(before, now).items() if segment == "origin=rare"]
    assert few
    for score in few:
        assert (score.value, score.reference, score.low, score.high, score.n) == (None,) * 5
        assert (score.status, score.reason) == (ScoreStatus.INSUFFICIENT, "fewer than 10 rows")


def test_at_most_twenty_groups_the_largest_of_the_reference_first() -> None:
    """Of 30 values 20 are measured; the rest, and values too rare to be named, are told in one reason."""
    groups = {f"g{i:02}": 200 - i for i in range(30)}
    found = scores(table(groups), table(groups | {"someone": 3}), min_rows=20)
    named = {segment for _, segment in found if segment != "origin"}
    assert named == {f"origin=g{i:02}" for i in range(20)}
    assert found["accuracy", "origin"].reason == (
        "values of origin without scores of their own: 10 beyond the 20 most frequent, 1 with fewer than 10 rows"
    )
    assert "someone" not in str(found)


def test_numbers_and_booleans_are_groups_and_missing_values_none() -> None:
    """1, 1.0 and true name one group; null is no group."""
    now = table({"a": 300}).append_column("flag", pa.array([True, False, None] * 100))
    before = table({"a": 300}).append_column("flag", pa.array([1, 0, 1] * 100))
    found = scores(before, now, "flag", min_rows=50)
    assert found["accuracy", "flag=1"].n == 100
    assert {segment for _, segment in found} == {"flag=1", "flag=0"}


def test_a_column_or_label_that_is_not_there_is_told_once() -> None:
    """The column's name is the segment, the reason says what is missing; the other columns go on."""
    now = table({"a": 300})
    found = scores(now, now, "carrier", "origin")
    assert found["accuracy", "carrier"].reason == "the reference has no column carrier"
    assert found["accuracy", "origin=a"].value is not None
    bare = scores(now, now.drop_columns(["label"]))
    assert list(bare) == [("accuracy", "origin")]


def test_bounds_are_sidaks_of_a_normal_interval() -> None:
    """Of k groups each end lies as far out as one-sided 95 % for all k asks: 1.645 sd for one group."""
    for count in (1, 5, 20):
        now = table({f"g{i}": 400 for i in range(count)})
        score = scores(now, now)["brier", "origin=g0"]
        squares = (now["chance"].to_numpy()[:400] - now["label"].to_numpy()[:400]) ** 2
        reach = stats.norm.ppf(0.95 ** (1 / count)) * np.std(squares, ddof=1) / 20
        assert (score.low, score.high) == pytest.approx((score.value - reach, score.value + reach))


def test_twenty_equal_groups_seldom_look_bad_and_a_bad_one_does() -> None:
    """With 0.85 right in all 20 groups of 120 rows at most 5 % of windows show one below it; 0.6 is found."""
    groups, right = {f"g{i}": 120 for i in range(20)}, {f"g{i}": 0.85 for i in range(20)}
    alarms = found = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        hits = generator.binomial(120, 0.85, 20)
        alarms += _bound_below(hits, 0.85)
        found += _bound_below(np.append(hits[:19], generator.binomial(120, 0.6)), 0.85)
    assert alarms <= 16          # 5 % of 200, and two standard deviations of the simulation
    assert found >= 190
    worst = scores(table(groups, right=right), table(groups, right=right | {"g7": 0.5}))["accuracy", "origin=g7"]
    assert worst.high is not None
    assert worst.high < 0.85


def _bound_below(hits: np.ndarray, limit: float) -> bool:
    """Whether the highest plausible accuracy of any group lies below a limit, as a trigger would ask."""
    highs = []
    for count in hits:
        low, high = wilson(int(count), 120) or (None, None)
        score = simultaneous(Score(metric="accuracy", value=count / 120, low=low, high=high), len(hits), ALPHA)
        highs.append(score.high or 0.0)
    return min(highs) < limit
