"""Where a model's rows are, what their columns are, and how they are cut into windows."""

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from monitor.config.section import Section, exactly_one
from monitor.config.values import (
    Address,
    DatabaseAddress,
    Duration,
    Moment,
    PositiveDuration,
    SecretRef,
    TextOrSecret,
    WindowSize,
)
from monitor.errors import CannotJudge
from monitor.escape import in_path, name


class WindowSection(Section):
    """How the log is cut into windows; a duration or a number alone is the `size`."""

    size: WindowSize = timedelta(days=7)
    """Length in time, cut from local midnight (weeks from Monday), or a number of rows."""
    step: PositiveDuration | None = None
    """Time from the start of one window to the start of the next. Default: `size`, so that they do not overlap."""
    lateness: Duration = timedelta(0)
    """How long after its end a window still waits for rows before it is checked."""
    min_rows: int = Field(default=100, ge=1)
    """A window with fewer rows is not judged: too little data."""
    sample: int | None = Field(default=None, ge=1)
    """Largest number of rows that are measured, chosen by a hash of the id. Default: all rows."""
    memory_mb: int = Field(default=32, ge=1)
    """A column that takes more memory is read twice, a row group at a time; `ks` and `wasserstein` are then computed
    from 1,024 bins."""


class Columns(Section):
    """Names of the columns that driftd uses. A column that is not named here is found by its usual name."""

    timestamp: str | None = None
    """When the prediction was made."""
    id: str | None = None
    """Identifier of the prediction. Default: a hash of the row, unless labels are joined."""
    label_id: str | None = None
    """The id among labels that are kept apart, if it has another name there than in the log."""
    prediction: str | None = None
    """What the model predicted."""
    probability: str | None = None
    """Predicted probability of the positive class."""
    positive: str | int | float | bool | None = None
    """The positive class, whose probability it is: `"fraud"`. Default: [worked out](metrics.md#the-positive-class)
    from the reference."""
    label: str | None = None
    """The true outcome."""
    label_timestamp: str | None = None
    """When the label became known."""
    model_version: str | None = None
    """Version of the model that made the prediction."""
    features: tuple[str, ...] | None = None
    """Inputs of the model. Default: every column that has no other role."""
    categorical: tuple[str, ...] | None = None
    """Features to be treated as categories. Default: by type."""
    types: dict[str, Literal["number", "category", "text"]] = {}
    """What columns hold, `"number"`, `"category"` or `"text"`: `types.store = "category"`. What is no number in a
    `"number"` is missing. Default: by all rows of the reference."""
    ignore: tuple[str, ...] = ()
    """Columns that are left out, as if they were not there. Default: none."""
    segments: tuple[str, ...] = ()
    """Performance is also measured [for each value](fairness.md#segments) of these columns; they stay features."""
    private: tuple[str, ...] = ()
    """Columns whose values are never shown, only statistics about them: [privacy](governance.md#privacy)."""


class CsvSection(Section):
    """How a CSV file is read. A key that is not given is guessed; `validate --show` prints the guess."""

    delimiter: str | None = None
    """Character between the cells of a row, such as `";"`."""
    decimal: Literal[".", ","] | None = None
    """Decimal separator: `"."` or `","`."""
    thousands: str | None = None
    """Sign between groups of thousands, such as `"."` in 1.549,34."""
    comment: str | None = None
    """Sign at the beginning of lines that are no rows, such as `"#"`."""
    missing: tuple[str, ...] | None = None
    """More texts that mean "missing", in every column. The usual ones (NA, null, …) do among numbers; among words they
    are words."""
    encoding: str | None = None
    """Character encoding of the file, such as `"cp1252"`."""
    day_first: bool | None = None
    """True if 03/04 is the third of April."""


Format = Literal[
    "parquet", "orc", "arrow", "csv", "jsonl",
    "sagemaker", "kserve", "seldon", "azureml", "vertex", "databricks", "bentoml", "oip",      # captures
]


class StorageSection(Section):
    """How an object store is reached. Without keys those of the environment are used, as its own tools find them."""

    access_key: SecretRef | None = None
    """S3: identifier of the key. Azure: the account's key."""
    secret_key: SecretRef | None = None
    """S3: the secret key."""
    session_token: SecretRef | None = None
    """S3: token of temporary keys."""
    token: SecretRef | None = None
    """`https://`: a bearer token."""
    anonymous: bool = False
    """S3, Google: no credentials are used, for public data."""
    endpoint: Address | None = None
    """Address of another store with the same interface, such as `"https://minio.example.org:9000"`. Default: the
    cloud's own."""
    region: str | None = None
    """S3: region of the bucket. Default: the environment's, else it is asked for."""
    space_mb: int = Field(default=20_000, ge=1)
    """Largest total size of the objects; they are [copied](sources.md#object-stores) below `state_dir` once."""


