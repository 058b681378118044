"""alibi-detect: TabularDrift, which takes one matrix; strings become the numbers of their categories."""

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift
from runner import Spec, Values, Work, serve

EXACT = 10_000      # rows up to which SciPy, left to choose, computes the exact p-value


def prepare(spec: Spec) -> dict[str, Work]:
    known = {name: sorted(pd.read_parquet(spec.reference, columns=[name])[name].unique()) for name in spec.words}

    def read(file: str) -> "np.ndarray":
        frame = pd.read_parquet(file, columns=spec.columns)
        codes = {name: pd.Categorical(frame[name], categories=known[name]).codes for name in spec.words}
        return frame.assign(**codes).to_numpy(np.float64)

    first = len(spec.numbers)
    categories = {first + place: len(known[name]) for place, name in enumerate(spec.words)}
    detector = TabularDrift(read(spec.reference), categories_per_feature=categories)

    def measure(window: "np.ndarray") -> Values:
        chances = detector.predict(window, drift_type="feature")["data"]["p_val"]
        # Its chi-square test is the one of two samples; its KS test is the asymptotic one, in single precision.
        same = len(window) > EXACT
        return {f"{name} ks": float(chances[place]) for place, name in enumerate(spec.numbers)
                if same and chances[place] > np.finfo(np.float32).tiny}

    return {"ks + chi2": Work(read, measure)}


serve(prepare)
