"""A trigger that can never fire is an error of its file, with its line and what was meant."""

from pathlib import Path

import pytest

from monitor.config import load
from monitor.errors import ConfigError

HEAD = """
[models.m]
predictions = "log.csv"
reference = "first 30d"
{more}
triggers = [
{triggers},
]
[models.m.retrain]
pipeline = "p"
[pipelines.p]
kind = "command"
command = ["true"]
"""
A = '{ name = "a", metric = "accuracy", above = 0.9 }'
B = '{ name = "b", metric = "accuracy", below = 0.7 }'

NEVER = [
    ('metric = "accuracy", drop = 5', "drop", 'it never changes by 5: expected less, or "5%" of its value'),
    ('metric = "accuracy", drop = 1', "drop", "it never changes by 1"),
    ('metric = "accuracy", drop = "100%"', "drop", "cannot drop by 100% of its value"),
    ('metric = "rmse", drop = "120%"', "drop", "cannot drop by 120% of its value"),
    ('metric = "roc_auc", rise = 2', "rise", "it never changes by 2"),
    ('metric = "missing_share", above = 2', "above", "a number from 0 to 1, never above 2"),
    ('metric = "missing_share", above = 20', "above", "never above 20"),
    ('metric = "drifted_share", above = 1', "above", "never above 1"),
    ('metric = "label_coverage", below = 0', "below", "never below 0"),
    ('metric = "label_coverage", below = 80', "below", "always below 80"),
    ('metric = "accuracy", above = -0.1', "above", "always above -0.1"),
    ('metric = "rows", below = 0', "below", "a number of at least 0, never below 0"),
    ('metric = "rows", below = -5', "below", "never below -5"),
    ('metric = "staleness_seconds", below = 0', "below", "never below 0"),
    ('metric = "rmse", below = 0', "below", "never below 0"),
    ('metric = "r2", above = 1', "above", "never above 1"),
    ('metric = "estimated_roc_auc", below = -0.5', "below", "never below -0.5"),
    ('metric = "drift", method = "ks", above = 1', "above", "never above 1"),
    ('metric = "accuracy", above = inf', "above", "expected a finite number, got inf"),
    ('metric = "accuracy", below = nan', "below", "expected a finite number, got nan"),
    ('metric = "accuracy", below = 0.7, clear = 0.6', "clear", "below the threshold 0.7, expected at least that"),
    ('metric = "missing_share", above = 0.2, clear = 0.3', "clear", "above the threshold 0.2, expected at most that"),
    ('metric = "accuracy", drop = 0.1, clear = 0.2', "clear", "more than the change 0.1"),
    ('metric = "drifted_share", drifted = true, clear = 0.2', "clear", "expected no clear beside drifted"),
    ('metric = "accuracy", below = 0.7, column = "x"', "column", '"accuracy" is not measured by column'),
    ('metric = "rows", below = 7, method = "psi"', "method", '"rows" is not measured by method'),
    ('metric = "domain_classifier_auc", drifted = true', "metric", "drift.multivariate = false"),
    ('metric = "labels_lost", drifted = true, action = "retrain"', "action", "never retrains"),
    ('metric = "drift", column = "x", method = "ks", above = 0.1', "method", '"x" is measured by psi'),
    ('metric = "accuracy", drop = "0%"', "drop", "nor a positive number"),
    ('metric = "accuracy", below = 0.5, clear = 1.5', "clear", "from 0 to 1, so it never clears at 1.5"),
    ('metric = "missing_share", above = 0.5, clear = -1', "clear", "so it never clears at -1"),
    ('metric = "unmatched_labels_share", above = 0.1', "metric", "about labels that are kept apart"),
    ('cron = "0 6 1 * *", windows = "2 of 3"', "windows", "expected no windows"),
    ('every = "7d", windows = "2 of 3"', "windows", "expected no windows"),
    ('cron = "0 6 31 feb *"', "cron", "is no date of any year"),
    ('cron = "0 6 30,31 2 *"', "cron", "is no date of any year"),
    ('metric = "acuracy", below = 0.7', "metric", 'there is no metric "acuracy", did you mean "accuracy"?'),
    ('metric = "accuracy", below = 0.7, windows = "4 of 3"', "windows", "4 of 3"),
    ('metric = "accuracy", below = 0.7, windows = "0 of 3"', "windows", "0 of 3"),
    ('metric = "accuracy", below = 0.7, segment = "origin"', "segment", '"origin" is not measured'),
    (f'all = ["a", "b"] }},\n{A},\n{B}', "all", "never above 0.9 and below 0.7"),
    (f'all = ["a", "b"], unless = ["a"] }},\n{A},\n{B}', "unless", "makes it fire and holds it back"),
    (f'any = ["b"], unless = ["b"] }},\n{B}', "unless", "makes it fire and holds it back"),
    (f'all = ["b", "b"] }},\n{B}', "all", '"b" is there twice'),
    ('all = ["c"] },\n{ name = "b", metric = "rows", below = 9', "all", 'there is no trigger "c"'),
]
DISABLED = [
    ('metric = "regret", above = 2.0', "rehearsal.enabled = false", "is not measured with rehearsal.enabled = false"),
    ('metric = "challenger_gain", above = 0.1', "rehearsal.enabled = false", "is not measured with rehearsal"),
    ('metric = "estimated_accuracy", below = 0.1', "estimation.enabled = false", "is not measured with estimation"),
    ('metric = "rmse", above = 9', 'task = "binary"', '"rmse" is no metric of the task binary'),
    ('metric = "rows", below = 500', "window.size = 1000", "every window has 1000 rows"),
    ('metric = "roc_auc", below = 0.6', 'task = "regression"', '"roc_auc" is no metric of the task regression'),
]


