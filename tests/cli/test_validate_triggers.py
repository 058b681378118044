"""`validate` refuses triggers that the data show can never fire, and says why something cannot be judged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

END = datetime(2026, 11, 23, tzinfo=UTC)
ROWS = 1400
START = END - timedelta(days=56)
HEAD = """
[models.m]
predictions = "log.csv"
reference = "first 28d"
since = "2026-11-16"
window = {{ size = "7d", min_rows = 50 }}
columns.segments = ["place"]
{more}
"""
NO_MODELS = "rehearsal.enabled = false\nestimation.enabled = false"     # nothing is fitted
TRIGGER = """
[[models.m.triggers]]
name = "t"
{trigger}
"""


def log(**given: Any) -> pa.Table:
    """Eight weeks of a binary model with a probability, a number, a category and labels."""
    generator = np.random.default_rng(0)
    chance = generator.random(ROWS).round(6)
    columns = {
        "timestamp": [f"{START + (END - START) * (row / ROWS):%Y-%m-%dT%H:%M:%SZ}" for row in range(ROWS)],
        "speed": generator.normal(size=ROWS).round(4), "place": generator.choice(["JFK", "LGA", "EWR"], ROWS),
        "prediction": (chance >= 0.5).astype(int), "probability": chance,
        "label": (generator.random(ROWS) < chance).astype(int),
    } | given
    return pa.table({name: values for name, values in columns.items() if values is not None})


def write(folder: Path, table: pa.Table, trigger: str = "", more: str = "") -> None:
    pyarrow.csv.write_csv(table, folder / "log.csv")
    text = TRIGGER.format(trigger=trigger) if trigger else ""
    (folder / "driftd.toml").write_text(HEAD.format(more=more) + text, encoding="utf-8")


@pytest.mark.parametrize(("trigger", "key", "text"), [
    ('metric = "drift"\ndrifted = true\ncolumn = "sped"', "column", 'column "sped", did you mean "speed"?'),
    ('metric = "missing_share"\nabove = 0.2\ncolumn = "nothing"', "column", '"nothing", there are speed, place'),
    ('metric = "prediction_drift"\ndrifted = true\ncolumn = "speed"', "column", "there are prediction, probability"),
    ('metric = "out_of_range_share"\nabove = 0.2\ncolumn = "place"', "column", "there are speed"),
    ('metric = "rmse"\nabove = 3', "metric", '"rmse" is no metric of a binary model'),
    ('metric = "unseen_words_share"\nabove = 0.2', "metric", "no feature is one"),
    ('metric = "drift"\nmethod = "ks"\nbelow = 0.1\ncolumn = "place"', "method", '"place" is categorical'),
    ('metric = "drift"\nmethod = "psi"\nabove = 0.2\ncolumn = "speed"', "method", "is measured by ks, not by"),
    ('metric = "accuracy"\nrise = 0.5', "rise", "on the reference and never above 1: expected less"),
    ('metric = "accuracy"\ndrop = 0.9', "drop", "on the reference and never below 0"),
    ('metric = "log_loss"\ndrop = 3', "drop", "on the reference and never below 0"),
    ('metric = "label_coverage"\nrise = 0.1', "rise", "label_coverage is 1 on the reference"),
    ('metric = "missing_share"\ndrop = 0.1', "drop", "missing_share is 0 on the reference"),
    ('metric = "accuracy"\nbelow = 0.5\nsegment = "place="', "segment", '"place=" names no value'),
    ('metric = "accuracy"\nbelow = 0.5\nsegment = "place=JKF"', "segment", 'did you mean "JFK"?'),
])
def test_what_the_data_lack_is_named_with_its_line(
    driftd: Any, tmp_path: Path, trigger: str, key: str, text: str
) -> None:
    """A column that is not there, a metric of another task, a value nobody has: line, key, what was meant."""
    write(tmp_path, log(), trigger)
    done = driftd("validate", "-c", "driftd.toml")
    assert done.code == 2
    line = next(n for n, one in enumerate((tmp_path / "driftd.toml").read_text().splitlines(), 1) if f"{key} =" in one
                and n > 9)
    assert f"driftd.toml:{line}: models.m.triggers.1.{key}: " in done.err
    assert text in done.err


@pytest.mark.parametrize("metric", ["accuracy", "label_coverage", "roc_auc", "new_rows"])
def test_a_trigger_on_labels_needs_labels(driftd: Any, tmp_path: Path, metric: str) -> None:
    """Without a label column such a trigger is an error; what is built in says that it cannot work."""
    write(tmp_path, log(label=None), f'metric = "{metric}"\nabove = 0.5')
    done = driftd("validate", "-c", "driftd.toml")
    assert (done.code, f'"{metric}" needs labels, and no column is the label' in done.err) == (2, True)
    assert "performance-lost: cannot work without labels" in done.out


def test_a_metric_of_probabilities_needs_one(driftd: Any, tmp_path: Path) -> None:
    """A classifier of classes alone has no ROC AUC to watch."""
    write(tmp_path, log(probability=None), 'metric = "roc_auc"\nbelow = 0.5')
    done = driftd("validate", "-c", "driftd.toml")
    assert (done.code, '"roc_auc" needs a probability' in done.err) == (2, True)


def test_predictions_of_earlier_versions_need_an_id(driftd: Any, tmp_path: Path) -> None:
    """Without an id nothing could be joined, and going back would never pay: `validate` says so."""
    versions = 'versions = { predictions = "of/{version}.csv" }'
    write(tmp_path, log(), more=versions)
    done = driftd("validate", "-c", "driftd.toml")
    assert (done.code, '"version_regret" joins predictions on an id, and no column is it' in done.err) == (2, True)
    write(tmp_path, log(id=[f"r{row}" for row in range(ROWS)]), more=f"{versions}\n{NO_MODELS}")
    done = driftd("validate", "-c", "driftd.toml")
    assert (done.code, "going-back-pays: about 0.02" in done.out) == (0, True), done.out + done.err


@pytest.mark.parametrize("filled", ["yes", 1.5, 3])
def test_a_column_that_was_empty_in_the_reference_has_its_reason(driftd: Any, tmp_path: Path, filled: Any) -> None:
    """A column without any value in the reference gives one sentence, no traceback, and costs no other column."""
    values = [None if row < ROWS * 7 / 8 else filled for row in range(ROWS)]
    write(tmp_path, log(promo=values), more=NO_MODELS)
    done = driftd("validate", "-c", "driftd.toml")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "IndexError" not in done.out + done.err
    checked = driftd("check", "-c", "driftd.toml", "--at", "2026-11-23")
    assert "IndexError" not in checked.err


@pytest.mark.parametrize("known", [0, 700])
def test_labels_without_a_time_count_by_label_delay(driftd: Any, tmp_path: Path, known: int) -> None:
    """Where the reference's labels have no time of their own they are known after `label_delay`."""
    later = [START + (END - START) * (row / ROWS) + timedelta(hours=5) for row in range(ROWS)]
    moments = [None if row < known else f"{moment:%Y-%m-%dT%H:%M:%SZ}" for row, moment in enumerate(later)]
    write(tmp_path, log(label_timestamp=moments), more=f'task = "binary"\nmetric = "roc_auc"\n{NO_MODELS}')
    done = driftd("validate", "-c", "driftd.toml")
    assert done.code == 0, done.err
    assert "binary, judged by roc_auc" in done.out
    driftd("check", "-c", "driftd.toml")
    table = driftd("history", "-c", "driftd.toml", "--explain", "2026-11-16", "--json").out
    assert '"roc_auc"' in table
    assert '"label_coverage"' in table
