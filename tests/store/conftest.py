"""Makes windows, snapshots, needs and requests for the tests of the store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from monitor.records import (
    Action,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Firing,
    Message,
    Reference,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store import Store

T0 = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def window(n: int = 0, spec: str = "7d") -> Window:
    return Window(model="m", start=T0 + n * WEEK, end=T0 + (n + 1) * WEEK, spec=spec)


def snapshot(n: int = 0, revision: int = 0, reference: str = "r1", **changes: object) -> Snapshot:
    made = Snapshot(
        window=window(n), revision=revision, taken_at=T0 + (n + 1) * WEEK, reference_id=reference, model_version="1",
        config_hash="c", code_version="0", rows=1000 + revision, labelled=900, late=revision, sampled=1.0, mature=True,
        status=SnapshotStatus.OK, reason=None,
        scores=(
            Score(
                metric="drift", method="psi", column="x", value=0.3, threshold=0.2, status=ScoreStatus.DRIFTED, n=9,
                uncalibrated=True,
            ),
            Score(metric="accuracy", value=0.81, reference=0.9, low=0.79, high=0.83, provisional=True),
            Score(metric="roc_auc", status=ScoreStatus.FAILED, reason="only one class"),
        ),
    )
    return replace(made, **changes)


def verdict(n: int = 0, revision: int = 0) -> Verdict:
    return Verdict(
        window=window(n), revision=revision, at=T0 + (n + 1) * WEEK, action=Action.RETRAIN, fired=("pays",),
        guards=(), reasons=("waiting costs: 3 > 2",),
    )


def episode(n: int = 0, state: EpisodeState = EpisodeState.REQUESTED, trigger: str = "pays") -> Episode:
    return Episode(
        id=Episode.new_id("m", "r1", trigger, window(n)), model="m", reference_id="r1", trigger=trigger,
        window=window(n), state=state, reason="waiting costs",
    )


def dispatch(of: Episode, attempt: int = 1, **changes: object) -> Dispatch:
    made = Dispatch(
        id=Dispatch.new_id(of.id, attempt), episode_id=of.id, attempt=attempt, model="m", pipeline="p",
        state=DispatchState.PENDING, body='{"id": "x"}', created_at=T0 + WEEK, next_try_at=T0 + WEEK,
    )
    return replace(made, **changes)


def reference(name: str = "r1") -> Reference:
    return Reference(model="m", id=name, model_version="1", origin="ref.csv", since=T0)


def requested(store: Store) -> Dispatch:
    """A store with one committed request."""
    if store.references.current("m") is None:
        assert store.references.install(reference(), None, T0)
    need = episode()
    assert store.checks.commit(
        snapshot(), expected_reference="r1", verdict=verdict(), episode=need, dispatch=dispatch(need),
        firing=[Firing(model="m", trigger="pays", firing=True, since=T0 + WEEK, reason="3 > 2")],
        messages=[Message(id="a", model="m", kind="requested", title="t", body="b", created_at=T0)],
    )
    return dispatch(need)


@pytest.fixture
def made() -> SimpleNamespace:
    return SimpleNamespace(
        window=window, snapshot=snapshot, verdict=verdict, episode=episode, dispatch=dispatch, reference=reference,
        requested=requested,
    )


@pytest.fixture
def store():
    with Store.memory() as opened:
        yield opened
