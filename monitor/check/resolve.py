"""The worker's side of `validate` and of a backtest's beginning: what a model's data are, and how far they go."""

import re
from collections.abc import Collection, Iterator

from monitor.calibration.expected_false_alarms import outlook
from monitor.check.opened_data import open_log, open_reference, unwatched_columns, with_columns
from monitor.check.requests import Extent, Look, Resolved
from monitor.check.trigger_problems import trigger_problems
from monitor.config import FeatureKind
from monitor.drift.whole_rows import problems_together
from monitor.errors import ConfigError
from monitor.escape import names
from monitor.private import for_a_model
from monitor.reference.reference_data import ReferenceData
from monitor.reference.role_evidence import log_roles
from monitor.sources.column_types import is_number, text_columns
from monitor.sources.log import Log
from monitor.sources.written_numbers import doubts, style_of
from monitor.tables.digest import CategoryDigest, NumberDigest

_KINDS: dict[FeatureKind, str] = {"numerical": "numbers", "categorical": "categories", "text": "text"}
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@for_a_model
def resolve(look: Look) -> Resolved:
    """Find the reference, the columns' parts, task and metric of a model: what `validate` shows."""
    reference = open_reference(look)
    if problems := list(problems_together(look.model, reference.roles, reference.schema.names)):
        raise ConfigError(problems)
    judged, log = reference.performance, open_log(look, reference.roles)
    extra = tuple(unwatched_columns(look, reference, log))
    ledger = with_columns(log.account(), look, reference, log)
    assert ledger is not None
    return Resolved(
        roles=reference.roles,
        extra=extra,
        types=(*_types(reference, log, look.model.columns.private), *_doubts(reference, log)),
        left_out={name: why for name, why in ledger.left_out.items() if name not in extra},
        task=judged.task if judged else None,
        metric=judged.metric if judged else None,
        reference_rows=reference.rows,
        maturity=reference.maturity,
        pause=reference.pause,
        outlook=outlook(look.model, reference),
        ledger=ledger,
        said=reference.said,
        problems=tuple(trigger_problems(look.model, reference)),
    )


def _types(reference: ReferenceData, log: Log, private: Collection[str]) -> Iterator[str]:
    """Yield a line for each kind of feature: its columns, and what of the reference makes them so."""
    numbers = {field.name for field in reference.schema if is_number(field.type)}
    stored = dict.fromkeys(numbers & text_columns(log.schema()), " (text of numbers alone)")
    for kind, word in _KINDS.items():
        columns = [name for name, one in reference.roles.features.items() if one == kind]
        told = [_told(reference, name, private) if kind == "categorical" else f"{name}{stored.get(name, '')}"
                for name in columns]
        if told:
            yield f"{word}: {names(told)}, by {reference.rows} rows of the reference"
    if same := [name for name in reference.roles.features if _is_constant(reference, name)]:
        yield f"always the same in the reference: {names(same)}; any other value is drift"


def _doubts(reference: ReferenceData, log: Log) -> Iterator[str]:
    """Yield a line for each column that is text although most of its values are numbers."""
    roles = reference.roles
    names = [*roles.features, *(name for name in (roles.prediction, roles.probability, roles.label) if name)]
    unclear = [name for name in names if name in text_columns(reference.schema)]
    if reference.gone is None:
        yield from doubts(reference.opened().columns(unclear), style_of(log.guesses()))


def _is_constant(reference: ReferenceData, name: str) -> bool:
    kind = reference.roles.features[name]
    digest = reference.profile.column(name, kind) if kind != "text" else None
    if isinstance(digest, NumberDigest):
        return len(digest.ascending) > 0 and digest.ascending[0] == digest.ascending[-1]
    return isinstance(digest, CategoryDigest) and len(digest.counts) == 1


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
    apart = look.model.reference.source is not None
    log = open_log(look, open_reference(look).roles if apart else log_roles(look.model, look.profiles))
    return Extent(first=log.first(), newest=log.newest())
