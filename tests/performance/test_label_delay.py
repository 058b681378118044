"""When labels come, held to SciPy's Kaplan-Meier and to a case by hand; performance beside the reference as young."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import CensoredData, chi2_contingency, ecdf

from monitor.config.column_roles import Roles
from monitor.performance.confidence_intervals import significant_difference
from monitor.performance.labels import Delays, delays_of, kaplan_meier, maturity_age
from monitor.performance.performance_scores import ReferenceMetrics, Segments, performance_scores, segment_scores
from monitor.quality.column_checks import quality_scores

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
UTC_TIME = pa.timestamp("us", "UTC")
ROLES = Roles("timestamp", None, "prediction", None, "label", "label_timestamp", None, {})


def delays(ages: list[float], labelled: list[bool]) -> Delays:
    return Delays(np.array(ages, float), np.array(labelled))


def log(days: list[float], late: list[float | None], wrong: list[bool] | None = None) -> pa.Table:
    """Rows asked at `days` whose label came `late` days after, or never; the model is right unless `wrong`."""
    known = [None if gap is None else START + (day + gap) * DAY for day, gap in zip(days, late, strict=True)]
    label = [None if gap is None else 1 for gap in late]
    said = [0 if bad else 1 for bad in wrong or [False] * len(days)]
    return pa.table({
        "timestamp": pa.array([START + day * DAY for day in days], UTC_TIME),
        "prediction": said, "label": label, "label_timestamp": pa.array(known, UTC_TIME),
    })


def test_kaplan_meier_by_hand() -> None:
    """Labels at 1, 2, 2 and 4; rows without one at 2, 3 and 5: S = 6/7, ×4/6, ×1/2 — at 2 the censored is at risk."""
    at, share = kaplan_meier(delays([1, 2, 2, 2, 3, 4, 5], [True, True, True, False, False, True, False]))
    assert at.tolist() == [1, 2, 4]
    assert share == pytest.approx([1 - 6 / 7, 1 - 6 / 7 * 4 / 6, 1 - 6 / 7 * 4 / 6 * 1 / 2])


@pytest.mark.parametrize("seed", range(3))
def test_kaplan_meier_is_scipys(seed: int) -> None:
    """Random delays and censorings, ties included: SciPy's estimate of the distribution at every delay."""
    generator = np.random.default_rng(seed)
    true, until = generator.integers(1, 30, 400), generator.integers(1, 40, 400)
    labelled = true <= until
    ages = np.minimum(true, until).astype(float)
    at, share = kaplan_meier(Delays(ages, labelled))
    expected = ecdf(CensoredData(uncensored=ages[labelled], right=ages[~labelled])).cdf
    assert share == pytest.approx(expected.evaluate(at), abs=1e-12)


def test_young_rows_without_a_label_do_not_shorten_maturity() -> None:
    """A label takes 10 days in one of five cases; seen too early, most of these are missing, and still count."""
    days = list(np.linspace(0, 14, 1401))
    late = [10.0 if row % 5 == 0 else 1.0 for row in range(len(days))]
    seen = [gap if day + gap <= 14 else None for day, gap in zip(days, late, strict=True)]
    found = delays_of(log(days, seen), ROLES, known_until=START + 14 * DAY)
    assert found is not None
    assert maturity_age(found) == pytest.approx(10 * 86400)
    at, share = kaplan_meier(found)
    assert share[np.flatnonzero(at < 2 * 86400)[-1]] == pytest.approx(0.8, abs=0.01)
    assert np.mean(found.ages[found.labelled] > 5 * 86400) < 0.08   # what a quantile of the known delays would see


def test_rows_that_never_get_a_label_do_not_delay_maturity() -> None:
    """One in ten never does: the plateau is 90 %, and mature is when nearly all of these are known."""
    days = list(np.linspace(0, 90, 1000))
    late = [None if row % 10 == 0 else 1.0 + (row % 9) for row in range(1000)]
    found = delays_of(log(days, late), ROLES)
    assert found is not None
    assert maturity_age(found) == pytest.approx(9 * 86400)
    assert kaplan_meier(found)[1][-1] == pytest.approx(0.9, abs=0.001)


def test_without_moments_of_labels_there_are_no_delays() -> None:
    """Without label_timestamp, or without any label yet, there are no delays."""
    assert delays_of(log([0], [1]).drop_columns(["label_timestamp"]), ROLES) is None
    found = delays_of(log([0, 1], [None, None]), ROLES)
    assert found is not None
    assert maturity_age(found) is None


def accuracy(reference: pa.Table, window: pa.Table, as_of: datetime, provisional: bool = True) -> float | None:
    own = ReferenceMetrics(lambda: reference, ROLES, "binary")
    scores = performance_scores(own, window, "accuracy", provisional, as_of)
    return next(score.reference for score in scores if score.metric == "accuracy")


