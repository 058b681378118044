"""What `init` makes of logs whose rows come in batches: once a month, a week, a day."""

import csv
import random
import tomllib
from datetime import UTC, date, datetime, timedelta

import pytest

MONTHS = [date(2024 + n // 12, n % 12 + 1, 28) for n in range(30)]


def days(step, count):
    return [date(2024, 1, 1) + n * timedelta(days=step) for n in range(count)]


@pytest.mark.parametrize(("batches", "size", "reference"), [
    (MONTHS, "35d", "first 385d"), (MONTHS[:12], "35d", "first 167d"), (days(7, 60), "7d", "first 90d"),
    (days(7, 8), "7d", "first 16d"), (days(1, 100), "7d", "first 33d"), (days(1, 20), "1d", "first 6d"),
], ids=["months", "months of a year", "weeks", "few weeks", "days", "few days"])
def test_a_window_holds_a_batch(driftd, tmp_path, batches, size, reference):
    """A window is as long as batches are apart at least, the reference some of them; no validation complains."""
    draw = random.Random(1)
    with (tmp_path / "scores.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "income", "prediction", "label"])
        for batch in batches:
            for _ in range(25):
                income, rest = draw.gauss(0, 1), draw.gauss(0, 1)
                rows.writerow([batch.isoformat(), round(income, 3), round(2 * income, 3), round(2 * income + rest, 3)])
    done = driftd("init", "scores.csv")
    assert done.code == 0
    assert ("window: 35d, since rows come in batches about 31d apart" in done.out) == (size == "35d")
    model = tomllib.loads((tmp_path / "driftd.toml").read_text())["models"]["scores"]
    assert (model["window"]["size"], model["reference"]) == (size, reference)
    done = driftd("validate", "-c", "driftd.toml")
    assert done.code == 0
    assert "hold none" not in done.out
    assert "the newest row is from" in done.out


@pytest.mark.parametrize(("unlabelled", "delay", "apart"), [
    (0, None, False), (12, "14d", False), (12, "14d", True), (60, None, False),
])
def test_labels_that_end_before_the_log_are_late(driftd, tmp_path, unlabelled, delay, apart):
    """`init` writes how late they are, so that the first check waits for them; nothing where they ended long before."""
    today = datetime.now(UTC).date()
    log, labels = ["timestamp,id,x,prediction,label"], ["id,label"]
    for n, one in ((n, one) for n in range(1, 200) for one in range(10)):
        label = "" if n <= unlabelled else f"{n % 6}"
        log.append(f"{today - timedelta(days=n)},r{n}-{one},{n % 7},{n % 5},{'' if apart else label}")
        labels += [f"r{n}-{one},{label}"] if label else []
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    (tmp_path / "scores.csv").write_text("\n".join(line.rpartition(",")[0] if apart else line for line in log))
    given = ["--labels", "labels.csv"] if apart else []
    assert driftd("init", "scores.csv", "--task", "regression", *given).code == 0
    assert tomllib.loads((tmp_path / "driftd.toml").read_text())["models"]["scores"].get("label_delay") == delay
    if delay and not apart:
        with (tmp_path / "driftd.toml").open("a") as config:
            config.write("[models.scores.rehearsal]\nenabled = false\n")
        assert "labels-lost" not in driftd("check", "-c", "driftd.toml").out
        assert "labels-lost            alert     0 of" in driftd("backtest", "-c", "driftd.toml").out


def test_windows_shorter_than_batches_are_apart_are_said(driftd, tmp_path):
    """`validate` says that most windows will hold no rows, and what to set."""
    rows = "".join(f"{month.isoformat()},{n % 7},{n % 5},{n % 6}\n" for month in MONTHS for n in range(50))
    (tmp_path / "scores.csv").write_text("timestamp,x,prediction,label\n" + rows)
    (tmp_path / "driftd.toml").write_text(
        '[models.scores]\npredictions = "scores.csv"\nreference = "first 365d"\ntask = "regression"\n')
    assert "rows come in batches about 31d apart, most windows of 7d hold none" in driftd(
        "validate", "-c", "driftd.toml").out
