"""What the service itself does: how it listens, who gets in, its workers and state; whom it tells, and when not."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from monitor.config.section import Section, exactly_one
from monitor.config.values import Address, AddressOrSecret, Moment, PositiveDuration, SecretRef

# Of the HTTP side: scrape; pages and API; actions of people; what serving platforms post.
Scope = Literal["metrics", "read", "act", "capture"]

_HOST_PORT: JsonDict = {"pattern": r"^\S+:\d{1,5}$"}


class TokenSection(Section):
    """A bearer token with which a program authenticates."""

    secret: SecretRef
    """The token, of at least 16 characters."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    """What it gives access to: `"metrics"`, `"read"`, `"act"`, `"capture"`; see [security](security.md)."""


class ProxySection(Section):
    """A proxy that authenticates people and names them in a header."""

    header: str
    """Header with the user's name, such as `"X-Forwarded-User"`; ignored when it comes from any other address."""
    peers: tuple[str, ...] = Field(min_length=1)
    """Addresses or networks of the proxy, such as `"10.0.0.7"`."""


class BackupSection(Section):
    """Copies of the state that the service makes while it runs."""

    folder: Path
    """Folder for the copies, best on another disk."""
    every: PositiveDuration = timedelta(days=1)
    """Time from one copy to the next."""
    keep: int = Field(default=7, ge=1)
    """How many copies are kept; older ones are removed."""


class Daemon(Section):
    """The service itself."""

    state_dir: Path | None = None
    """Folder for what driftd remembers. Default: `$STATE_DIRECTORY`, then `./state`."""
    listen: str = Field(default="127.0.0.1:9745", json_schema_extra=_HOST_PORT)
    """HOST:PORT that serves the status page, `/metrics`, `/healthz` and `/readyz`. Beyond this machine clients must
    [authenticate](security.md)."""
    health_listen: str | None = Field(default=None, json_schema_extra=_HOST_PORT)
    """HOST:PORT of a second listener for probes, always plain HTTP, that serves `/healthz` and `/readyz` only. Default:
    none."""
    url: Address | None = None
    """Address under which people reach the status page, such as `"https://driftd.example.org"`. Messages and requests
    then lead there. Default: `listen`, and no links."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that requests may use besides those of `listen`, `url` and this machine's loopback. Default: none."""
    web_config: Path | None = None
    """File with TLS settings and users: a [web configuration file](security.md#the-web-configuration-file) as for
    Prometheus. Default: no TLS, no users."""
    users: dict[str, tuple[Scope, ...]] = {}
    """Scopes of a user, such as `ann = ["metrics", "read", "act"]` or `kserve = ["capture"]`. Default: `"metrics"` and
    `"read"`."""
    tokens: dict[str, TokenSection] = {}
    """Bearer tokens for programs, see below. Default: none."""
    proxy: ProxySection | None = None
    """A proxy that authenticates people, see below. Default: none."""
    allow_unauthenticated: bool = False
    """`true` lets `listen` serve other machines without authentication."""
    workers: int | None = Field(default=None, ge=1)
    """Largest number of processes that read and measure. Default: one for each core, at least 2."""
    worker_memory_mb: int = Field(default=4096, ge=256, le=1_000_000_000)
    """Memory limit of one worker in MB; a worker that needs more is killed."""
    worker_timeout: PositiveDuration = timedelta(minutes=30)
    """Time limit of one task; a worker that takes longer is killed."""
    heartbeat: AddressOrSecret | None = None
    """A URL fetched after each round of checks, for a dead-man's switch that notices when driftd stops."""
    allow_inner: tuple[str, ...] | None = None
    """Inner networks that may be called: `["10.20.0.0/16", "::1"]`. Default: all that the file
    [names](security.md#inner-addresses)."""
    metrics_columns: Literal["notable", "all"] = "notable"
    """Columns with [series of their own](metrics.md) in `/metrics`: `"notable"`, those that drift, broke or are named
    by a trigger or in `drift`; or `"all"`, at most 200 of each model."""
    log_format: Literal["text", "json"] = "text"
    """Form of the log lines: `"text"` or `"json"`."""
    callback_secret: SecretRef | None = None
    """Secret with which pipelines [report](promotion.md) how their runs ended: `whsec_` + base64 of 24 to 64 bytes.
    Default: no reports are accepted."""
    captures: Path | None = None
    """Folder for [what serving platforms post](sources.md#captures-that-are-posted) at `/v1/captures/NAME`, each name
    in a folder of its own. Default: nothing is taken."""
    backup: BackupSection | None = None
    """[Copies of the state](operations.md#backup-and-restore), see below. Default: none are made."""
    retention: PositiveDuration | None = None
    """Windows, messages and runs older than this are [removed](governance.md#retention). At least `"60d"`. Default:
    everything is kept."""


class NotifySection(Section):
    """Where messages to people are sent."""

    urls: tuple[SecretRef, ...] = ()
    """[Apprise](https://github.com/caronc/apprise) addresses that messages are sent to: mail, Slack, Teams, …"""


class SilenceSection(Section):
    """A time in which no messages are sent: once (`until`), or repeatedly (`cron`, `duration`)."""

    model_config = ConfigDict(json_schema_extra=exactly_one("until", "cron") | {
        "dependentRequired": {"cron": ["duration"], "duration": ["cron"], "since": ["until"]},
    })

    model: str | None = None
    """The model that is silenced. Default: every model."""
    trigger: str | None = None
    """Silence only messages about this trigger. Default: every message about the model."""
    since: Moment | None = None
    """When it begins; a time without an offset is in the model's time zone. Default: at once."""
    until: Moment | None = None
    """When it ends: the first moment after the silence."""
    cron: str | None = None
    """When it begins each time: `"0 22 * * *"`, in the model's time zone."""
    duration: PositiveDuration | None = None
    """How long it lasts each time."""
    maintenance: bool = False
    """Hold back retrain requests too."""
    reason: str
    """Why; shown wherever the silence is shown."""

    @model_validator(mode="after")
    def _one_time(self) -> "SilenceSection":
        once, again = self.until is not None, self.cron is not None and self.duration is not None
        rest = (self.cron or self.duration) if once else (self.since or self.until)
        if once == again or rest:
            raise ValueError("expected either until (and since), or cron with duration")
        return self
