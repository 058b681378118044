"""How the expected false alarms of a configuration are told."""

import pytest

from monitor.calibration.outlook import Expected, Noticed, Outlook, listed, power_words, uncalibrated


@pytest.mark.parametrize(
    ("given", "rate", "words"),
    [
        ({"untold": "no labels"}, "–", "not known: no labels"),
        ({"a_year": 0.123, "at_most": 1}, "0.12 a year", "about 0.12 a year; at most 1 by chance"),
        ({"a_year": 9.99, "at_most": 16}, "10 a year", "about 10 a year; at most 16 by chance"),
        ({"a_year": 123.4, "at_most": 142}, "123 a year", "about 123 a year; at most 142 by chance"),
        ({"a_year": 2.0, "at_most": 5, "windows": 10}, "2 a year",
         "about 2 a year; at most 5 by chance (began 0 times in the reference's 10 windows)"),
        ({"a_year": 2.0, "at_most": 5, "windows": 10, "begun": 1, "firing": 5}, "2 a year",
         "about 2 a year; at most 5 by chance (began 1 time in the reference's 10 windows, 5 firing)"),
        ({"a_year": 2.0, "at_most": 5, "windows": 10, "begun": 2, "firing": 6}, "most of the time",
         "fires most of the time, in 6 of the reference's 10 windows"),
    ],
)
def test_the_false_alarms_of_a_trigger_are_a_rate_and_what_the_reference_showed(given, rate, words) -> None:
    """A trigger that fires in more than half of the windows has no rate worth telling."""
    one = Expected(trigger="t", **given)
    assert (one.rate, one.words) == (rate, words)
    assert Outlook(triggers=(one,), together=None, notes=("short",)).lines == [f"t: {words}", "short"]
    assert Outlook(triggers=(one,), together=one, notes=()).lines == [f"t: {words}"] * 2


def _noticed(column, kind, shift):
    return Noticed(column=column, kind=kind, shift=shift, rows=400)


def test_the_smallest_shift_is_told_from_the_first_column_to_the_last() -> None:
    """Of numbers in sd, of classes in points of the largest share; columns of which none is seen are named."""
    found = [_noticed("b", "numerical", 0.416), _noticed("a", "numerical", 0.123), _noticed("c", "numerical", 0.3),
             _noticed("d", "categorical", 0.0149), _noticed("e", "numerical", None), _noticed("f", "categorical", None)]
    assert list(power_words(found)) == [
        "half of the windows of 400 values show a mean that moved by 0.12 sd (a) to 0.42 sd (b)",
        "no window shows a mean that moved of e: windows of the reference differ too much there",
        "half of the windows of 400 values show a largest share that moved by 1 point (d)",
        "no window shows a largest share that moved of f: windows of the reference differ too much there",
    ]
    assert list(power_words([])) == []


def test_columns_without_a_calibrated_threshold_are_told_by_reason() -> None:
    """A sentence for each reason, in the order of the columns; five columns by name."""
    assert list(uncalibrated({"a": "too few rows", "b": "constant", "c": "too few rows"})) == [
        "uncalibrated: a, c; too few rows. Evidently's thresholds are used, and never cause a retrain alone",
        "uncalibrated: b; constant. Evidently's thresholds are used, and never cause a retrain alone",
    ]
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
