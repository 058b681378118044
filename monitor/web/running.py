"""What pages tell of the daemon itself: when models were checked and will be, a configuration that was refused, and how
far a replay is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The last check of a model and the next one; None where that is not known."""

    last: datetime | None = None
    outcome: str | None = None           # of the last one
    next: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """`refused`: what is wrong with the newest configuration, whose predecessor stays in force. `replayed`: percent of
    the log, while no service runs but a replay.
    """

    looks: Mapping[str, Looks] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    refused_at: datetime | None = None
    replayed: int | None = None
