"""Ours against Evidently itself on other frames, and a contract with the legacy path we call. The only test
module that imports Evidently, which takes seconds."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.config.drift_methods import METHODS
from monitor.drift import evidently
from monitor.drift.column_scores import column_drift
from monitor.drift.methods import OURS_ALONE, OWN
from monitor.errors import CannotJudge

GENERATOR = np.random.default_rng(7)


def frames() -> Iterator[tuple[str, str, Any, Any]]:
    """Pairs of columns of every kind: sizes on both sides of 1,000, nulls, few values, outliers."""
    normal = GENERATOR.normal
    yield "float64", "numerical", normal(0, 1, 1500), normal(0.3, 1, 700)
    yield "float32", "numerical", normal(5, 2, 1200).astype("f4"), normal(5, 3, 900).astype("f4")
    yield "mixed floats", "numerical", normal(5, 2, 1200).astype("f4"), normal(5, 3, 900)
    yield "small", "numerical", normal(0, 1, 300), normal(0.1, 1, 200)
    yield "nulls and infinities", "numerical", _holed(normal(0, 1, 900)), _holed(normal(0, 2, 1000))
    yield "narrow integers", "numerical", GENERATOR.integers(0, 30, 2000), GENERATOR.integers(5, 35, 800)
    yield "int8", "numerical", *(GENERATOR.integers(-90, 120, n).astype("i1") for n in (2000, 9))
    yield "wide integers", "numerical", GENERATOR.integers(0, 10**6, 1100), GENERATOR.integers(0, 10**6, 1100)
    yield "few against many", "numerical", GENERATOR.integers(0, 12, 1500) * 1.0, normal(6, 2, 500)
    yield "many against few", "numerical", normal(6, 2, 1500), GENERATOR.integers(0, 12, 500) * 1.0
    yield "three values", "numerical", GENERATOR.integers(0, 3, 500), GENERATOR.integers(0, 3, 400)
    yield "two values", "numerical", GENERATOR.integers(0, 2, 500) * 1.0, GENERATOR.integers(0, 2, 300) * 1.0
    yield "constant", "numerical", np.full(1500, 3.0), np.full(400, 3.0)
    yield "constants apart", "numerical", np.full(1500, 3.0), np.full(400, 4.0)
    yield "one row", "numerical", normal(0, 1, 1500), np.array([0.5])
    yield "an absurd value", "numerical", normal(0, 1, 1500), np.append(normal(0, 1, 500), 1e12)
    yield "words", "categorical", _words("abcdef", 1500), _words("abcdef", 800)
    yield "words, small", "categorical", _words("abc", 700), _words("abc", 300)
    yield "an unseen word", "categorical", _words("abc", 700), _words("abcd", 300)
    yield "a rare word", "categorical", ["b"] + ["a"] * 20_000, ["a"] * 500 + ["c"]
    yield "two words", "categorical", _words("xy", 700), _words("xy", 300)
    yield "codes", "categorical", GENERATOR.integers(1, 12, 800), GENERATOR.integers(1, 12, 700)
    yield "booleans", "categorical", GENERATOR.random(500) < 0.5, GENERATOR.random(500) < 0.6


def _theirs(test: Any, sides: list[Any], column_type: Any) -> Any:
    """Evidently's result; None where it raises or has no finite number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = test(*sides, column_type, None)
        except ValueError:
            return None
    return found if np.isfinite(found.drift_score) else None


def _holed(values: Any) -> Any:
    values[::7], values[3::50] = np.nan, np.inf
    return values


def _words(letters: str, rows: int) -> list[str]:
    return [str(letter) for letter in GENERATOR.choice(list(letters), rows)]


