"""Predictions that come as a file, from any framework, and the rows they are of. No model is ever loaded."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.config.column_roles import USUAL_NAMES
from monitor.config.sections import Columns, SourceSection
from monitor.errors import CannotJudge, UsageError
from monitor.sources import open_source
from monitor.sources.column_types import as_text
from monitor.sources.ids import places_of
from monitor.sources.known_types import KnownTypes
from monitor.times import parse_moment

TRAINED_UNTIL = b"driftd.trained_until"      # in a Parquet file's metadata: where the model's training data end
KEYS = (*USUAL_NAMES["id"], *USUAL_NAMES["timestamp"], *USUAL_NAMES["label_timestamp"], *USUAL_NAMES["model_version"],
        *USUAL_NAMES["label"])


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What one model says of some rows; `ids` where the file names them."""

    place: str
    prediction: pa.ChunkedArray
    probability: pa.ChunkedArray | None
    ids: pa.ChunkedArray | None
    trained_until: datetime | None
    others: pa.Table                     # the other columns of numbers: each may be the probability of a class


def read_file(path: Path, id: str | None = None) -> pa.Table:
    """Read a whole file of any format that a log may have, with its `id` as it is written.

    Raises SourceError, and CannotJudge where it has no rows.
    """
    known = KnownTypes(exact=frozenset([id] if id else []))
    table = open_source(SourceSection(path=os.path.abspath(path)), ZoneInfo("UTC"), known).read(None)
    if not len(table):
        raise CannotJudge(f"{path} has no rows, there is nothing to judge")
    return table


def read_predictions(path: Path, columns: Columns, id: str | None) -> Predictions:
    """Find a model's predictions in a file: the columns named, else usual names, else the only column there is.

    `id` is the column that names the rows. Raises UsageError where there are no predictions.
    """
    told = "--prediction names it"
    return predictions_in(read_file(path, id), str(path), columns, id, told, _trained_until(path))


def predictions_in(
    table: pa.Table, place: str, columns: Columns, id: str | None, otherwise: str, trained_until: datetime | None = None
) -> Predictions:
    """Find a model's predictions in a table; `otherwise` says what to do where there are none (UsageError)."""
    probability = _named(table, columns.probability, "probability")
    prediction = _named(table, columns.prediction, "prediction") or probability or _only(table, id)
    if prediction is None:
        there = ", ".join(table.column_names)
        raise UsageError(f"{place}: has no column of predictions ({', '.join(USUAL_NAMES['prediction'][:3])}, …), "
                         f"it has {there}; {otherwise}")
    return Predictions(
        place=place,
        prediction=table[prediction],
        probability=None if probability in (None, prediction) else table[probability],
        ids=table[id] if id in table.column_names else None,
        trained_until=trained_until,
        others=table.select([field.name for field in table.schema if pa.types.is_floating(field.type)
                             and field.name not in (prediction, probability, id)]),
    )


def _named(table: pa.Table, name: str | None, role: str) -> str | None:
    """The column of a part, the first of its usual names first."""
    if name in table.column_names:
        return name
    lower = {column.lower(): column for column in table.column_names}
    return next((lower[usual] for usual in USUAL_NAMES[role] if usual in lower), None)


def _only(table: pa.Table, id: str | None) -> str | None:
    rest = [name for name in table.column_names if name != id and name.lower() not in KEYS]
    return rest[0] if len(rest) == 1 else None


def _trained_until(path: Path) -> datetime | None:
    """Where the training data end, as a Parquet file's metadata says; a bad text there is refused, not ignored."""
    if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
        return None
    told = (pq.read_schema(path).metadata or {}).get(TRAINED_UNTIL)
    try:
        return None if told is None else parse_moment(told.decode())
    except ValueError:
        raise UsageError(f"{path}: its {TRAINED_UNTIL.decode()} is no moment, expected such as 2024-03-01") from None


def aligned(
    found: Predictions, ids: pa.ChunkedArray | None, rows: int
) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Return prediction and probability of each row, by id where both sides have ids, else in the order of the rows.

    A row without a prediction gets null. Raises CannotJudge where the two cannot be brought together.
    """
    place = places(found, ids, rows)
    if place is None:
        return found.prediction, found.probability
    return found.prediction.take(place), None if found.probability is None else found.probability.take(place)


def places(found: Predictions, ids: pa.ChunkedArray | None, rows: int) -> pa.Array | None:
    """Return the place of each row's prediction, null without one; None where they are in the order of the rows.

    Raises CannotJudge where the two cannot be brought together.
    """
    if ids is None or found.ids is None:
        if len(found.prediction) != rows:
            raise CannotJudge(f"{found.place}: {len(found.prediction)} predictions of {rows} rows, and no id to join "
                              "them on; expected one a row, or the id column in both files")
        return None
    wanted, there = as_text(ids), as_text(found.ids)
    twice = len(there) - pc.count_distinct(there, mode="all").as_py()
    if twice and pc.count_distinct(wanted, mode="all").as_py() == rows:      # else the rows repeat them too
        raise CannotJudge(f"{found.place}: {twice} rows repeat an id, expected one prediction of each row")
    place = places_of(wanted, there)
    if not place.null_count < rows:
        raise CannotJudge(f"{found.place}: none of its ids is that of a row to be judged")
    return place


def with_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """Set a column, or add it behind the others."""
    at = table.schema.get_field_index(name)
    return table.append_column(name, values) if at < 0 else table.set_column(at, name, values)


def in_order(table: pa.Table, timestamp: str, id: str | None) -> pa.Table:
    """The rows oldest first, by id where times are equal; as they are where they have no time."""
    if timestamp not in table.column_names:
        return table
    keys = {"at": table[timestamp], "place": pa.array(np.arange(len(table)))}
    if id in table.column_names:
        keys["id"] = as_text(table[id])
    order = [(name, "ascending") for name in ("at", "id", "place") if name in keys]
    return table.take(pc.sort_indices(pa.table(keys), order))
