"""Rows of a model's log whose labels have matured, with what the model in service said: for a gate, for a file."""

import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from monitor.config import USUAL_NAMES, ModelSection, Roles
from monitor.errors import CannotJudge, UsageError
from monitor.escape import csv_cell
from monitor.gate.measured_trial import Trial, names_in, trial_of
from monitor.gate.prediction_files import in_order, read_predictions, with_column
from monitor.records import Window
from monitor.reference.reference_data import ReferenceData, load_reference
from monitor.sources.log import Log, with_attributes
from monitor.times import format_moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which rows of a log: one window, or from `since` until `until`, as far as labels have matured."""

    window: Window | None
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class Matured:
    """Rows oldest first, each with an id; `until`: the first moment behind them."""

    rows: pa.Table
    roles: Roles
    reference: ReferenceData
    until: datetime


def matured(
    model: ModelSection, stretch: Stretch, as_of: datetime, beginning: datetime | None, profiles: Path | None
) -> Matured:
    """Read the rows. `beginning` is where a reference of the form "first 90d" begins.

    Raises CannotJudge while labels of the window still mature, or where there are no rows.
    """
    reference = load_reference(model, as_of, beginning, profiles)
    ripe = as_of - reference.maturity
    window = stretch.window
    if window is not None and window.end > ripe:
        when = format_moment(window.end + reference.maturity)
        raise CannotJudge(f"{model.name}: labels of this window are still maturing, until {when}")
    if window is None:
        end = ripe if stretch.until is None else min(stretch.until, ripe)
        window = Window(model=model.name, start=stretch.since, end=max(end, stretch.since), spec="")
    log = Log(model, reference.roles, as_of)
    rows = log.window(window, whole=True).whole()
    if not len(rows):
        raise CannotJudge(f"{model.name}: no row from {format_moment(window.start)} until {format_moment(window.end)} "
                          "has a label that has matured")
    rows, roles = _named(rows, log)
    if model.gate.limits and model.fairness is not None:
        rows = with_attributes(model, rows, roles, model.fairness.columns)
    return Matured(in_order(rows, roles.timestamp, roles.id), roles, reference, window.end)


def _named(rows: pa.Table, log: Log) -> tuple[pa.Table, Roles]:
    """The rows with an id each: where the log has none, the hash that stands for it."""
    if log.roles.id is not None:
        return rows, log.roles
    name = USUAL_NAMES["id"][0]
    return with_column(rows, name, pa.chunked_array([log.ids(rows)])), replace(log.roles, id=name)


def trial_of_log(model: ModelSection, found: Matured, candidate: Path) -> Trial:
    """Set the candidate's predictions beside what the model in service said, row by row by id."""
    said = read_predictions(candidate, names_in(model, found.roles), found.roles.id)
    if said.ids is None:
        raise UsageError(f"{candidate}: has no column {found.roles.id}, which names the rows of the log; "
                         "`driftd window export` writes them with it")
    beside = found.reference.profile, found.reference.schema
    return trial_of(model, found.roles, found.rows, said, reference=beside)


def write_rows(rows: pa.Table, path: Path, leave_out: Collection[str] = ()) -> int:
    """Write rows as Parquet, CSV or JSON lines, by the file's ending; whole, readable by its owner alone.

    Return how many texts a spreadsheet would have taken for formulas: in CSV an apostrophe stands before them.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"{path}: expected a name that ends in one of {', '.join(_WRITERS)}")
    rows = rows.drop_columns([name for name in leave_out if name in rows.column_names])
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            formulas = write(rows, file)
        draft.replace(path)
        return formulas
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written ({error.strerror}), expected a folder one may write to") from None


def _csv(rows: pa.Table, file: IO[bytes]) -> int:
    """Write CSV in which no cell is a formula; return how many would have been one."""
    found = 0
    for place, field in enumerate(rows.schema):
        column = rows.column(place)
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(place, field.name, pa.chunked_array([_texts(column)]))
        elif _is_text(field.type):
            cells = column.to_pylist()
            safe = [None if cell is None else csv_cell(cell) for cell in cells]
            found += sum(one != other for one, other in zip(cells, safe, strict=True))
            rows = rows.set_column(place, field.name, pa.chunked_array([pa.array(safe, pa.string())]))
    pyarrow.csv.write_csv(rows.rename_columns([csv_cell(name) for name in rows.column_names]), file)
    return found


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(times: pa.ChunkedArray) -> pa.Array:
    """Moments as ISO 8601, in UTC where they have a zone."""
    return pa.array([None if moment is None else _moment(moment) for moment in times.to_pylist()], pa.string())


def _moment(one: datetime) -> str:
    return one.isoformat() if one.tzinfo is None else format_moment(one)


def _jsonl(rows: pa.Table, file: IO[bytes]) -> int:
    for row in rows.to_pylist():
        file.write(json.dumps(row, default=_plain).encode() + b"\n")
    return 0


def _parquet(rows: pa.Table, file: IO[bytes]) -> int:
    pq.write_table(rows, file)
    return 0


def _plain(value: Any) -> str:
    return _moment(value) if isinstance(value, datetime) else str(value)


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], int]] = {
    ".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl,
}
