"""The role of each column of a log: found in its first rows, and held as long as its columns are the same."""

from functools import lru_cache
from pathlib import Path

from monitor import __version__
from monitor.config import USUAL_NAMES, Facts, ModelSection, Roles, find_roles, wrongly_private
from monitor.errors import ConfigError, SourceError
from monitor.records import from_json, to_json
from monitor.reference.profile import keep_beside, last_beside
from monitor.reference.role_evidence import Evidence, Looked, Readable
from monitor.sources import open_source
from monitor.sources.column_types import first_rows
from monitor.sources.labels_apart import LabelsApart
from monitor.sources.log import facts, known_types

VALUES = 4_000_000           # of a log or of labels that are looked at: 200,000 rows of 20 columns


def log_roles(model: ModelSection, profiles: Path | None) -> Roles:
    """Return the role of each column, as found in the first rows of the log."""
    return _log_roles(model.model_dump_json(), profiles)


@lru_cache(maxsize=32)
def _log_roles(text: str, profiles: Path | None) -> Roles:
    """Return the roles; later rows do not change them: not in this process, and in no other once the log is large.

    They are not kept where some of the columns are private: they may tell of values.
    """
    model = ModelSection.model_validate_json(text)
    source = open_source(model.predictions, model.timezone, known_types(model))
    keep, key = not model.columns.private, "\x1f".join(("log roles", __version__, text))
    schema = source.schema()
    found = last_beside(profiles, key) if keep else None
    if found is not None and found["columns"] == str(schema) and found["stamp"] in (None, source.fingerprint()):
        return from_json(Roles, found["roles"])
    stamp = source.fingerprint()
    head = source.head(VALUES)
    roles = roles_in(model, Looked(head, model.timezone, source.origin), facts(head), f"predictions {source.origin}")
    if keep:
        whole = len(head) < first_rows(VALUES, len(schema))
        keep_beside(profiles, key, {"columns": str(schema), "stamp": stamp if whole else None, "roles": to_json(roles)})
    return roles


def roles_in(model: ModelSection, rows: Readable, found: dict[str, Facts], where: str) -> Roles:
    """Return the roles of the columns whose facts are `found`. Raises ConfigError and SourceError."""
    labels = _labels(model, found) if model.labels else None
    protected = model.fairness.columns if model.fairness else ()
    roles = find_roles(
        model.columns,
        found,
        facts(labels.table) if labels else None,
        where,
        protected=protected,
        attributes=_attributes(model, [*found, *protected, *model.columns.private]) if model.attributes else None,
        evidence=Evidence(rows, found, labels),
        watched={*model.drift.columns, *(trigger.column for trigger in model.triggers if trigger.column)},
    )
    if problems := wrongly_private(model, roles):
        raise ConfigError(problems)
    return roles


def _labels(model: ModelSection, found: dict[str, Facts]) -> Looked:
    """Return labels that are kept apart; the id of the log is not known yet where it is not configured."""
    assert model.labels is not None
    usual = [name for name in found if name.lower() in USUAL_NAMES["id"]]
    id = model.columns.id or (usual[0] if len(usual) == 1 else None)
    source = open_source(model.labels, model.timezone, known_types(model))
    head = LabelsApart(source, model.columns.label_id, id).head(VALUES)
    return Looked(head, model.timezone, source.origin)


def _attributes(model: ModelSection, otherwise: list[str]) -> list[str]:
    """Return the columns of the attributes, or `otherwise` if they cannot be read, so that only fairness fails."""
    assert model.attributes is not None
    try:
        return list(open_source(model.attributes, model.timezone).schema().names)
    except SourceError:
        return otherwise
