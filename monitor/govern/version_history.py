"""Every version of a model there has been: what it came from, what it was judged on, who wanted it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from monitor.records import Approval, Content, Dispatch, Json, Reference, Snapshot
from monitor.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The retrain request a version came from."""

    id: str
    pipeline: str
    url: str | None
    asked_at: datetime
    ended_at: datetime | None
    why: str                             # what the evidence said when it was asked for
    approval: Approval | None            # who was asked, who said yes, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version with the reference it was judged against. Facts are what its pipeline said of it."""

    model_version: str | None
    reference_id: str
    origin: str
    since: datetime
    until: datetime | None               # None: in service
    judged_from: datetime | None         # start and end of the windows judged against its reference
    judged_to: datetime | None
    windows: int
    configs: tuple[str, ...]             # hashes, in the order they were in force
    data: tuple[Content, ...]            # in the order they were seen
    run: Run | None                      # None: not by a request of driftd's
    facts: Json                # git_revision, inputs, trained_from, trained_to


def versions(store: Store, model: str) -> list[Version]:
    """All versions of a model, oldest first; a rollback shows as the same one again."""
    references = store.references.all(model)
    windows = store.snapshots.newest_revisions(model, metrics=())
    seen, facts = store.lineage.data_seen(model), store.lineage.version_facts(model)
    runs = {request.new_version: request for request in store.requests.with_new_version(model)}
    found = []
    for reference, following in pairwise([*references, None]):
        assert reference is not None
        made = runs.get(reference.model_version) if reference.model_version else None
        found.append(Version(
            model_version=reference.model_version, reference_id=reference.id, origin=reference.origin,
            since=reference.since, until=following.since if following else None,
            run=_run(store, made) if made else None, facts=facts.get(reference.model_version or "", {}),
            data=tuple(s.content for s in seen if s.reference_id == reference.id), **_judged(reference, windows),
        ))
    return found


def _judged(reference: Reference, windows: Sequence[Snapshot]) -> Json:
    mine = [window for window in windows if window.reference_id == reference.id]
    return {
        "judged_from": min((window.window.start for window in mine), default=None),
        "judged_to": max((window.window.end for window in mine), default=None),
        "windows": len(mine),
        "configs": tuple(dict.fromkeys(window.config_hash for window in mine)),
    }


def _run(store: Store, made: Dispatch) -> Run:
    need = store.episodes.get(made.episode_id)
    reasons = json.loads(made.body).get("data", {}).get("reasons", ())
    return Run(
        id=made.id, pipeline=made.pipeline, url=made.url, asked_at=made.created_at, ended_at=made.ended_at,
        why="; ".join(reasons), approval=need.approval if need else None,
    )
