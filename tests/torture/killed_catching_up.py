"""Catch-ups that are killed at random moments; test_killed_anywhere.py starts this.

Arguments: a folder, how many kills, the seed.
"""

import random
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from monitor.store import Store
from tests.retrain.dying import forked
from tests.story.conftest import Here
from tests.torture.test_data_harm import Model, rows, write

DAYS, BAD = 5, 2         # windows that were missed; the model is wrong in the last of them


def missed(folder: Path) -> Model:
    """A model that nobody has looked at for days; its need stands in the end."""
    folder.mkdir(exist_ok=True)
    model = Model(folder, "parquet", Here())
    model.write()
    good, bad = rows(0, DAYS - BAD, 1), rows(DAYS - BAD, BAD, 3)
    wrong = pa.array(1 - np.asarray(bad["label"]))
    served = pa.concat_tables([good, bad.set_column(bad.column_names.index("prediction"), "prediction", wrong)])
    write(served.drop_columns(["label"]), model.paths["log"])
    write(served.select(["prediction_id", "label"]), model.paths["labels"])
    return model


def catch_up(model: Model, state: Path) -> None:
    with Store.open(state) as store:
        model.checker(store, DAYS).check("m")


def main(folder: Path, kills: int, seed: int) -> None:
    """Catch up again and again, each time in a state of its own, until it has been killed so often."""
    model, chance = missed(folder), random.Random(seed)
    catch_up(model, folder / "first")              # what is imported and kept beside the state is there now
    began = time.monotonic()
    catch_up(model, folder / "whole")
    whole, number = time.monotonic() - began, 0
    while kills > 0:
        number += 1
        once = partial(catch_up, model, folder / f"state-{number}")
        while kills > 0 and forked(once, chance.uniform(0, 1.5 * whole)) != 0:
            kills -= 1
        once()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
