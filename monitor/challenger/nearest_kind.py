"""Which kind of challenger is nearest to the model in service: the one that imitates its predictions best."""

import numpy as np
import pyarrow as pa

from monitor.challenger.rehearsal import FEWEST_ROWS, learn
from monitor.config.column_roles import Roles
from monitor.config.sections import ChallengerKind
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task
from monitor.performance.labelled_rows import Answers, answers, classes_of
from monitor.tables.columns import Floats, features_of

IMITATED = 5          # one row in so many is kept apart to see how well the model is imitated
LEAST_CHANCE = 0.001  # for its log odds, so that no forest that is sure counts as infinitely sure
_NUMBERS: Task = "regression"


def nearest_kind(reference: pa.Table, roles: Roles, task: Task) -> ChallengerKind:
    """Return linear where a linear model imitates the model in service better than gradient boosting; else the latter.

    Each learns what the model predicts on four fifths of the reference, and says it of the other rows; labels play no
    part. A challenger of the model's own kind ages as the model does, and gains from new rows what a retrain would.
    """
    try:
        served = answers(reference, roles, task, classes_of([reference], roles, task))
        linear, boosted = (_missed(reference, roles, served, kind) for kind in ("linear", "gradient_boosting"))
    except CannotJudge:
        return "gradient_boosting"
    return "linear" if linear < boosted else "gradient_boosting"


def _missed(reference: pa.Table, roles: Roles, served: Answers, kind: ChallengerKind) -> float:
    """Return how badly the kind imitates the model: a mean square, or a share of rows where there are classes only."""
    rows = reference.take(served.at)
    score = _score(served)
    told, task = (served.predicted, served.task) if score is None else (score, _NUMBERS)
    features, tried = features_of(rows, roles), np.arange(len(served)) % IMITATED == 0
    if not features.names or len(served) < FEWEST_ROWS or len(np.unique(told[~tried])) < 2:
        raise CannotJudge("there is too little to imitate")
    matrix = features.matrix(rows)
    model = learn(kind, task, "rmse", features.categorical, matrix[~tried], told[~tried])
    off = model.predict(matrix[tried]) - told[tried]
    return float(np.mean(off**2 if task == _NUMBERS else off != 0))


def _score(served: Answers) -> Floats | None:
    """Return what a model predicts as one number a row: a quantity, or log odds; None if it names classes only."""
    if served.task == "regression":
        return np.asarray(served.predicted, dtype=float)
    if served.probability is None or not np.isfinite(served.probability).all():
        return None
    if served.ranks_only:
        return served.probability
    chance = np.clip(served.probability, LEAST_CHANCE, 1 - LEAST_CHANCE)
    return np.asarray(np.log(chance / (1 - chance)))
