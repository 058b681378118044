"""Drift of many columns at once: of all features, or of the columns of one embedding.

`domain_classifier_auc`: how well a classifier tells rows of the window from rows of the reference (as NannyML's
DomainClassifierCalculator; gradient boosting, cross-validated). `pca_reconstruction_error`: how badly the
reference's principal components describe the window (as NannyML's DataReconstructionDriftCalculator). Both are
compared with their values without drift: those of contiguous blocks of the reference with the window's length, each
against the rest of the reference. The threshold is their mean and three standard deviations. The components are not
fitted to the block itself, which would fit too well, so that windows without drift would be called drifted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import FeatureKind, Roles
from monitor.config.sections import DriftSection
from monitor.errors import CannotJudge
from monitor.private import words
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.columns import Category, Floats
from monitor.tables.groups import SEED, draw

MOST_CLASSIFIED = 2000   # rows a side; five folds on fifty features take about two CPU seconds
MOST_PROJECTED = 20_000  # rows a side
WIDEST = 100             # features the classifier reads directly; more are projected first …
PROJECTED = 50           # … onto this many principal components of both sides together
FOLDS = 5
ROUNDS = 50              # trees a fold
MOST_CLASSIFIED_BLOCKS = 6      # of the reference, evenly spread
MOST_PROJECTED_BLOCKS = 10
FEWEST_BLOCKS = 3        # with fewer the value without drift is not known
USUAL_AUC = 0.65         # NannyML's fixed threshold, if the reference has too few blocks
VARIANCE = 0.65          # kept by the principal components, as in NannyML
CATEGORIES = 254         # of a column that the classifier distinguishes, the most frequent ones


def multivariate_scores(
    reference: pa.Table, window: pa.Table, roles: Roles, section: DriftSection, min_rows: int
) -> list[Score]:
    """Score all features together (if `multivariate` is set; column None) and each embedding (column: its name).

    Text features are left out. A group that cannot be judged gives Scores with their reason.
    """
    groups = list(_groups(roles, section))
    if groups and roles.timestamp in reference.column_names:
        reference = reference.take(pc.sort_indices(reference[roles.timestamp]))
    return [score for group in groups for score in _group(*group, reference, window, min_rows)]


def one_by_one(roles: Roles, section: DriftSection) -> Roles:
    """Return the roles without the features of embeddings, which are judged only together."""
    together = {column for glob in section.embeddings.values() for column in embedding_columns(roles, glob)}
    return replace(roles, features={name: kind for name, kind in roles.features.items() if name not in together})


def embedding_columns(roles: Roles, glob: str) -> list[str]:
    """Return the features that a glob of an embedding names."""
    return [name for name in roles.features if fnmatchcase(name, glob)]


def classifier_auc(reference: Floats, window: Floats, categorical: list[bool]) -> tuple[float, float]:
    """Return the cross-validated AUC of telling window rows from reference rows, and its standard error.

    Rows × features, categories as their numbers, NaN where missing. The error is DeLong's (1988).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    sides = (reference, window)
    matrix, truth = np.concatenate(sides), np.repeat([0, 1], [len(side) for side in sides])
    if matrix.shape[1] > WIDEST:
        matrix, categorical = _narrowed(matrix), [False] * PROJECTED
    model = HistGradientBoostingClassifier(
        max_iter=ROUNDS, early_stopping=False, categorical_features=categorical, random_state=SEED
    )
    folds = StratifiedKFold(min(FOLDS, *map(len, sides)), shuffle=True, random_state=SEED)
    chance = cross_val_predict(model, matrix, truth, cv=folds, method="predict_proba")[:, 1]
    return _area(chance[truth == 0], chance[truth == 1])


