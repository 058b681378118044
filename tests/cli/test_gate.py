"""`driftd gate` and `driftd window export`: by files alone, and by the log of a model that is watched."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.gate_result import read_gate_result

START = pd.Timestamp("2024-03-01", tz="UTC")
ROWS = 3000
UNTIL = ("--trained-until", "2024-03-01")
Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def loans(rows: int = ROWS, favour: float = 0.0) -> Frames:
    """Rows, the champion's answers, and those of a candidate that sees more; `favour` moves its line for men."""
    chance = np.random.default_rng(7)
    x, sex = chance.normal(size=rows), chance.choice(["female", "male"], rows)
    label = (x + chance.normal(scale=0.8, size=rows) > 0).astype(int)
    ids = [f"r{place}" for place in range(rows)]
    data = pd.DataFrame({
        "id": ids, "timestamp": pd.date_range(START, periods=rows, freq="15min").astype(str), "sex": sex,
        "branch": chance.choice(list("ABCD"), rows), "x": x, "label": label,
    })
    champion = x + chance.normal(scale=0.9, size=rows) > 0
    candidate = x + favour * np.where(sex == "male", 1, -1) + chance.normal(scale=0.3, size=rows) > 0
    said = [pd.DataFrame({"id": ids, "prediction": one.astype(int)}) for one in (champion, candidate)]
    return data, *said


def write(folder: Path, frames: Frames) -> tuple[str, ...]:
    """Three files of three formats; the candidate's rows in another order."""
    data, champion, candidate = frames
    data.to_csv(folder / "rows.csv", index=False)
    champion.to_json(folder / "champion.jsonl", orient="records", lines=True)
    candidate.iloc[::-1].to_parquet(folder / "candidate.parquet", index=False)
    return "--data", "rows.csv", "--champion", "champion.jsonl", "--candidate", "candidate.parquet"


def test_a_better_candidate_passes(driftd: Any, tmp_path: Path) -> None:
    """Predictions are joined by id; the answer is in the table's last line, and 0 is the code."""
    done = driftd("gate", *write(tmp_path, loans()), *UNTIL, "--segments", "branch")
    assert done.code == 0, done
    assert done.out.splitlines()[-1].startswith("passed: balanced_accuracy is shown to be better: at least 0.0")
    assert max(map(len, done.out.splitlines()[:-1])) <= 80


def test_always_valid_bounds_are_wider_and_said(driftd: Any, tmp_path: Path) -> None:
    """Who asks again as rows arrive gets a lower bound further down, and reads that it holds then."""
    files = write(tmp_path, loans())
    once, always = (driftd("gate", *files, *UNTIL, "--json", *option) for option in ((), ("--always-valid",)))
    assert (once.code, always.code) == (0, 0)
    assert 0 < always.json["improvement"]["low"] < once.json["improvement"]["low"]
    assert "bounds of the improvement hold however often the gate is asked" in always.json["notes"]
    assert not any("however often" in note for note in once.json["notes"])


def test_a_candidate_that_is_better_but_unfairer_is_refused(driftd: Any, tmp_path: Path) -> None:
    """The worked case of docs/gate.md: shown to be better overall, and beyond two fairness limits."""
    limits = ("--limit", "demographic_parity_difference=0.1", "--limit", "equal_opportunity_difference=0.1")
    files = write(tmp_path, loans(favour=0.25))
    assert driftd("gate", *files, *UNTIL).code == 0
    done = driftd("gate", *files, *UNTIL, "--protected", "sex", *limits, "--json", "--report", "gate.json")
    assert done.code == 3
    assert done.json["outcome"] == "refused"
    assert done.json["improvement"]["low"] > 0
    refusing = [score for score in done.json["scores"] if score["status"] == "breached"]
    assert {score["metric"] for score in refusing} == {"demographic_parity_difference", "equal_opportunity_difference"}
    for score in refusing:
        assert score["low"] > 0.1 > score["reference"]      # the champion kept the limit
    told = read_gate_result(json.loads((tmp_path / "gate.json").read_text()))
    assert (told.outcome, told.reasons) == (done.json["outcome"], tuple(done.json["reasons"]))
    assert (told.parts[0].better_by, told.parts[0].low) == (
        done.json["improvement"]["value"], done.json["improvement"]["low"])
    refused = {part.limited for part in told.limits if part.status == "breached"}
    assert refused == {score["metric"] for score in refusing}
    fair = driftd("gate", *write(tmp_path, loans()), *UNTIL, "--protected", "sex", *limits)
    assert fair.code == 0


