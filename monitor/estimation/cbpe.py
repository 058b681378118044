"""Confidence-based performance estimation: what calibrated probabilities say of a classifier (NannyML 0.13.1, CBPE)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.estimation.fitted import Read, Values, folds
from monitor.performance.formulas import value_of
from monitor.performance.labelled_rows import Answers, unlabelled
from monitor.tables.columns import Floats, Ints


def cbpe(known: Answers, roles: Roles) -> tuple[Read, Values]:
    """Fit on labelled rows in the order of time. Return how a window is read, and the cross-fitted estimates on the
    rows themselves. Raises CannotJudge where the probabilities are none."""
    assert known.chance is not None
    calibrated = _needs_calibration(known.truth, known.chance)
    if not calibrated and (known.chance.min() < 0 or known.chance.max() > 1):
        raise CannotJudge("an estimate needs probabilities between 0 and 1")
    mine = _calibration(known.truth, known.chance) if calibrated else _as_it_is
    across = np.empty(len(known))
    for fold in folds(len(known)):
        rest = np.delete(np.arange(len(known)), fold)
        other = _calibration(known.truth[rest], known.chance[rest]) if calibrated else _as_it_is
        across[fold] = other(known.chance[fold])

    def read(window: pa.Table) -> tuple[int, Values]:
        said = unlabelled(window, roles, known.task, known.classes)
        if said.chance is None:
            raise CannotJudge("an estimate needs a probability column")
        said = said.take(~np.isnan(said.chance))
        if said.chance is None or not len(said):
            raise CannotJudge("no row has both a prediction and a probability")
        return len(said), partial(_on_fractions, said, mine(said.chance))

    return read, partial(_on_fractions, known, across)


def _on_fractions(said: Answers, chance: Floats, name: str) -> float:
    """The metric where each row is positive to the extent of its calibrated chance, and negative to the rest."""
    twice = np.tile(np.arange(len(said)), 2)
    truth = np.repeat(np.array([1, 0]), len(said))
    return value_of(name, replace(said.take(twice), truth=truth, weight=np.concatenate([chance, 1 - chance])))


def _calibration(truth: Ints, chance: Floats) -> Callable[[Floats], Floats]:
    from sklearn.isotonic import IsotonicRegression

    predict: Callable[[Floats], Floats] = IsotonicRegression(out_of_bounds="clip").fit(chance, truth).predict
    return predict


def _as_it_is(chance: Floats) -> Floats:
    return chance


def _needs_calibration(truth: Ints, chance: Floats) -> bool:
    """Whether calibration lowers the expected calibration error on held-out tenths, ten random splits pooled."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedShuffleSplit

    if roc_auc_score(truth, chance) > 0.999:
        return False
    labels, before, after = [], [], []
    splits = StratifiedShuffleSplit(n_splits=10, test_size=0.1, random_state=42)   # NannyML's own
    for train, test in splits.split(chance, truth):
        labels.append(truth[test])
        before.append(chance[test])
        after.append(_calibration(truth[train], chance[train])(chance[test]))
    held = np.concatenate(labels)
    return _calibration_error(held, np.concatenate(before)) > _calibration_error(held, np.concatenate(after))


def _calibration_error(truth: Ints, chance: Floats) -> float:
    """Expected calibration error over ten bins of equally many rows."""
    order = np.argsort(chance)
    bins = np.array_split(order, 10)
    gaps = [abs(float(np.mean(chance[rows]) - np.mean(truth[rows]))) * len(rows) for rows in bins]
    return sum(gaps) / len(truth)
