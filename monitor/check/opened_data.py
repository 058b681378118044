"""The data a request is about, opened as they were known at its moment."""

from monitor.check.requests import Look
from monitor.config import USUAL_NAMES, Roles
from monitor.config.column_roles import is_row_number
from monitor.private import HIDDEN, is_quiet
from monitor.reference.reference_data import ReferenceData, load_reference
from monitor.sources.log import Log


def open_reference(look: Look) -> ReferenceData:
    """Raises CannotJudge, ConfigError and SourceError as `load_reference` does."""
    return load_reference(look.model, look.as_of, look.stretch, look.profiles, hold=look.hold)


def open_log(look: Look, roles: Roles) -> Log:
    return Log(look.model, roles, look.as_of, hold=look.hold)


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
