"""The core records: frozen, slotted, typed. Times are aware UTC; windows are half-open.

`to_json` and `from_json` are the one way in and out of JSON, for the store, `--json`, workers and events.
"""

import hashlib
import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

SCHEMA_VERSION = 1

T = TypeVar("T")
Json = dict[str, Any]       # a JSON object where it is read or written; inside there are records


class ScoreStatus(StrEnum):
    OK = "ok"
    DRIFTED = "drifted"              # a drift method passed its threshold
    BREACHED = "breached"            # the data contract is broken: nulls, types, columns
    INSUFFICIENT = "insufficient"    # too few rows to say
    FAILED = "failed"                # the metric itself failed; `reason` says how


class SnapshotStatus(StrEnum):
    OK = "ok"
    INSUFFICIENT_DATA = "insufficient_data"
    SCHEMA_CHANGED = "schema_changed"
    SOURCE_FAILED = "source_failed"


class Action(StrEnum):
    HOLD = "hold"
    ALERT = "alert"
    RETRAIN = "retrain"
    ROLLBACK = "rollback"
    SUPPRESS = "suppress"


class EpisodeState(StrEnum):
    OPEN = "open"
    SUPPRESSED = "suppressed"
    AWAITING_APPROVAL = "awaiting_approval"
    REQUESTED = "requested"
    REJECTED = "rejected"            # by a person; silent until the need has cleared
    LAPSED = "lapsed"                # nobody approved it in time; silent likewise
    CLEARED = "cleared"
    SUPERSEDED = "superseded"


