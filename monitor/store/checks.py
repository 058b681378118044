"""One check, from what it looks back on to all that it wrote."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.history import SCALE, History, Remembered
from monitor.metric_catalogue import REHEARSED
from monitor.records import Dispatch, Episode, Firing, Message, Promotion, Reference, Silence, Snapshot, Verdict
from monitor.store.database import Database
from monitor.store.episodes import Episodes, Firings
from monitor.store.messages import Messages
from monitor.store.promotions import Promotions
from monitor.store.references import References
from monitor.store.requests import Requests
from monitor.store.silences import Pauses
from monitor.store.snapshots import Snapshots, Verdicts

PLACEBOS = 60    # so many of the newest windows tell how noisy a gain is, whatever their reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    database: Database
    snapshots: Snapshots
    verdicts: Verdicts
    firings: Firings
    episodes: Episodes
    requests: Requests
    references: References
    promotions: Promotions
    messages: Messages
    pauses: Pauses

    def history(
        self,
        model: str,
        reference: Reference,
        look_back: Remembered | None,
        *,
        now: datetime,
        run_timeout: timedelta,
        spec: str | None = None,
        silences: tuple[Silence, ...] = (),
    ) -> History:
        """What `decide` looks back on: newest revisions since the reference; with `look_back`, only these scores."""
        accepted, pause = self.requests.accepted(model), self.pauses.current(model)
        return History(
            snapshots=tuple(self.snapshots.newest_revisions(
                model, metrics=look_back.metrics if look_back else None,
                if_breached=look_back.if_breached if look_back else (),
                reference_id=reference.id, spec=spec, until=now,
            )),
            before=self._before(model, reference, spec),
            firing={firing.trigger: firing for firing in self.firings.all(model)},
            episode=self._newest_need(model),
            accepted=tuple(at for at, _ in accepted),
            paid_until=max((end for _, end in accepted), default=None),
            in_flight=self.requests.in_flight(model, now, run_timeout),
            answered=self.requests.answered(model, now, run_timeout),
            paused=f"{pause.by}: {pause.reason}" if pause else None,
            silences=silences,
            declined=self.episodes.declined(model, reference.id),
            reference=reference,
            promotion=self._promoted(reference),
        )

    def commit(
        self,
        snapshot: Snapshot,
        *,
        expected_reference: str,
        verdict: Verdict | None = None,
        firing: Iterable[Firing] = (),
        episode: Episode | None = None,
        ended: Episode | None = None,
        dispatch: Dispatch | None = None,
        withdraw: bool = False,
        messages: Iterable[Message] = (),
        recovery: Promotion | None = None,
    ) -> bool:
        """Write one check in one transaction; True when all of it was taken.

        When the model's reference is no longer `expected_reference`, or a person's request came in between,
        only the snapshot is kept. A revision that is known already changes nothing. `withdraw` takes back what
        was never sent of `episode`. `recovery`: a promotion as its need's end leaves it.
        """
        with self.database.transaction():
            snapshot_id = self.snapshots.add(snapshot)
            current = self.references.current(snapshot.window.model)
            if snapshot_id is None or current is None or current.id != expected_reference:
                return False
            if ended is not None:
                self.episodes.save(ended)
            standing = self.episodes.standing(snapshot.window.model)
            if episode is not None and standing is not None and standing.id != episode.id:
                return False
            if verdict is not None:
                self.verdicts.add(snapshot_id, snapshot, verdict)
            self.firings.save(firing)
            if episode is not None:
                self._save_need(episode, dispatch, withdraw, snapshot.taken_at)
            for message in messages:
                self.messages.add(message)
            if recovery is not None:
                self.promotions.note_recovery(recovery)
            return True

    def note(self, firing: Firing, message: Message | None) -> None:
        """Remember and tell what was seen without a window, such as a source that cannot be read."""
        with self.database.transaction():
            self.firings.save([firing])
            if message is not None:
                self.messages.add(message)

    def _save_need(self, episode: Episode, dispatch: Dispatch | None, withdraw: bool, at: datetime) -> None:
        self.episodes.save(episode)
        if withdraw:
            self.requests.withdraw(episode.id, episode.reason, at)
        if dispatch is not None:
            self.requests.write(dispatch)

    def _newest_need(self, model: str) -> Episode | None:
        """The model's newest need; where it began while the clock was ahead, as if the clock had been right."""
        found = self.episodes.newest(model)
        if found is None:
            return None
        window = found.window
        ahead = max(window.end - self.database.as_of_now(window.end), timedelta(0))
        return replace(found, window=replace(window, start=window.start - ahead, end=window.end - ahead))

    def _promoted(self, reference: Reference) -> Promotion | None:
        """The version that came into service with this reference."""
        newest = self.promotions.newest_taken(reference.model)
        return newest if newest is not None and newest.reference_id == reference.id else None

    def _before(self, model: str, reference: Reference, spec: str | None) -> tuple[Snapshot, ...]:
        """The newest windows judged against other references, with what rehearsals said of them only."""
        found = self.snapshots.newest_revisions(model, metrics=(*REHEARSED, SCALE), spec=spec, limit=PLACEBOS)
        return tuple(snapshot for snapshot in found if snapshot.reference_id != reference.id)
