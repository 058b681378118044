"""Row 14: decisions on random histories, held against a second writing of the same rules."""

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest

from tests.decide import conftest as makers
from tests.decide.test_decide_brute_force import agree, streams


@pytest.mark.torture(14)
def test_decisions_equal_brute_force(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """At every look of every history: what fires, what is asked, the need's state and the guards that object."""
    looks: list[int] = []

    def play(stream: list[Any]) -> None:
        agree(makers, stream)
        looks.append(len(stream))

    settings = hypothesis.settings(
        max_examples=effort(150, 10_000), deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.seed(seed)(settings(hypothesis.given(stream=streams)(play)))()
    figure(f"{len(looks)} random histories of {sum(looks)} looks: every decision equals brute force")
    assert len(looks) >= effort(100, 9_000)
