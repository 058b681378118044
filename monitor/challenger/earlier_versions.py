"""Versions that served before, on the labelled rows of a window: would one of them have done better than the one in
service?

Their predictions are kept by whoever runs the models, or a program of theirs makes them. A version and the one in
service are scored on the same rows.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.challenger.rehearsal import FEWEST_SCORED
from monitor.challenger.window_rehearsal import MOST_ROWS
from monitor.config import ModelSection, Roles, SourceSection
from monitor.config.sections import VersionsSection
from monitor.config.values import revealed
from monitor.errors import CannotJudge, SourceError
from monitor.escape import name, names
from monitor.metric_catalogue import better_by
from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import answers, classes_of
from monitor.records import Score, ScoreStatus
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.ids import join_labels, row_ids, sample
from monitor.sources.log import answer_columns, open_part
from monitor.sources.rows import Rows
from monitor.wording import several, shown, titled
from monitor.workers.commands import run_to_its_end

METRIC = "version_gain"
COVERED = 0.9       # of the rows that the model in service predicted, at least, a version must have predicted too


def version_scores(
    model: ModelSection, reference: ReferenceData, judged: Performance, rows: Rows, versions: Sequence[str]
) -> Iterator[Score]:
    """Yield for each version how much better it does than the model in service, on the window's labelled rows or on a
    sample of them.
    """
    section, roles = model.versions, reference.roles
    if section is None or not versions:
        return
    scored = section.score is not None
    window = rows.drawn(MOST_ROWS, roles, labelled=True).table if scored else _labelled(model, roles, rows)
    for version in versions:
        score = Score(metric=METRIC, method=version)
        try:
            theirs = _predicted_by(version, model, section, window, roles)
            yield _compared(score, window, theirs, reference.roles, judged)
        except (CannotJudge, SourceError) as error:
            yield replace(score, status=ScoreStatus.INSUFFICIENT, reason=str(error))


def _labelled(model: ModelSection, roles: Roles, rows: Rows) -> pa.Table:
    """Return the labelled rows with what the model in service answered, and their ids."""
    table = rows.columns(answer_columns(model, roles))
    known = table.filter(pc.is_valid(table[roles.label]))
    if roles.id is None:
        return known
    return known.filter(pa.array(sample(row_ids(known.select([roles.id]), roles.id), MOST_ROWS)))


def _predicted_by(
    version: str, model: ModelSection, section: VersionsSection, window: pa.Table, roles: Roles
) -> pa.Table:
    """Return the window's rows with the predictions of the version; null where it has none of a row."""
    if roles.id is None or roles.id not in window.column_names:
        raise CannotJudge("the rows of the log have no id that predictions could be joined on")
    answered = _answered(roles)
    wanted = [column for column in window.column_names if column in answered]
    if section.predictions is not None:
        predictions = _read(section.predictions.of_version(version), [roles.id, *wanted], version, model, roles)
    else:
        with tempfile.TemporaryDirectory(prefix="driftd-") as folder:
            given = window.drop_columns([name for name in (*wanted, *_labels(roles)) if name in window.column_names])
            place = _scored_by(version, model, section, given, Path(folder))
            predictions = _read(place, [roles.id, *wanted], version, model, roles)
    for column in wanted:
        window = join_labels(window, predictions, roles.id, column, None)
    return window


def _answered(roles: Roles) -> set[str]:
    """Return the columns that hold what a model answers."""
    chances = (column for _, column in roles.per_class)
    return {column for column in (roles.prediction, roles.probability, *chances) if column is not None}


def _labels(roles: Roles) -> set[str]:
    return {column for column in (roles.label, roles.label_timestamp) if column is not None}


def _read(
    place: SourceSection, columns: Sequence[str], version: str, model: ModelSection, roles: Roles
) -> pa.Table:
    source = open_part(place, model, roles)
    there = source.schema().names
    if missing := [column for column in columns if column not in there]:
        raise CannotJudge(f"the predictions of version {name(version)} have no column {names(missing)}, they have "
                          f"{names(there)}")
    return source.read(columns)


def _scored_by(
    version: str, model: ModelSection, section: VersionsSection, given: pa.Table, folder: Path
) -> SourceSection:
    """Let the configured program predict rows, of which it sees neither labels nor the predictions of others."""
    command, said = section.score or (), folder / "predictions.csv"
    pq.write_table(given, folder / "rows.parquet")
    environment, secrets = revealed(section.environment)
    own = {"DRIFTD_MODEL": model.name, "DRIFTD_VERSION": version, "DRIFTD_ROWS": str(folder / "rows.parquet"),
           "DRIFTD_PREDICTIONS": str(said)}
    run_to_its_end(folder, command, section.timeout, environment | own, secrets)
    if not said.exists():
        raise CannotJudge("versions.score: the command ended well, but wrote no $DRIFTD_PREDICTIONS")
    return SourceSection(path=str(said))


def _compared(score: Score, window: pa.Table, theirs: pa.Table, roles: Roles, judged: Performance) -> Score:
    task, metric = judged.task, judged.metric
    classes = classes_of([window, theirs], roles, task)
    ours, earlier = (usable(metric, answers(table, roles, task, classes)) for table in (window, theirs))
    both = np.intersect1d(ours.at, earlier.at)
    wanted = max(FEWEST_SCORED, COVERED * len(ours))
    if len(both) < wanted:
        raise CannotJudge(f"{several(len(both), 'labelled row')} of {len(ours)} have a prediction of version "
                          f"{name(score.method or '')}, expected at least {wanted:.0f}")
    now, before = (value_of(metric, one.take(np.isin(one.at, both))) for one in (ours, earlier))
    words = f"{titled(metric)} {shown(metric, before)}, of the version in service {shown(metric, now)}"
    return replace(score, value=better_by(metric, before, now), n=len(both), reason=words)
