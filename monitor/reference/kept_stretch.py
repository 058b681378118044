"""What is known of the first stretch of a log, as long as the place it is in tells that nothing there has changed."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from monitor import __version__
from monitor.config import ModelSection
from monitor.records import Window, from_json, to_json
from monitor.reference.known_reference import Known
from monitor.reference.profile import keep_beside, last_beside
from monitor.sources.log import Log


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of the rows of a stretch: what is known of them and which labels they have."""

    stamp: str                           # of the rows, their predictions and labels
    settled: datetime                    # since when each label that is there counts as known
    day: str                             # of the look, where a row has no label: its age counts; else empty
    known: Known
    labels: str


class KeptStretch:
    """The `Stretch` of a window of a log, where it can be told without reading that it is as it was."""

    def __init__(self, model: ModelSection, log: Log, window: Window, as_of: datetime, profiles: Path | None) -> None:
        self._folder, self._as_of, self._window, self._delay = profiles, as_of, window, model.label_delay
        self._key = "\x1f".join(("stretch", __version__, str(window.start), model.model_dump_json()))
        self.stamp = log.stamp(window) if profiles is not None and not model.columns.private else None

    def found(self) -> Stretch | None:
        kept = None if self.stamp is None else last_beside(self._folder, self._key)
        if kept is None:
            return None
        found = from_json(Stretch, kept)
        same = found.stamp == self.stamp and found.settled <= self._as_of and found.day in ("", self._day)
        return found if same else None

    def keep(self, known: Known, labels: str, rows: pa.Table) -> None:
        if self.stamp is None:
            return
        roles, settled, unlabelled = known.roles, self._window.end + self._delay, False
        if roles.label is not None:
            unlabelled = rows[roles.label].null_count > 0
        if roles.label_timestamp in rows.column_names:
            settled = max(settled, pc.max(rows[roles.label_timestamp]).as_py() or settled)
        if settled <= self._as_of:
            stretch = Stretch(self.stamp, settled, self._day if unlabelled else "", known, labels)
            keep_beside(self._folder, self._key, to_json(stretch))

    @property
    def _day(self) -> str:
        return self._as_of.date().isoformat()
