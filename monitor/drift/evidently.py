"""The only module that imports Evidently: its remaining stat tests, called directly, and its report's metrics.

The stat tests are in Evidently's legacy package, so the version is pinned and a contract test checks it. Telemetry
is turned off before the import: no event is sent.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from monitor import pandas_later
from monitor.config.column_roles import FeatureKind
from monitor.errors import CannotJudge
from monitor.escape import visible
from monitor.metric_catalogue import Task

_SILENT = ("DO_NOT_TRACK", "ITERATIVE_DO_NOT_TRACK")   # read by evidently.telemetry and by its sender
_OF_TESTS = ("tests", "type")                          # endings of field names that are not options

Value = tuple[str, float, float | None]                # its name, its value in the window, its value in the reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The columns with labels and predictions, by the names Evidently has for them; None where there is none."""

    task: Task
    target: str | None
    prediction: str | None = None            # of a regression
    prediction_labels: str | None = None
    prediction_probas: str | None = None
    pos_label: str | None = None             # the positive class, not a column


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Which columns of a table are what, by the names Evidently has for it."""

    numerical_columns: list[str]
    categorical_columns: list[str]
    text_columns: list[str]
    embeddings: dict[str, list[str]] | None
    timestamp: str | None
    answers: Answers | None = None           # None: labels are not read

    @property
    def features(self) -> list[str]:
        return [*self.numerical_columns, *self.categorical_columns, *self.text_columns]


def score(name: str, kind: FeatureKind, reference: Any, window: Any) -> float:
    """Return the number Evidently's stat test `name` gives for two sequences of present values, in row order.

    Raises CannotJudge if it is not finite, and whatever the test raises.
    """
    with _quiet():
        import pandas as pd
        from evidently.legacy.calculations.stattests.registry import get_registered_stattest
        from evidently.legacy.core import ColumnType

        column_type = ColumnType[kind.capitalize()]
        test = get_registered_stattest(name, column_type)
        np.random.seed(0)   # empirical_mmd permutes with NumPy's global generator
        value = float(test(pd.Series(reference), pd.Series(window), column_type, None).drift_score)
    if not np.isfinite(value):
        raise CannotJudge(f"{name} has no finite value here")
    return value


def wrong_option(metric: str, options: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the options of a report metric; None if nothing is."""
    with _quiet():
        import evidently.metrics

        kind = getattr(evidently.metrics, metric)
        known = [name for name in kind.__fields__ if not name.endswith(_OF_TESTS)]
        if unknown := [name for name in options if name not in known]:
            return f'{metric} has no option "{unknown[0]}", expected {" or ".join(known) or "none"}'
        try:
            kind(**options)
        except Exception as error:  # noqa: BLE001  its models raise what they like at construction
            return f"{metric}: {_first(error)}"
    return None


def report(
    metric: str, options: Mapping[str, Any], reference: Any, window: Any, definition: Definition
) -> list[Value]:
    """Run one report metric on two pandas frames.

    Returns every number of its results; the name is empty if there is only one. Nothing is rendered.
    Raises whatever the metric raises.
    """
    with _quiet():
        import evidently.metrics
        from evidently import Dataset, Report
        from evidently.core.report import ReferenceMetricNotFound

        described = _described(definition)
        sides = [Dataset.from_pandas(side, data_definition=described) for side in (window, reference)]
        snapshot = Report([getattr(evidently.metrics, metric)(**options)]).run(*sides)
        shown = snapshot.dict()["metrics"]
        values: list[Value] = []
        for result in shown:
            try:
                reference_values = dict(snapshot.context.get_reference_metric_result(result["id"]).itervalues())
            except ReferenceMetricNotFound:          # a BaseException: the metric has no number of the reference
                reference_values = {}
            title = str(result["metric_name"]) if len(shown) > 1 else ""
            for part, value in snapshot.context.get_metric_result(result["id"]).itervalues():
                name = " ".join(filter(None, (title, str(part))))
                values.append((name, float(value), float(reference_values[part]) if part in reference_values else None))
    return values


def page(reference: Any, window: Any, definition: Definition) -> str:
    """Return the HTML of Evidently's presets on two pandas frames: drift, a summary, with answers performance.

    It holds all it needs. Evidently writes texts into its page as they are: none of them may end a script there.
    Raises whatever a preset raises.
    """
    reference, window = (_harmless(side) for side in (reference, window))
    definition = _renamed(definition)
    with _quiet():
        from evidently import Dataset, Report, presets

        wanted = [presets.DataDriftPreset(), presets.DataSummaryPreset()]
        if definition.answers is not None:
            regression = definition.answers.task == "regression"
            wanted.append(presets.RegressionPreset() if regression else presets.ClassificationPreset())
        described = _described(definition)
        sides = [Dataset.from_pandas(side, data_definition=described) for side in (window, reference)]
        return str(Report(wanted).run(*sides).get_html_str(as_iframe=False))


def _tame(value: Any) -> Any:
    return visible(value).translate({ord("<"): "‹", ord(">"): "›"}) if isinstance(value, str) else value


def _harmless(frame: Any) -> Any:
    """Return the frame with no tag in a name or a text."""
    texts = [name for name, kind in frame.dtypes.items() if not (kind.kind in "biufcmM" or "datetime" in str(kind))]
    return frame.assign(**{name: frame[name].map(_tame) for name in texts}).rename(columns=_tame)


def _renamed(definition: Definition) -> Definition:
    """Return the definition with the names that `_harmless` gives."""
    told = definition.answers
    answers = told and Answers(**{name: _tame(value) for name, value in asdict(told).items()})
    return replace(
        definition, answers=answers, timestamp=_tame(definition.timestamp),
        numerical_columns=[_tame(name) for name in definition.numerical_columns],
        categorical_columns=[_tame(name) for name in definition.categorical_columns],
        text_columns=[_tame(name) for name in definition.text_columns],
    )


def _described(definition: Definition) -> Any:
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification, Regression

    kinds: dict[Task, tuple[str, Any]] = {
        "binary": ("classification", BinaryClassification),
        "multiclass": ("classification", MulticlassClassification),
        "regression": ("regression", Regression),
    }
    columns, answers = asdict(definition), definition.answers
    del columns["answers"]
    if answers is None:
        return DataDefinition(**columns)
    key, kind = kinds[answers.task]
    named = ((name, value) for name, value in asdict(answers).items() if name != "task")
    given = {name: value for name, value in named if value is not None or name == "target"}
    return DataDefinition(**columns, **{key: [kind(**given)]})


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off telemetry and the warnings of SciPy and scikit-learn; with pandas, as Evidently expects it."""
    for variable in _SILENT:
        os.environ[variable] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pandas_later.use()
        yield


def _first(error: Exception) -> str:
    """Return the first problem of a pydantic error, or the error's text."""
    listed = getattr(error, "errors", None)
    if listed is None:
        return str(error)
    first = listed()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
