"""What a rehearsal costs beside the bare fit and the bare answers it cannot do without."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from benchmarks.rows import Asked, Row
from monitor.challenger.rehearsal import fit, gains
from monitor.config.column_roles import Roles

ROWS, COLUMNS, WINDOW = 60_000, 15, 5_000


def rehearsal(asked: Asked) -> list[Row]:
    """Processor seconds of one challenger fitted, and compared with the model in service; and the bound."""
    past, window = _table(asked.rows or ROWS, 0), _table(WINDOW, 1)
    names = [f"x{at}" for at in range(COLUMNS)]
    roles = Roles(
        timestamp="timestamp", id=None, prediction="prediction", probability="prediction_proba", label="label",
        label_timestamp=None, model_version=None, features=dict.fromkeys(names, "numerical"),
    )

    def ours() -> None:
        challenger = fit(past, roles, "binary", "roc_auc", ROWS)
        gains(challenger, challenger, window, roles, "binary", "roc_auc")

    def bare() -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        read = [np.column_stack([table[name].to_numpy() for name in names]) for table in (past, window)]
        model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
        model.fit(read[0], past["label"].to_numpy()).predict_proba(read[1])

    bound, taken = (_seconds(work, asked.runs) for work in (bare, ours))
    return [
        Row(what="HistGradientBoosting, fit and predict", value=bound, ratio=1.0),
        Row(what=f"driftd, {asked.rows or ROWS:,} rows × {COLUMNS}", value=taken, ratio=taken / bound, goal="≤ 5"),
    ]


def _table(rows: int, seed: int) -> pa.Table:
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(rows, COLUMNS))
    label = (values[:, 0] + values[:, 1] * values[:, 2] + chance.normal(size=rows) > 0).astype(np.int64)
    proba = 1 / (1 + np.exp(-values[:, 0]))
    start = datetime(2024, 1, 1, tzinfo=UTC)
    at = pa.array([start + timedelta(seconds=60 * row) for row in range(rows)], pa.timestamp("us", "UTC"))
    said = {"prediction": (proba > 0.5).astype(np.int64), "prediction_proba": proba, "label": label}
    return pa.table({"timestamp": at, **said, **{f"x{at}": values[:, at] for at in range(COLUMNS)}})


def _seconds(work: Callable[[], None], runs: int) -> float:
    work()
    taken = []
    for _ in range(runs):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return statistics.median(taken)
