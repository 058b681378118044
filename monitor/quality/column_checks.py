"""Data quality: shares of missing, unseen and out-of-range values, schema, row count, labels, staleness."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor import ledger
from monitor.config.column_roles import FeatureKind, Roles
from monitor.config.sections import QualitySection
from monitor.errors import CannotJudge
from monitor.performance import confidence_intervals
from monitor.records import Ledger, Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest
from monitor.times import format_moment

NAMED = 5        # columns named in a message; the others are counted
FEWEST_BLOCKS, MOST_BLOCKS = 5, 200      # blocks of the reference, for the spread of the never-labelled share
LOST = 0.1       # of the labels that used to come, this share is missing at least where labels are lost


def quality_scores(
    reference: pa.Table,
    window: pa.Table,
    roles: Roles,
    as_of: datetime,
    maturity: timedelta,
    newest: datetime | None = None,
    *,
    paused: bool = False,
) -> list[Score]:
    """Score rows, staleness and label coverage of the window against the reference, as known at `as_of`.

    Rows older than `maturity` should have labels. `newest` is the timestamp of the log's newest row. Staleness (in
    seconds) is breached only if the window has no rows, unless the log `paused` as the reference does.
    """
    scores = [Score(metric="rows", value=float(window.num_rows), n=window.num_rows)]
    scores.append(_staleness(window.num_rows, newest, as_of, paused))
    if roles.label is not None:
        old = as_of - maturity
        scores.append(_label_coverage(reference, window, roles.label))
        never = _never_labelled(reference, window, roles.label, roles.timestamp, old)
        scores += [never, _labels_lost(never)]
    return scores


def ledger_scores(found: Ledger, section: QualitySection) -> list[Score]:
    """Score the share of lost rows, and of labels without a row where labels are kept apart."""
    share, words = found.lost_share, "; ".join(ledger.lost(found)) or None
    status = ScoreStatus.BREACHED if share > section.lost else ScoreStatus.OK
    scores = [Score(metric="lost_rows_share", value=share, threshold=section.lost, status=status, n=found.read,
                    reason=words)]
    if found.labels_without_row is None or not found.labels:
        return scores
    ids = found.labels - (found.labels_without_id or 0) - (found.labels_repeated or 0)
    unmatched = found.labels_without_row / ids if ids else 0.0
    return [*scores, Score(metric="unmatched_labels_share", value=min(1.0, unmatched), n=ids)]


def schema_changes(
    reference: pa.Schema, window: pa.Schema, roles: Roles, extra: Sequence[str] = (),
    holds: Callable[[str], bool] = lambda name: True,
) -> Score:
    """Count the columns that are missing or changed between number, text and time; breached above zero.

    Widths, integer or float, booleans as numbers, dictionary encoding and columns without a value are no change;
    `holds` says whether a column of the window has one. The label may be missing, because labels come late. The reason
    names `extra` columns, which the reference lacks; they are not judged.
    """
    sentences, note = [], f"{listed(extra)}, which the reference lacks: not watched" if extra else None
    for name in _named(roles):
        before, now = (_type_name(schema, name) for schema in (reference, window))
        if now is None and before is not None and name != roles.label:
            sentences.append(f"column {name} is missing")
        elif name == roles.timestamp or None in (now, before) or "nothing" in (now, before):
            continue    # timestamps may be stored as text
        elif now != before and holds(name):
            sentences.append(f"column {name} holds {now}, {before} in the reference")
    score = Score(metric="schema_changes", value=float(len(sentences)), reason=note)
    reason = "; ".join([*sentences, note] if note else sentences)
    return replace(score, status=ScoreStatus.BREACHED, reason=reason) if sentences else score


def has_value(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count < len(column))


def listed(names: Sequence[str]) -> str:
    """Return a list of columns for messages, with the first few names: "column a", "columns a, b and 3 more"."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names[:NAMED])}{more}"


def watched(roles: Roles) -> list[str]:
    """Return the features, the prediction and the probability: the columns every row should have."""
    predictions = [name for name in (roles.prediction, roles.probability) if name]
    return [*roles.features, *predictions]


def _named(roles: Roles) -> list[str]:
    others = [roles.timestamp, *([roles.label] if roles.label is not None else [])]
    return list(dict.fromkeys([*others, *watched(roles)]))


def _type_name(schema: pa.Schema, name: str) -> str | None:
    place = schema.get_field_index(name)
    return columns.type_name(schema.field(place).type) if place >= 0 else None


def missing_score(
    name: str, reference: Digest | None, window: Digest | None, rows: int, section: QualitySection
) -> Score:
    """Score the missing values of one column in a window of `rows` rows; None for a side without the column."""
    before = reference.missing / reference.rows if reference is not None and reference.rows else None
    score = Score(metric="missing_share", column=name, n=rows, reference=before)
    if not rows:
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason="the window has no rows")
    value = 1.0 if window is None else window.missing / rows
    score = replace(score, value=value, threshold=min(1.0, (before or 0.0) + section.missing))
    if value - (before or 0.0) > section.missing:
        reference_share = "" if before is None else f", {before:.1%} in the reference"
        return replace(score, status=ScoreStatus.BREACHED, reason=f"{value:.1%} of {name} is missing{reference_share}")
    return score


