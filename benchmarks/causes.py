"""Why did a model's performance fall? Planted causes, and how often each is the one that is named.

Rows have eight columns, two of them of categories. Where column 6 is high, labels are hard to foretell. A boosted or a
linear model is fitted on other rows, and knows nothing of what is planted. Only windows whose loss is beyond two
standard errors count, because only there is a cause asked for. Beside it stands what a drift report would say: the
inputs, if any column differs by the Kolmogorov-Smirnov test at 1 % for all together, else the relation.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks.rows import Asked, Row
from monitor.attribution.loss_parts import Cause, Loss, loss_parts
from monitor.attribution.sides import Side
from monitor.cli.terminal import progress
from monitor.performance.labelled_rows import Answers
from monitor.tables.columns import Floats, Numbers

TRAINED, REFERENCE, WINDOW = 6000, 2000, 1000
CATEGORICAL = [False, False, True, True, False, False, False, False]
METRICS = ("roc_auc", "log_loss", "rmse", "mae")
DRAWS, SLOWLY = 4, 25               # of each cause and metric
RIGHT, FALSE = 0.9, 0.05
Label = Callable[[Floats, Floats], Numbers]      # of rows, and of what their labels follow
Planted = tuple[Floats, Numbers]                 # rows as they are logged, and their labels
Plant = Callable[[Label, np.random.Generator], Planted]


def named(asked: Asked) -> list[Row]:
    """Share of windows in which the planted cause is named; first, where nothing was planted, in which any is."""
    draws = SLOWLY if asked.slow else DRAWS
    with progress("causes") as report:
        rows = []
        for at, (what, (plant, right)) in enumerate(PLANTED.items()):
            report(at, len(PLANTED))
            rows.append(_row(what, plant, right, draws))
    return rows


def _row(what: str, plant: Plant, right: Cause | None, draws: int) -> Row:
    hits, beside, windows, spent = 0, 0, 0, 0.0
    for metric in METRICS:
        for draw in range(draws):
            before, now = _sides(metric, plant, np.random.default_rng([draw, len(what)]), boosted=draw % 2 == 0)
            began = time.process_time()
            loss = loss_parts(metric, before, now, CATEGORICAL)
            spent += time.process_time() - began
            if right is not None and not _is_lost(loss):
                continue
            windows += 1
            hits += (loss.main is not None) if right is None else loss.main is not None and loss.main.cause is right
            beside += _drifted(before, now) is (Cause.INPUTS if right is None else right)
    share, other = (count / max(windows, 1) for count in (hits, beside))
    also: dict[str, float | str] = {
        "by a drift report": other, "windows": float(windows), "CPU s": spent / (draws * len(METRICS)),
    }
    goal = f"≤ {FALSE:g}" if right is None else f"≥ {RIGHT:g}"
    return Row(what=what, value=share, ratio=share - other, also=also, goal=goal)


def _is_lost(loss: Loss) -> bool:
    return loss.value > 2 * max((part.high - part.low) / 3.92 for part in loss.parts)


def _drifted(before: Side, now: Side) -> Cause:
    """What a drift report would be read as."""
    columns = before.matrix.shape[1]
    p = min(ks_2samp(before.matrix[:, at], now.matrix[:, at], nan_policy="omit").pvalue for at in range(columns))
    return Cause.INPUTS if p < 0.01 / columns else Cause.RELATION


# What is planted

def _rows(count: int, chance: np.random.Generator) -> Floats:
    x: Floats = chance.normal(size=(count, len(CATEGORICAL)))
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    x[:, 2], x[:, 3] = chance.integers(0, 4, count), chance.integers(0, 3, count)
    return x


def _follows(x: Floats) -> Floats:
    """What labels follow: half of the logit of a class, or of a quantity."""
    kinds = 0.8 * (x[:, 2] == 1) - 0.8 * (x[:, 3] == 2)
    z: Floats = 1.6 * x[:, 0] - x[:, 1] + kinds + 0.7 * x[:, 4] * (x[:, 5] > 0) - 0.6
    return z


def _usual(label: Label, chance: np.random.Generator) -> Planted:
    x = _rows(WINDOW, chance)
    return x, label(x, _follows(x))


def _harder(label: Label, chance: np.random.Generator) -> Planted:
    x = _rows(WINDOW, chance)
    x[:, 6] += 1
    return x, label(x, _follows(x))


def _mixed(label: Label, chance: np.random.Generator) -> Planted:
    """Hard rows are four times as frequent, and those of a category twice."""
    x = _rows(8 * WINDOW, chance)
    likely = np.where(x[:, 6] > 0.7, 1.0, 0.25) * np.where(x[:, 2] == 3, 1.0, 0.5)
    x = x[chance.random(len(x)) < likely][:WINDOW]
    return x, label(x, _follows(x))


def _other_shares(label: Label, chance: np.random.Generator) -> Planted:
    """Seven of ten labels are positive, or above 1."""
    x = _rows(8 * WINDOW, chance)
    labels = label(x, _follows(x))
    high = labels >= 1
    many = WINDOW * 7 // 10
    rows = [chance.choice(np.flatnonzero(high), many, replace=False),
            chance.choice(np.flatnonzero(~high), WINDOW - many, replace=False)]
    drawn = chance.permutation(np.concatenate(rows))
    return x[drawn], labels[drawn]


def _steeper(label: Label, chance: np.random.Generator) -> Planted:
    """A column that means nothing has moved besides."""
    x = _rows(WINDOW, chance)
    labels = label(x, _follows(x) - 1.2 * x[:, 0])
    x[:, 7] += 3
    return x, labels


def _higher(label: Label, chance: np.random.Generator) -> Planted:
    x = _rows(WINDOW, chance)
    return x, label(x, _follows(x) + 1.2)


def _group(label: Label, chance: np.random.Generator) -> Planted:
    x = _rows(WINDOW, chance)
    return x, label(x, np.where(x[:, 2] == 1, -1, 1) * _follows(x))


def _missing(label: Label, chance: np.random.Generator) -> Planted:
    x, labels = _usual(label, chance)
    x[chance.random(WINDOW) < 0.5, 0] = np.nan
    return x, labels


def _stuck(label: Label, chance: np.random.Generator) -> Planted:
    x, labels = _usual(label, chance)
    x[:, 0] = 0
    return x, labels


def _other_unit(label: Label, chance: np.random.Generator) -> Planted:
    x, labels = _usual(label, chance)
    x[chance.random(WINDOW) < 0.4, 0] *= 1000
    return x, labels


PLANTED: dict[str, tuple[Plant, Cause | None]] = {
    "nothing": (_usual, None),
    "inputs: all rows harder": (_harder, Cause.INPUTS),
    "inputs: hard rows more frequent": (_mixed, Cause.INPUTS),
    "labels: other shares": (_other_shares, Cause.LABELS),
    "relation: a column counts less, an idle one moves": (_steeper, Cause.RELATION),
    "relation: every label higher": (_higher, Cause.RELATION),
    "relation: turned round in one group": (_group, Cause.RELATION),
    "broken: half of a column missing": (_missing, Cause.BROKEN),
    "broken: a column stuck": (_stuck, Cause.BROKEN),
    "broken: part of a column in another unit": (_other_unit, Cause.BROKEN),
}


# Both sides

def _sides(metric: str, plant: Plant, chance: np.random.Generator, *, boosted: bool) -> tuple[Side, Side]:
    quantities = metric in ("rmse", "mae")

    def label(x: Floats, z: Floats) -> Numbers:
        hard = x[:, 6] > 0.7
        if quantities:
            values: Floats = 2 * z + np.where(hard, 2.5, 0.7) * chance.normal(size=len(x))
            return values
        return (chance.random(len(x)) < 1 / (1 + np.exp(-2 * z * np.where(hard, 0.15, 1.0)))).astype(np.int64)

    trained, usual = _rows(TRAINED, chance), _rows(REFERENCE, chance)
    model = _model(quantities=quantities, boosted=boosted).fit(trained, label(trained, _follows(trained)))
    before = _side(model, usual, label(usual, _follows(usual)), quantities=quantities)
    return before, _side(model, *plant(label, chance), quantities=quantities)


def _model(*, quantities: bool, boosted: bool) -> Any:
    if boosted:
        return (HistGradientBoostingRegressor if quantities else HistGradientBoostingClassifier)(max_iter=60)
    return make_pipeline(SimpleImputer(), LinearRegression() if quantities else LogisticRegression(max_iter=500))


def _side(model: Any, seen: Floats, labels: Numbers, *, quantities: bool) -> Side:
    at = np.arange(len(seen))
    if quantities:
        return Side(Answers("regression", (), labels, model.predict(seen), at), seen)
    probability = model.predict_proba(seen)[:, 1]
    predicted = (probability >= 0.5).astype(np.int64)
    return Side(Answers("binary", ("0", "1"), labels, predicted, at, probability), seen)
