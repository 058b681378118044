"""frouros: one detector a column, fitted apart. Its PSI and JS have ten equal bins over both sides, numbers only."""

from typing import Any

import pandas as pd
from frouros.detectors.data_drift import JS, PSI, ChiSquareTest, KSTest
from runner import Spec, Values, Work, serve

Columns = dict[str, Any]


def prepare(spec: Spec) -> dict[str, Work]:
    def read(file: str) -> Columns:
        frame = pd.read_parquet(file, columns=spec.columns)
        return {name: frame[name].to_numpy() for name in spec.columns}

    reference = read(spec.reference)

    def work(numbers: type) -> Work:
        detectors = {name: numbers() for name in spec.numbers} | {name: ChiSquareTest() for name in spec.words}
        for name, detector in detectors.items():
            detector.fit(X=reference[name])

        def measure(window: Columns) -> Values:
            found = {name: detector.compare(X=window[name])[0] for name, detector in detectors.items()}
            # Its chi-square test is the one of two samples, its bins are its own: only KS is the same quantity.
            return {f"{name} ks": float(found[name].p_value) for name in spec.numbers} if numbers is KSTest else {}

        return Work(read, measure)

    return {"psi + chi-square": work(PSI), "js + chi-square": work(JS), "ks + chi-square": work(KSTest)}


serve(prepare)
