"""Evidently: its stat tests called directly on pandas columns, the quickest way to its numbers, and its preset."""

import os
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests.registry import get_registered_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset
from runner import Spec, Values, Work, serve

TESTS = {      # work -> the test for numbers, the test for strings
    "psi": ("psi", "psi"),
    "wasserstein + jensenshannon": ("wasserstein", "jensenshannon"),
    "ks + chisquare": ("ks", "chisquare"),
}
PRESET = "wasserstein + jensenshannon"      # what it chooses by itself for more than 1,000 rows


def prepare(spec: Spec) -> dict[str, Work]:
    def read(file: str) -> pd.DataFrame:
        return pd.read_parquet(file, columns=spec.columns)

    reference = read(spec.reference)
    works = {name: Work(read, _tests(spec, reference, *pair)) for name, pair in TESTS.items()}
    preset = Work(read, _preset(spec, reference, *TESTS[PRESET]))
    return works | {"DataDriftPreset": preset}


def _tests(spec: Spec, reference: pd.DataFrame, numbers: str, words: str) -> Any:
    kinds = [(spec.numbers, ColumnType.Numerical, numbers), (spec.words, ColumnType.Categorical, words)]

    def measure(window: pd.DataFrame) -> Values:
        found = {}
        for names, kind, method in kinds:
            test = get_registered_stattest(method, kind)
            for name in names:
                found[f"{name} {method}"] = float(test(reference[name], window[name], kind, None).drift_score)
        return found

    return measure


def _preset(spec: Spec, reference: pd.DataFrame, numbers: str, words: str) -> Any:
    definition = DataDefinition(numerical_columns=spec.numbers, categorical_columns=spec.words)
    before = Dataset.from_pandas(reference, data_definition=definition)

    def measure(window: pd.DataFrame) -> Values:
        now = Dataset.from_pandas(window, data_definition=definition)
        snapshot = Report([DataDriftPreset(num_method=numbers, cat_method=words)]).run(now, before)
        found = {}
        for metric in snapshot.dict()["metrics"]:
            if metric["metric_name"].startswith("ValueDrift("):
                config = metric["config"]
                found[f"{config['column']} {config['method']}"] = float(metric["value"])
        return found

    return measure


os.environ |= {"DO_NOT_TRACK": "1"}     # Evidently sends telemetry unless told not to
serve(prepare)