def reconstruction_errors(reference: pa.Table, window: pa.Table, kinds: dict[str, FeatureKind]) -> Floats:
    """Return the distance of each row of the window from its reconstruction by the reference's principal components.

    Features are scaled to mean 0 and variance 1 of the reference, categories by their share of it, the missing
    at its mean or most frequent category; components keep 65 % of the variance; distances are Euclidean
    (NannyML's definition). At most `MOST_PROJECTED` rows of each side are used. Raises CannotJudge if the
    reference is constant.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    fills = {name: _Fill.of(reference[name], kind) for name, kind in kinds.items()}
    before, now = (_filled(side.take(draw(len(side), MOST_PROJECTED)), fills) for side in (reference, window))
    scaler = StandardScaler().fit(before)
    if not np.any(scaler.var_ > 0):
        raise CannotJudge("every column of the reference is constant")
    components = PCA(VARIANCE, random_state=SEED).fit(scaler.transform(before))
    scaled = scaler.transform(now)
    distances: Floats = np.linalg.norm(scaled - components.inverse_transform(components.transform(scaled)), axis=1)
    return distances


def _groups(roles: Roles, section: DriftSection) -> Iterator[tuple[str | None, dict[str, FeatureKind]]]:
    if section.multivariate:
        alone = one_by_one(roles, section).features
        yield None, {name: kind for name, kind in alone.items() if kind != "text"}
    for name, glob in section.embeddings.items():
        yield name, dict.fromkeys(embedding_columns(roles, glob), "numerical")


def _group(
    name: str | None, kinds: dict[str, FeatureKind], reference: pa.Table, window: pa.Table, min_rows: int
) -> Iterator[Score]:
    measures: dict[str, Callable[..., Score]] = {
        "domain_classifier_auc": _classifier, "pca_reconstruction_error": _reconstruction,
    }
    for metric, measure in measures.items():
        score = Score(metric=metric, column=name, n=window.num_rows)
        if window.num_rows < min_rows:
            reason = f"the window has {window.num_rows} rows, fewer than the {min_rows} required"
            yield replace(score, status=ScoreStatus.INSUFFICIENT, reason=reason)
            continue
        try:
            _check(kinds, reference, window)
            yield measure(score, reference, window, kinds)
        except CannotJudge as error:
            yield replace(score, status=ScoreStatus.FAILED, reason=str(error))
        except Exception as error:  # noqa: BLE001  a library may raise anything; one group must not cost the others
            yield replace(score, status=ScoreStatus.FAILED, reason=words(error)[:300])


def _check(kinds: dict[str, FeatureKind], reference: pa.Table, window: pa.Table) -> None:
    if not kinds:
        raise CannotJudge("there is no such column among the features")
    for table, where in ((reference, "reference"), (window, "window")):
        absent = [name for name in kinds if name not in table.column_names]
        if absent:
            raise CannotJudge(f"the {where} has no column {absent[0]}")


def _classifier(score: Score, reference: pa.Table, window: pa.Table, kinds: dict[str, FeatureKind]) -> Score:
    places = {name: _frequent(reference[name], window[name]) for name, kind in kinds.items() if kind != "numerical"}
    categorical = [name in places for name in kinds]

    def rows(table: pa.Table) -> Floats:
        return _coded(table.take(draw(len(table), MOST_CLASSIFIED)), kinds, places)

    value, error = classifier_auc(rows(reference), rows(window), categorical)
    same = [
        classifier_auc(rows(rest), rows(block), categorical)[0]
        for block, rest in _blocks(reference, len(window), MOST_CLASSIFIED_BLOCKS)
    ]
    score = replace(score, value=value, low=max(0.0, value - 1.96 * error), high=min(1.0, value + 1.96 * error))
    if len(same) < FEWEST_BLOCKS:
        return _judged(score, USUAL_AUC, value > USUAL_AUC, f"{_SHORT}: the usual threshold of {USUAL_AUC}")
    limit = float(np.mean(same) + 3 * np.std(same, ddof=1))
    return _judged(replace(score, reference=float(np.mean(same))), limit, value > limit)


def _reconstruction(score: Score, reference: pa.Table, window: pa.Table, kinds: dict[str, FeatureKind]) -> Score:
    errors = reconstruction_errors(reference, window, kinds)
    value, around = float(errors.mean()), 1.96 * float(errors.std()) / len(errors) ** 0.5
    score = replace(score, value=value, low=max(0.0, value - around), high=value + around)
    blocks = _blocks(reference, len(window), MOST_PROJECTED_BLOCKS)
    same = [float(reconstruction_errors(rest, block, kinds).mean()) for block, rest in blocks]
    if len(same) < FEWEST_BLOCKS:
        return replace(score, reason=f"{_SHORT}: no threshold")
    middle, around = float(np.mean(same)), 3 * float(np.std(same, ddof=1))
    limit = middle - around if value < middle else middle + around
    return _judged(replace(score, reference=middle), limit, abs(value - middle) > around)


_SHORT = f"the reference is shorter than {FEWEST_BLOCKS} windows"


def _judged(score: Score, threshold: float, drifted: bool, reason: str | None = None) -> Score:
    status = ScoreStatus.DRIFTED if drifted else ScoreStatus.OK
    return replace(score, threshold=threshold, status=status, reason=reason)


def _blocks(reference: pa.Table, length: int, most: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield at most `most` contiguous, evenly spread blocks of `length` rows, each with all other rows."""
    starts = np.arange(0, len(reference) - length + 1, length)
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).round().astype(int)]
    for start in starts if len(starts) >= FEWEST_BLOCKS else ():
        rest = pa.concat_tables([reference.slice(0, start), reference.slice(start + length)])
        yield reference.slice(start, length), rest