def test_an_equal_candidate_needs_a_negative_margin(driftd: Any, tmp_path: Path) -> None:
    """Better has to be shown; that it is not worse by more than the margin is another question."""
    data, champion, _ = loans()
    files = write(tmp_path, (data, champion, champion))
    assert driftd("gate", *files, *UNTIL).code == 3
    assert driftd("gate", *files, *UNTIL, "--margin", "-0.01").code == 0


def test_a_segment_that_got_worse_blocks(driftd: Any, tmp_path: Path) -> None:
    """Better overall, but in one branch every third answer is turned round."""
    data, champion, candidate = loans()
    turned = ((data["branch"] == "B") & (data.index % 3 == 0)).to_numpy()
    candidate["prediction"] ^= turned.astype(int)
    done = driftd("gate", *write(tmp_path, (data, champion, candidate)), *UNTIL, "--segments", "branch",
                  "--metric", "accuracy", "--junit", tmp_path / "gate.xml", "--markdown", tmp_path / "gate.md")
    assert done.code == 3
    assert "accuracy of branch=B: shown to be worse" in done.out
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()[0]
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert (suite.get("name"), failed) == ("driftd gate", ["branch=B"])
    text = (tmp_path / "gate.md").read_text()
    assert text.startswith("**driftd gate**: refused: accuracy of branch=B")
    assert "| `branch=B` |" in text


def test_rows_older_than_the_training_data_are_refused(driftd: Any, tmp_path: Path) -> None:
    """Whoever says where the data end: the option, for either model, or the Parquet file's metadata."""
    files = write(tmp_path, loans())
    sentence = "96 of 3000 rows are older than 2024-03-02T00:00:00Z, where the candidate's training data end"
    done = driftd("gate", *files, "--trained-until", "2024-03-02")
    assert (done.code, done.out) == (4, "")
    assert sentence in done.err
    assert "the champion's training" in driftd("gate", *files, *UNTIL, "--champion-trained-until", "2024-03-02").err
    table = pq.read_table(tmp_path / "candidate.parquet")
    told = table.replace_schema_metadata({"driftd.trained_until": "2024-03-02"})
    pq.write_table(told, tmp_path / "candidate.parquet")
    assert sentence in driftd("gate", *files).err


def test_rows_the_candidate_was_fitted_on_are_refused(driftd: Any, tmp_path: Path) -> None:
    """By their ids, or by what they hold where the training file has no ids; other rows are fine."""
    data, champion, candidate = loans(ROWS + 500)
    files = write(tmp_path, (data[:ROWS], champion[:ROWS], candidate[:ROWS]))
    for keep in (["id"], ["x", "sex", "label"]):
        data[keep][ROWS - 7:].to_parquet(tmp_path / "train.parquet")
        done = driftd("gate", *files, "--trained-on", "train.parquet")
        assert done.code == 4
        assert "7 of 3000 rows are among those the candidate was fitted on" in done.err
        data[keep][ROWS:].to_parquet(tmp_path / "train.parquet")
        assert driftd("gate", *files, "--trained-on", "train.parquet").code == 0


def test_somebody_must_say_what_the_candidate_was_fitted_on(driftd: Any, tmp_path: Path) -> None:
    """Without a word about it nothing can be judged."""
    done = driftd("gate", *write(tmp_path, loans()))
    assert (done.code, "give --trained-until TIME or --trained-on FILE" in done.err) == (4, True)


def test_a_row_left_out_breaks_the_contract(driftd: Any, tmp_path: Path) -> None:
    """A candidate that keeps silent where it would be wrong is not better."""
    data, champion, candidate = loans()
    wrong = candidate["prediction"] != data["label"]
    done = driftd("gate", *write(tmp_path, (data, champion, candidate[~wrong])), *UNTIL)
    assert done.code == 3
    assert f"says nothing of {wrong.sum()} of 3000 rows that the champion answers" in done.out


