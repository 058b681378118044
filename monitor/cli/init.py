"""`driftd init`: write a first configuration from the data."""

import os
import re
import shlex
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from monitor.cli.options import Command, Option, quiet_logs
from monitor.cli.terminal import moment, say
from monitor.config import (
    USUAL_NAMES,
    Columns,
    Facts,
    ModelSection,
    Roles,
    find_roles,
    load,
    schema,
    stores,
)
from monitor.config.column_roles import is_row_number, why_no_feature
from monitor.config.values import DATABASE_FILES, database_in
from monitor.config.watched import watched
from monitor.errors import CannotJudge, ConfigError, UsageError
from monitor.escape import name as shown
from monitor.escape import names, toml_comment, toml_key, toml_string
from monitor.ledger import unusual_rows
from monitor.metric_catalogue import Task, default_metric
from monitor.records import Json
from monitor.times import format_duration, utcnow

DAY = timedelta(days=1)
QUARTER = 90 * DAY
SIZES = (7 * DAY, DAY, timedelta(hours=1))   # of a window, the usual one first
WINDOWS = 9                                  # this many windows at least should fit into the log
ROWS = 200                                   # with fewer rows in a usual window, min_rows is half of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found in the log."""

    roles: Roles
    task: str
    metric: str
    rows: int
    first: datetime
    newest: datetime
    guesses: dict[str, str]              # how a CSV file was read
    said: tuple[str, ...] = ()           # which column is what, and why
    columns: Columns = field(default_factory=Columns)    # as given
    unusual: tuple[str, ...] = ()        # of its rows and labels
    left_out: dict[str, str] = field(default_factory=dict)       # columns that are not watched, with the reason

    @property
    def span(self) -> timedelta:
        return self.newest - self.first

    @property
    def size(self) -> timedelta:
        """The usual window size if enough windows fit into the log, else a shorter one."""
        return next((size for size in SIZES if self.span >= WINDOWS * size), SIZES[-1])

    @property
    def usual_rows(self) -> int:
        """Mean number of rows in a window."""
        return int(self.rows * self.size / max(self.span, self.size))

    @property
    def stretch(self) -> timedelta:
        """Length of the reference at the beginning of the log: a quarter of a year, or a third of the log."""
        third = self.span / 3
        unit = DAY if third >= DAY else timedelta(hours=1)
        return min(QUARTER, max(unit, third // unit * unit))


ROLES = {
    "timestamp": "timestamp", "id": "id", "prediction": "prediction", "probability": "probability", "label": "label",
    "label_timestamp": "label-timestamp", "model_version": "version",
}       # and their flags


def _several(flag: str, text: str) -> Option:
    return click.option(f"--{flag}", metavar="COLUMN", multiple=True, help=f"{text} Repeat it for more than one.")


_ABOUT_COLUMNS: tuple[Option, ...] = (
    *(click.option(f"--{flag}", role, metavar="COLUMN", help=f"The {role.replace('_', ' ')} column; default: by its "
                   "usual name, unless its values speak against it.") for role, flag in ROLES.items()),
    click.option("--label-id", metavar="COLUMN", help="The id in --labels, if it has another name there; default: the "
                 "column that holds the ids of the log."),
    click.option("--positive", metavar="CLASS", help="The class that the probability is of; default: worked out."),
    click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="Default: from the labels."),
    _several("ignore", "A column that is no feature."),
    _several("categorical", "A feature that is a category although it holds numbers."),
    _several("segments", "A column whose values are segments."),
    _several("private", "A column whose values are never shown."),
)


def column_options(command: Command) -> Command:
    """Add a flag for each role of a column, and those for what else is known of columns."""
    for option in reversed(_ABOUT_COLUMNS):
        command = option(command)
    return command


@click.command()
@click.argument("data", metavar="DATA")
@click.argument("reference", required=False)
@click.option("--labels", metavar="FILE", help="A separate file of labels, joined on the id of the log.")
@click.option("--output", "-o", type=click.Path(path_type=Path), default="driftd.toml", show_default=True)
@click.option("--model", "-m", metavar="NAME", help="Name of the model; default: the name of the file.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@column_options
def init(
    data: str, reference: str | None, labels: str | None, output: Path, model: str | None, force: bool,
    **given: Any,
) -> None:
    """Look at a prediction log and write a first configuration, with a JSON Schema for editors beside it.

    DATA is a file, a folder or a quoted glob of Parquet, CSV or JSON lines, such an address as s3://bucket/folder/, or
    a table: sqlite:///FILE#TABLE, duckdb:///FILE#TABLE, sc://HOST:PORT#TABLE (Spark), or env:NAME#TABLE with the
    address in that variable. REFERENCE holds the rows that windows are compared with; default: the beginning of the
    log.
    """
    quiet_logs()
    if output.exists() and not force:
        raise UsageError(f"{output} exists; --force overwrites it, --output FILE writes elsewhere")
    name = model or name_of(data)
    found = write(output, name, {"predictions": data, "labels": labels, "reference": reference}, given)
    (output.parent / schema.FILE).write_text(schema.text(), encoding="utf-8")
    tell(found)
    _tell_next(name, found, output)


def write(output: Path, name: str, places: Mapping[str, str | None], given: dict[str, Any], head: str = "") -> Found:
    """Write the configuration of one model to `output`, below `head`, and return what was found in its data.

    `places`: the paths of predictions, labels and reference; `given`: the values of `column_options`.
    Raises as `look` does, and UsageError for a name that TOML cannot hold.
    """
    columns = Columns(**{part: value for part, value in given.items() if value and part != "task"})
    found = look(str(places["predictions"]), columns, places["labels"], given["task"])
    text = toml(name, found, {part: relative(place, output) for part, place in places.items() if place})
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(head + text, encoding="utf-8")
    load(output)
    return found


def look(data: str, columns: Columns, labels: str | None = None, task: Task | None = None) -> Found:
    """Read the log, and the labels if they are separate, and find the role of each column.

    Raises SourceError, CannotJudge if there are no rows or the scores are worse than chance, and ConfigError if the
    role of a column is unclear; the sentences name the flag to use.
    """
    from monitor.performance.class_evidence import require_better_than_chance, score_column, settle
    from monitor.performance.labelled_rows import guess_task
    from monitor.reference.role_evidence import Evidence
    from monitor.sources import open_source
    from monitor.sources.known_types import KnownTypes
    from monitor.sources.labels_apart import LabelsApart, column_of_ids
    from monitor.sources.log import facts
    from monitor.sources.written_numbers import doubts, style_of

    source, other = (
        open_source(stores.section_of(place), ZoneInfo("UTC")) if place else None
        for place in (data, labels)
    )
    assert source is not None
    table, answers = source.read(None), other.read(None) if other else None
    known, of_labels = facts(table), facts(answers) if answers is not None else None
    columns = _joined_on(columns, known, of_labels)
    id = _id(columns, known)
    if answers is not None and columns.label_id is None and id in known and id not in answers.column_names:
        ids, others = (open_source(stores.section_of(str(place)), ZoneInfo("UTC"),
                                   KnownTypes(exact=frozenset(names))).read(names)
                       for place, names in ((data, [id]), (labels, answers.column_names)))
        columns = columns.model_copy(update={"label_id": column_of_ids(ids[id], others)})
    try:
        apart = LabelsApart(other, columns.label_id, id) if other else None
        answers = apart.read(None) if apart else None
        of_labels = facts(answers) if answers is not None else None
        roles = find_roles(columns, known, of_labels, data, evidence=Evidence(source, known, apart))
        strays = source.strays(roles.timestamp)
        if strays.low is None or strays.high is None:
            raise CannotJudge(f"{data} has no rows with a {roles.timestamp}; expected a log of predictions")
        labelled = table if answers is None or roles.label is None else answers
        task = task or guess_task(labelled[roles.label or roles.prediction], table[roles.prediction])
        roles, said = settle(roles, table, task, columns.positive)
        require_better_than_chance(roles, table, configured=columns.positive is not None)
    except ConfigError as error:
        raise ConfigError([_with_flags(text) for text in error.problems]) from None
    except CannotJudge as error:
        raise CannotJudge(_with_flags(str(error))) from None
    unclear = [name for name in (*roles.features, roles.prediction, roles.probability, roles.label)
               if name in table.column_names]
    used = {*roles.features, *(getattr(roles, role) for role in ROLES), *(column for _, column in roles.per_class)}
    return Found(
        roles=roles, columns=columns, task=task, metric=default_metric(task, score_column(roles) is not None),
        rows=len(table) - strays.untimed - strays.apart, first=strays.low, newest=strays.high,
        guesses=dict(source.guesses()), unusual=(
            *_unusual(data, labels, roles, columns.label_id), *doubts(table.select(unclear), style_of(source.guesses()))
        ),
        left_out=source.left_out() | {name: _why_not(name, one) for name, one in known.items()
                                      if name not in used and name not in columns.ignore},
        said=(*_chosen(columns, roles), *roles.why, *said),
    )


def _why_not(name: str, facts: Facts) -> str:
    return "a data frame's row numbers" if is_row_number(name) else why_no_feature(facts)


def _joined_on(columns: Columns, log: dict[str, Facts], labels: dict[str, Facts] | None) -> Columns:
    """Name as the id the one column that labels share with the log, where it tells the rows of both apart."""
    if labels is None or columns.id is not None or any(name in log for name in USUAL_NAMES["id"]):
        return columns
    shared = [name for name, one in labels.items()
              if name in log and min(one.distinct / max(1, one.rows), log[name].distinct / max(1, log[name].rows)) > 0.5
              and one.kind in ("integer", "string")]
    return columns.model_copy(update={"id": shared[0]}) if len(shared) == 1 else columns


def _id(columns: Columns, log: Collection[str]) -> str | None:
    """Return the id of the log, as given or by its usual name, if there is one."""
    usual = [name for name in log if name.lower() in USUAL_NAMES["id"]]
    return columns.id or (usual[0] if len(usual) == 1 else None)


def _chosen(columns: Columns, roles: Roles) -> Iterator[str]:
    """Say of each role which column it is, and why."""
    for role, flag in ROLES.items():
        name = getattr(roles, role)
        if name is None:
            yield f"{role}: none found; --{flag} COLUMN names it"
        else:
            given = getattr(columns, role) is not None
            yield f"{role}: {shown(name)}, {'as given' if given else 'by its usual name'}"
    if columns.label_id is not None:
        yield f"label_id: {shown(columns.label_id)}, the id in the labels"


def _with_flags(text: str) -> str:
    """Name the flags of `init` where a sentence names keys of the file."""
    for role, flag in {**ROLES, "label_id": "label-id"}.items():
        text = re.sub(rf"columns\.{role}\b", f"--{flag}", text)
    text = re.sub(r"columns\.positive( = )?", "--positive ", text)
    return text.replace("under columns", "by its flag")


def _unusual(data: str, labels: str | None, roles: Roles, label_id: str | None) -> tuple[str, ...]:
    """Return sentences on the rows and labels that are left out, or used with a doubt."""
    from monitor.sources.log import Log

    log, apart = (stores.section_of(place) if place else None for place in (data, labels))
    model = ModelSection.model_validate({"name": "init", "predictions": log, "labels": apart,
                                         "reference": {"source": log}, "columns": {"label_id": label_id}})
    return unusual_rows(Log(model, roles, utcnow()).account())


def name_of(data: str) -> str:
    """Return a name for the model: that of the file, or of the folder if `data` is a glob."""
    path = Path(data.partition("#")[2] if database_in(data) else data.partition("://")[2] or data)
    file = re.sub(r"\.(gz|zst)$", "", path.name)
    stem = path.parent.absolute().name if re.search(r"[*?\[]", path.name) else Path(file).stem
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-") or "model"


def relative(path: str, output: Path) -> str:
    """Return the path relative to the folder of the configuration file; an address as it is."""
    scheme = next((scheme for scheme in DATABASE_FILES if path.startswith(scheme)), "")
    if not scheme and (stores.is_remote(path) or database_in(path)):
        return path
    return scheme + os.path.relpath(os.path.abspath(path.removeprefix(scheme)), output.absolute().parent)


def toml(name: str, found: Found, places: dict[str, str]) -> str:
    """Return the configuration as text; `places` holds the paths of predictions, labels and reference, if given.

    Raises UsageError for a name that TOML cannot hold.
    """
    try:
        text = _written(name, found, {part: toml_string(place) for part, place in places.items()})
    except ValueError as error:
        raise UsageError(str(error)) from None
    assert tomllib.loads(text) == _meant(name, found, places), "what is written reads back as what was meant"
    return text


def _written(name: str, found: Found, quoted: dict[str, str]) -> str:
    reference = quoted.get("reference", toml_string(f"first {format_duration(found.stretch)}"))
    window = ", ".join(f"{key} = {_value(value)}" for key, value in _window(found).items())
    metric = f"metric      = {toml_string(found.metric)}" if found.roles.label else "# no label, no accuracy"
    key = toml_key(name)
    lines = [
        f"#:schema ./{schema.FILE}",
        "# Written by `driftd init`. `driftd validate --show` prints every other setting with its default.",
        f"[models.{key}]",
        f"predictions = {quoted['predictions']}    # a file, a glob or a folder; it may grow",
        *([f"labels      = {quoted['labels']}    {toml_comment(f'joined on {found.roles.id}')}"]
          if "labels" in quoted else []),
        f"reference   = {reference}    # what windows are compared with: a file, or the beginning of the log",
        f"task        = {toml_string(found.task)}",
        metric,
        f"window      = {{ {window} }}    # about {found.usual_rows} rows each",
        '# every     = "1h"               # how often to look',
        f'# since     = "{found.first:%Y-%m-%d}"       # check from here at first start',
        '# mode      = "act"              # until then nothing is sent to a pipeline, only recorded',
        "",
        f"[models.{key}.columns]",
        *(f"{part:<15} = {_value(value)}" for part, value in _columns(found).items()),
        toml_comment(f"features      = every other column: {names(found.roles.features) or 'there is none'}"),
        "",
        f"# Watched without more being written; [[models.{key}.triggers]] of the same name changes one:",
        *(toml_comment(f"  {one:<21} {text}") for one, text in watched(labelled=found.roles.label is not None)),
        _LATER.format(key=key),
    ]
    return "\n".join(lines)


def _meant(name: str, found: Found, places: dict[str, str]) -> Json:
    """Return what a reader of the configuration should find."""
    judged = {"metric": found.metric} if found.roles.label else {}
    model = {"reference": f"first {format_duration(found.stretch)}", **places, "task": found.task, **judged,
             "window": _window(found), "columns": _columns(found)}
    return {"models": {name: model}}


def _window(found: Found) -> Json:
    few = {"min_rows": max(1, found.usual_rows // 2)} if found.usual_rows < ROWS else {}
    return {"size": format_duration(found.size)} | few


def _columns(found: Found) -> Json:
    roles, given = found.roles, found.columns
    named = {part: column for part in ROLES if (column := getattr(roles, part)) is not None}
    named |= {"label_id": given.label_id} if given.label_id is not None else {}
    classes = {"positive": roles.positive} if roles.positive is not None else {}
    apart = {part: list(column) for part in ("ignore", "segments", "private") if (column := getattr(given, part))}
    categorical = [column for column, kind in roles.features.items() if kind == "categorical"]
    return named | classes | apart | {"categorical": categorical}


def _value(value: str | int | list[str]) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml_string, value))}]"
    return toml_string(value) if isinstance(value, str) else str(value)


