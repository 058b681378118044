"""Does driftd pay end to end on real rows? As `end_to_end.py`, on the shared sets, with models that are really fitted.

Weeks begin on a Monday. A retrain fits on the newest 60,000 rows labelled by then. Its reference is the newest of
these weeks, as many as the shipped model had, predicted by a model of its kind that was fitted on the rows before.
car_loan has no rows to train on, so the older half of its reference counts as such.
Two kinds of model: linear (scaled, one-hot), and boosted trees.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.rows import Absent
from benchmarks.streams import Stream

FOLDER = (Path(__file__).resolve().parents[1] / "../shared/data").resolve()
SETS, KINDS = ("bike_sharing", "elec2", "flights_nyc13", "car_loan"), ("linear", "boosting")
WEEK, MOST_ROWS, FEWEST_ROWS = pd.Timedelta(weeks=1), 60_000, 50
Predicts = Callable[[pd.DataFrame], np.ndarray]
NO_FEATURES = ("timestamp", "label_timestamp", "prediction_id", "prediction", "prediction_proba", "label")


@dataclass(frozen=True)
class RealRows:
    """The rows of a shared set in the order of time, and the Monday on which its model goes into service."""

    name: str
    rows: pd.DataFrame
    start: pd.Timestamp
    weeks: int
    reference_weeks: int

    @classmethod
    def read(cls, name: str) -> "RealRows":
        """Raises Absent where the shared data are not there."""
        if not FOLDER.is_dir():
            raise Absent("../shared/data is not here")
        files = [FOLDER / name / f"{part}.parquet" for part in ("train", "reference", "production")]
        *earlier, before, log = [pd.read_parquet(file) for file in files if file.exists()]
        start = pd.Timestamp(log["timestamp"].min()).normalize()
        start += pd.Timedelta(days=-start.weekday() % 7)
        since = pd.Timestamp(before["timestamp"].min() if earlier else before["timestamp"].median())
        reference = round((start - since) / WEEK)
        rows = pd.concat([*earlier, before, log]).sort_values("timestamp", kind="stable").reset_index(drop=True)
        if "label_timestamp" not in rows:
            rows["label_timestamp"] = pd.NaT
        missing = rows["label_timestamp"].isna() & rows["label"].notna()    # of the rows before the reference
        rows.loc[missing, "label_timestamp"] = rows.loc[missing, "timestamp"] + pd.Timedelta(days=1)
        rows.loc[rows["label_timestamp"].isna(), "label"] = np.nan
        weeks = int((rows["timestamp"].max() - start) / WEEK)
        return cls(name, rows, start, weeks, reference)

    @property
    def regression(self) -> bool:
        return self.name == "bike_sharing"

    @property
    def metric(self) -> str:
        return "rmse" if self.regression else "roc_auc"

    @cached_property
    def features(self) -> list[str]:
        return [str(one) for one in self.rows if one not in NO_FEATURES]

    def of(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Return the rows of a stretch of time."""
        moments = self.rows["timestamp"]
        return self.rows[(moments >= start) & (moments < end)]

    def week(self, at: int) -> pd.DataFrame:
        return self.of(self.start + at * WEEK, self.start + (at + 1) * WEEK)

    def labelled(self, row: int) -> pd.DataFrame:
        """Return what the model of that row of the scores may know: row t + 1 is fitted at the end of window t."""
        now = self.start + row * WEEK
        return self.rows[(self.rows["label_timestamp"] <= now) & (self.rows["timestamp"] < now)]

    def fit(self, kind: str, rows: pd.DataFrame) -> Predicts:
        """Return what predicts: a number, or the probability of the class 1."""
        fitted = self.pipeline(kind, rows.iloc[-MOST_ROWS:])
        if self.regression:
            return lambda asked: np.asarray(fitted.predict(asked[self.features]))
        return lambda asked: np.asarray(fitted.predict_proba(asked[self.features])[:, 1])

    def pipeline(self, kind: str, rows: pd.DataFrame) -> Pipeline:
        """Return a fitted model of the kind, which reads rows with the features."""
        words = [one for one in self.features if not pd.api.types.is_numeric_dtype(rows[one])]
        numbers = [one for one in self.features if one not in words]
        if kind == "linear":
            columns = make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore", min_frequency=20), words),
                (make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers),
            )
            model = Ridge() if self.regression else LogisticRegression(max_iter=300)
        else:
            unknown = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan}
            columns = make_column_transformer((OrdinalEncoder(**unknown), words), remainder="passthrough")
            boosted = HistGradientBoostingRegressor if self.regression else HistGradientBoostingClassifier
            model = boosted(max_iter=60, max_leaf_nodes=15, random_state=0)
        return make_pipeline(columns, model).fit(rows[self.features], rows["label"])

    def score(self, rows: pd.DataFrame, predicted: np.ndarray) -> float:
        """Higher is better."""
        known = rows["label"].notna().to_numpy()
        if self.regression:
            return -float(root_mean_squared_error(rows["label"][known], predicted[known]))
        return float(roc_auc_score(rows["label"][known], predicted[known]))


