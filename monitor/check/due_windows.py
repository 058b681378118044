"""Which windows are due: closed ones that were not measured yet, and known ones whose rows or labels grew."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.config import ModelSection, WindowSection
from monitor.records import Counted, Reference, SnapshotStatus, Survey, Tally, Window
from monitor.sources.windows import newest_closed
from monitor.store import Known
from monitor.times import BEGINNING, format_duration, format_moment

COVERAGE_STEP = 0.1  # a provisional window is measured again when so much more of it is labelled
LOOK_BACK = 5        # windows that may still be revised for rows that come late …
LOOK_BACK_SPAN = timedelta(days=35)  # … and at least this long: a clinic may sync three weeks late


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One revision of one window that is to be measured now."""

    window: Window
    revision: int
    rows: int
    mature: bool
    first_rows: int | None               # what revision 0 counted: what is more now came late
    earlier: datetime | None             # start of the window before, whose challenger is the placebo
    last_row: datetime | None            # timestamp of the log's newest row
    corrected: bool = False              # labels that were known before have changed
    paused: bool = False                 # no row, in a pause such as the reference has
    again: Known | None = None           # the revision before, where only another outcome is news


def due_windows(
    model: ModelSection, reference: Reference, survey: Survey, known: Iterable[Known], now: datetime, *, first: bool,
    resting: Collection[Window] = (), other_columns: bool = False, other_rules: bool = False,
    seen: Callable[[datetime], datetime] = lambda moment: moment,
) -> list[Due]:
    """Which windows are to be measured, oldest first: each closed one once, and revisions of those that grew.

    One whose source failed is measured again until it is judged, except while it is among those `resting`; one whose
    schema had changed when the log has `other_columns` than at the last look; the newest with rows when the model has
    `other_rules` than those it was judged by. At the `first` start only the newest
    closed one is due, unless the configuration says since when. `seen` says how old a moment is in spite of a clock
    that jumped: by that labels mature.
    """
    answers = stale(model, survey.newest, now, survey.pause) is None
    before = {known_window.window: known_window for known_window in known}
    starts = sorted(tally.window.start for tally in survey.tallies)
    newest = max((tally.window.start for tally in survey.tallies if tally.rows), default=None)
    due = []
    for tally in sorted(survey.tallies, key=lambda one: (one.window.start, one.window.start_id)):
        if tally.window.start < reference.since:
            continue
        mature = now >= seen(tally.window.end) + survey.maturity
        earlier = max((start for start in starts if start < tally.window.start), default=None)
        failed = before.get(tally.window)
        if failed is not None and failed.unmeasured and (tally.window in resting or not tally.rows):
            continue
        mended = other_columns and failed is not None and failed.status is SnapshotStatus.SCHEMA_CHANGED
        again = mended or _failed(tally, failed, answers)
        anew = other_rules and tally.window.start == newest
        one = _due(tally, failed, mature, earlier, survey.newest, again, anew)
        due += [one] if one else []
    return due[-1:] if first and model.since is None else due


def _due(
    tally: Tally, known: Known | None, mature: bool, earlier: datetime | None, last_row: datetime | None, again: bool,
    anew: bool,
) -> Due | None:
    news = anew or known is None or _grew(tally, known, mature)
    if not again and not news:
        return None
    return Due(
        window=tally.window,
        revision=known.revision + 1 if known else 0,
        rows=tally.rows,
        mature=mature,
        first_rows=known.first_rows if known else None,
        earlier=earlier,
        last_row=last_row,
        corrected=known is not None and _corrected(tally, known),
        paused=tally.paused,
        again=known if known and again and (known.unmeasured or not news) else None,
    )


def _failed(tally: Tally, known: Known | None, answers: bool) -> bool:
    """Its rows could not be measured, or the log was silent then and is not now."""
    if known is None:
        return False
    silent = known.status is SnapshotStatus.SOURCE_FAILED and answers and tally.rows > 0
    return known.unmeasured or silent


def _grew(tally: Tally, known: Known, mature: bool) -> bool:
    """Rows that vanish (old files are tidied away) are no news; rows and labels that come or are corrected are."""
    if tally.rows > known.rows or (mature and not known.mature) or _corrected(tally, known):
        return True
    return tally.labelled >= known.labelled + COVERAGE_STEP * tally.rows > known.labelled


def _corrected(tally: Tally, known: Known) -> bool:
    return tally.corrected and tally.rows == known.rows


def look_back(window: WindowSection, label_delay: timedelta, now: datetime) -> datetime:
    """The start of the stretch whose windows may still be revised, their rows and labels growing."""
    size = window.size
    span = LOOK_BACK_SPAN if isinstance(size, int) else max(LOOK_BACK_SPAN, LOOK_BACK * size)
    return now - span - label_delay


def counted(known: Known) -> Counted:
    return Counted(window=known.window, at=known.taken_at, labelled=known.labelled, labels=known.labels)


def stale(model: ModelSection, newest: datetime | None, now: datetime, pause: timedelta) -> str | None:
    """Say that the newest row is older than `quality.stale`, else than a window and a usual `pause`; None if not."""
    size, lateness = model.window.size, model.window.lateness
    limit = model.quality.stale or (None if isinstance(size, int) else max(size + lateness, pause))
    if limit is None or newest is None or now - newest <= limit:
        return None
    return (
        f"the newest row is from {format_moment(newest)}, expected one within {format_duration(limit)}; is the service "
        "still writing its log? One that has ended is judged by `driftd backtest`, by "
        f"`driftd check --at {newest.astimezone(model.timezone):%Y-%m-%d}`, or from `since` on"
    )


def first_start(model: ModelSection, now: datetime) -> datetime:
    """Where to look on a first start: `since`, else at the newest closed window."""
    if model.since is not None:
        return model.since
    if isinstance(model.window.size, int):
        return BEGINNING
    return newest_closed(model.window, model.timezone, model.name, now).start
