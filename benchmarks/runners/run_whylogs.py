"""whylogs: a profile of the window, and its drift scores from two profiles (KS, chi-square; both from sketches)."""

import os
import warnings

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"     # before the import: it reports usage unless told not to

import pandas as pd
import whylogs
from runner import Spec, Values, Work, serve
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores


def prepare(spec: Spec) -> dict[str, Work]:
    warnings.simplefilter("ignore")

    def read(file: str) -> pd.DataFrame:
        return pd.read_parquet(file, columns=spec.columns)

    reference = whylogs.log(pandas=read(spec.reference)).view()

    def measure(window: pd.DataFrame) -> Values:
        now = whylogs.log(pandas=window).view()
        if len(calculate_drift_scores(target_view=now, reference_view=reference)) != len(spec.columns):
            raise RuntimeError("whylogs has not scored every column")
        return {}     # estimates: nothing is equal by definition

    return {"profile, ks + chi-square": Work(read, measure)}


serve(prepare)
