"""Causes of a loss, planted in real rows.

Rows of the shared sets are shuffled, so that no two parts of them differ. A linear or a boosted model is fitted on one
part, another is the reference, and further ones are weeks of a log, in which a cause is planted or none. Some sets also
get columns that mean nothing, values that are missing everywhere, or numbers that the log holds as text; the labels of
bike_sharing also become four levels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.real_streams import RealRows
from monitor.attribution.loss_parts import Cause

TRAINED, PROBED = 5000, 2000       # rows that the model is fitted on, and by which the columns are told that matter
IDLE = 40                          # columns that mean nothing, where there are any
UNKNOWN = 0.15                     # of the values of each column, where some are missing
LEVELS = "bike_sharing, four levels"


@dataclass(frozen=True)
class Setting:
    """A set of rows, how it is changed throughout, the model, its metric, and rows of the reference and of a week."""

    name: str
    kind: str
    metric: str
    reference: int = 3000
    week: int = 1000
    changed: str = ""               # "idle", "missing", "text" or "private"

    @property
    def task(self) -> str:
        return {"bike_sharing": "regression", LEVELS: "multiclass"}.get(self.name, "binary")

    def __str__(self) -> str:
        return f"{self.name}, {self.kind}, {self.metric}, {self.week} rows{self.changed and f', {self.changed}'}"


SETTINGS = (
    Setting("flights_nyc13", "boosting", "roc_auc"),
    Setting("bike_sharing", "boosting", "rmse", changed="private"),
    Setting("car_loan", "linear", "accuracy", changed="idle"),
    Setting(LEVELS, "boosting", "accuracy"),
    Setting("elec2", "linear", "roc_auc", week=336, reference=1500),
    Setting("flights_nyc13", "linear", "log_loss", week=5000, reference=8000),
    Setting("bike_sharing", "linear", "mae", week=300, reference=1500, changed="missing"),
    Setting("elec2", "boosting", "log_loss", changed="text"),
    Setting(LEVELS, "linear", "f1", changed="missing"),
    Setting("car_loan", "boosting", "f1", week=400, reference=2000),
    Setting("bike_sharing", "boosting", "r2", changed="idle"),
    Setting("flights_nyc13", "boosting", "brier", changed="missing"),
)


class World:
    """The shuffled rows of a setting and its fitted model; columns told by how much the model needs them."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.chance = setting, np.random.default_rng([seed, 7])
        rows = _changed(_rows(setting.name), setting.changed, self.chance)
        rows = rows.iloc[self.chance.permutation(len(rows))].reset_index(drop=True)
        ends = np.cumsum([TRAINED, PROBED, setting.reference])
        trained, self.probed, self.usual, self.rest = (
            rows.iloc[low:high] for low, high in pairwise([0, *ends, len(rows)]))
        self.features = [str(name) for name in rows if name != "label"]
        source = RealRows(setting.name, rows.assign(timestamp=pd.Timestamp(0)), pd.Timestamp(0), 0, 0)
        self.model = source.pipeline(setting.kind, trained)

    def drawn(self, weight: np.ndarray | None = None) -> pd.DataFrame:
        """A week of rows, each as likely as its weight."""
        likely = None if weight is None else weight / weight.sum()
        places = self.chance.choice(len(self.rest), self.setting.week, replace=False, p=likely)
        return self.rest.iloc[places].reset_index(drop=True)

    def predicted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What a service would log."""
        seen = rows[self.features]
        if self.setting.task != "binary":
            return rows.assign(prediction=self.model.predict(seen))
        chance = self.model.predict_proba(seen)[:, 1]
        return rows.assign(prediction=(chance >= 0.5).astype(int), prediction_proba=chance)

    def losses(self, rows: pd.DataFrame) -> np.ndarray:
        """Of each row: the square of the error, or 1 less the probability of the label."""
        if self.setting.task == "regression":
            return np.asarray((self.model.predict(rows[self.features]) - rows["label"]) ** 2)
        chances = self.model.predict_proba(rows[self.features])
        places = np.searchsorted(self.model.classes_, rows["label"])
        return np.asarray(1 - chances[np.arange(len(rows)), places])

    @cached_property
    def needed(self) -> list[str]:
        """The columns, that one first of which the model's losses rise most where its values are shuffled."""
        usual = self.losses(self.probed).mean()

        def harm(name: str) -> float:
            mixed = self.probed[name].sample(frac=1, random_state=0).to_numpy()
            return float(usual - self.losses(self.probed.assign(**{name: mixed})).mean())

        return sorted((name for name in self.features if not name.startswith("idle")), key=harm)

    @cached_property
    def numbers(self) -> list[str]:
        return [name for name in self.needed if pd.api.types.is_numeric_dtype(self.rest[name])
                and self.rest[name].nunique() > 10]

    @cached_property
    def words(self) -> list[str]:
        return [name for name in self.needed if name not in self.numbers and self.rest[name].nunique() > 1]

    @cached_property
    def hard(self) -> np.ndarray:
        """How large the loss of each of the other rows is expected to be, by its features alone."""
        numbers = [name for name in self.features if pd.api.types.is_numeric_dtype(self.rest[name])]
        told = HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=8, random_state=0)
        told.fit(self.probed[numbers], self.losses(self.probed))
        ranks = np.argsort(np.argsort(told.predict(self.rest[numbers]))) / len(self.rest)
        return np.asarray(ranks)

    def other_labels(self, rows: pd.DataFrame, where: np.ndarray, size: float = 1.0) -> pd.DataFrame:
        """Another relation: classes turned round, quantities multiplied, in these rows, of a share of them `size`."""
        told = rows["label"].to_numpy().copy()
        if self.setting.task == "regression":
            told = np.where(where, told * (1 + size), told)
        else:
            classes = np.asarray(self.model.classes_)
            turned = classes[(np.searchsorted(classes, told) + 1) % len(classes)]
            told = np.where(where & (self.chance.random(len(told)) < size), turned, told)
        return rows.assign(label=told)


