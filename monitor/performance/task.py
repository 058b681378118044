"""What kind of model this is, told from its labels and predictions."""

from typing import Any

import numpy as np
import pyarrow as pa

from monitor.config.sections import Task
from monitor.errors import CannotJudge
from monitor.tables import columns

MOST_CLASSES = 20   # whole numbers with more distinct values are quantities


def guess_task(labels: pa.ChunkedArray, predictions: pa.ChunkedArray) -> Task:
    """Return the task: regression where labels are quantities, else binary or multiclass.

    Text and booleans are classes. Numbers are quantities where they are no whole numbers, or more than 20
    different ones, or predicted by broken numbers (a share between 0 and 1 excepted: a probability of one of
    two classes). Raises CannotJudge where there is neither a label nor a prediction.
    """
    known = labels if columns.missing(labels) < len(labels) else predictions
    if columns.missing(known) == len(known):
        raise CannotJudge("the task cannot be told: there are no labels and no predictions, set task = …")
    if columns.type_word(known.type) != "number":
        return _classes(len(columns.counts(known)))
    values = np.unique(columns.present(known).astype(np.float64))
    quantities = len(values) > MOST_CLASSES or _broken(values)
    if len(values) <= 2 and not quantities:
        return "regression" if _predicts_quantities(predictions) else "binary"
    return "regression" if quantities or _broken(_numbers(predictions)) else _classes(len(values))


def _classes(distinct: int) -> Task:
    return "binary" if distinct <= 2 else "multiclass"


def _numbers(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    return columns.present(column) if columns.type_word(column.type) == "number" else np.empty(0)


def _predicts_quantities(predictions: pa.ChunkedArray) -> bool:
    values = _numbers(predictions)
    return _broken(values) and not bool(((values >= 0) & (values <= 1)).all())


def _broken(values: np.ndarray[Any, Any]) -> bool:
    return bool((values % 1 != 0).any())
