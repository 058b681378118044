"""`driftd validate` says what false alarms are to be expected, and where the reference is too short to say."""

from pathlib import Path

CONFIG = """
[models.rides]
predictions = {{ path = "rides.csv", csv = {{ day_first = true }} }}
reference = "first {first}"
columns = {{ timestamp = "timestamp" }}
window = {{ size = "{size}", min_rows = 10 }}
drift = {{ threshold = {threshold}, false_alarms = "1 per 30d" }}
"""


def alarms(driftd, tmp_path: Path, first: str, size: str, threshold: str = '"calibrated"') -> str:
    (tmp_path / "driftd.toml").write_text(CONFIG.format(first=first, size=size, threshold=threshold))
    done = driftd("validate", "-c", "driftd.toml")
    assert done.code == 0, done.err
    return done.out.split("  alarms")[1]


def test_a_long_reference_keeps_the_rate(driftd, rides, tmp_path):
    """Sixty days of days: the rate is kept, and seasons the reference has not seen are named."""
    said = alarms(driftd, tmp_path, "60d", "1d")
    assert "drift: at most about" in said
    assert "0 in the reference's 60 windows" in said
    assert "the reference spans 60d: seasons it has not seen will count as drift" in said
    assert "uncalibrated" not in said


def test_a_short_reference_is_told(driftd, rides, tmp_path):
    """Nine weeks hold no ten windows of a week: nothing is calibrated, and validate says so."""
    said = alarms(driftd, tmp_path, "63d", "7d")
    assert "uncalibrated: temp, hum, weather, prediction; the reference holds 9 whole windows, it takes 10" in said


def test_a_fixed_threshold_is_replayed_too(driftd, rides, tmp_path):
    """What a number of one's own would have done on the reference is told just the same."""
    said = alarms(driftd, tmp_path, "60d", "1d", "0.001")
    assert "in the reference's 60 windows, 60 firing" in said