def test_provisional_performance_stands_beside_the_reference_at_the_same_age() -> None:
    """Labels that come first are right, the others are half wrong: a young window meets the early labels only."""
    late = [1.0, 9.0] * 200
    wrong = [False, False, False, True] * 100
    reference = log([0.0] * 400, list(late), wrong)
    window = log([100.0] * 10, [1.0] * 10)
    assert accuracy(reference, window, START + 102 * DAY) == 1.0
    assert accuracy(reference, window, START + 110 * DAY) == 0.75
    assert accuracy(reference, window, START + 102 * DAY, provisional=False) == 0.75


def test_provisional_segments_stand_beside_the_reference_at_the_same_age() -> None:
    """Each group beside the same group as it was known so early: in one the late labels are wrong, in the other not."""
    late, wrong = [1.0, 9.0] * 200, ([False, True] * 100 + [False] * 200)
    reference = log([0.0] * 400, list(late), wrong).append_column("site", pa.array(["a"] * 200 + ["b"] * 200))
    window = log([100.0] * 40, [1.0] * 40).append_column("site", pa.array(["a", "b"] * 20))
    segments = Segments(lambda: reference, ROLES, "binary", "accuracy", 20)

    def beside(day: int, *, provisional: bool = True) -> list[float | None]:
        found = segment_scores(segments, window, ("site",), provisional, START + day * DAY)
        return [score.reference for score in found if score.metric == "accuracy"]

    assert beside(102) == [1.0, 1.0]
    assert beside(110) == [0.5, 1.0]
    assert beside(102, provisional=False) == [0.5, 1.0]


def test_rows_of_different_ages_weigh_the_reference() -> None:
    """Half of the window is old enough for the late labels: they count half, 4 of 4 and half of 2 of 4."""
    reference = log([0.0] * 8, [1.0] * 4 + [9.0] * 4, [False] * 4 + [True, True, False, False])
    window = log([90.0] * 5 + [99.0] * 5, [1.0] * 10)
    assert accuracy(reference, window, START + 101 * DAY) == pytest.approx((4 + 0.5 * 2) / (4 + 0.5 * 4))


def test_no_label_of_the_reference_was_so_early() -> None:
    """If no label of the reference was known so early, there is no reference value."""
    reference = log([0.0] * 8, [9.0] * 8)
    assert accuracy(reference, log([100.0] * 5, [1.0] * 5), START + 101 * DAY + DAY / 2) is None


def never(reference: pa.Table, window: pa.Table):
    scores = quality_scores(reference, window, ROLES, START + 900 * DAY, DAY)
    return next(score for score in scores if score.metric == "never_labelled_share")


def some(rows: int, share: float, seed: int) -> pa.Table:
    missing = np.random.default_rng(seed).random(rows) < share
    return log(list(np.linspace(0, 90, rows)), [None if gone else 1.0 for gone in missing])


def test_the_two_shares_are_compared_as_scipy_does() -> None:
    """Where the reference shows no bursts, three standard errors are SciPy's chi-square of 9, Yates's correction in."""
    for hits, n, before, total in ((60, 500, 200, 4000), (3, 300, 40, 4000), (10, 200, 80, 4000)):
        blocks = np.full(8, before // 8), np.full(8, total // 8)
        apart = abs(hits / n - before / total) > significant_difference(hits, n, *blocks)
        table = [[hits, n - hits], [before, total - before]]
        assert apart == (chi2_contingency(table, correction=True).statistic > 9)


def test_a_rise_of_rows_without_labels_drifts() -> None:
    """The usual share is ok, three times as many drifted, and the threshold lies between."""
    reference = some(4000, 0.05, 0)
    same, more = never(reference, some(800, 0.05, 1)), never(reference, some(800, 0.15, 2))
    assert (same.status, more.status) == ("ok", "drifted")
    assert more.reference == pytest.approx(0.05, abs=0.01)
    assert more.reference < more.threshold < more.value


def test_bursts_the_reference_knows_are_no_drift() -> None:
    """One stretch of the reference lacked most labels: a window like it is nothing new, one without any label is."""
    quiet, storm = some(800, 0.01, 3), some(800, 0.3, 4)
    weeks = [log(list(np.linspace(7 * at, 7 * at + 6, 800)), [
        None if gap is None else 1.0 for gap in (storm if at == 2 else quiet)["label"].to_pylist()
    ]) for at in range(5)]
    reference = pa.concat_tables(weeks)
    assert never(reference, some(800, 0.3, 5)).status == "ok"
    assert never(reference, some(800, 1.0, 6)).status == "drifted"