class Real:
    """One kind of model on one set: the scores of every retrain, and the files that a service would write."""

    def __init__(self, name: str, kind: str) -> None:
        self.rows, self.kind = RealRows.read(name), kind
        self.start, self.weeks = self.rows.start.to_pydatetime().replace(tzinfo=UTC), self.rows.weeks
        self.settings: Mapping[str, object] = {
            "task": "regression" if self.rows.regression else "binary", "metric": self.rows.metric,
            "delay": 2, "max_rows": MOST_ROWS,
        }
        self._models: dict[int, Predicts] = {}

    def again(self) -> "Real":
        """Return this, whose models are fitted already."""
        return self

    def refer(self, path: Path, row: int) -> None:
        self._reference(row).to_parquet(path)

    def write(self, path: Path, week: int, row: int) -> None:
        self._predicted(self.rows.week(week), self._model(row)).to_parquet(path)

    def _model(self, row: int) -> Predicts:
        if row not in self._models:
            self._models[row] = self.rows.fit(self.kind, self.rows.labelled(row))
        return self._models[row]

    def _reference(self, row: int) -> pd.DataFrame:
        """The newest labelled weeks, predicted out of sample."""
        known = self.rows.labelled(row)
        since = known["timestamp"].max() - self.rows.reference_weeks * WEEK
        before, newest = known[known["timestamp"] < since], known[known["timestamp"] >= since]
        return self._predicted(newest, self.rows.fit(self.kind, before))

    def _predicted(self, rows: pd.DataFrame, model: Predicts) -> pd.DataFrame:
        told = model(rows)
        kept = rows[["prediction_id", "timestamp", "label_timestamp", *self.rows.features, "label"]]
        if self.rows.regression:
            return kept.assign(prediction=told)
        return kept.assign(prediction=(told >= 0.5).astype(int), prediction_proba=told)

    @cached_property
    def stream(self) -> Stream:
        """The score of each retrain's model on each week; a week is known once 99 % of its labels that come are."""
        weeks = [self.rows.week(at) for at in range(self.weeks)]
        scores = np.array([
            [self.rows.score(week, self._model(row)(week)) for week in weeks] for row in range(self.weeks + 1)
        ])
        reference = self._reference(0)
        told = "prediction" if self.rows.regression else "prediction_proba"
        cut = (reference["timestamp"] - reference["timestamp"].min()) // WEEK
        parts = [part for _, part in reference.groupby(cut) if len(part) >= FEWEST_ROWS]
        usual = np.array([self.rows.score(part, part[told].to_numpy()) for part in parts])
        sd = float(usual.std(ddof=1))
        ends = [self.rows.start + (at + 1) * WEEK for at in range(self.weeks)]
        known = [next((now for now in range(at, self.weeks) if _share(week, ends[now]) >= 0.99), self.weeks)
                 for at, week in enumerate(weeks)]
        return Stream(scores / sd, np.maximum.accumulate(known), name=f"{self.rows.name}, {self.kind}",
                      family=self.rows.name, usual=float(usual.mean()) / sd, sd=sd)


def _share(week: pd.DataFrame, now: pd.Timestamp) -> float:
    """Of the labels that come, those that are known now."""
    return float((week["label_timestamp"].dropna() <= now).mean())