# What is planted

Plant = Callable[[World], pd.DataFrame]


def _nothing(world: World) -> pd.DataFrame:
    return world.drawn()


def _harder(world: World) -> pd.DataFrame:
    return world.drawn(np.exp(4 * world.hard))


def _shares(world: World) -> pd.DataFrame:
    """A class, or the upper half of the quantities, is five times as frequent."""
    label = world.rest["label"]
    often = label > label.median() if world.setting.task == "regression" else label == world.model.classes_[-1]
    return world.drawn(np.where(often, 5.0, 1.0))


def _relation(world: World) -> pd.DataFrame:
    rows, name = world.drawn(), world.numbers[0]
    return world.other_labels(rows, (rows[name] > world.rest[name].median()).to_numpy(), 0.5)


def _segment(world: World, share: float) -> pd.DataFrame:
    """In the category whose share is nearest to this."""
    rows = world.drawn()
    found = [(abs(part - share), name, value) for name in world.words
             for value, part in world.rest[name].value_counts(normalize=True).items()]
    _, name, value = min(found, key=lambda one: one[0])
    return world.other_labels(rows, (rows[name] == value).to_numpy())


def _null(world: World, name: str, share: float = 0.5) -> pd.DataFrame:
    rows = world.drawn()
    return rows.assign(**{name: rows[name].astype(object).mask(world.chance.random(len(rows)) < share, None)
                          if name in world.words and not pd.api.types.is_numeric_dtype(rows[name])
                          else rows[name].mask(world.chance.random(len(rows)) < share)})


def _times(world: World, factor: float) -> pd.DataFrame:
    rows, name = world.drawn(), world.numbers[0]
    return rows.assign(**{name: rows[name] * factor})


def _stuck(world: World) -> pd.DataFrame:
    rows, name = world.drawn(), world.numbers[0]
    return rows.assign(**{name: rows[name].iloc[0]})


def _two_broken(world: World) -> pd.DataFrame:
    rows, name = _null(world, world.numbers[0], 0.4), world.numbers[1]
    return rows.assign(**{name: rows[name].mask(world.chance.random(len(rows)) < 0.4)})


def _broken_and_relation(world: World) -> pd.DataFrame:
    rows = _relation(world)
    name = world.numbers[0]
    return rows.assign(**{name: rows[name].mask(world.chance.random(len(rows)) < 0.4)})


def _harder_and_segment(world: World) -> pd.DataFrame:
    rows = _harder(world)
    name = world.numbers[0]
    return world.other_labels(rows, (rows[name] > world.rest[name].median()).to_numpy(), 0.5)


PLANTED: dict[str, tuple[Plant, frozenset[Cause]]] = {
    "nothing": (_nothing, frozenset()),
    "inputs: hard rows more frequent": (_harder, frozenset({Cause.INPUTS})),
    "labels: other shares": (_shares, frozenset({Cause.LABELS})),
    "relation: in half of the rows": (_relation, frozenset({Cause.RELATION})),
    "relation: in a group, a third of the rows": (lambda w: _segment(w, 0.33), frozenset({Cause.RELATION})),
    "relation: in a small group": (lambda w: _segment(w, 0.08), frozenset({Cause.RELATION})),
    "broken: half of a column missing": (lambda w: _null(w, w.numbers[0]), frozenset({Cause.BROKEN})),
    "broken: a category missing": (lambda w: _null(w, w.words[0]), frozenset({Cause.BROKEN})),
    "broken: a column times 1,000": (lambda w: _times(w, 1000), frozenset({Cause.BROKEN})),
    "broken: a column times 2.54": (lambda w: _times(w, 2.54), frozenset({Cause.BROKEN})),
    "broken: a column stuck": (_stuck, frozenset({Cause.BROKEN})),
    "two columns broken": (_two_broken, frozenset({Cause.BROKEN})),
    "broken and relation": (_broken_and_relation, frozenset({Cause.BROKEN, Cause.RELATION})),
    "inputs and relation": (_harder_and_segment, frozenset({Cause.INPUTS, Cause.RELATION})),
}


# Their rows

@cache
def _rows(name: str) -> pd.DataFrame:
    """Features and label of all labelled rows."""
    source = RealRows.read(name.split(",")[0])
    rows = source.rows[[*source.features, "label"]].dropna(subset=["label"])
    if name == LEVELS:
        levels = pd.qcut(rows["label"], 4, labels=["a", "b", "c", "d"])
        return rows.assign(label=levels.astype(str))
    return rows if source.regression else rows.assign(label=rows["label"].astype(int))


def _changed(rows: pd.DataFrame, how: str, chance: np.random.Generator) -> pd.DataFrame:
    if how == "idle":
        return rows.assign(**{f"idle{at}": chance.normal(size=len(rows)) for at in range(IDLE)})
    if how == "missing":
        numbers = [str(name) for name in rows if name != "label" and pd.api.types.is_float_dtype(rows[name])]
        return rows.assign(**{name: rows[name].mask(chance.random(len(rows)) < UNKNOWN) for name in numbers})
    return rows
