"""NannyML: its univariate calculator, fitted apart; the whole window is one chunk."""

import math

import nannyml
import pandas as pd
from runner import Spec, Values, Work, serve


def prepare(spec: Spec) -> dict[str, Work]:
    def read(file: str) -> pd.DataFrame:
        return pd.read_parquet(file, columns=spec.columns)

    calculator = nannyml.UnivariateDriftCalculator(
        column_names=spec.columns,
        treat_as_numerical=spec.numbers,
        treat_as_categorical=spec.words,
        continuous_methods=["jensen_shannon"],
        categorical_methods=["jensen_shannon"],
        chunk_number=1,
    ).fit(read(spec.reference))

    def measure(window: pd.DataFrame) -> Values:
        found = calculator.calculate(window).filter(period="analysis").to_df()
        # Numbers have bins of their own; of strings it is the same distance but for the base of the logarithm.
        return {
            f"{name} jensenshannon": float(found[name, "jensen_shannon", "value"].iloc[-1]) * math.sqrt(math.log(2))
            for name in spec.words
        }

    return {"jensen_shannon": Work(read, measure)}


nannyml.disable_usage_logging()
serve(prepare)