def test_an_answer_that_no_label_can_be_breaks_the_contract(driftd: Any, tmp_path: Path) -> None:
    """The file of another model is noticed."""
    data, champion, candidate = loans()
    candidate["prediction"] = np.where(candidate["prediction"] == 1, "grant", "refuse")
    done = driftd("gate", *write(tmp_path, (data, champion, candidate)), *UNTIL)
    assert done.code == 3
    assert "contract: prediction: the candidate answers grant, refuse; labels and the champion have 0, 1" in done.out


def test_columns_that_went_missing_break_the_contract(driftd: Any, tmp_path: Path) -> None:
    """--reference holds the data against rows as they should be."""
    data, champion, candidate = loans()
    data.to_csv(tmp_path / "reference.csv", index=False)
    files = write(tmp_path, (data.drop(columns="x"), champion, candidate))
    done = driftd("gate", *files, *UNTIL, "--reference", "reference.csv")
    assert done.code == 0       # what the data do not have is no feature of theirs
    data.loc[data.index % 2 == 0, "x"] = None
    done = driftd("gate", *write(tmp_path, (data, champion, candidate)), *UNTIL, "--reference", "reference.csv")
    assert done.code == 3
    assert "contract: x: 50.0% of x is missing" in done.out


def test_too_few_rows_cannot_be_judged(driftd: Any, tmp_path: Path) -> None:
    """Fewer than --min-rows: 4, with the table."""
    done = driftd("gate", *write(tmp_path, loans(60)), *UNTIL)
    assert done.code == 4
    why = "balanced_accuracy of overall: 60 rows, expected at least 100"
    assert done.out.splitlines()[-1] == f"could not be judged: {why}"


def test_rows_without_labels_cannot_be_judged(driftd: Any, tmp_path: Path) -> None:
    """There is nothing to hold the predictions against."""
    data, *said = loans()
    done = driftd("gate", *write(tmp_path, (data.assign(label=None), *said)), *UNTIL)
    assert (done.code, "no row has a label" in done.err) == (4, True)


def test_without_ids_rows_are_taken_in_their_order(driftd: Any, tmp_path: Path) -> None:
    """One prediction a row gives the same verdict; another number of them cannot be judged."""
    data, champion, candidate = loans()
    by_id = driftd("gate", *write(tmp_path, (data, champion, candidate)), *UNTIL, "--json")
    candidate["prediction"].to_csv(tmp_path / "said.csv", index=False)
    files = ("--data", "rows.csv", "--champion", "champion.jsonl", "--candidate", "said.csv", *UNTIL)
    assert driftd("gate", *files, "--json").json == by_id.json
    candidate["prediction"][:-1].to_csv(tmp_path / "said.csv", index=False)
    done = driftd("gate", *files)
    assert (done.code, "2999 predictions of 3000 rows" in done.err) == (4, True)


def test_rows_without_times_are_judged_by_what_was_trained_on(driftd: Any, tmp_path: Path) -> None:
    """A time to compare is asked for only where the word about the training data is a time."""
    data, champion, candidate = loans()
    files = write(tmp_path, (data.drop(columns="timestamp"), champion, candidate))
    pd.DataFrame({"id": ["another"]}).to_csv(tmp_path / "train.csv", index=False)
    assert driftd("gate", *files, "--trained-on", "train.csv").code == 0
    done = driftd("gate", *files, *UNTIL)
    assert (done.code, "the rows have no time" in done.err) == (4, True)


def test_multiclass(driftd: Any, tmp_path: Path) -> None:
    """Classes of any name are judged by accuracy."""
    chance = np.random.default_rng(3)
    data, *_ = loans()
    data["label"] = chance.choice(["red", "green", "blue"], ROWS)
    right = [chance.random(ROWS) < share for share in (0.6, 0.7)]
    said = [data[["id"]].assign(prediction=np.where(one, data["label"], "red")) for one in right]
    done = driftd("gate", *write(tmp_path, (data, *said)), *UNTIL, "--segments", "branch", "--json")
    assert (done.code, done.json["task"], done.json["metric"]) == (0, "multiclass", "accuracy")
    assert driftd("gate", *write(tmp_path, (data, *said[::-1])), *UNTIL).code == 3


