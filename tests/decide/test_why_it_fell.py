"""The sentence that says why a model's performance fell."""

import pytest

from monitor.decide.particulars import judged_metric
from monitor.decide.why_it_fell import why_it_fell
from monitor.records import Score, ScoreStatus

LOST = Score(metric="performance_lost", method="roc_auc", value=0.8, reference=0.9, status=ScoreStatus.DRIFTED)


def part(cause: str, value: float, *, sure: bool = True, **given: str) -> Score:
    status = ScoreStatus.DRIFTED if sure else ScoreStatus.OK
    return Score(metric="lost_to", method=cause, value=value, low=value / 2, high=value * 2, status=status, **given)


def test_the_main_cause_comes_first_with_its_columns_and_rows() -> None:
    scores = [LOST, part("inputs", 0.03), part("relation", 0.07),
              Score(metric="lost_to", method="relation", segment="region=north", value=0.07),
              Score(metric="challenger_gain", method="roc_auc", value=0.05)]
    assert why_it_fell(scores) == (
        "ROC AUC is worse by 0.1: 0.07 because the same rows get other labels than before, only where region=north and "
        "0.03 because other rows come than before; a new model would win back 0.05"
    )


@pytest.mark.parametrize(("gap", "told"), [(0.02, "; a new model would win back 0.03"), (0.06, ""), (-0.1, None)])
def test_what_only_another_kind_of_model_would_win_is_left_out(gap: float, told: str | None) -> None:
    """What a challenger as old as the model wins too: the retrained model is of the old one's kind."""
    scores = [LOST, part("relation", 0.1), Score(metric="challenger_gain", method="roc_auc", value=0.05),
              Score(metric="challenger_gap", method="roc_auc", value=gap)]
    begins = "ROC AUC is worse by 0.1: 0.1 because the same rows get other labels than before"
    assert why_it_fell(scores) == begins + ("; a new model would win back 0.05" if told is None else told)


def test_columns_whose_spread_made_it_worse() -> None:
    scores = [LOST, part("inputs", 0.1), part("relation", 0.0, sure=False),
              *(Score(metric="lost_to", method="inputs", column=name, value=0.03) for name in ("a", "b", "c", "d"))]
    said = "ROC AUC is worse by 0.1: 0.1 because other rows come than before, mostly by a, b, c and 1 more"
    assert why_it_fell(scores) == said


def test_broken_columns_are_named() -> None:
    words = "values of temp are missing, far away or in other steps, or have all become one"
    assert why_it_fell([LOST, part("broken_columns", 0.1, reason=words)]) == (
        f"ROC AUC is worse by 0.1: 0.1 because columns are broken ({words})"
    )


def test_nothing_is_accused_without_certainty() -> None:
    scores = [LOST, part("inputs", 0.06, sure=False), part("relation", 0.04, sure=False)]
    assert why_it_fell(scores) == "ROC AUC is worse by 0.1: no single cause stands out"


def test_nothing_is_said_where_nothing_fell() -> None:
    assert why_it_fell([Score(metric="roc_auc", value=0.9, reference=0.9)]) is None


@pytest.mark.parametrize("by", ["metric_sd", "performance_lost"])
def test_a_model_is_judged_by_the_metric_that_was_measured(by: str) -> None:
    """As configured; else as the scores about it say; else the first metric of performance there is."""
    scores = [Score(metric="rows", value=9), Score(metric="mae", value=1), Score(metric=by, method="rmse", value=2)]
    assert judged_metric("r2", scores) == "r2"
    assert judged_metric(None, scores) == "rmse"
    assert judged_metric(None, scores[:2]) == "mae"
    assert judged_metric(None, scores[:1]) is None