class DispatchState(StrEnum):
    PENDING = "pending"          # written, not yet sent, or to be sent again
    SENDING = "sending"          # handed to the socket; after a crash this reads as ambiguous
    AMBIGUOUS = "ambiguous"      # may or may not have been accepted
    QUEUED = "queued"
    RUNNING = "running"
    BLOCKED = "blocked"          # accepted, waits for a person over there
    DELIVERED = "delivered"      # accepted; nothing more can be followed
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"      # rejected, or given up by a person
    WITHDRAWN = "withdrawn"      # the need cleared before anything was sent
    UNKNOWN = "unknown"          # accepted once; its end was not seen in time, or it is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows whose (timestamp, id) lies in [(start, start_id), (end, end_id)).

    Time windows have empty ids, so that the rule is a plain half-open interval of timestamps.
    `spec` is a hash of how windows are cut (size, step, time zone).
    """

    model: str
    start: datetime
    end: datetime
    spec: str
    start_id: str = ""
    end_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number about one window; every number the system produces is one of these."""

    metric: str
    method: str | None = None
    column: str | None = None
    segment: str | None = None
    value: float | None = None
    reference: float | None = None       # the same number on the reference
    low: float | None = None             # 95 % confidence interval
    high: float | None = None
    threshold: float | None = None
    status: ScoreStatus = ScoreStatus.OK
    provisional: bool = False            # labels are still maturing: may alert, never retrain
    uncalibrated: bool = False           # the reference is too short for the rate asked for; a fixed threshold serves
    n: int | None = None                 # rows the number rests on
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What became of every row and column of one look at a log: of a window's rows, or of all.

    Rows in are rows out: `read` = `used` + `repeated` + `contradicting` + `astray`. Everything counts rows, but for
    what begins with `labels`, which counts the rows of labels kept apart; these are None where labels are in the log.
    """

    files: int | None                    # of all times, in the files or the table; None: not counted
    untimed: int                         # of these, without a timestamp
    apart: int                           # … with a timestamp far from all others
    low: datetime | None                 # where the others begin …
    high: datetime | None                # … and end
    unplaced: int                        # of `untimed` and `apart`, those of which it is not known where they belong
    read: int                            # of the window
    used: int
    astray: int                          # of `untimed` and `apart`, those that stand among the window's rows
    repeated: int                        # left out: a later row has the same id and timestamp, and says the same
    contradicting: int                   # left out: … and predicts something else
    without_id: int                      # used, but no label can be joined to them
    labelled: int                        # with a known label
    undated_labels: int                  # with a label, and not when it became known: `label_delay` says so
    labels: int | None = None            # that are known
    labels_without_id: int | None = None
    labels_repeated: int | None = None   # replaced by a newer one of the same id …
    labels_contradicting: int | None = None      # … that says something else
    labels_without_row: int | None = None        # of ids, of all times; None also where the log is too large to look
    labels_nearly_joined: int | None = None      # of these, those that differ from a row's id by how it is written
    labels_loosely_joined: int | None = None     # ids joined to a row's although blanks around them, or a ".0", differ
    columns: dict[str, str] = field(default_factory=dict)      # what each is used as
    left_out: dict[str, str] = field(default_factory=dict)     # why each is not

    @property
    def lost(self) -> int:
        """Rows of the window that went in and did not come out; a repetition of another row is no loss."""
        return self.astray + self.contradicting

    @property
    def lost_share(self) -> float:
        """The share of the window's rows that is lost, or of all rows that no window is missing, if that is larger."""
        nowhere = self.unplaced / self.files if self.files else 0.0
        return max(self.lost / self.read if self.read else 0.0, nowhere)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything measured on one revision of one window."""

    window: Window
    revision: int
    taken_at: datetime
    reference_id: str
    model_version: str | None
    config_hash: str
    code_version: str
    rows: int
    labelled: int
    late: int                            # rows that came after the first revision
    sampled: float                       # share of the rows that was read, 1.0 = all
    mature: bool                         # every row is older than nearly all reference label delays
    status: SnapshotStatus
    reason: str | None
    scores: tuple[Score, ...]
    labels: str | None = None            # a digest of the labels, to see whether one is corrected later
    ledger: Ledger | None = None         # None: measured by a version that kept none, or not measured

    @property
    def label_coverage(self) -> float | None:
        return self.labelled / self.rows if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check concluded, in words a person can read."""

    window: Window
    revision: int
    at: datetime
    action: Action
    fired: tuple[str, ...]               # names of the triggers that fire
    guards: tuple[str, ...]              # names of the guards that spoke against a retrain
    reasons: tuple[str, ...]             # sentences: what each trigger saw, what each guard said


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """The memory of one trigger: firing or not, since which window; alerts go out on its changes."""

    model: str
    trigger: str
    firing: bool
    since: datetime                      # end of the window in which it last changed
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's word on a retrain that needs one; the decision is the state it came to."""

    asked_at: datetime
    asked_by: str | None                 # None: a trigger
    decision: EpisodeState | None = None     # requested (approved), rejected or lapsed; None while it waits
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None            # of the decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """People are not told of a model, or of one of its triggers; maintenance holds back requests too."""

    model: str
    until: datetime
    reason: str
    trigger: str | None = None
    maintenance: bool = False
    by: str | None = None                # None: the configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One need to retrain, or to go back, from its first window until it has cleared; it asks at most once."""

    id: str
    model: str
    reference_id: str
    trigger: str
    window: Window                       # the one that opened it
    state: EpisodeState
    reason: str
    approval: Approval | None = None     # where a person's word was asked for
    version: str | None = None           # the one to go back to; None: a retrain is needed

    @property
    def asks(self) -> str:
        """What it asks for, in words."""
        return "a retrain" if self.version is None else f"going back to version {self.version}"

    @staticmethod
    def new_id(model: str, reference_id: str, trigger: str, window: Window) -> str:
        """40 hex digits, the same for the same need whoever computes it, whenever."""
        key = "\x1f".join((model, reference_id, trigger, window.start.isoformat(), window.start_id, window.spec))
        return hashlib.sha256(key.encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """One retrain request on its way; written before it is sent."""

    id: str                              # driftd-<40 hex>-<attempt>
    episode_id: str
    attempt: int
    model: str
    pipeline: str
    state: DispatchState
    body: str                            # the CloudEvent, JSON text
    created_at: datetime
    tries: int = 0
    next_try_at: datetime | None = None
    accepted_at: datetime | None = None  # cooldown and budget count from here
    running_at: datetime | None = None   # when its run was first seen at work
    ended_at: datetime | None = None
    handle: str | None = None            # what the pipeline calls the run
    url: str | None = None               # where a person can look at the run
    reason: str | None = None            # the last answer, in words
    sent_at: datetime | None = None      # when it was last handed to the socket
    unclear: int = 0                     # how many sends ended without a clear answer
    new_version: str | None = None       # what a successful run says it made: the model's version …
    new_reference: str | None = None     # … and the file to compare with from now on

    @property
    def version(self) -> str | None:
        """The version that it asks to go back to; None: it asks for a retrain."""
        version = json.loads(self.body).get("data", {}).get("version")
        return None if version is None else str(version)

    @staticmethod
    def new_id(episode_id: str, attempt: int) -> str:
        return f"driftd-{episode_id}-{attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What windows are compared with; a new one comes with each promoted model."""

    model: str
    id: str                              # content hash
    model_version: str | None
    origin: str                          # the path, or "first 90d"
    since: datetime                      # windows that start before it are not judged against it
    rows: int | None = None              # that it had when it was taken; None: not known

    @staticmethod
    def new_id(content: str, model_version: str | None) -> str:
        """Hash of the reference's content and the model's version: a promoted model always brings a new one."""
        return hashlib.sha256(f"{content}\x1f{model_version}".encode()).hexdigest()[:16]


class PromotionState(StrEnum):
    WAITING = "waiting"              # for a person's word
    TAKEN = "taken"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"        # another version came first


class Recovery(StrEnum):
    AWAITED = "awaited"
    RECOVERED = "recovered"
    MISSING = "missing"              # the first mature windows still show the need


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A version that came into service, or is to, and what became of the need it answers."""

    model: str
    version: str
    replaces: str | None                 # the version in service when it came
    configured: str | None               # … and in the configuration: another one there since then wins
    origin: str                          # run, registry, shadow, rollback or configuration
    state: PromotionState
    at: datetime
    seq: int = 0                         # 1, 2, …, given by the store
    dispatch_id: str | None = None       # the request whose run made it
    reference: str | None = None         # the file to compare with from then on, where one was named
    asked_by: str | None = None          # who asked for the retrain, where a person did
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None            # of the decision
    reference_id: str | None = None      # of the reference that was installed with it
    need: str | None = None              # the trigger that had asked for it
    recovery: Recovery | None = None     # None where there was no need that can be measured
    recovery_at: datetime | None = None  # end of the window that showed it
    recovery_reason: str | None = None


class MoveState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"              # after a crash, or without a clear answer: the alias is read first
    DONE = "done"
    REFUSED = "refused"              # the alias stands elsewhere, or the registry will not


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """A person's wish that the registry's alias names another version; written before it is sent."""

    id: str
    model: str
    from_version: str
    to_version: str
    by_whom: str
    reason: str
    state: MoveState
    created_at: datetime
    tries: int = 0
    next_try_at: datetime | None = None
    answer: str | None = None

    @staticmethod
    def new_id(model: str, from_version: str, to_version: str, at: datetime) -> str:
        key = "\x1f".join((model, from_version, to_version, at.isoformat()))
        return "move-" + hashlib.sha256(key.encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasSeen:
    """What the registry said of a model's alias when it was last asked."""

    model: str
    version: str | None = None
    read_at: datetime | None = None
    down_since: datetime | None = None   # None while it can be read
    reason: str | None = None
    shadow: str | None = None            # the version that the alias of the candidate in shadow names


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Data as they were when driftd looked: which file, or which table."""

    place: str                           # predictions, labels, attributes, reference
    name: str                            # the file's path, or the table in words
    stamp: str                           # another one whenever the content may be another
    hash: str | None                     # SHA-256 of the file; None of a database's table
    bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to tell people; goes out through the same kind of outbox as a dispatch."""

    id: str                              # the same for the same event
    model: str
    kind: str                            # firing, cleared, requested, suppressed, approval, outcome, source, held
    title: str
    body: str
    created_at: datetime
    tries: int = 0
    next_try_at: datetime | None = None
    sent_at: datetime | None = None
    reason: str | None = None            # why the last try failed
    trigger: str | None = None           # the one it is about, if any


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a column's present values are spread over bars in a window and in the reference, as shares."""

    labels: tuple[str, ...]              # of each bar: a category, a number, or from where to where
    window: tuple[float, ...]
    reference: tuple[float, ...]
    numbers: bool                        # the bars are in the order of numbers
    power: str | None = None             # which move of the column windows show


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many rows a window holds at the moment of looking, and how many have a known label."""

    window: Window
    rows: int
    labelled: int
    corrected: bool = False              # labels that were known before have changed
    paused: bool = False                 # no row, in a pause such as the reference has


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the newest revision of a window saw of its labels: whether they still are as they were."""

    window: Window
    at: datetime
    labelled: int
    labels: str | None                   # a digest of them; None: was not taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a look at the source found, before anything is measured."""

    reference_id: str
    reference_rows: int
    stretch: datetime | None             # where a reference of the form "first 90d" begins
    task: str | None                     # None where there are no labels
    metric: str | None
    first: datetime | None               # oldest and newest timestamps of the rows looked at
    newest: datetime | None
    maturity: timedelta                  # age at which nearly all reference labels were known
    tallies: tuple[Tally, ...]           # of the known windows asked for, and of all newly closed ones
    files: str | None = None             # changes when the files of the log or its labels do; None of databases
    schema: str = ""                     # the log's columns with their types
    gone: str | None = None              # that rows of the reference have vanished
    timestamp: str = ""                  # the column that tells when a row was predicted
    pause: timedelta = timedelta(0)      # how long rows may stay away, as in the reference


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(value: object) -> Any:
    """Return the JSON form (dicts, lists, str, numbers, None) of a record; times as ISO 8601 UTC."""
    return _adapter(cast(Hashable, type(value))).dump_python(value, mode="json")


def from_json(kind: type[T], data: Any) -> T:
    """Build a record of `kind` from its JSON form. Raises pydantic.ValidationError on another shape."""
    record: T = _adapter(cast(Hashable, kind)).validate_python(data)
    return record
