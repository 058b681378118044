"""What is unusual in a ledger of rows and columns, in sentences."""

from collections.abc import Iterator

from monitor import escape
from monitor.records import Ledger
from monitor.times import format_moment
from monitor.wording import several


def unusual(ledger: Ledger | None) -> tuple[str, ...]:
    """Return a sentence on each thing that somebody should know; none where every row and column was used."""
    return () if ledger is None else (*unusual_rows(ledger), *_columns(ledger))


def unusual_rows(ledger: Ledger | None) -> tuple[str, ...]:
    """Return the same of rows and labels alone."""
    return () if ledger is None else (*lost(ledger), *_rows(ledger), *_labels(ledger))


def lost(ledger: Ledger) -> tuple[str, ...]:
    """Return a sentence on each kind of rows that went in and did not come out."""
    return (*_of_window(ledger), *_of_log(ledger))


def _of_window(ledger: Ledger) -> Iterator[str]:
    if ledger.astray and ledger.astray + ledger.unplaced < ledger.untimed + ledger.apart:    # else all are of the log
        yield (f"{ledger.astray} of {several(ledger.read, 'row')} written among these are in no window: without a "
               "timestamp, or with one far from all others")
    if ledger.contradicting:
        yield (f"{several(ledger.contradicting, 'row')} left out: the last row with the same id and timestamp counts, "
               "and it predicts something else")


def _of_log(ledger: Ledger) -> Iterator[str]:
    of = "" if ledger.files is None else f" of {ledger.files}"
    if ledger.untimed:
        yield f"{ledger.untimed}{of} rows of the log are without a timestamp, and in no window"
    if ledger.apart and ledger.low is not None and ledger.high is not None:
        yield (f"{ledger.apart}{of} rows of the log are in no window: their timestamps are before "
               f"{format_moment(ledger.low)} or after {format_moment(ledger.high)}, far from all others")


def _rows(ledger: Ledger) -> Iterator[str]:
    if ledger.repeated:
        yield f"{several(ledger.repeated, 'row')} left out: repeated later, with the same id, timestamp and prediction"
    if ledger.without_id:
        yield f"{several(ledger.without_id, 'row')} without an id: used, but no label kept apart can be joined"


def _labels(ledger: Ledger) -> Iterator[str]:
    if ledger.undated_labels:
        yield (f"{several(ledger.undated_labels, 'label')} without a time at which it became known: counted from "
               "label_delay after the row on")
    if ledger.labels_without_id:
        yield f"{ledger.labels_without_id} of {several(ledger.labels or 0, 'label')} left out: without an id"
    if ledger.labels_repeated:
        differ = ledger.labels_contradicting or 0
        yield (f"{ledger.labels_repeated} of {several(ledger.labels or 0, 'label')} replaced by a newer one of the "
               f"same id ({'none says' if not differ else f'{differ} said'} something else)")
    if ledger.labels_loosely_joined:
        yield (f"{several(ledger.labels_loosely_joined, 'id')} with a label joined although blanks around them, or a "
               ".0, differ from the row's")
    if ledger.labels_without_row:
        written = ("would have one if capitals, blanks, hyphens, underscores and zeros in front did not count: write "
                   "ids alike in both places")
        nearly = f"; {ledger.labels_nearly_joined} of them {written}" if ledger.labels_nearly_joined else ""
        yield f"{several(ledger.labels_without_row, 'id')} with a label and no row in the log{nearly}"


def _columns(ledger: Ledger) -> Iterator[str]:
    for name, why in ledger.left_out.items():
        yield f"column {escape.names([name])} is not watched: {why}"
