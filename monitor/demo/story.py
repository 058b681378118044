"""The course of the demo: two years, fortnight by fortnight, through the daemon's own parts."""

import base64
import os
import secrets
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.check.checker import Checker
from monitor.config import load
from monitor.daemon.http_side import usual_address
from monitor.demo import world
from monitor.demo.output import Policy, Show, Stretch
from monitor.demo.receiver import Receiver
from monitor.records import Json, ScoreStatus
from monitor.retrain.outbox import Outbox
from monitor.store import Store
from monitor.workers.pool import Workers

MODEL = "bikes"
FORTNIGHT = timedelta(days=14)
SECRET = "DRIFTD_DEMO_SECRET"

CONFIG = """\
# A model that predicts hourly bike rentals. Try: driftd status -c {folder}/driftd.toml
[daemon]
listen = "{listen}"

[models.bikes]
mode    = "act"
version = "1"
since   = 2011-06-13
window  = "14d"
predictions = "log/*.parquet"
reference   = "versions/{{version}}/reference.parquet"

[models.bikes.drift]
threshold = "evidently"                # the usual rule, to be seen beside regret

[[models.bikes.triggers]]
name    = "drift"
metric  = "drifted_share"
drifted = true                       # people are told

[[models.bikes.triggers]]
name   = "retraining-pays"
metric = "regret"
above  = "100 for 14d"               # a retrain costs as much as 100 rentals an hour for a fortnight
action = "retrain"

[models.bikes.retrain]
pipeline = "ci"
budget   = "6 per year"

[pipelines.ci]
kind   = "webhook"
url    = "{url}"
secret = {{ env = "DRIFTD_DEMO_SECRET" }}
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What happened: the requests that arrived, what was served, and what other policies would have cost."""

    events: tuple[Json, ...]
    served: tuple[Stretch, ...]
    alarms: tuple[int, int]              # windows in which the usual drift rule fired, and all
    policies: tuple[Policy, ...]         # never, a calendar, driftd


class Story:
    """Everything the demo runs: a service, driftd's own parts, a receiver that retrains."""

    def __init__(self, folder: Path, show: Show, until: datetime = world.CLOSED) -> None:
        self._folder, self._show, self._until = folder, show, until
        self._now = world.OPENED
        self._rows = world.rentals()
        self._served: list[Stretch] = []
        self._events: list[Json] = []
        self._retrains: list[datetime] = []
        self._opened = ExitStack()
        self.listen = usual_address()

    def __enter__(self) -> Self:
        os.environ[SECRET] = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        os.environ.setdefault("OMP_NUM_THREADS", "1")   # small fits: more threads only get in each other's way
        self._receiver = Receiver(os.environ[SECRET])
        self._opened.callback(self._receiver.close)
        self._first_model()
        config = self._folder / "driftd.toml"
        written = CONFIG.format(folder=self._folder.name, url=self._receiver.url, listen=self.listen)
        config.write_text(written, encoding="utf-8")
        loaded = load(config)
        self._store = self._opened.enter_context(Store.open(self._folder / "state"))
        self._workers = self._opened.enter_context(Workers(2, 4096, timedelta(minutes=5), tasks_per_child=1000))
        self._checker = Checker(loaded, self._store, self._workers, lambda: self._now)
        self._outbox = Outbox.of(loaded.config, self._store, lambda: self._now)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def play(self) -> Told:
        """Serve a fortnight, check it, retrain if driftd asks; repeat until the data end."""
        self._show.begin(len(self._rows), world.OPENED, self._until)
        with self._show.progress(int((self._until - world.OPENED) / FORTNIGHT)) as tick:
            while self._now + FORTNIGHT <= self._until:
                self._serve(self._now, self._now + FORTNIGHT)
                self._now += FORTNIGHT
                self._checker.check(MODEL)
                self._outbox.send_due()
                while not self._receiver.events.empty():
                    self._retrain(self._receiver.events.get())
                tick(self._now)
        told = Told(tuple(self._events), tuple(self._served), self._alarms(), tuple(self._policies()))
        self._show.end(told.alarms, told.policies)
        return told

    def _first_model(self) -> None:
        model = world.fit(world.between(self._rows, datetime.min.replace(tzinfo=world.OPENED.tzinfo), world.FIRST_FIT))
        place = self._folder / "versions" / "1"
        later = world.between(self._rows, world.OPENED, world.CLOSED)
        before = world.between(self._rows, world.FIRST_FIT, world.OPENED)
        world.write(world.predict(model, before, "1"), place / "reference.parquet")
        world.write(world.predict(model, later, "1"), place / "answers.parquet")
        self._version = "1"

    def _answers(self, version: str) -> pa.Table:
        return pq.read_table(self._folder / "versions" / version / "answers.parquet")

    def _serve(self, start: datetime, end: datetime) -> None:
        """Serve one fortnight: log the predictions, one file for each quarter."""
        rows = world.between(self._answers(self._version), start, end)
        world.append(rows, self._folder / "log" / f"{start.year}-Q{(start.month + 2) // 3}.parquet")
        one = Stretch(start, self._version, world.rmse(rows))
        if self._served and self._served[-1].version != self._version:
            old = world.between(self._answers(self._served[-1].version), start, end)
            self._show.recovered(one, world.rmse(old))
        self._served.append(one)

    def _retrain(self, event: Json) -> None:
        """Act as the pipeline on a request: fit and deploy; the new version is watched from now on."""
        self._events.append(event)
        errors = [served.error for served in self._served if served.version == self._version]
        self._show.asked(self._now, event, errors)
        version = str(int(self._version) + 1)
        done = subprocess.run(
            [sys.executable, "-m", "monitor.demo.retrain_model", str(self._folder), self._now.isoformat(), version],
            check=True, capture_output=True, text=True,
        )
        self._version = version
        self._retrains.append(self._now)
        self._show.retrained(version, int(done.stdout))
        self._checker.reload(load(self._folder / "driftd.toml"))
        self._checker.check(MODEL)

    def _alarms(self) -> tuple[int, int]:
        """Return in how many windows the usual drift rule fired, and the number of windows."""
        snapshots = self._store.snapshots.newest_revisions(MODEL, metrics={"drifted_share"})
        scores = [score for snapshot in snapshots for score in snapshot.scores]
        return sum(score.status is ScoreStatus.DRIFTED for score in scores), len(scores)

    def _policies(self) -> list[Policy]:
        """Return the error of each policy, on the same fortnights and with the same fitting."""
        count = len(self._retrains)
        step = (self._until - world.OPENED) / (count + 1)
        calendar = [world.OPENED + step * at for at in range(1, count + 1)]
        return [
            Policy("never retrain", (), self._replayed([])),
            Policy("calendar, as often", tuple(calendar), self._replayed(calendar)),
            Policy("driftd", tuple(self._retrains), tuple(served.error for served in self._served)),
        ]

    def _replayed(self, moments: list[datetime]) -> tuple[float, ...]:
        """Return the error in each fortnight if the model had been refitted at these moments."""
        answers, errors = self._answers("1"), []
        waiting = list(moments)
        for served in self._served:
            if waiting and waiting[0] <= served.start:
                model = world.fit(world.labelled_by(self._rows, waiting.pop(0)))
                later = world.between(self._rows, served.start, world.CLOSED)
                answers = world.predict(model, later, "calendar")
            errors.append(world.rmse(world.between(answers, served.start, served.start + FORTNIGHT)))
        return tuple(errors)
