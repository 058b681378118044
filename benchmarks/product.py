"""The code that decides, `monitor.decide`, played on a stream."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from benchmarks.rules import Moves
from benchmarks.streams import Stream
from monitor.backtest.schedules import Schedule
from monitor.backtest.simulated_triggers import Played, Round, play
from monitor.backtest.simulation import with_going_back
from monitor.config.sections import ModelSection, ReferenceSection, RetrainSection, SourceSection, TriggerSection
from monitor.config.values import Budget, Level
from monitor.records import Score, Snapshot, SnapshotStatus, Window

WEEK, START = timedelta(days=7), datetime(2013, 1, 7, tzinfo=UTC)


@cache
def schedule(stream: Stream, price: float) -> Schedule:
    """When driftd asks for a retrain; each request is met at once and brings a new reference."""
    return _played(stream, _model(price)).schedule


def going_back(stream: Stream, price: float) -> Moves:
    """The same where the models that served before are compared with the one in service."""
    model = _model(price)
    played = _played(stream, with_going_back(model, model.triggers[0]))
    return tuple((now, played.back.get(now, now + 1)) for now in played.schedule)


def _played(stream: Stream, model: ModelSection) -> Played:
    return play(model, [_round(stream, now) for now in range(len(stream))], partial(_served, stream))


def moves(schedule: Schedule) -> Moves:
    """Retrains as moves to the newest model."""
    return tuple((now, now + 1) for now in schedule)


def _round(stream: Stream, now: int) -> Round:
    looked = (_snapshot(j, mature=bool(stream.known[j] <= now)) for j in _seen(stream, now))
    return Round(_window(now).end, tuple(looked))


def _seen(stream: Stream, now: int) -> list[int]:
    """The windows to look at when one closes: those whose labels are known from then on, and that one."""
    return [*(j for j in range(now) if stream.known[j] == now), now]


def _model(price: float) -> ModelSection:
    pays = TriggerSection(name="pays", metric="regret", above=Level(price), action="retrain")
    limits = RetrainSection(pipeline="ci", cooldown=timedelta(0), budget=Budget(9999, timedelta(days=1)), min_labels=0)
    return ModelSection(
        name="stream", mode="act", predictions=SourceSection(path="log.csv"), reference=ReferenceSection(first=WEEK),
        triggers=(pays,), retrain=limits,
    )


def _window(index: int) -> Window:
    return Window(model="stream", start=START + index * WEEK, end=START + (index + 1) * WEEK, spec="weeks")


def _snapshot(window: int, *, mature: bool) -> Snapshot:
    return Snapshot(
        window=_window(window), revision=int(mature), taken_at=_window(window).end, reference_id="",
        model_version=None, config_hash="", code_version="", rows=1000, labelled=1000 * mature, late=0, sampled=1.0,
        mature=mature, status=SnapshotStatus.OK, reason=None, scores=(),
    )


def _served(stream: Stream, snapshot: Snapshot, champion: int, earlier: Sequence[int]) -> Snapshot:
    if not snapshot.mature:
        return snapshot
    window = (snapshot.window.start - START) // WEEK
    over = (stream.score[row, window] - stream.score[champion, window] for row in earlier)
    gains = (Score(metric="version_gain", method=str(row), value=float(gain))
             for row, gain in zip(earlier, over, strict=True))
    return replace(snapshot, scores=(*_rehearsal(stream, window, champion), *gains))


def _rehearsal(stream: Stream, window: int, champion: int) -> tuple[Score, ...]:
    """Challengers know only what was labelled before the window they are scored on."""
    score = stream.score
    gain = Score(metric="challenger_gain", value=float(score[window, window] - score[champion, window]))
    found = (Score(metric="metric_sd", method="score", value=1.0), gain)
    if window < 2:      # the first challenger is the model as shipped
        return found
    return (*found, Score(metric="challenger_placebo", value=float(score[window, window] - score[window - 1, window])))
