"""What the reference says of rows: how likely each label is, and how large each error, given everything known of a row.

Fitted on the reference alone, each of its rows by models that did not see it. Two numbers beside it say how a row's
kind is spread: `odds`, how much more frequent rows like it are in the window than in the reference (a density ratio,
from a classifier that tells the two sides apart; Bickel, Brückner and Scheffer 2009), and `strange`, whether the
reference has next to no rows like it, so that it says nothing of them.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.tables.columns import Floats, Ints, Numbers

FOLDS = 3
STRETCHES = 30           # of rows in order of time; each fold leaves out every third
TREES = 60               # small ones: what is learnt of a few thousand rows must not be their noise
LEAVES = 8
FEWEST_IN_LEAF = 20
BINS = 10                # of a column, to see whether the label has anything to do with it
MOST_ODDS = 20.0         # a row that much more frequent in the window is strange; one's weight is never larger
SEED = 0
KEPT = 4                 # references of which what was learnt stays in memory

_Learnt = tuple[Floats, list[list[Any]]]      # what is expected of the reference's rows, and the models of each fold
_known: OrderedDict[bytes, _Learnt] = OrderedDict()


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Rows × columns of both sides, the model's own answer among the columns; `categorical` of each column."""

    reference: Floats
    window: Floats
    categorical: list[bool]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Of the rows of each side: `log_odds` of being of the window; `odds` of the reference's; `strange` window rows."""

    reference: Floats
    window: Floats
    odds: Floats
    strange: Numbers


def chances(sides: Sides, truth: Ints, classes: int) -> tuple[Floats, Floats]:
    """Return the probability of each class (rows × classes) of the reference's rows and of the window's."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def learnt() -> _Learnt:
        before, models = np.zeros((len(truth), classes)), []
        for known, left in _folds(len(truth)):
            model = HistGradientBoostingClassifier(**_options(sides, len(known)))
            models.append([model.fit(sides.reference[known], truth[known])])
            before[np.ix_(left, model.classes_)] = model.predict_proba(sides.reference[left])
        return before, models

    before, models = _once(learnt, sides, truth, classes)
    now = np.zeros((len(sides.window), classes))
    for [model] in models:
        now[:, model.classes_] += model.predict_proba(sides.window) / FOLDS
    return before, now


def means(sides: Sides, values: Floats) -> tuple[Floats, Floats]:
    """Return the expected `values` (rows × numbers) of the reference's rows and of the window's."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    def learnt() -> _Learnt:
        before, models = np.zeros_like(values), []
        for known, left in _folds(len(values)):
            kinds = [HistGradientBoostingRegressor(**_options(sides, len(known))) for _ in values.T]
            models.append([one.fit(sides.reference[known], value[known])
                           for one, value in zip(kinds, values.T, strict=True)])
            before[left] = np.column_stack([one.predict(sides.reference[left]) for one in models[-1]])
        return before, models

    before, models = _once(learnt, sides, values, values.shape[1])
    now = sum(np.column_stack([one.predict(sides.window) for one in fold]) for fold in models) / FOLDS
    return before, np.asarray(now)


def _once(learnt: Callable[[], _Learnt], sides: Sides, values: Floats | Ints, width: int) -> _Learnt:
    """What was learnt of these rows of a reference, `width` numbers of each; of the newest few it is known."""
    told = hashlib.blake2b(repr((sides.categorical, sides.reference.shape, str(values.dtype), width)).encode())
    for array in (sides.reference, values):
        told.update(np.ascontiguousarray(array).data)
    key = told.digest()
    if key not in _known:
        _known[key] = learnt()
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return _known[key]


def spread(sides: Sides, relevant: Numbers) -> Spread:
    """Tell the sides apart by the `relevant` columns (a mask): columns that have nothing to do with the label do not
    matter for it, however far they moved.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    reference, window = sides.reference[:, relevant], sides.window[:, relevant]
    kept = Sides(reference, window, [c for c, r in zip(sides.categorical, relevant, strict=True) if r])
    before, now = np.zeros(len(reference)), np.zeros(len(window))
    for (learnt, left), (also, out) in zip(_folds(len(reference)), _folds(len(window)), strict=True):
        model = HistGradientBoostingClassifier(**_options(kept, len(learnt) + len(also)))
        model.fit(np.concatenate([reference[learnt], window[also]]), np.repeat([0, 1], [len(learnt), len(also)]))
        level = np.log(len(also) / len(learnt))
        before[left], now[out] = (model.decision_function(rows) - level for rows in (reference[left], window[out]))
    odds = np.exp(np.clip(before, -np.log(MOST_ODDS), np.log(MOST_ODDS)))
    return Spread(before, now, odds, now > np.log(MOST_ODDS))


def edges_of(usual: Floats) -> Floats:
    """Return the edges between the tenths of usual values, without repetitions."""
    there = usual[~np.isnan(usual)]
    return np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1])) if len(there) else np.empty(0)


def binned(values: Floats, usual: Floats, categorical: bool) -> Ints:
    """Return the bin of each value: a tenth of the usual values, or a category; the last one where it is missing."""
    if categorical:
        most = int(np.nanmax(usual, initial=0))
        return np.where(np.isnan(values), most + 1, np.nan_to_num(values)).astype(np.int64)
    edges = edges_of(usual)
    found = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, found).astype(np.int64)


def relevant(sides: Sides, values: Floats) -> Numbers:
    """Return which columns have to do with any of the `values` (rows × numbers of the reference): F test by bins, at
    0.1 % for all together.
    """
    from scipy.special import fdtrc

    found = np.zeros(len(sides.categorical), np.bool_)
    for at, categorical in enumerate(sides.categorical):
        bins = binned(sides.reference[:, at], sides.reference[:, at], categorical)
        counts = np.bincount(bins)
        groups = np.count_nonzero(counts)
        if groups < 2 or len(bins) <= groups:
            continue
        for value in values.T:
            sums = np.bincount(bins, value)[counts > 0] ** 2 / counts[counts > 0]
            between = sums.sum() - value.sum() ** 2 / len(value)
            within = (value**2).sum() - sums.sum()
            f = (between / (groups - 1)) / max(within / (len(value) - groups), 1e-300)
            if fdtrc(groups - 1, len(value) - groups, f) < 0.001 / len(sides.categorical):
                found[at] = True
    return found


def _folds(rows: int) -> Iterator[tuple[Ints, Ints]]:
    """Every row is left out once. Rows that are neighbours in time are alike, so stretches of them are left out."""
    part = np.arange(rows) * STRETCHES // rows % FOLDS
    for fold in range(FOLDS):
        yield np.flatnonzero(part != fold), np.flatnonzero(part == fold)


def _options(sides: Sides, rows: int) -> dict[str, Any]:
    return {
        "max_iter": TREES, "max_leaf_nodes": LEAVES, "min_samples_leaf": max(FEWEST_IN_LEAF, rows // 200),
        "categorical_features": sides.categorical, "early_stopping": False, "random_state": SEED,
    }
