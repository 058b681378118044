"""Metrics of Evidently's reports, named in the configuration."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from monitor.config.column_roles import Roles
from monitor.config.evidently_metrics import METRICS
from monitor.config.sections import DriftSection, EvidentlySection
from monitor.drift.evidently import wrong_option
from monitor.drift.evidently_report import report_scores
from monitor.performance.class_evidence import settle
from monitor.records import ScoreStatus

ROLES = Roles(
    timestamp="t", id=None, prediction="said", probability=None, label="truth", label_timestamp=None,
    model_version=None, features={"age": "numerical"},
)


def test_the_names_are_evidentlys() -> None:
    """Every metric of the installed Evidently is known, but for those that need more than a table of options."""
    import evidently.metrics as theirs

    kinds = {name: kind for name, kind in vars(theirs).items() if isinstance(kind, type)}
    apart = ("recsys", "group_by", "row_test_summary")
    assert {*METRICS} == {name for name, kind in kinds.items() if kind.__module__.rpartition(".")[2] not in apart}


def test_numbers_become_scores() -> None:
    """Each number is a Score with its reference; what fails is one failed Score."""
    ages, truth = np.arange(200.0), [0, 1] * 100
    window = pa.table({"age": ages, "truth": truth, "said": [0, 1] * 75 + [0, 0] * 25})
    reference = pa.table({"age": ages / 2, "truth": truth, "said": truth})
    wanted = [
        EvidentlySection(metric="QuantileValue", options={"column": "age", "quantile": 0.9}),
        EvidentlySection(metric="MissingValueCount", options={"column": "age"}),
        EvidentlySection(metric="Accuracy"),
        EvidentlySection(metric="MeanValue", options={"column": "gone"}),
    ]
    found = report_scores(reference, window, ROLES, DriftSection(), wanted, "binary", mature=False)
    high, count, share, accuracy, failed = found
    assert (high.metric, high.method, high.column) == ("QuantileValue", "quantile=0.9", "age")
    assert (high.value, high.reference) == pytest.approx((np.quantile(ages, 0.9), np.quantile(ages / 2, 0.9)))
    assert [(count.method, count.value), (share.method, share.value)] == [("count", 0), ("share", 0)]
    assert (accuracy.value, accuracy.reference, accuracy.provisional) == (0.875, 1.0, True)
    assert failed.status is ScoreStatus.FAILED


@pytest.mark.parametrize(
    ("metric", "options", "text"),
    [
        ("QuantileValue", {"column": "age", "quantil": 1}, 'has no option "quantil", expected column or quantile'),
        ("QuantileValue", {}, "column: field required"),
        ("QuantileValue", {"column": "age", "quantile": 0.5}, None),
    ],
)
def test_a_wrong_option_is_one_sentence(metric: str, options: dict[str, object], text: str | None) -> None:
    """The option is named, and those there are."""
    found = wrong_option(metric, options)
    assert (found or "").endswith(text or "")
    assert (found is None) == (text is None)


@pytest.mark.parametrize(
    ("metric", "options", "told"),
    [
        ("UniqueValueCount", {"column": "town"}, {"counts.big", "shares.big"}),
        ("CategoryCount", {"column": "town", "category": "tiny"}, set()),
        ("CategoryCount", {"column": "town", "category": "big"}, {"count", "share"}),
        ("F1ByLabel", {}, {"0", "1"}),
    ],
)
def test_small_cells_are_not_told(metric: str, options: dict[str, object], told: set[str]) -> None:
    """Of values and classes that fewer than ten rows have, neither name nor number is told."""
    truth = ["0"] * 50 + ["1"] * 41 + ["2"] * 9
    table = pa.table({"town": ["big"] * 97 + ["tiny"] * 3, "truth": truth, "said": truth})
    roles = replace(ROLES, features={"town": "categorical"})
    wanted = [EvidentlySection(metric=metric, options=options)]
    found = report_scores(table, table, roles, DriftSection(), wanted, "multiclass", mature=True)
    assert {(one.method or "").split()[-1] for one in found if one.value is not None} == told
    assert all(one.n is None for one in found if one.value is None)


@pytest.mark.parametrize(("percent", "confidence"), [(True, False), (False, True)])
def test_scores_go_to_evidently_as_our_own_metrics_read_them(percent: bool, confidence: bool) -> None:
    """Percent as shares, and the confidence in the predicted class as the probability of the positive one."""
    chance = np.random.default_rng(0)
    share = chance.random(400)
    truth, said = (chance.random(400) < share).astype(int), (share > 0.5).astype(int)
    given = (np.maximum(share, 1 - share) if confidence else share) * (100 if percent else 1)
    table = pa.table({"truth": truth, "said": said, "score": given})
    roles, _ = settle(replace(ROLES, probability="score", features={}), table, "binary")
    wanted = [EvidentlySection(metric="LogLoss"), EvidentlySection(metric="RocAuc")]
    found = report_scores(table, table, roles, DriftSection(), wanted, "binary", mature=True)
    expected = [sk.log_loss(truth, share), sk.roc_auc_score(truth, share)]
    assert [score.value for score in found] == pytest.approx(expected)
