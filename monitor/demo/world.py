"""The demo's data and models: hourly bike rentals, and models that predict them.

A model is fitted on the rows labelled by some moment; it has no feature that shows that demand grows.
"""

from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FEATURES = ("season", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed")
# Windows of 14 days are counted from Monday 1970-01-05: models change where a window ends.
OPENED = datetime(2011, 6, 13, tzinfo=UTC)    # the service begins to predict; the reference is before this
CLOSED = datetime(2012, 12, 24, tzinfo=UTC)
FIRST_FIT = datetime(2011, 4, 1, tzinfo=UTC)  # the first model has seen the rows before
HELD_OUT = timedelta(weeks=9)                 # length of a later model's reference, held out from fitting

_UTC = pa.timestamp("us", "UTC")


def rentals() -> pa.Table:
    """Return every hour of 2011 and 2012: features, the number of rentals, and when it became known."""
    with as_file(files("monitor.demo") / "data" / "bike_sharing.parquet") as path:
        table = pq.read_table(path, page_checksum_verification=True)
    for name in ("timestamp", "label_timestamp"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(_UTC))
    return table


def between(table: pa.Table, start: datetime, end: datetime) -> pa.Table:
    """Return the rows of [start, end)."""
    at = table["timestamp"]
    return table.filter(pc.and_(pc.greater_equal(at, pa.scalar(start, _UTC)), pc.less(at, pa.scalar(end, _UTC))))


def labelled_by(table: pa.Table, moment: datetime) -> pa.Table:
    """Return the rows whose label was known at `moment`."""
    return table.filter(pc.less_equal(table["label_timestamp"], pa.scalar(moment, _UTC)))


def fit(rows: pa.Table) -> Any:
    """Fit the demo's model: gradient boosting with a fixed seed."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=0).fit(_matrix(rows), rows["label"].to_numpy())


def predict(model: Any, rows: pa.Table, version: str) -> pa.Table:
    """Return the rows with the model's prediction and version, as in a prediction log."""
    answers = np.round(model.predict(_matrix(rows)), 2) if len(rows) else np.empty(0)
    return rows.append_column("prediction", pa.array(answers)).append_column("model", pa.array([version] * len(rows)))


def rmse(rows: pa.Table) -> float:
    """Return the root mean squared error of predictions against labels."""
    error = rows["prediction"].to_numpy() - rows["label"].to_numpy()
    return float(np.sqrt(np.mean(error**2)))


def write(rows: pa.Table, path: Path) -> None:
    """Write a Parquet file so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(rows, part, write_page_checksum=True)
    part.replace(path)


def append(rows: pa.Table, path: Path) -> None:
    """Add rows to a Parquet file, which is replaced as a whole."""
    write(pa.concat_tables([pq.read_table(path), rows]) if path.exists() else rows, path)


def _matrix(rows: pa.Table) -> Any:
    return np.column_stack([rows[name].cast(pa.float64()).to_numpy() for name in FEATURES])
