"""Probabilities of each class, and confidence in the predicted one, in files that the gate is given."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from monitor.config import ModelSection
from monitor.gate.measured_trial import Measured, measure, trial_of_files

CLASSES, ROWS = ("cat", "dog", "owl"), 900


def model(**given: object) -> ModelSection:
    place = {"source": {"path": "rows.csv"}}
    return ModelSection.model_validate({"name": "m", "predictions": {"path": "rows.csv"}, "reference": place} | given)


def animals(noise: float, seed: int) -> pd.DataFrame:
    """What a model says of the same rows: a class, and the probability of each."""
    chance = np.random.default_rng(1)
    raw = chance.normal(size=(ROWS, 3)) + noise * np.random.default_rng(seed).normal(size=(ROWS, 3))
    share = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    said = pd.DataFrame({f"p_{name}": share[:, at] for at, name in enumerate(CLASSES)})
    return said.assign(id=range(ROWS), prediction=np.array(CLASSES)[share.argmax(axis=1)])


def rows() -> pd.DataFrame:
    chance = np.random.default_rng(1)
    raw = chance.normal(size=(ROWS, 3))
    return pd.DataFrame({
        "id": range(ROWS), "timestamp": pd.date_range(datetime(2024, 3, 1, tzinfo=UTC), periods=ROWS, freq="h"),
        "x": raw[:, 0], "label": np.array(CLASSES)[(raw + chance.gumbel(size=raw.shape)).argmax(axis=1)],
    })


def measured(folder: Path, data: pd.DataFrame, champion: pd.DataFrame | None, candidate: pd.DataFrame) -> Measured:
    data.to_csv(folder / "rows.csv", index=False)
    candidate.sample(frac=1, random_state=0).to_csv(folder / "candidate.csv", index=False)
    if champion is not None:
        champion.to_csv(folder / "champion.csv", index=False)
    first = folder / "champion.csv" if champion is not None else None
    metric = {"metric": "log_loss", "timezone": ZoneInfo("UTC")}
    return measure(trial_of_files(model(**metric), folder / "rows.csv", first, folder / "candidate.csv", None))


@pytest.mark.parametrize("apart", [True, False], ids=["a file of the champion", "the champion's in the rows"])
def test_the_gate_of_a_multiclass_model_uses_the_probability_of_each_class(tmp_path: Path, apart: bool) -> None:
    """Log loss and ROC AUC of both sides are those of scikit-learn, whatever the order of the candidate's rows."""
    data, champion, candidate = rows(), animals(0.8, 2), animals(0.2, 3)
    given = data if apart else data.merge(champion, on="id")
    found = measured(tmp_path, given, champion if apart else None, candidate)
    assert (found.overall.low or 0) > 0
    values = {score.metric: score for score in found.performance if score.segment is None}
    for side, said in (("value", candidate), ("reference", champion)):
        chances = said[[f"p_{name}" for name in CLASSES]].to_numpy()
        expected = sk.log_loss(data["label"], chances)
        assert getattr(values["log_loss"], side) == pytest.approx(expected)
        area = sk.roc_auc_score(data["label"], chances, multi_class="ovr")
        assert getattr(values["roc_auc"], side) == pytest.approx(area)


def test_each_sides_probability_is_read_by_its_own_evidence(tmp_path: Path) -> None:
    """A champion that logs its confidence in the predicted class, and a candidate that gives P(positive)."""
    chance = np.random.default_rng(5)
    share = chance.random(ROWS)
    data = rows().assign(label=(chance.random(ROWS) < share).astype(int), prediction=(share > 0.5).astype(int))
    data["probability"] = np.maximum(share, 1 - share)
    candidate = pd.DataFrame({"id": data["id"], "prediction": data["prediction"], "probability": share})
    found = measured(tmp_path, data, None, candidate)
    loss = next(score for score in found.performance if score.metric == "log_loss" and score.segment is None)
    assert (loss.value, loss.reference) == pytest.approx((sk.log_loss(data["label"], share),) * 2)