def _frequent(reference: pa.ChunkedArray, window: pa.ChunkedArray) -> dict[Category, int]:
    """Number the categories of both sides, the most frequent first."""
    totals = columns.counts(reference)
    for key, times in columns.counts(window).items():
        totals[key] = totals.get(key, 0) + times
    ranked = sorted(totals, key=lambda key: (-totals[key], str(key)))[:CATEGORIES]
    return {key: place for place, key in enumerate(ranked)}


def _coded(table: pa.Table, kinds: dict[str, FeatureKind], places: dict[str, dict[Category, int]]) -> Floats:
    """Return rows × features: numbers, or category numbers; NaN for missing values and rare categories."""
    matrix = np.empty((table.num_rows, len(kinds)))
    for at, name in enumerate(kinds):
        if name in places:
            codes = columns.codes(table[name], places[name])
            matrix[:, at] = np.where(codes < 0, np.nan, codes)
        else:
            matrix[:, at] = columns.numeric(table[name])
    return matrix


def _narrowed(matrix: Floats) -> Floats:
    """Project scaled rows onto their principal components, with missing values at the mean."""
    from sklearn.decomposition import PCA
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    components = PCA(min(PROJECTED, len(matrix)), svd_solver="randomized", random_state=SEED)
    steps = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), components)
    projected: Floats = steps.fit_transform(matrix)
    return projected


@dataclass(frozen=True, slots=True)
class _Fill:
    """NannyML's encoding of a column, learned from the reference.

    A category is its share of the reference; a missing value is the mean or the most frequent category.
    """

    shares: dict[Category, float] | None         # None: a column of numbers
    missing: float

    @classmethod
    def of(cls, column: pa.ChunkedArray, kind: FeatureKind) -> "_Fill":
        if kind == "numerical":
            values = columns.present(column)
            return cls(None, float(values.mean(dtype=np.float64)) if len(values) else 0.0)
        counts = columns.counts(column)
        if not counts:
            return cls({}, 0.0)
        # missing values count as the most frequent category (of equals, the first in order)
        first = min(counts, key=lambda key: (-counts[key], str(key)))
        counts[first] += columns.missing(column)
        shares = {key: times / len(column) for key, times in counts.items()}
        return cls(shares, shares[first])

    def values(self, column: pa.ChunkedArray) -> Floats:
        if self.shares is None:
            numbers = columns.numeric(column)
            return np.where(np.isnan(numbers), self.missing, numbers)
        places = {key: place for place, key in enumerate(self.shares)}
        codes = columns.codes(column, places)
        table = np.array([*self.shares.values(), 0.0])       # the last entry, index −1, is for unknown categories
        present = np.asarray(columns.is_present(column).combine_chunks().to_numpy(zero_copy_only=False))
        return np.where(present, table[codes], self.missing)


def _filled(table: pa.Table, fills: dict[str, _Fill]) -> Floats:
    return np.column_stack([fill.values(table[name]) for name, fill in fills.items()])


def _area(zeros: Floats, ones: Floats) -> tuple[float, float]:
    """AUC and its standard error by DeLong's placement values."""
    above = _placed(zeros, ones)                 # for each row of class 1 the share of class 0 below it
    below = 1 - _placed(ones, zeros)             # for each row of class 0 the share of class 1 above it
    variance = above.var(ddof=1) / len(ones) + below.var(ddof=1) / len(zeros)
    return float(above.mean()), float(np.sqrt(variance))


def _placed(among: Floats, values: Floats) -> Floats:
    """Return the share of `among` that is smaller than each value; a tie counts half."""
    ordered = np.sort(among)
    places: Floats = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
    return places / len(among)
