"""A log that ended long ago: what is said of it on stdout, and what to do."""

import pytest

CONFIG = """
[models.rides]
predictions = "rides.csv"
reference   = "first 30d"
"""


@pytest.mark.parametrize("command", ["validate", "check"])
def test_an_ended_log_is_said_to_have_ended_with_what_to_do(driftd, rides, command):
    """The newest row, and each of the three ways to have an old log judged."""
    (rides.parent / "driftd.toml").write_text(CONFIG)
    done = driftd(command, "-c", "driftd.toml")
    assert "the newest row is from 2024-04-09T23:00:00Z, expected one within 7d" in done.out
    for way in ("`driftd backtest`", "`driftd check --at 2024-04-09`", "`since`"):
        assert way in done.out
    if command == "check":
        assert done.code == 4
        assert "rides: the newest window could not be judged: the window has no rows" in done.out
        assert "expected one within 7d" in driftd("status", "-c", "driftd.toml").out
