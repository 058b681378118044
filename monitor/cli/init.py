"""`driftd init`: write a first configuration from the data."""

import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import click

from monitor.cli.log_look import ROLES, SIZES, Found, look
from monitor.cli.options import Command, Option, quiet_logs
from monitor.cli.terminal import moment, say
from monitor.config import Columns, load, schema, stores
from monitor.config.values import DATABASE_FILES, database_in
from monitor.config.watched import watched
from monitor.errors import UsageError
from monitor.escape import names, toml_comment, toml_key, toml_string
from monitor.records import Json
from monitor.times import format_duration, utcnow

ROWS = 200   # with fewer rows in a usual window, min_rows is half of them


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

    DATA is a file, a folder or a quoted glob of Parquet, ORC, Feather, CSV or JSON lines, such an address as
    s3://bucket/folder/, or a table: sqlite:///FILE#TABLE, duckdb:///FILE#TABLE, sc://HOST:PORT#TABLE (Spark), or
    env:NAME#TABLE with the address in that variable. REFERENCE holds the rows that windows are compared with; default:
    the beginning of the log.
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
        *([f"label_delay = {toml_string(format_duration(found.label_delay))}    # how late labels come, at least"]
          if found.label_delay else []),
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
    judged |= {"label_delay": format_duration(found.label_delay)} if found.label_delay else {}
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
    span = f"{moment(found.first, utc)} to {moment(found.newest, utc)}; {found.task}"
    if found.recent is None:
        say(f"{found.rows} rows, {span}")
    else:
        say(span, f"a sample was looked at, not the whole table: the first {found.rows} rows as they are stored, for "
            f"the columns, and the newest {format_duration(found.size)}, {found.recent} rows, for windows")
    for line in found.said:
        say(f"  {line}")
    if found.label_delay:
        say(f"  label_delay: {format_duration(found.label_delay)}, since no newer row has a label")
    if found.apart > SIZES[0]:
        apart = format_duration(found.apart)
        say(f"  window: {format_duration(found.size)}, since rows come in batches about {apart} apart")
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
