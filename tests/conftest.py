"""In `.ci/run` no test is skipped: what is missing there (real servers, the shared data) is a failure."""

import os
from collections.abc import Generator

import pytest

# As in the workers: on a busy machine OpenMP's threads wait for each other so long that fits take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where DRIFTD_NO_SKIP is set."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("DRIFTD_NO_SKIP"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{reason} (nothing is skipped in .ci/run)"
    return report