@pytest.fixture(scope="module")
def legacy() -> Iterator[Any]:
    """Evidently's registry of stat tests, with its telemetry off as `measure` sets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DO_NOT_TRACK", "1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently.legacy.calculations.stattests import registry
        yield registry


@pytest.mark.parametrize(("kind", "reference", "window"), [pytest.param(*f[1:], id=f[0]) for f in frames()])
def test_our_methods_agree_with_evidently(legacy: Any, kind: Any, reference: Any, window: Any) -> None:
    """Every method of ours, and the choice by default, agrees with Evidently on columns of every kind."""
    import pandas as pd

    columns = [pa.chunked_array([pa.array(side)]) for side in (reference, window)]
    sides = [pd.Series(side).replace([np.inf, -np.inf], np.nan).dropna() for side in (reference, window)]
    column_type = legacy.ColumnType("num" if kind == "numerical" else "cat")
    chosen = legacy.get_stattest(*sides, column_type, None)
    assert column_drift(*columns, kind)[0] == chosen.name
    for method in {chosen.name, *(m for m in OWN if kind in METHODS[m].kinds and m not in OURS_ALONE)}:
        test = legacy.get_stattest(*sides, column_type, method) if method != chosen.name else chosen
        theirs = _theirs(test, sides, column_type)
        if theirs is None and method != "chisquare":
            with pytest.raises((CannotJudge, ValueError)):
                column_drift(*columns, kind, method)
            continue
        _, ours = column_drift(*columns, kind, method)
        if theirs is None:
            assert ours == 1.0      # a constant: Evidently has no number
            continue
        assert ours == pytest.approx(float(theirs.drift_score), rel=1e-9, abs=1e-14), method
        assert METHODS[method].drifted(ours, METHODS[method].threshold) == bool(theirs.drifted)


def test_the_table_of_methods_is_evidentlys(legacy: Any) -> None:
    """Every method's kinds of column and threshold are those of the installed Evidently."""
    words = {"num": "numerical", "cat": "categorical", "text": "text"}
    for name, method in ((name, method) for name, method in METHODS.items() if name not in OURS_ALONE):
        tests = legacy._registered_stat_tests[name]
        assert {words[kind.value] for kind in tests} == set(method.kinds)
        assert {test.default_threshold for test in tests.values()} == {method.threshold}


@pytest.mark.parametrize("name", sorted(m for m in METHODS.keys() - set(OWN) if "text" not in METHODS[m].kinds))
def test_the_other_methods_are_to_be_had_by_name(legacy: Any, name: str) -> None:
    """Each remaining stat test of Evidently gives a finite number, the same each time it is asked."""
    kind: Any = METHODS[name].kinds[0]
    generator = np.random.default_rng(1)
    values = generator.normal(size=(2, 80)) if kind == "numerical" else generator.choice(["a", "b"], (2, 80))
    columns = [pa.chunked_array([pa.array(side)]) for side in values]
    first = column_drift(*columns, kind, name)
    assert first == column_drift(*columns, kind, name)
    assert first[0] == name
    assert np.isfinite(first[1])


@pytest.mark.parametrize(
    ("method", "kind"), [("kl_div", "numerical"), ("mannw", "numerical"), ("psi", "categorical")]
)
def test_the_legacy_path_gives_what_value_drift_gives(legacy: Any, method: str, kind: Any) -> None:
    """The stat tests called directly give the number of Evidently's own report metric ValueDrift."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    generator = np.random.default_rng(2)
    sides = [generator.normal(size=400), generator.normal(0.2, 1, 300)]
    if kind == "categorical":
        sides = [np.where(side > 0, "up", "down").astype(object) for side in sides]
    definition = DataDefinition(**{f"{kind}_columns": ["x"]})
    frames = [Dataset.from_pandas(pd.DataFrame({"x": side}), data_definition=definition) for side in sides]
    result = Report([ValueDrift(column="x", method=method)]).run(frames[1], frames[0]).dict()
    theirs = float(result["metrics"][0]["value"])
    assert evidently.score(method, kind, *sides) == pytest.approx(theirs, rel=1e-12)


def test_evidently_may_not_send_anything() -> None:
    """After a stat test was used, Evidently's event logger is switched off and no connection was opened."""
    program = """
import socket
def refuse(*args): raise SystemExit("a connection was opened")
socket.socket.connect = refuse
from monitor.drift import evidently
evidently.score("kl_div", "numerical", [1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
from evidently.telemetry import event_logger
assert not event_logger.is_enabled()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