def test_regression(driftd: Any, tmp_path: Path) -> None:
    """Quantities are judged by RMSE, in which less is better; words in place of numbers break the contract."""
    chance = np.random.default_rng(3)
    data, *_ = loans()
    data["label"] = chance.normal(size=ROWS)
    said = [data[["id"]].assign(prediction=data["label"] + chance.normal(scale=sd, size=ROWS)) for sd in (0.6, 0.5)]
    done = driftd("gate", *write(tmp_path, (data, *said)), *UNTIL, "--json")
    assert (done.code, done.json["task"], done.json["metric"]) == (0, "regression", "rmse")
    assert done.json["candidate"] < done.json["champion"]
    worse = driftd("gate", *write(tmp_path, (data, *said[::-1])), *UNTIL, "--metric", "mae")
    assert (worse.code, "mae of overall: not shown to be better" in worse.out) == (3, True)
    words = said[1].assign(prediction="much")
    done = driftd("gate", *write(tmp_path, (data, said[0], words)), *UNTIL, "--task", "regression")
    assert (done.code, "the candidate's predictions hold text, expected numbers" in done.out) == (3, True)


def test_probabilities_alone_are_enough(driftd: Any, tmp_path: Path) -> None:
    """A file with nothing but the probability of the positive class is judged by ROC AUC where both have it."""
    data, champion, candidate = loans()
    chance = np.random.default_rng(1)
    said = [
        one[["id"]].assign(probability=(one["prediction"] * 0.4 + 0.3 + chance.uniform(-0.2, 0.2, ROWS)).round(3))
        for one in (champion, candidate)
    ]
    done = driftd("gate", *write(tmp_path, (data, *said)), *UNTIL, "--metric", "roc_auc", "--json")
    assert done.code == 0
    assert 0.5 < done.json["champion"] < done.json["candidate"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--limit", "fairness=0.1", "--protected", "sex"), '"fairness" is no fairness metric'),
        (("--limit", "equal_opportunity_difference=0.1"), "expected --protected with their names"),
        (("--limit", "equal_opportunity_difference"), "expected one such as demographic_parity_difference=0.1"),
        (("--metric", "acuracy"), "there is no metric 'acuracy'; expected one of"),
        (("--metric", "rmse"), "rmse is no metric of the task binary"),
        (("--segments", "brunch"), 'there is no column "brunch", did you mean "branch"?'),
        (("--window", "newest"), "--window goes with a configuration"),
        (("--delta", "-1"), "x>=0"),
    ],
)
def test_wrong_options_are_refused(driftd: Any, tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    """Each with 2, its sentence and no table."""
    done = driftd("gate", *write(tmp_path, loans(200)), *UNTIL, *options)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


CONFIG = """
[models.loans]
predictions = "log.parquet"
reference = "reference.parquet"
label_delay = "3d"
metric = "accuracy"
columns.segments = ["branch"]
rehearsal.enabled = false
{more}
"""


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., Frames]:
    """A log of a month with the champion's answers, and a candidate's answers as a file."""

    def make(frames: Frames, more: str = "", drop: tuple[str, ...] = ()) -> Frames:
        data, champion, candidate = frames
        log = data.assign(timestamp=pd.to_datetime(data["timestamp"], utc=True), prediction=champion["prediction"])
        pq.write_table(pa.Table.from_pandas(log.drop(columns=list(drop))), tmp_path / "log.parquet")
        early = log.assign(timestamp=log["timestamp"] - pd.Timedelta(days=60), id=["e" + one for one in log["id"]])
        pq.write_table(pa.Table.from_pandas(early.drop(columns=list(drop))), tmp_path / "reference.parquet")
        candidate.to_parquet(tmp_path / "candidate.parquet", index=False)
        (tmp_path / "driftd.toml").write_text(CONFIG.format(more=more))
        return frames

    return make


LIMITED = """
[models.loans.fairness]
columns = ["sex"]
[models.loans.gate]
limits.demographic_parity_difference = 0.1
"""


