"""The log through the same code with another clock: honest about labels, and the same numbers as the daemon's."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from monitor.backtest.replay import backtest
from monitor.errors import CannotJudge, UsageError
from monitor.store import Store

WEEKS = {"size": "7d", "min_rows": 5}
ASKS = {"name": "many", "metric": "rows", "above": 20, "action": "retrain"}


def _play(world, made):
    return backtest(made.loaded(world.section), "m", made.Here())


def test_no_performance_score_uses_a_label_early(world, made, monkeypatch):
    """Labels come three weeks late: each window is seen first without any, and judged when they are known."""
    late = timedelta(days=21)
    world.write("reference.parquet", made.rows(-30, 30, label_after=late))
    world.write("log.parquet", made.rows(0, 56, label_after=late))
    low = {"name": "low", "metric": "mae", "above": 0.0, "action": "retrain"}
    world.model(low, window=WEEKS, task="regression", metric="mae")
    kept = Store.memory()
    monkeypatch.setattr(Store, "memory", lambda: kept)
    monkeypatch.setattr(kept, "close", lambda: None)
    result = _play(world, made)
    for window in {verdict.window for verdict in result.verdicts}:
        for one in kept.snapshots.revisions(window):
            mae = next(score for score in one.scores if score.metric == "mae")
            known = max(0, min(168, (one.taken_at - late - window.start) // made.HOUR + 1))
            assert (one.labelled, mae.n) == (known, known)
            assert mae.provisional == (one.taken_at < window.end + late)
    first = min(one.at for one in result.retrains)
    assert first >= made.START + 7 * made.DAY + late


def test_every_window_is_seen_closing_and_maturing(world, made):
    """Time jumps to where something is due, so that each window has a verdict then, in the order of time."""
    late = timedelta(days=2)
    world.write("reference.parquet", made.rows(-30, 30, label_after=late))
    world.write("log.parquet", made.rows(0, 6, label_after=late))
    world.model(task="regression", metric="mae")
    result = _play(world, made)
    moments = [verdict.at for verdict in result.verdicts]
    assert moments == sorted(moments)
    for day in range(6):
        start = made.START + day * made.DAY
        seen = [one.at - start for one in result.verdicts if one.window.start == start]
        assert (seen[0], seen[-1]) == (made.DAY, made.DAY + late)


@pytest.mark.parametrize(
    ("limits", "guard"),
    [({"cooldown": "10d", "budget": "99 per 1d"}, "cooldown"), ({"cooldown": "0s", "budget": "1 per 90d"}, "budget")],
)
def test_a_suppressed_need_names_what_held_it_back(world, made, limits, guard):
    """The first need asks; the next one is listed once, with its guard, until it may ask or is gone."""
    world.write("log.parquet", made.rows(0, 1), made.rows(1, 1, per_day=8), made.rows(2, 4))
    world.model(ASKS, retrain={"pipeline": "p", "min_labels": 0} | limits)
    rows = _play(world, made).to_json()["retrains"]
    assert rows[0]["suppressed_by"] is None
    assert [row["suppressed_by"] for row in rows[1:]] == [[guard]]
    assert datetime.fromisoformat(rows[1]["window"]["start"]) == made.START + 2 * made.DAY


def test_a_need_that_outlives_its_run_asks_again_after_the_cooldown(world, made):
    """A need that no new model ends, such as one of many rows, comes back."""
    world.write("log.parquet", made.rows(0, 9))
    world.model(ASKS, retrain={"pipeline": "p", "min_labels": 0, "cooldown": "3d", "budget": "99 per 1d"})
    asked = [one for one in _play(world, made).retrains if not one.suppressed_by]
    assert [(one.window.start - made.START).days for one in asked] == [0, 3, 6]


def _elsewhere(made):
    """Rows of an x the model never saw, of which it says 8 too little."""
    table = made.rows(8, 12, label_after=made.HOUR, per_day=48, shift=20.0)
    label = pc.add(table["label"], 8.0)
    return table.set_column(table.column_names.index("label"), "label", label)


PAYS = {"name": "pays", "metric": "regret", "above": 2.0, "action": "retrain"}
FREELY = {"pipeline": "p", "min_labels": 0, "cooldown": "0s", "budget": "2 per 365d"}


def _left_behind(world, made, *triggers, **given):
    world.write("reference.parquet", made.rows(-60, 60, label_after=made.HOUR, per_day=48))
    world.write("log.parquet", made.rows(0, 8, label_after=made.HOUR, per_day=48), _elsewhere(made))
    section = {"task": "regression", "metric": "mae", "estimation": {"enabled": False}, "retrain": FREELY}
    world.model(*triggers, **section | given)


def test_an_accepted_request_is_taken_to_bring_the_challenger_of_its_moment(world, made):
    """One lasting change does not ask for ever: later windows have the new model's error, and nothing is suppressed."""
    _left_behind(world, made, PAYS, {"name": "bad", "metric": "mae", "above": 4.0}, rehearsal={"enabled": True})
    result = _play(world, made)
    assert 1 <= len(result.retrains) <= 2
    assert {retrain.suppressed_by for retrain in result.retrains} == {()}
    why = result.retrains[0].why
    assert why.startswith("the model is worse than before; a retrain would lower its MAE by about ")
    assert why.endswith(" has cost more than a retrain does")
    newest = {one.window.start: one for one in result.verdicts}
    assert [(start - made.START).days for start, one in newest.items() if "bad" in one.fired] == list(
        range(8, (result.retrains[0].window.end - made.START).days)
    )
    assert "puts the challenger of that moment into service" in result.to_json()["assumes"]


