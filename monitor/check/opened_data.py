"""The data a request is about, opened as they were known at its moment."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from monitor.check.requests import Look
from monitor.config import USUAL_NAMES, ModelSection, Roles
from monitor.config.column_roles import is_row_number
from monitor.private import HIDDEN, is_quiet
from monitor.records import Ledger, from_json, to_json
from monitor.reference.profile import keep_beside, last_beside
from monitor.reference.reference_data import ReferenceData, load_reference
from monitor.sources import extents
from monitor.sources.column_types import is_number
from monitor.sources.log import Log

_recalled: set[tuple[Path | None, str]] = set()      # in this process


@contextmanager
def known_files(look: Look) -> Iterator[None]:
    """Know of the log's files what earlier processes found there, and keep what is found meanwhile for later ones."""
    key = f"extents\x1f{look.model.predictions.model_dump_json()}"
    if (look.profiles, key) not in _recalled:
        _recalled.add((look.profiles, key))
        _recall(look.profiles, key)
    with extents.learning() as learnt:
        yield
    if learnt.new:
        keep_beside(look.profiles, key, to_json(learnt.told()))


def _recall(profiles: Path | None, key: str) -> None:
    with suppress(ValidationError, IndexError, ValueError, pa.ArrowException):       # damaged: files are opened again
        if (told := last_beside(profiles, key)) is not None:
            extents.recall(from_json(extents.Told, told))


def open_reference(look: Look) -> ReferenceData:
    """Raises CannotJudge, ConfigError and SourceError as `load_reference` does."""
    return load_reference(
        look.model, look.as_of, look.stretch, look.profiles, hold=look.hold, taken=look.taken
    )


def open_log(look: Look, roles: Roles) -> Log:
    return Log(look.model, roles, look.as_of, hold=look.hold)


def with_columns(ledger: Ledger | None, look: Look, reference: ReferenceData, log: Log) -> Ledger | None:
    """Return the ledger with the columns of the log: what each is used as, or why it is not."""
    if ledger is None:
        return None
    roles, model = reference.roles, look.model
    named = {name: role for role in USUAL_NAMES if (name := getattr(roles, role)) is not None}
    apart = dict.fromkeys(model.fairness.columns if model.fairness else (), "protected")
    chances = dict.fromkeys((column for _, column in roles.per_class), "class probability")
    used = dict.fromkeys(model.columns.segments, "segment") | roles.features | apart | chances | named
    extra = dict.fromkeys(unwatched_columns(look, reference, log), "the reference has no such column")
    schema = log.schema()
    kinds = {field.name: field.type for field in (*schema, *reference.schema)}       # as they are read
    rest = {name: _why_not(kinds[name], model) for name in schema.names if name not in used
            and HIDDEN not in extra and (name not in extra or pa.types.is_temporal(kinds[name]))}
    present = {name: use for name, use in used.items() if name in schema.names}
    return replace(ledger, columns=present, left_out=extra | rest | log.left_out())


def _why_not(kind: pa.DataType, model: ModelSection) -> str:
    if model.columns.features is not None:
        return "it is not among columns.features"
    if pa.types.is_temporal(kind):
        return "it holds times"
    if pa.types.is_null(kind):
        return "no row has a value in it"
    if is_number(kind):
        return "it is the probability of the other class"
    return f"it holds {kind}, which is neither numbers, text nor booleans"


def unwatched_columns(look: Look, reference: ReferenceData, log: Log) -> list[str]:
    """Columns of the log that would be features if the reference had them; none where features are listed."""
    model = look.model
    parts = {field: getattr(reference.roles, field) for field in USUAL_NAMES}
    protected = model.fairness.columns if model.fairness else ()
    known = {*reference.schema.names, *model.columns.ignore, *parts.values(), *protected}
    extra = [name for name in log.schema().names
             if model.columns.features is None and name not in known and not is_row_number(name)]
    # names nobody knows may be values: of a file that lost its header
    return [HIDDEN] if extra and is_quiet() else extra