def test_the_exported_rows_give_the_same_verdict_as_the_log(
    driftd: Any, watched: Callable[..., Frames], tmp_path: Path
) -> None:
    """With the daemon's log, or on a runner with nothing but the exported file: the same numbers, whatever format."""
    watched(loans(favour=0.25), LIMITED)
    by_log = driftd("gate", "-c", "driftd.toml", "--candidate", "candidate.parquet", *UNTIL, "--json")
    assert by_log.code == 3
    breached = [score["metric"] for score in by_log.json["scores"] if score["status"] == "breached"]
    assert breached == ["demographic_parity_difference"]
    for ending in ("parquet", "csv", "jsonl"):
        file = tmp_path / f"rows.{ending}"
        assert driftd("window", "export", "-c", "driftd.toml", "-o", file).code == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        done = driftd(
            "gate", "--data", file, "--candidate", "candidate.parquet", *UNTIL, "--metric", "accuracy", "--segments",
            "branch", "--protected", "sex", "--limit", "demographic_parity_difference=0.1", "--json",
        )
        assert done.code == 3
        for name in ("outcome", "reasons", "rows", "improvement", "champion", "candidate"):
            assert done.json[name] == by_log.json[name], name


def test_a_log_without_ids_is_exported_with_ids(
    driftd: Any, watched: Callable[..., Frames], tmp_path: Path
) -> None:
    """The hash that stands for a row is its id, on which the candidate's predictions come back."""
    data, _, candidate = watched(loans(), drop=("id",))
    driftd("window", "export", "-c", "driftd.toml", "-o", "rows.parquet")
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert rows["prediction_id"].is_unique
    assert (rows["x"].to_numpy() == data["x"].to_numpy()).all()
    rows[["prediction_id"]].assign(prediction=candidate["prediction"])[::-1].to_csv(tmp_path / "said.csv", index=False)
    done = driftd("gate", "-c", "driftd.toml", "--candidate", "said.csv", *UNTIL, "--json")
    assert (done.code, done.json["rows"]) == (0, ROWS)
    done = driftd("gate", "-c", "driftd.toml", "--candidate", "candidate.parquet", *UNTIL)
    assert (done.code, "has no column prediction_id" in done.err) == (2, True)


def test_a_stretch_and_a_window_are_exported(driftd: Any, watched: Callable[..., Frames], tmp_path: Path) -> None:
    """From --since until --until, or one window that was checked."""
    watched(loans(), "since = 2024-03-04T00:00:00Z")
    options = ("window", "export", "-c", "driftd.toml", "-o", "rows.csv")
    driftd(*options, "--since", "2024-03-05", "--until", "2024-03-07")
    times = pd.read_csv(tmp_path / "rows.csv")["timestamp"]
    assert (times.min(), times.max(), len(times)) == ("2024-03-05T00:00:00Z", "2024-03-06T23:45:00Z", 2 * 96)
    driftd("check", "-c", "driftd.toml")
    done = driftd(*options, "--window", "2024-03-11", "--json")
    assert (done.code, done.json["first"], done.json["rows"]) == (0, "2024-03-11T00:00:00Z", 7 * 96)
    done = driftd(*options, "--window", "2024-03-11", "--until", "2024-03-12")
    assert (done.code, "expected no --since and no --until" in done.err) == (2, True)
    done = driftd(*options[:-1], "rows.xlsx")
    assert (done.code, "expected a name that ends in one of .parquet, .csv, .jsonl" in done.err) == (2, True)


def test_training_data_move_the_rows_that_are_judged(
    driftd: Any, watched: Callable[..., Frames], tmp_path: Path
) -> None:
    """By the log the rows behind the candidate's training data are taken; rows asked for before that are refused."""
    watched(loans())
    options = ("gate", "-c", "driftd.toml", "--candidate", "candidate.parquet", "--trained-until", "2024-03-11")
    done = driftd(*options, "--json")
    assert (done.code, done.json["first"], done.json["rows"]) == (0, "2024-03-11T00:00:00Z", ROWS - 960)
    done = driftd(*options, "--since", "2024-03-10")
    assert (done.code, "96 of 2136 rows are older than" in done.err) == (4, True)


def test_rules_stand_in_the_configuration_where_there_is_one(
    driftd: Any, watched: Callable[..., Frames], tmp_path: Path
) -> None:
    """The gate's own margin is used; options for files are refused beside it."""
    watched(loans(), "[models.loans.gate]\nmargin = 0.2\n")
    options = ("gate", "-c", "driftd.toml", "--candidate", "candidate.parquet", *UNTIL)
    done = driftd(*options)
    assert (done.code, "not shown to be better than 0.2" in done.out) == (3, True)
    done = driftd(*options, "--margin", "0")
    assert (done.code, "--margin goes with --data" in done.err) == (2, True)