_LATER = """
# Where to ask for a retrain when it pays:
# [models.{key}.retrain]
# pipeline = "local"
#
# [pipelines.local]
# kind    = "command"
# command = ["./retrain.sh"]

# Where to send messages (an Apprise address, kept outside this file):
# [notify]
# urls = [{{ env = "ALERT_URL" }}]
"""


def tell(found: Found) -> None:
    """Print what was found in the data, and why each column was taken for what it is."""
    roles, utc = found.roles, UTC
    say(f"{found.rows} rows, {moment(found.first, utc)} to {moment(found.newest, utc)}; {found.task}")
    for line in found.said:
        say(f"  {line}")
    say(f"{len(roles.features)} features: {names(roles.features)}")
    for reason in dict.fromkeys(found.left_out.values()):
        say(f"left out: {names([name for name, why in found.left_out.items() if why == reason])}: {reason}")
    for text in found.unusual:
        say(text)
    if found.guesses:
        say("read as " + ", ".join(f"{key} {value!r}" for key, value in found.guesses.items()))


def _tell_next(name: str, found: Found, output: Path) -> None:
    file = shlex.quote(str(output))
    live = utcnow() - found.newest < 2 * found.size
    after = f"driftd check -c {file}" if live else f"driftd backtest -c {file} --model {name}"
    say(f"wrote {output}, and {schema.FILE} beside it for editors; next:")
    say(f"  driftd validate -c {file}", f"  {after}")
