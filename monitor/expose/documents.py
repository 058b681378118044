"""JSON documents on windows, for `driftd history --json` and the API: one for each window, and one in full."""

from collections.abc import Iterable, Sequence

from monitor.decide.why_it_fell import why_it_fell
from monitor.records import Episode, Json, Score
from monitor.store import Store
from monitor.store.gates import Gated
from monitor.store.trends import Looked


def window_document(looked: Looked) -> Json:
    """The newest revision of a window without its scores, and the newest verdict on it."""
    return {
        "window": looked.window,
        "revision": looked.revision,
        "rows": looked.rows,
        "late": looked.late,
        "label_coverage": looked.label_coverage,
        "mature": looked.mature,
        "status": looked.status,
        "reason": looked.reason,
        "reference_id": looked.reference_id,
        "taken_at": looked.taken_at,
        "verdict": looked.action,
        "triggers": looked.fired or (),
        "guards": looked.guards or (),
        "reasons": looked.reasons or (),
    }


def history_document(store: Store, model: str, windows: Sequence[Looked]) -> Json:
    """These windows, oldest first, and what people and pipelines did since the first of them."""
    shown = {looked.window for looked in windows}
    since = min((looked.taken_at for looked in windows), default=None)
    return {
        "model": model,
        "windows": [window_document(looked) for looked in windows],
        "approvals": [one for one in store.episodes.all(model) if one.approval and one.window in shown],
        "promotions": [one for one in store.promotions.all(model) if since is None or one.at >= since],
    }


def explained(store: Store, looked: Looked) -> Json:
    """One window in full: its revisions, what became of its rows, every score, the needs that began with it, and by
    request what gates said of the candidates that came of these."""
    needs = needs_of(store, looked)
    scores = tuple(store.trends.scores([looked.id])[looked.id])
    return {"model": looked.window.model} | window_document(looked) | {
        "why_it_fell": why_it_fell(scores),
        "revisions": [snapshot.revision for snapshot in store.snapshots.revisions(looked.window)],
        "ledger": store.trends.ledger(looked.id),
        "scores": scores,
        "needs": needs,
        "gates": {request: gated.to_json() for request, gated in gates_of(store, needs).items()},
    }


def needs_of(store: Store, looked: Looked) -> list[Episode]:
    """The needs to retrain that began with this window."""
    return [episode for episode in store.episodes.all(looked.window.model) if episode.window == looked.window]


def gates_of(store: Store, needs: Sequence[Episode]) -> dict[str, Gated]:
    """By request of these needs, what a gate said of the candidate."""
    ids = {need.id for need in needs}
    return store.gates.of([one.id for need in needs[:1] for one in store.requests.all(need.model)
                           if one.episode_id in ids])


def scored(looked: Looked, scores: Iterable[Score]) -> list[Json]:
    """Scores, each with its window."""
    return [{"window": looked.window, "revision": looked.revision, "score": score} for score in scores]