def problems(folder: Path, trigger: str, more: str = "") -> list[str]:
    path = folder / "driftd.toml"
    body = f'{{ name = "t", {trigger}' + ("" if trigger.endswith("}") else " }")
    path.write_text(HEAD.format(triggers=body, more=more), encoding="utf-8")
    try:
        load(path)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(("trigger", "key", "text"), NEVER, ids=[case[0][:60] for case in NEVER])
def test_a_trigger_that_can_never_fire_is_refused(tmp_path: Path, trigger: str, key: str, text: str) -> None:
    """Each has one sentence that names its line, its key and what was expected."""
    more = 'drift.columns.x = { method = "psi" }' if '"x"' in trigger else ""
    found = problems(tmp_path, trigger, more)
    assert [one for one in found if text in one and f"models.m.triggers.1.{key}" in one], found
    assert all(str(tmp_path / "driftd.toml") + ":7: " in one for one in found if text in one), found


@pytest.mark.parametrize(("trigger", "setting", "text"), DISABLED, ids=[case[0] for case in DISABLED])
def test_a_trigger_on_what_is_not_measured_is_refused(tmp_path: Path, trigger: str, setting: str, text: str) -> None:
    """A metric that another setting turns off, or that the task does not have, is named with that setting."""
    found = problems(tmp_path, trigger, setting)
    assert any(text in one for one in found), found


@pytest.mark.parametrize("trigger", [
    'metric = "accuracy", drop = "5%"', 'metric = "accuracy", drop = 0.05', 'metric = "roc_auc", below = 0.5',
    'metric = "missing_share", above = 0', 'metric = "missing_share", above = 0.2, clear = 0.1, column = "y"',
    'metric = "rows", below = 1', 'metric = "rmse", rise = "150%"', 'metric = "bias", above = -3',
    'metric = "regret", above = "0.02 for 30d", action = "retrain"', 'metric = "r2", below = -1',
    'metric = "drift", method = "ks", below = 0.01', 'metric = "drift", method = "wasserstein", above = 3',
    'cron = "0 6 29 feb *"', 'metric = "challenger_gain", above = -0.5', 'metric = "log_loss", above = 2',
    f'all = ["a", "b"] }},\n{A.replace("above", "below")},\n{B}',
    'metric = "accuracy", below = 0.7, windows = "3 of 3"',
])
def test_a_trigger_that_may_fire_is_fine(tmp_path: Path, trigger: str) -> None:
    """Rare is not never: thresholds within what a metric can be are taken."""
    assert problems(tmp_path, trigger) == []


@pytest.mark.parametrize("setting", ["rehearsal.enabled = false", "estimation.enabled = false", 'task = "regression"'])
def test_the_default_triggers_are_never_refused(tmp_path: Path, setting: str) -> None:
    """What nobody wrote is no mistake of the file, whatever else it turns off."""
    path = tmp_path / "driftd.toml"
    path.write_text(f'[models.m]\npredictions = "log.csv"\nreference = "first 30d"\n{setting}\n', encoding="utf-8")
    assert [one.name for one in load(path).config.models["m"].triggers][:2] == ["drift", "retraining-pays"]
