"""Labels that are kept apart from the log, as `init` takes them up."""

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROWS = 2000


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A log without labels, and `answers.csv`, where they came a day later."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(hours=row) for row in range(ROWS)]
    log = [f"r{row},{moment:%Y-%m-%dT%H:%M:%SZ},{row % 37},{row % 2}" for row, moment in enumerate(moments)]
    answers = [
        f"r{row},{moment + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ},{(row % 2) ^ (row % 10 == 0)}"
        for row, moment in enumerate(moments)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["request_id,timestamp,size,prediction", *log]) + "\n")
    (tmp_path / "answers.csv").write_text("\n".join(["request_id,labeled_at,actual", *answers]) + "\n")
    return tmp_path


def test_labels_apart_are_joined(driftd: Any, apart: Path) -> None:
    """`init --labels` writes where they are and what they are called; accuracy is then measured."""
    done = driftd("init", "log.csv", "--labels", "answers.csv")
    assert done.code == 0, done.err
    assert "label: actual" in done.out
    model = tomllib.loads((apart / "driftd.toml").read_text())["models"]["log"]
    assert (model["predictions"], model["labels"], model["task"]) == ("log.csv", "answers.csv", "binary")
    assert (model["columns"]["label"], model["columns"]["label_timestamp"]) == ("actual", "labeled_at")
    assert driftd("validate", "-c", "driftd.toml").code == 0
    said = driftd("check", "-c", "driftd.toml", "--at", "2024-03-20")
    assert said.code in (0, 3), said.err


@pytest.mark.parametrize(("name", "flags"), [("ref", ()), ("ID", ("--label-id", "ID"))])
def test_the_id_may_have_another_name_among_the_labels(
    driftd: Any, apart: Path, name: str, flags: tuple[str, ...]
) -> None:
    """The column that holds the log's ids is found, said, written and joined on; a column of its name there is not."""
    text = (apart / "answers.csv").read_text()
    (apart / "answers.csv").write_text(text.replace("request_id", name, 1))
    done = driftd("init", "log.csv", "--labels", "answers.csv", *flags)
    assert done.code == 0, done.err
    assert f"label_id: {name}, the id in the labels" in done.out
    columns = tomllib.loads((apart / "driftd.toml").read_text())["models"]["log"]["columns"]
    assert (columns["id"], columns["label_id"]) == ("request_id", name)
    validated = driftd("validate", "-c", "driftd.toml")
    assert validated.code == 0
    assert "task       binary, judged by" in validated.out
    assert "no row in the log" not in validated.out
    (apart / "driftd.toml").write_text((apart / "driftd.toml").read_text().replace(f'= "{name}"', '= "rfe"'))
    assert 'the labels have no column "rfe"' in driftd("validate", "-c", "driftd.toml").err


def test_its_other_name_is_found_by_all_digits_of_the_ids(driftd: Any, apart: Path) -> None:
    """Ids of twenty digits are no numbers, whose last digits would be lost."""
    for name in ("log.csv", "answers.csv"):
        text = (apart / name).read_text().replace("request_id" if name == "answers.csv" else "\x00", "ref", 1)
        long = re.compile(r"^r(\d+)", re.MULTILINE).sub(lambda found: str(10**19 + int(found[1])), text)
        (apart / name).write_text(long)
    done = driftd("init", "log.csv", "--labels", "answers.csv")
    assert done.code == 0, done.err
    assert "label_id: ref, the id in the labels" in done.out
    assert "no row in the log" not in done.out


@pytest.mark.parametrize("write", [
    lambda id: f"00{id[0].upper()}-_{id[1:]}", lambda id: f" {id} ",
], ids=["capitals, hyphens, zeros", "blanks"])
def test_ids_that_are_written_otherwise_are_said(driftd: Any, apart: Path, write: Callable[[str], str]) -> None:
    """Ids are joined as they are written; how many would join if that did not matter is said."""
    first, *lines = (apart / "answers.csv").read_text().splitlines()
    lines = [",".join([write(line.split(",")[0]), *line.split(",")[1:]]) if at % 2 else line
             for at, line in enumerate(lines)]
    (apart / "answers.csv").write_text("\n".join([first, *lines]) + "\n")
    said = driftd("init", "log.csv", "--labels", "answers.csv").out
    if write("r1").strip() == "r1":
        assert "1000 ids with a label joined although blanks around them, or a .0, differ from the row's" in said
        return
    assert "1000 ids with a label and no row in the log; 1000 of them would have one if capitals" in said


def test_labels_apart_need_an_id_in_common(driftd: Any, apart: Path) -> None:
    """Labels that cannot be joined are refused in a sentence, and nothing is written."""
    text = (apart / "answers.csv").read_text()
    (apart / "answers.csv").write_text(text.replace("request_id", "row", 1).replace("\nr", "\nanswer "))
    done = driftd("init", "log.csv", "--labels", "answers.csv")
    assert done.code == 2
    assert 'the labels have no "request_id" to be joined on' in done.err
    assert "if the id has another name there, --label-id says so" in done.err
    assert not (apart / "driftd.toml").exists()
