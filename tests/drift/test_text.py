"""Text columns: Evidently's content drift, the length, words the reference never had."""

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.config.drift_methods import METHODS
from monitor.config.sections import ColumnDrift, DriftSection
from monitor.drift.text import content_drift, limit, text_scores
from monitor.errors import CannotJudge
from monitor.records import ScoreStatus

ROLES = Roles(
    timestamp="t", id=None, prediction="p", probability=None, label=None, label_timestamp=None, model_version=None,
    features={"said": "text"},
)


def texts(rows: int, first: int, seed: int) -> list[str]:
    words = np.random.default_rng(seed).integers(first, first + 60, (rows, 8))
    return [" ".join(f"word{number}" for number in row) for row in words]


@pytest.mark.parametrize(("rows", "method"), [(300, "perc_text_content_drift"), (1100, "abs_text_content_drift")])
@pytest.mark.parametrize("first", [0, 30])
def test_content_drift_is_evidentlys(rows: int, method: str, first: int) -> None:
    """Method, number and verdict are those of Evidently's own stat test of the same name."""
    import pandas as pd
    from evidently.legacy.calculations.stattests import registry

    sides = texts(rows, 0, 1), texts(400, first, 2)
    tables = [pa.table({"said": side}) for side in sides]
    found = text_scores(*tables, ROLES, DriftSection(), 100)[0]
    kind = registry.ColumnType.Text
    theirs = registry.get_stattest(*map(pd.Series, sides), kind, None)(*map(pd.Series, sides), kind, None)
    assert found.method == method
    assert found.value == pytest.approx(theirs.drift_score, rel=1e-12)
    assert (found.status is ScoreStatus.DRIFTED) == theirs.drifted


@pytest.mark.parametrize(("for_all", "own", "method"), [
    ("abs_text_content_drift", None, "abs_text_content_drift"), ("psi", None, "perc_text_content_drift"),
    ("abs_text_content_drift", "perc_text_content_drift", "perc_text_content_drift"),
])
def test_a_method_for_all_columns_holds_for_texts_if_it_is_one(for_all: str, own: str | None, method: str) -> None:
    """A column's own method goes before it; else 300 texts have Evidently's usual one."""
    side = pa.table({"said": texts(300, 0, 1)})
    section = DriftSection(method=for_all, columns={"said": ColumnDrift(method=own)} if own else {})
    assert text_scores(side, side, ROLES, section, 100)[0].method == method


def test_words_that_tell_nothing_are_said() -> None:
    """Texts of stop words, of one word, and single rows: one sentence, no library's error."""
    for said, why in (("this is the", "no word that some"), ("same same", "no word that some"), ("", "no word that")):
        column = pa.chunked_array([[said] * 50])
        with pytest.raises(CannotJudge, match=why):
            content_drift(column, column)
    with pytest.raises(CannotJudge, match="too few texts"):
        content_drift(pa.chunked_array([["one text"]]), pa.chunked_array([["another text"]]))


def test_evidently_is_not_imported_for_texts() -> None:
    """It costs seconds and 300 MB in every worker whose model has a text column."""
    program = """
import sys, pyarrow as pa
from monitor.drift.text import content_drift, limit
sides = [pa.chunked_array([[f"{word} word {n % 7}{word}" for n in range(60)]]) for word in ("old", "new")]
print(content_drift(*sides), limit("perc_text_content_drift", 0.95, *sides))
assert "evidently" not in sys.modules
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_limit_of_guessing_is_evidentlys() -> None:
    """What classifiers that guess reach is what Evidently draws, number for number."""
    from evidently.legacy.utils.data_drift_utils import roc_auc_random_classifier_percentile
    from sklearn.model_selection import train_test_split

    columns = [pa.chunked_array([texts(80, 0, 1)]), pa.chunked_array([texts(50, 0, 2)])]
    truth = train_test_split(np.repeat([0, 1], [80, 50]), test_size=0.5, random_state=42)[1]
    theirs = roc_auc_random_classifier_percentile(truth, p_value=0.05)
    assert limit("perc_text_content_drift", 0.95, *columns) == pytest.approx(theirs, rel=1e-12)


def test_words_and_length() -> None:
    """Half of the window's words are new, none stood in one text only before, and longer texts drift."""
    reference = pa.table({"said": ["one two", "two ONE"] * 100})
    window = pa.table({"said": ["one, neu! and two; altogether-neu"] * 150})
    scores = {score.metric: score for score in text_scores(reference, window, ROLES, DriftSection(), 100)}
    assert (scores["unseen_words_share"].value, scores["unseen_words_share"].reference) == (pytest.approx(4 / 6), 0)
    assert scores["text_length_drift"].status is ScoreStatus.DRIFTED


def test_what_cannot_be_judged_says_why() -> None:
    """Too few texts, and a column that is gone, are Scores with a reason."""
    some = pa.table({"said": texts(20, 0, 1)})
    assert {score.status for score in text_scores(some, some, ROLES, DriftSection(), 100)} == {ScoreStatus.INSUFFICIENT}
    gone = text_scores(some, pa.table({"x": [1] * 200}), ROLES, DriftSection(), 100)
    assert {score.reason for score in gone} == {"the window has no column said"}


@pytest.mark.parametrize(
    ("reference", "window", "own", "reasons"),
    [
        (["so it is"] * 120, list(range(120)), {}, {"the window holds number, expected text"}),
        ([None] * 120, ["so it is"] * 120, {}, {"every text is missing"}),
        (["?!"] * 120, ["so it is"] * 120, {"unseen_words_share": 1}, {"there is no word in the reference"}),
        (["so"] * 120, ["so"] * 120, {"drift": 1, "method": "pss"},
         {'there is no drift method "pss", expected auto or ' + ", ".join(METHODS)}),
        (["so"] * 120, ["so"] * 120, {"drift": 1, "method": "ks"}, {"ks is not for text columns, and said is one"}),
    ],
)
def test_a_text_column_that_cannot_be_judged_says_why(
    reference: list[Any], window: list[Any], own: dict[str, Any], reasons: set[str]
) -> None:
    """The sentence stands in each number it concerns, which has no value."""
    section = DriftSection(columns={"said": ColumnDrift(method=own["method"])} if "method" in own else {})
    sides = [pa.table({"said": pa.array(side, pa.string() if side[0] is None else None)})
             for side in (reference, window)]
    found = [one for one in text_scores(*sides, ROLES, section, 100) if one.metric in (own or {one.metric: 1})]
    assert {one.reason for one in found} == reasons
    assert {(one.status, one.value) for one in found} == {(ScoreStatus.FAILED, None)}