def test_where_nothing_may_be_fitted_it_says_that_the_scores_stay(world, made):
    """`rehearsal.enabled = false`: nothing is known of the model that a request brings, and it says so."""
    _left_behind(world, made, {"name": "bad", "metric": "mae", "above": 4.0, "action": "retrain"},
                 rehearsal={"enabled": False})
    result = _play(world, made)
    assert {one.window.start for one in result.verdicts if "bad" in one.fired} == {
        made.START + day * made.DAY for day in range(8, 20)
    }
    assert "because rehearsal.enabled is false" in result.assumes


@pytest.mark.parametrize(("hours", "days"), [(6 * 24, 6), (6 * 24 - 1, 6), (5 * 24 + 14, 5), (5 * 24 + 1, 5)])
def test_windows_end_with_the_log(world, made, hours, days):
    """A last window that the log does not fill is not judged, and the silence behind the log is nobody's fault."""
    world.write("log.parquet", made.rows(0, 6).slice(0, hours))
    world.model()
    result = _play(world, made)
    assert [(one.window.start - made.START).days for one in result.verdicts] == list(range(days))
    assert {one.fired for one in result.verdicts} == {()}


def test_rows_stamped_once_a_window_fill_it(world, made):
    """A log whose rows of a week all carry its Monday has as many windows as weeks."""
    table = made.rows(0, 28)
    week = [made.START + (moment - made.START) // (7 * made.DAY) * 7 * made.DAY
            for moment in table["timestamp"].to_pylist()]
    world.write("log.parquet", table.set_column(0, "timestamp", pa.array(week, pa.timestamp("us", "UTC"))))
    world.model(window=WEEKS)
    assert len({one.window for one in _play(world, made).verdicts}) == 4


def test_the_document_has_the_agreed_form(world, made):
    """`windows` has every verdict, `retrains` exactly window, at, trigger, why, suppressed_by; times are UTC."""
    world.write("log.parquet", made.rows(0, 3))
    world.model(ASKS, retrain={"pipeline": "p", "min_labels": 0})
    document = _play(world, made).to_json()
    assert {"schema_version", "model", "windows", "retrains"} <= document.keys()
    assert len(document["windows"]) == 3
    (row,) = document["retrains"]
    assert row == {
        "window": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z"},
        "at": "2024-01-02T00:00:00Z", "trigger": "many", "suppressed_by": None,
        "why": "rows is 24 (limit 20)",
    }


def test_it_acts_whatever_the_mode_and_needs_no_pipeline(world, made):
    """It says what would have happened in `act`, with the default limits."""
    world.write("log.parquet", made.rows(0, 3, label_after=made.HOUR))
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.HOUR))
    world.model({**ASKS}, mode="observe", since=None, window={"size": "1d", "min_rows": 5}, task="regression")
    result = _play(world, made)
    assert len({one.window for one in result.verdicts}) == 3
    assert {guard for one in result.retrains for guard in one.suppressed_by} <= {"few-labels", "cooldown"}


def test_the_numbers_are_the_daemons(world, made):
    """The same log, looked at at the same moments by the service's check, gives the same scores and verdicts."""
    late = timedelta(days=2)
    world.write("reference.parquet", made.rows(-30, 30, label_after=late))
    world.write("log.parquet", made.rows(0, 6, label_after=late), made.rows(6, 3, label_after=late, shift=3))
    section = world.model(
        {"name": "drift", "metric": "drifted_share", "drifted": True}, ASKS, task="regression", metric="mae",
        retrain={"pipeline": "p"},
    )
    result = _play(world, made)
    assert any("drift" in one.fired for one in result.verdicts)
    world.section = section
    told = [one for at in sorted({v.at for v in result.verdicts}) for one in world.check((at - made.START) / made.DAY)]
    end = made.START + 9 * made.DAY         # of the log; the daemon also sees that nothing comes behind it
    live = {(one.window, one.revision): (one.at, one.fired) for one in told if one.window.end <= end}
    assert live == {(one.window, one.revision): (one.at, one.fired) for one in result.verdicts}


def test_it_looks_back_over_a_first_stretch(world, made):
    """With `first 5d` the windows behind the stretch are judged; a log no longer than it cannot be."""
    world.write("log.parquet", made.rows(0, 9))
    world.model(reference={"first": "5d"})
    assert sorted({one.window.start for one in _play(world, made).verdicts}) == [
        made.START + day * made.DAY for day in (5, 6, 7, 8)
    ]
    world.write("log.parquet", made.rows(0, 4))
    with pytest.raises(CannotJudge, match="nothing is judged until 2024-01-06"):
        _play(world, made)


def test_an_empty_log_and_an_unknown_model_are_said(world, made):
    """One sentence each, and nothing is judged."""
    world.write("log.parquet", made.rows(0, 1).slice(0, 0))
    world.model()
    with pytest.raises(CannotJudge, match="the log holds no rows"):
        _play(world, made)
    with pytest.raises(UsageError, match="there is no model other"):
        backtest(made.loaded(world.section), "other", made.Here())


def test_progress_is_told_from_first_to_last(world, made):
    """Whoever shows a bar learns how many moments there are and that the last one is done."""
    world.write("log.parquet", made.rows(0, 3))
    world.model()
    told = []
    backtest(made.loaded(world.section), "m", made.Here(), lambda done, total: told.append((done, total)))
    assert told == [(i + 1, len(told)) for i in range(len(told))]