class SourceSection(Section):
    """Rows: a file, a glob or a folder (`path`), or a table of a database (`database` with `table`). A text is the
    `path`, or a table in one text: `"sqlite:///FILE#TABLE"`, `"sc://HOST:PORT#TABLE"`, `"env:NAME#TABLE"`."""

    model_config = ConfigDict(json_schema_extra=exactly_one("path", "database") | {
        "dependentRequired": {"database": ["table"], "table": ["database"]},
    })

    path: str | None = None
    """A file, a glob, a folder, or the folder of a Delta or Iceberg table; also `s3://`, `gs://`, `abfs://` and
    `https://`: [sources](sources.md)."""
    format: Format | None = None
    """`"parquet"`, `"orc"`, `"arrow"` (Feather), `"csv"` or `"jsonl"`; [captures](sources.md#captures): `"sagemaker"`,
    `"kserve"`, `"seldon"`, `"azureml"`, `"vertex"`, `"databricks"`, `"bentoml"` or `"oip"`. Default: by the ending, of
    captures by the first record."""
    csv: CsvSection = CsvSection()
    """How a CSV file is read."""
    storage: StorageSection = StorageSection()
    """How an object store is reached."""
    database: DatabaseAddress | None = None
    """Address of a [database](sources.md#databases), which is only read: `"sqlite:///FILE"`, `"duckdb:///FILE"`,
    `"sc://HOST:PORT"`, `"spark://local[2]"`, or a secret that holds one, as PostgreSQL's is."""
    table: str | None = None
    """Name of the table or view in that database; in Spark also ``parquet.`/folder` `` and the like."""
    timeout: PositiveDuration = timedelta(minutes=2)
    """How long it may give no sign of life while it is read; then the check fails, and is made again at its time."""

    @model_validator(mode="after")
    def _one_place(self) -> "SourceSection":
        if (self.path is None) == (self.database is None):
            raise ValueError("expected either path, or database with table")
        if (self.database is None) != (self.table is None):
            raise ValueError("expected both, database and table")
        return self

    def of_version(self, version: str) -> Self:
        """The place of one version, where the path or table holds `{version}`.

        Raises CannotJudge for a version that cannot be part of a table's name.
        """
        if self.path is not None:
            return self.model_copy(update={"path": self.path.replace("{version}", in_path(version))})
        if "{version}" not in (self.table or ""):
            return self
        if not version.replace("_", "a").isalnum():
            raise CannotJudge(f"version {name(version)} cannot be part of a table's name, expected letters, digits "
                              "and _")
        return self.model_copy(update={"table": (self.table or "").replace("{version}", version)})


class VersionsSection(Section):
    """What versions that served before would have predicted, which shows whether [going
    back](decisions.md#going-back) to one of them pays: where that is kept, or a program that says so."""

    model_config = ConfigDict(json_schema_extra=exactly_one("predictions", "score"))

    predictions: SourceSection | None = None
    """Their predictions on the rows of the log, joined on id: a place whose path or table holds `{version}`, with the
    columns that the log has them in."""
    score: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Program and arguments, started without a shell for each version and window: it [predicts the window's
    rows](how-to/go-back.md#a-program-that-predicts)."""
    timeout: PositiveDuration = timedelta(minutes=5)
    """Longest time the program may take; then it is ended."""
    environment: dict[str, TextOrSecret] = {}
    """Variables added to the program's environment; texts or secrets."""
    keep: int = Field(default=3, ge=1, le=20)
    """How many of them are compared with the version in service: the newest."""

    @model_validator(mode="after")
    def _one_way(self) -> "VersionsSection":
        if (self.predictions is None) == (self.score is None):
            raise ValueError("expected either predictions or score")
        return self


class ShadowSection(SourceSection):
    """A candidate that serves in shadow: where its predictions of live rows are, which are joined on id."""

    version: str | None = None
    """Version of the candidate. Default: the one that `alias` names. `{version}` in `path` or `table` stands for
    it."""
    alias: str | None = None
    """Alias of the [registry](#modelsnameregistry) that names the candidate, such as `"challenger"`."""
    since: Moment | None = None
    """Rows from here on are judged: none that the candidate was fitted on. Default: when driftd first saw the
    version."""


class ReferenceSection(Section):
    """What windows are compared with: a place, or the first stretch of the log (`"first 90d"`)."""

    source: SkipJsonSchema[SourceSection | None] = None      # users write its keys directly into the table
    template: SkipJsonSchema[str | None] = None              # the path before {version} was filled in, set by `load`
    first: PositiveDuration | None = None
    """Length of the beginning of the log that serves as the reference, instead of a place."""

    @model_validator(mode="before")
    @classmethod
    def _first_alone(cls, written: Any) -> Any:
        source = written.get("source") if isinstance(written, dict) and "first" in written else None
        how = SourceSection.model_fields.keys() - {"path", "database", "table"}
        if isinstance(source, dict) and source and source.keys() <= how:
            raise ValueError(f"first is a part of the log, expected no {', no '.join(sorted(source))} beside it")
        return written
