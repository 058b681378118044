"""All features, or an embedding, at once: domain classifier and reconstruction error."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.config.sections import DriftSection
from monitor.drift.multivariate import classifier_auc, multivariate_scores, one_by_one, reconstruction_errors
from monitor.records import ScoreStatus

ROLES = Roles(
    timestamp="t", id=None, prediction="p", probability=None, label=None, label_timestamp=None, model_version=None,
    features={f"e{at}": "numerical" for at in range(4)},
)


def table(rows: int, turned: float, seed: int) -> pa.Table:
    """Two pairs of columns that go together, or the other way round: no column alone looks different."""
    values = np.random.default_rng(seed).normal(size=(rows, 4))
    values[:, 1] = turned * values[:, 0] + 0.1 * values[:, 1]
    return pa.table({f"e{at}": values[:, at] for at in range(4)})


def test_reconstruction_error_is_nannymls() -> None:
    """It is the mean Euclidean distance to what the components with 65 % of the variance make of a scaled row."""
    reference, window = table(500, 1, 1), table(200, -1, 2)
    before, now = (np.column_stack([side[name] for name in side.column_names]) for side in (reference, window))
    middle, spread = before.mean(axis=0), before.std(axis=0)
    _, sizes, axes = np.linalg.svd((before - middle) / spread, full_matrices=False)
    kept = axes[: np.searchsorted(np.cumsum(sizes**2) / np.sum(sizes**2), 0.65) + 1]
    scaled = (now - middle) / spread
    wanted = np.linalg.norm(scaled - scaled @ kept.T @ kept, axis=1)
    assert reconstruction_errors(reference, window, ROLES.features) == pytest.approx(wanted, rel=1e-9)


def test_a_turned_correlation_is_found() -> None:
    """Both numbers of an embedding see what no column alone shows, and neither sees anything where nothing is."""
    section = DriftSection(embeddings={"text": "e*"})
    for turned, wanted in ((-1, ScoreStatus.DRIFTED), (1, ScoreStatus.OK)):
        scores = multivariate_scores(table(1200, 1, 1), table(300, turned, 5), ROLES, section, 100)
        assert [(score.column, score.status) for score in scores] == [("text", wanted)] * 2
        assert all(score.low <= score.value <= score.high for score in scores)      # type: ignore[operator]


def test_the_auc_is_scikit_learns() -> None:
    """The area of a classifier that tells the sides apart is 1 and of equal sides about one half."""
    values = np.random.default_rng(0).normal(size=(400, 2))
    assert classifier_auc(values[:200], values[200:] + 9, [False] * 2)[0] == pytest.approx(1, abs=0.01)
    assert classifier_auc(values[:200], values[200:], [False] * 2)[0] == pytest.approx(0.5, abs=0.1)


def test_columns_of_an_embedding_are_not_judged_alone() -> None:
    """Only the other columns are left to be judged one by one."""
    roles = replace(ROLES, features={**ROLES.features, "age": "numerical"})
    assert list(one_by_one(roles, DriftSection(embeddings={"text": "e*"})).features) == ["age"]
