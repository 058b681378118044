"""Files of predictions: which column holds them, which row each is of, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config import Columns, ModelSection
from monitor.errors import CannotJudge, DriftdError, UsageError
from monitor.gate.measured_trial import Trial, measure, require_unseen, trial_of_files
from monitor.gate.prediction_files import aligned, in_order, read_file, read_predictions
from monitor.times import parse_moment

IDS = ["a", "b", "c"]
LABEL = [0, 1, 1] * 10


def file(folder: Path, name: str, columns: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, folder / name)
    return folder / name


def trial(
    folder: Path, rows: dict[str, Any], candidate: dict[str, Any], champion: dict[str, Any] | None = None
) -> Trial:
    model = ModelSection.model_validate({
        "name": "m", "predictions": {"path": "x"}, "reference": {"source": {"path": "x"}},
        "columns": {"id": "id", "label": "label"},
    })
    beside = file(folder, "champion.parquet", champion) if champion else None
    return trial_of_files(model, file(folder, "rows.parquet", rows), beside,
                          file(folder, "candidate.parquet", candidate), None)


@pytest.mark.parametrize(
    ("columns", "prediction", "probability"),
    [
        ({"id": IDS, "Prediction": [0, 1, 1]}, [0, 1, 1], None),
        ({"id": IDS, "whatever": [0, 1, 1]}, [0, 1, 1], None),               # the only one there is
        ({"id": IDS, "probability": [0.1, 0.8, 0.9]}, [0.1, 0.8, 0.9], None),
        ({"id": IDS, "prediction": [0, 1, 1], "probability": [0.1, 0.8, 0.9]}, [0, 1, 1], [0.1, 0.8, 0.9]),
    ],
)
def test_predictions_are_found_by_their_names(
    tmp_path: Path, columns: dict[str, Any], prediction: list[Any], probability: list[Any] | None
) -> None:
    """By usual names in any case, else the only column beside the id."""
    found = read_predictions(file(tmp_path, "said.parquet", columns), Columns(), "id")
    assert found.prediction.to_pylist() == prediction
    assert (found.probability and found.probability.to_pylist()) == probability


def test_what_is_no_file_of_predictions_is_refused(tmp_path: Path) -> None:
    """Several columns of unknown names, no rows, a moment that is none: each with its sentence."""
    strange = file(tmp_path, "strange.parquet", {"id": IDS, "u": [1, 2, 3], "v": [1, 2, 3]})
    with pytest.raises(UsageError, match=r"has no column of predictions .* it has id, u, v; --prediction names it"):
        read_predictions(strange, Columns(), "id")
    empty = file(tmp_path, "empty.parquet", {"prediction": pa.array([], pa.int64())})
    with pytest.raises(CannotJudge, match="has no rows, there is nothing to judge"):
        read_file(empty)
    for told, refused in (("2024-03-01", False), ("soon", True)):
        path = file(tmp_path, f"{told}.parquet", {"prediction": [1]}, {"driftd.trained_until": told})
        if refused:
            with pytest.raises(UsageError, match="trained_until is no moment, expected such as 2024-03-01"):
                read_predictions(path, Columns(), None)
        else:
            assert read_predictions(path, Columns(), None).trained_until == parse_moment(told)


def test_predictions_are_brought_to_their_rows(tmp_path: Path) -> None:
    """By id in any order, null where there is none; refused where the two cannot be brought together."""
    said = file(tmp_path, "said.parquet", {"id": ["c", "a"], "prediction": [3, 1], "probability": [0.3, 0.1]})
    found = read_predictions(said, Columns(), "id")
    rows = pa.chunked_array([IDS])
    values, chances = aligned(found, rows, 3)
    assert (values.to_pylist(), chances and chances.to_pylist()) == ([1, None, 3], [0.1, None, 0.3])
    with pytest.raises(CannotJudge, match="2 predictions of 3 rows, and no id to join them on"):
        aligned(found, None, 3)
    with pytest.raises(CannotJudge, match="none of its ids is that of a row to be judged"):
        aligned(found, pa.chunked_array([["x", "y"]]), 2)
    twice = read_predictions(file(tmp_path, "twice.parquet", {"id": ["a", "a"], "prediction": [0, 1]}), Columns(), "id")
    with pytest.raises(CannotJudge, match="1 rows repeat an id, expected one prediction of each row"):
        aligned(twice, rows, 3)


def test_rows_are_judged_oldest_first_and_of_one_time_by_id() -> None:
    """Without times they stay as they are."""
    rows = pa.table({"at": [2, 1, 1], "id": ["x", "z", "y"]})
    assert in_order(rows, "at", "id")["id"].to_pylist() == ["y", "z", "x"]
    assert in_order(rows, "at", None)["id"].to_pylist() == ["z", "y", "x"]
    assert in_order(rows, "gone", "id") is rows


def test_probabilities_alone_on_one_side_are_compared_where_they_can_be(tmp_path: Path) -> None:
    """A candidate of scores beside a champion of scores; one without probabilities is judged by its answers."""
    chance = [0.2, 0.7, 0.9] * 10
    ids = [f"r{at}" for at in range(30)]
    both = {"prediction": [0, 1, 1] * 10, "probability": chance}
    alone = trial(tmp_path, {"id": ids, "label": LABEL, "probability": chance}, {"id": ids, **both})
    assert alone.candidate[alone.roles.prediction].to_pylist() == chance
    scored = trial(tmp_path, {"id": ids, "label": LABEL, **both}, {"id": ids, "prediction": chance})
    assert scored.candidate["probability"].to_pylist() == chance
    answers = trial(tmp_path, {"id": ids, "label": LABEL, **both}, {"id": ids, "prediction": [1, 1, 0] * 10})
    assert answers.roles.probability is None
    assert "probability" not in answers.champion.column_names
    assert measure(answers).metric == "balanced_accuracy"


def test_it_is_told_which_rows_were_compared(tmp_path: Path) -> None:
    """How many, how many of them with a label, and from when to when, in whatever order they stand."""
    days = [datetime(2024, 3, 1 + at * 7 % 30, tzinfo=UTC) for at in range(30)]
    rows = {"id": [f"r{at}" for at in range(30)], "timestamp": days, "label": [None, *LABEL[1:]], "prediction": LABEL}
    found = measure(trial(tmp_path, rows, {"id": rows["id"], "prediction": LABEL}))
    assert (found.rows, found.labelled, found.first, found.last) == (30, 29, min(days), max(days))


def test_the_champions_own_file_goes_before_what_the_rows_say(tmp_path: Path) -> None:
    """Its predictions take the place of those in the rows; probabilities it has none of are taken out."""
    ids = [f"r{at}" for at in range(30)]
    rows = {"id": ids, "label": LABEL, "prediction": [0] * 30, "prediction_proba": np.full(30, 0.5)}
    found = trial(tmp_path, rows, {"id": ids, "prediction": LABEL}, {"id": ids[::-1], "prediction": LABEL[::-1]})
    assert found.champion["prediction"].to_pylist() == LABEL
    assert "prediction_proba" not in found.champion.column_names


@pytest.mark.parametrize(("trained", "how"), [
    ({"id": ["r3", "r4", "other"]}, "by id"), ({"x": [3.0, 4.0, 99.0], "label": [0, 1, 1]}, "by label, x"),
])
def test_rows_the_candidate_was_fitted_on_are_refused(tmp_path: Path, trained: dict[str, Any], how: str) -> None:
    """By their ids, or by what both have; how many there are is told. Others are no hindrance."""
    ids = [f"r{at}" for at in range(30)]
    rows = {"id": ids, "label": LABEL, "x": [float(at) for at in range(30)], "prediction": LABEL}
    found = trial(tmp_path, rows, {"id": ids, "prediction": LABEL})
    seen = file(tmp_path, "trained.parquet", trained)
    with pytest.raises(CannotJudge, match=rf"^2 of 30 rows are among .* was fitted on \({how}\)"):
        require_unseen(found, {}, seen)
    apart = file(tmp_path, "apart.parquet", {name: values[2:] for name, values in trained.items()})
    assert require_unseen(found, {}, apart)


def test_the_rows_of_each_segment_are_compared(tmp_path: Path) -> None:
    """Of the columns that the model names, or of those that the gate does."""
    ids = [f"r{at}" for at in range(30)]
    rows = {"id": ids, "label": LABEL, "prediction": LABEL, "town": ["a", "b", "b"] * 10, "sex": ["f", "m"] * 15}
    found = trial(tmp_path, rows, {"id": ids, "prediction": LABEL})
    for own, wanted in ((None, {"town=a": 10, "town=b": 20}), (("sex",), {"sex=f": 15, "sex=m": 15})):
        model = found.model.model_copy(update={
            "columns": found.model.columns.model_copy(update={"segments": ("town",)}),
            "gate": found.model.gate.model_copy(update={"segments": own, "min_rows": 5}),
        })
        compared = measure(replace(found, model=model)).segments
        assert {score.segment: score.n for score in compared} == wanted


def test_rows_that_have_nothing_in_common_with_the_training_data_are_no_proof(tmp_path: Path) -> None:
    """Neither id nor feature: nobody can say that the candidate has not seen them."""
    ids = [f"r{at}" for at in range(30)]
    rows = {"id": ids, "label": LABEL, "x": LABEL, "prediction": LABEL}
    found = trial(tmp_path, rows, {"id": ids, "prediction": LABEL})
    other = file(tmp_path, "trained.parquet", {"another": [1, 2, 3]})
    with pytest.raises(DriftdError, match="has neither the id nor a feature of the rows to be judged"):
        require_unseen(found, {}, other)
    with pytest.raises(CannotJudge, match="have no time that could be newer than the candidate's training data"):
        require_unseen(found, {"candidate": parse_moment("2024-03-01")}, None)
