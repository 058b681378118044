"""Whether the model says one thing to nearly every row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.config.column_roles import Roles
from monitor.quality.collapsed_predictions import collapse_scores

ROLES = Roles("t", None, "said", "chance", None, None, None, {})
CHANCE = np.random.default_rng(0)
WORDS, SCORES = CHANCE.choice(["a", "b", "c"], 2000).tolist(), CHANCE.random(2000).tolist()
SAME = [0.5] * 290 + CHANCE.random(10).tolist()


@pytest.mark.parametrize(
    ("said", "chance", "statuses"),
    [
        (WORDS[:300], SCORES[:300], ["ok", "ok"]),
        (["b"] * 300, SCORES[:300], ["drifted", "ok"]),
        (["b"] * 299 + ["a"], SAME, ["ok", "drifted"]),      # of classes all must be the same, of scores nearly all
        (["b"] * 300, [0.5] * 300, ["drifted", "drifted"]),
        (WORDS[:9] + [None] * 291, SCORES[:300], ["insufficient", "ok"]),
    ],
)
def test_a_model_that_says_one_thing_is_found(said: list[Any], chance: list[float], statuses: list[str]) -> None:
    """The value is the share of the most frequent answer, beside the reference's."""
    reference, window = pa.table({"said": WORDS, "chance": SCORES}), pa.table({"said": said, "chance": chance})
    found = list(collapse_scores(reference, window, ROLES, 10))
    assert [one.status.value for one in found] == statuses
    few = [one.reason for one in found if one.status.value == "insufficient"]
    assert set(few) <= {"the window has 9 predictions, fewer than the 10 required"}
    for one, column in zip(found, (said, chance), strict=True):
        present = [value for value in column if value is not None]
        if one.value is not None:
            assert one.value == max(map(present.count, set(present))) / len(present)


def test_a_collapse_is_told_beside_the_references_own_share() -> None:
    """How many rows have the same answer, and how many at most had one before."""
    reference = pa.table({"said": ["a"] * 500 + ["b"] * 1500, "chance": SCORES})
    window = pa.table({"said": ["b"] * 300, "chance": SCORES[:300]})
    found = next(iter(collapse_scores(reference.take(CHANCE.permutation(2000)), window, ROLES, 10)))
    assert (found.value, found.reference, found.n) == (1.0, 0.75, 300)
    assert found.reason == "said is the same in 100.0% of the rows, in at most 75.0% of the reference's"


def test_a_reference_without_the_column_cannot_tell() -> None:
    """The sentence names the column; one that the window lacks is no matter of collapse."""
    window = pa.table({"said": ["b"] * 300})
    (found,) = collapse_scores(pa.table({"chance": SCORES}), window, ROLES, 10)
    assert (found.status.value, found.reason) == ("insufficient", "the reference has no said")
