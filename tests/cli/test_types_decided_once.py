"""What a column holds is decided by the whole reference, held in every window, said by validate, and settable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

CONFIG = """
[models.m]
predictions = "log.csv"
reference = "first 28d"
since = "2026-01-29"
window = {{ size = "7d", min_rows = 20 }}
{more}
"""


@pytest.fixture
def log(tmp_path: Path) -> pd.DataFrame:
    """Six weeks: a store is 1, 2 or 3, in the first four weeks sometimes "online"."""
    rng = np.random.default_rng(4)
    rows = 1200
    frame = pd.DataFrame({
        "timestamp": pd.date_range("2026-01-01", periods=rows, freq="50min"),
        "store": rng.choice(["1", "2", "3"], rows),
        "x": rng.normal(size=rows).round(3), "prediction": rng.integers(0, 2, rows), "label": rng.integers(0, 2, rows),
    })
    frame.loc[np.arange(0, 700, 40), "store"] = "online"
    return frame


def scores_of(driftd: Any, folder: Path, frame: pd.DataFrame, more: str = "") -> dict[tuple[str, str | None], Any]:
    frame.to_csv(folder / "log.csv", index=False)
    (folder / "driftd.toml").write_text(CONFIG.format(more=more))
    driftd("check", "-c", folder / "driftd.toml")
    told = driftd("history", "-c", folder / "driftd.toml", "--explain", "2026-02-05", "--json").json
    return {(one["metric"], one["column"]): one for one in _scores(told)}


def _scores(told: Any) -> list[dict[str, Any]]:
    """Find the scores of one window in what --explain prints."""
    if isinstance(told, dict):
        if "scores" in told:
            return list(told["scores"])
        return next((found for value in told.values() if (found := _scores(value))), [])
    if isinstance(told, list):
        return next((found for value in told if (found := _scores(value))), [])
    return []


def test_numbers_here_and_words_there_are_a_category(driftd: Any, tmp_path: Path, log: pd.DataFrame) -> None:
    """A window without the word that the reference has is no broken contract, and its values are known ones."""
    found = scores_of(driftd, tmp_path, log)
    assert found["schema_changes", None]["value"] == 0
    assert found["unseen_share", "store"]["value"] == 0


def test_a_word_where_the_reference_has_only_numbers_breaks_the_contract(
    driftd: Any, tmp_path: Path, log: pd.DataFrame
) -> None:
    """What the reference shows as numbers throughout stays numbers, though the whole log has a word."""
    log["x"] = log["x"].astype(object)
    log.loc[log["timestamp"] >= "2026-02-05", "x"] = "ERR"
    found = scores_of(driftd, tmp_path, log)
    assert found["schema_changes", None]["value"] == 1
    assert "column x holds text, number in the reference" in found["schema_changes", None]["reason"]


def test_a_type_can_be_set_and_a_column_left_out(driftd: Any, tmp_path: Path, log: pd.DataFrame) -> None:
    """columns.types makes a word in a column of numbers a missing value; columns.ignore leaves a column out."""
    log["x"] = log["x"].astype(object)
    late = log["timestamp"] >= "2026-02-02"
    log.loc[late & (log.index % 2 == 0), "x"] = "ERR"
    more = 'columns = { types = { x = "number" }, ignore = ["store"] }'
    found = scores_of(driftd, tmp_path, log, more)
    assert found["schema_changes", None]["value"] == 0
    assert found["missing_share", "x"]["value"] == pytest.approx(0.5, abs=0.01)
    assert ("drift", "store") not in found


def test_validate_says_what_each_column_is(driftd: Any, tmp_path: Path, log: pd.DataFrame) -> None:
    """The types are printed with the rows they rest on, and what is left out with the reason."""
    log.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "driftd.toml").write_text(CONFIG.format(more=""))
    said = driftd("validate", "-c", tmp_path / "driftd.toml").out
    assert "types      numbers: x, by 807 rows of the reference" in said
    assert "categories: store (4 values, 'online' in 18 rows), by 807 rows of the reference" in said
    (tmp_path / "driftd.toml").write_text(CONFIG.format(more='columns = { ignore = ["store"] }'))
    assert "left out   store: columns.ignore names it" in driftd("validate", "-c", tmp_path / "driftd.toml").out


@pytest.mark.parametrize("wrong", ['types = { stor = "category" }', 'ignore = ["stor"]'])
def test_a_column_that_is_not_there_is_an_error(
    driftd: Any, tmp_path: Path, log: pd.DataFrame, wrong: str
) -> None:
    """A misspelt column is named with the one that is meant."""
    log.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "driftd.toml").write_text(CONFIG.format(more=f"columns = {{ {wrong} }}"))
    done = driftd("validate", "-c", tmp_path / "driftd.toml")
    assert done.code == 2
    assert 'there is no column "stor", did you mean "store"?' in done.err


@pytest.mark.parametrize("write", [
    lambda frame, path: frame.to_json(path.with_suffix(".jsonl"), orient="records", lines=True),
    lambda frame, path: frame.to_parquet(path.with_suffix(".parquet")),
], ids=["jsonl", "parquet"])
def test_labels_that_are_text_meet_predictions_that_are_numbers(
    driftd: Any, tmp_path: Path, log: pd.DataFrame, write: Callable[[pd.DataFrame, Path], None]
) -> None:
    """Labels "1.0" and "0.0" are the classes 1 and 0."""
    log["label"] = log["label"].map({0: "0.0", 1: "1.0"})
    write(log.assign(timestamp=log["timestamp"].astype(str)), tmp_path / "log")
    place = next(tmp_path.glob("log.*"))
    (tmp_path / "driftd.toml").write_text(CONFIG.format(more="").replace("log.csv", place.name))
    said = driftd("validate", "-c", tmp_path / "driftd.toml").out
    assert "binary, judged by" in said
