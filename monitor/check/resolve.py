"""The worker's side of `validate` and of a backtest's beginning: what a model's data are, and how far they go."""

import re
from collections.abc import Collection, Iterator

import pyarrow.compute as pc

from monitor.calibration.expected_false_alarms import outlook
from monitor.check.opened_data import open_log, open_reference, unwatched_columns, with_columns
from monitor.check.requests import Extent, Look, Resolved
from monitor.check.trigger_problems import trigger_problems
from monitor.config import FeatureKind
from monitor.drift.whole_rows import problems_together
from monitor.errors import ConfigError
from monitor.escape import names
from monitor.private import for_a_model
from monitor.reference.reference_data import ReferenceData, log_roles
from monitor.tables.digest import CategoryDigest

_KINDS: dict[FeatureKind, str] = {"numerical": "numbers", "categorical": "categories", "text": "text"}
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@for_a_model
def resolve(look: Look) -> Resolved:
    """Find the reference, the columns' parts, task and metric of a model: what `validate` shows."""
    reference = open_reference(look)
    if problems := list(problems_together(look.model, reference.roles, reference.schema.names)):
        raise ConfigError(problems)
    judged, log = reference.performance, open_log(look, reference.roles)
    return Resolved(
        roles=reference.roles,
        extra=tuple(unwatched_columns(look, reference, log)),
        types=tuple(_types(reference, look.model.columns.private)),
        left_out=log.left_out(),
        task=judged.task if judged else None,
        metric=judged.metric if judged else None,
        reference_rows=reference.rows,
        maturity=reference.maturity,
        outlook=outlook(look.model, reference),
        ledger=with_columns(log.account(), look, reference, log),
        said=reference.said,
        problems=tuple(trigger_problems(look.model.triggers, reference)),
    )


def _types(reference: ReferenceData, private: Collection[str]) -> Iterator[str]:
    """Yield a line for each kind of feature: its columns, and what of the reference makes them so."""
    for kind, word in _KINDS.items():
        columns = [name for name, one in reference.roles.features.items() if one == kind]
        told = [_told(reference, name, private) for name in columns] if kind == "categorical" else columns
        if told:
            yield f"{word}: {names(told)}, by {reference.rows} rows of the reference"


def _told(reference: ReferenceData, name: str, private: Collection[str]) -> str:
    """Return a category's name with the number of its values, and a word that stands among its numbers."""
    digest = reference.profile.column(name, "categorical")
    if not isinstance(digest, CategoryDigest):
        return name
    words = [key for key in digest.counts if isinstance(key, str) and not _NUMBER.fullmatch(key)]
    mixed = name not in private and 0 < len(words) < len(digest.counts) and len(words) < 5
    among = f", {words[0]!r} in {digest.counts[words[0]]} rows" if mixed else ""
    return f"{name} ({len(digest.counts)} values{among})"


@for_a_model
def extent(look: Look) -> Extent:
    """Find the oldest and the newest timestamp of the log: how far a backtest goes."""
    log = open_log(look, open_reference(look).roles if look.model.reference.source else log_roles(look.model))
    times = log.rows(None, None, set())[log.roles.timestamp]
    return Extent(first=pc.min(times).as_py(), newest=pc.max(times).as_py())
