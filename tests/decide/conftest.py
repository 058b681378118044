"""Makes models, windows, snapshots and histories for the tests of `decide`, and plays streams through it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from monitor.config.sections import ModelSection, ReferenceSection, RetrainSection, SourceSection, TriggerSection
from monitor.decide.decision import decide
from monitor.history import History
from monitor.records import Dispatch, DispatchState, Reference, Score, ScoreStatus, Snapshot, SnapshotStatus, Window

START = datetime(2013, 5, 3, tzinfo=UTC)
WEEK = timedelta(days=7)
REFERENCE = Reference(model="flights", id="ref-1", model_version="2013-03", origin="reference.csv", since=START)


def model(*triggers, **given):
    """A model that acts, with nothing in the way unless it is given."""
    retrain = given.pop("retrain", RetrainSection(pipeline="ci", cooldown="0s", budget="99 per 1d", min_labels=0))
    made = {
        "name": "flights", "mode": "act", "retrain": retrain,
        "predictions": SourceSection(path="log.csv"), "reference": ReferenceSection(first="90d"),
    } | given
    return ModelSection(**made, triggers=tuple(TriggerSection(**one) for one in triggers))


def window(index, length=WEEK, start=START, step=None):
    first = start + index * (step or length)
    return Window(model="flights", start=first, end=first + length, spec="cut")


def snapshot(where, *scores, **given):
    where = window(where) if isinstance(where, int) else where
    made = {
        "window": where, "revision": 0, "taken_at": where.end, "reference_id": "ref-1", "model_version": "2013-03",
        "config_hash": "c", "code_version": "v", "rows": 1000, "labelled": 1000, "late": 0, "sampled": 1.0,
        "mature": True, "status": SnapshotStatus.OK, "reason": None, "scores": scores,
    }
    return Snapshot(**(made | given))


def history(*snapshots, **given):
    return History(**({"reference": REFERENCE, "snapshots": snapshots} | given))


def after(past, judged, decision, **given):
    """What is remembered once a decision is written."""
    others = tuple(s for s in past.snapshots if s.window != judged.window)
    snapshots = sorted((*others, judged), key=lambda s: s.window.start)
    firing = {**past.firing, **{one.trigger: one for one in decision.firing}}
    episode = decision.episode or decision.ended or past.episode
    return replace(past, snapshots=tuple(snapshots), firing=firing, episode=episode, **given)


def play(made, snapshots, past=None):
    """Judge snapshots one after the other; return the decisions and the memory at the end."""
    past, decisions = past or history(), []
    for one in snapshots:
        decisions.append(decide(made, past, one, one.window.end, newest=True))
        past = after(past, one, decisions[-1])
    return decisions, past


def gain(value, sd=1.0, placebo=None):
    scores = [Score(metric="challenger_gain", value=value), Score(metric="metric_sd", method="roc_auc", value=sd)]
    return (*scores, Score(metric="challenger_placebo", value=placebo)) if placebo is not None else tuple(scores)


def drift(value, column=None, method="psi", threshold=0.2):
    status = ScoreStatus.DRIFTED if value > threshold else ScoreStatus.OK
    return Score(metric="drift", method=method, column=column, value=value, threshold=threshold, status=status)


def run(**given):
    made = {
        "id": "driftd-" + "0" * 40 + "-1", "episode_id": "0" * 40, "attempt": 1, "model": "flights", "pipeline": "ci",
        "state": DispatchState.RUNNING, "body": "{}", "created_at": START,
    }
    return Dispatch(**(made | given))


@pytest.fixture(scope="session")
def made():
    """The makers above, by name."""
    return SimpleNamespace(
        START=START, WEEK=WEEK, REFERENCE=REFERENCE, model=model, window=window, snapshot=snapshot, history=history,
        after=after, play=play, gain=gain, drift=drift, run=run,
    )
