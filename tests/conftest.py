"""Fixtures that several parts use."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def absent(what: str) -> None:
    """Skip a test whose real counterpart is not here; in `.ci/run` nothing is skipped, there it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true: nothing is skipped there", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that lies beside the checkout."""
    if not SHARED.is_dir():
        absent(f"the shared data are not at {SHARED}")
    return SHARED
