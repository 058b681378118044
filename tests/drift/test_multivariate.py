"""All features, or an embedding, at once: domain classifier and reconstruction error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.config.sections import DriftSection
from monitor.drift.multivariate import classifier_auc, multivariate_scores, one_by_one, reconstruction_errors
from monitor.errors import CannotJudge
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


def mixed(rows: int, words: list[str | None], seed: int, absent: int = 0) -> pa.Table:
    """A number, of which the first ones are missing, and a word that may be missing."""
    generator = np.random.default_rng(seed)
    numbers = [None] * absent + generator.normal(size=rows - absent).tolist()
    return pa.table({"x": numbers, "word": pa.array(generator.choice(np.array(words, object), rows), pa.string())})


MIXED = replace(ROLES, features={"x": "numerical", "word": "categorical", "said": "text"})


def test_words_count_as_their_share_of_the_reference() -> None:
    """The missing are the most frequent word and the mean number, words never seen have a share of 0 (NannyML's)."""
    reference, window = mixed(400, ["a", "a", "b", None], 1, absent=9), mixed(80, ["a", "new", None], 2, absent=5)
    before, now = reference.to_pandas(), window.to_pandas()
    before["word"] = before["word"].fillna("a")
    shares = before["word"].value_counts(normalize=True)
    encoded = [
        np.column_stack([side["x"].fillna(before["x"].mean()), side["word"].fillna("a").map(shares).fillna(0.0)])
        for side in (before, now)
    ]
    middle, spread = encoded[0].mean(axis=0), encoded[0].std(axis=0)
    scaled = (encoded[1] - middle) / spread
    _, sizes, axes = np.linalg.svd((encoded[0] - middle) / spread, full_matrices=False)
    kept = axes[: np.searchsorted(np.cumsum(sizes**2) / np.sum(sizes**2), 0.65) + 1]
    kinds = {name: kind for name, kind in MIXED.features.items() if kind != "text"}
    wanted = np.linalg.norm(scaled - scaled @ kept.T @ kept, axis=1)
    assert reconstruction_errors(reference, window, kinds) == pytest.approx(wanted, rel=1e-9)


def test_a_reference_of_few_windows_is_held_to_the_usual_threshold() -> None:
    """A word that is new in every row tells the sides apart; texts are left out; the reason says what is held to."""
    reference = mixed(300, ["a", "b"], 1).append_column("said", pa.array(["so"] * 300))
    window = mixed(120, ["new"], 2).append_column("said", pa.array(["so"] * 120))
    found = multivariate_scores(reference, window, MIXED, DriftSection(multivariate=True), 100)
    auc, error = found
    assert [(one.column, one.n) for one in found] == [(None, 120)] * 2
    assert auc.value == pytest.approx(1.0, abs=0.01)
    assert (auc.threshold, auc.status) == (0.65, ScoreStatus.DRIFTED)
    assert auc.reason == "the reference is shorter than 3 windows: the usual threshold of 0.65"
    assert (error.threshold, error.status) == (None, ScoreStatus.OK)
    assert error.reason == "the reference is shorter than 3 windows: no threshold"


def test_wide_embeddings_are_told_apart_too() -> None:
    """More than a hundred columns are projected first; a shift of all of them is found, and none where none is."""
    values = np.random.default_rng(0).normal(size=(300, 120))
    values[0, 0] = np.nan
    assert classifier_auc(values[:150], values[150:] + 1, [False] * 120)[0] > 0.95
    assert classifier_auc(values[:150], values[150:], [False] * 120)[0] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("glob", "change", "status", "said"),
    [
        ("z*", lambda side: side, "failed", "there is no such column among the features"),
        ("e*", lambda side: side.drop_columns(["e3"]), "failed", "the window has no column e3"),
        ("e*", lambda side: side.slice(0, 99), "insufficient", "the window has 99 rows, fewer than the 100 required"),
    ],
)
def test_a_group_that_cannot_be_judged_says_why(glob: str, change: Any, status: str, said: str) -> None:
    """Both numbers of the group have the same sentence and no value."""
    window, section = change(table(150, 1, 2)), DriftSection(embeddings={"text": glob})
    found = multivariate_scores(table(300, 1, 1), window, ROLES, section, 100)
    assert {(one.column, one.status.value, one.reason, one.value) for one in found} == {("text", status, said, None)}


def test_a_reference_that_never_changes_has_no_reconstruction() -> None:
    """One constant column, or one that is missing altogether, is said to be so."""
    for values in ([1.0] * 200, [None] * 200):
        side = pa.table({"x": pa.array(values, pa.float64())})
        with pytest.raises(CannotJudge, match="every column of the reference is constant"):
            reconstruction_errors(side, side, {"x": "numerical"})
    words = pa.table({"word": pa.nulls(200, pa.string())})
    with pytest.raises(CannotJudge, match="every column of the reference is constant"):
        reconstruction_errors(words, words, {"word": "categorical"})