def outside_score(name: str, kind: FeatureKind, reference: Digest | None, window: Digest | None, rows: int) -> Score:
    """Score the values outside the reference: categories it lacks, numbers beyond its smallest and largest."""
    metric = "out_of_range_share" if kind == "numerical" else "unseen_share"
    score = Score(metric=metric, column=name, n=rows, status=ScoreStatus.INSUFFICIENT)
    for where, side in (("reference", reference), ("window", window)):
        if side is None:
            return replace(score, status=ScoreStatus.FAILED, reason=f"the {where} has no column {name}")
    assert reference is not None
    assert window is not None
    try:
        outside = _outside(reference, window)
    except CannotJudge as error:
        return replace(score, status=ScoreStatus.FAILED, reason=str(error))
    if not window.n:
        return replace(score, n=0, reason="every value in the window is missing")
    return replace(score, value=outside / window.n, n=window.n, reference=0.0, status=ScoreStatus.OK)


def _outside(reference: Digest, window: Digest) -> int:
    """Count the window's values outside the reference's range, or in a category it lacks."""
    if isinstance(reference, NumberDigest) and isinstance(window, NumberDigest):
        if not reference.n:
            raise CannotJudge("every value in the reference is missing")
        if window.low >= reference.low and window.high <= reference.high:
            return 0
        below, upto = window.below(np.array([reference.low, np.nextafter(reference.high, np.inf)]))
        return int(below + window.n - upto)
    assert isinstance(reference, CategoryDigest)
    assert isinstance(window, CategoryDigest)
    return sum(times for key, times in window.counts.items() if str(key) not in reference.texts)


def _label_coverage(reference: pa.Table, window: pa.Table, label: str) -> Score:
    score = Score(metric="label_coverage", n=window.num_rows, reference=_labelled_share(reference, label))
    value = _labelled_share(window, label)
    if value is None:
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason="the window has no rows")
    return replace(score, value=value)


def _never_labelled(
    reference: pa.Table, window: pa.Table, label: str, timestamp: str, old: datetime
) -> Score:
    """Score the share of rows with an overdue label; drifted if it differs from the reference's by more than chance."""
    rows, earlier = _until(window, timestamp, old), _until(reference, timestamp, old)
    covered, before = _labelled_share(rows, label), _labelled_share(earlier, label)
    score = Score(metric="never_labelled_share", n=rows.num_rows)
    if before is not None:
        score = replace(score, reference=1 - before)
    if covered is None:
        reason = "no row is old enough for its label to be overdue"
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason=reason)
    score = replace(score, value=1 - covered)
    if not before:
        return score
    return _against_reference(score, covered, before, _by_time(earlier, timestamp, label))


def _against_reference(score: Score, covered: float, before: float, labels: pa.ChunkedArray) -> Score:
    """Compare the share with the reference's, given its spread over 5 to 200 blocks of about the window's size."""
    assert score.n
    unknown = np.invert(columns.is_present(labels).to_numpy())
    blocks = np.array_split(unknown, block_count(len(unknown), score.n))
    hits, sizes = (np.array([count(block) for block in blocks]) for count in (np.sum, len))
    far = confidence_intervals.significant_difference(round((1 - covered) * score.n), score.n, hits, sizes)
    threshold = 1 - before + (far if covered < before else -far)
    status = ScoreStatus.DRIFTED if abs(covered - before) > far else ScoreStatus.OK
    return replace(score, threshold=min(1.0, max(0.0, threshold)), status=status)


def block_count(rows: int, size: int) -> int:
    """Return into how many blocks of about the window's size the reference is cut: 5 to 200."""
    return max(FEWEST_BLOCKS, min(MOST_BLOCKS, rows // size))


def _labels_lost(never: Score) -> Score:
    """Judge whether labels no longer come: far more of the overdue ones are missing than in the reference."""
    lost = replace(never, metric="labels_lost", status=ScoreStatus.INSUFFICIENT)
    if never.value is None:
        return lost
    if never.reference is None or never.reference >= 1:
        return replace(lost, reason="the reference has no label that is overdue or known")
    gone = (never.value - never.reference) / (1 - never.reference)
    if never.status is not ScoreStatus.DRIFTED or gone < LOST:
        return replace(lost, status=ScoreStatus.OK)
    reason = f"{never.value:.1%} of the rows whose label is overdue have none, {never.reference:.1%} in the reference"
    return replace(lost, status=ScoreStatus.DRIFTED, reason=reason)


def _labelled_share(table: pa.Table, label: str) -> float | None:
    if not table.num_rows:
        return None
    missing = columns.missing(table[label]) if label in table.column_names else table.num_rows
    share: float = 1 - missing / table.num_rows
    return share


def _until(table: pa.Table, timestamp: str, moment: datetime) -> pa.Table:
    times = table[timestamp]
    limit = moment if times.type.tz is not None else moment.astimezone(UTC).replace(tzinfo=None)
    inside = pc.less_equal(times, pa.scalar(limit, times.type))
    return table if pc.all(inside, skip_nulls=False).as_py() else table.filter(inside)


def _by_time(table: pa.Table, timestamp: str, name: str) -> pa.ChunkedArray:
    """Return a column in the order of the rows' timestamps."""
    times = table[timestamp]
    ordered = pc.all(pc.less_equal(times[:-1], times[1:]), skip_nulls=False).as_py()
    return table[name] if ordered else table[name].take(pc.sort_indices(times))


def _staleness(rows: int, newest: datetime | None, as_of: datetime, paused: bool) -> Score:
    age = None if newest is None else max(0.0, (as_of - newest).total_seconds())
    score = Score(metric="staleness_seconds", value=age, n=rows)
    if rows:
        return score
    if paused:
        return replace(score, status=ScoreStatus.INSUFFICIENT,
                       reason="the window has no rows; the reference has such pauses too")
    last = "the log has none" if newest is None else f"the newest row of the log is from {format_moment(newest)}"
    return replace(score, status=ScoreStatus.BREACHED, reason=f"the window has no rows; {last}")
