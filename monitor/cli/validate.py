"""`driftd validate`: check the configuration, print settings in force, test secrets and pipelines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path

import click

from monitor.calibration.outlook import Outlook
from monitor.check.due_windows import stale
from monitor.check.requests import Look
from monitor.cli.options import config_option, json_option, load_config, quiet_logs
from monitor.cli.terminal import moment, print_json, print_table, progress, say
from monitor.config import Loaded, ModelSection, Roles, missing_secrets, settings, state_dir
from monitor.config.keys import dotted
from monitor.config.trigger_rules import TriggerProblem
from monitor.config.watched import watched
from monitor.errors import CannotJudge, ConfigError, DriftdError
from monitor.escape import names
from monitor.ledger import unusual_rows
from monitor.private import keeping_quiet
from monitor.records import Json, Ledger
from monitor.times import format_duration, utcnow


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found in one model's data."""

    roles: Roles
    task: str | None
    metric: str | None
    reference_rows: int
    maturity: timedelta
    rows: int
    first: datetime | None
    newest: datetime | None
    extra: Sequence[str]                 # columns of the log that the reference lacks
    types: Sequence[str]                 # what each feature is, and on what that rests
    left_out: dict[str, str]             # columns that are not watched because of what they are, with the reason
    guesses: dict[str, str]
    outlook: Outlook                     # expected false alarms
    ledger: Ledger                       # of all rows of the log
    ended: str | None                    # that the newest row is too old, and what to do
    said: Sequence[str]                  # on what the roles and classes rest
    problems: Sequence[TriggerProblem]   # triggers that can never fire


@click.command()
@config_option
@click.option("--show", is_flag=True, help="Print every setting with its value and its origin.")
@click.option("--online", is_flag=True, help="Also test whether secrets can be read and pipelines reached.")
@json_option
def validate(config_file: Path | None, show: bool, online: bool, as_json: bool) -> int:
    """Check the configuration, and look at the data it names.

    Prints every problem at once. Ends with 2 if something is wrong, with 4 if only the data cannot be read.
    """
    quiet_logs()
    loaded = load_config(config_file, whole=True)
    looked, errors = _look_all(loaded)
    wrong = _wrong_in_web_settings(loaded)
    wrong += [str(error) for error in errors.values() if not isinstance(error, CannotJudge)]
    wrong += [text for name, one in looked.items() for text in _wrong_triggers(loaded, name, one)]
    unread = [str(error) for error in errors.values() if isinstance(error, CannotJudge)]
    secrets = missing_secrets(loaded)
    if online:
        wrong += [*secrets, *_unreachable(loaded)]
    else:
        for text in secrets:
            say(f"warning: {text}", err=True)
    for text in [*wrong, *unread]:
        say(*text.split("\n"), err=True)       # with lines to paste
    if as_json:
        _print_json(loaded, looked, show, [*wrong, *unread])
    else:
        _print(loaded, looked, show)
        if not wrong and not unread:
            say(f"{loaded.path} is fine")
    return ConfigError.exit_code if wrong else CannotJudge.exit_code if unread else 0


def _wrong_in_web_settings(loaded: Loaded) -> list[str]:
    """What is wrong with what the HTTP side would ask of clients, doubts said; tokens themselves are not read."""
    from monitor.web.settings import read_settings

    try:
        doubts = read_settings(loaded, secrets=False).warnings
    except ConfigError as error:
        return error.problems
    for doubt in doubts:
        say(f"warning: {doubt}", err=True)
    return []


def _wrong_triggers(loaded: Loaded, name: str, one: Looked) -> Iterator[str]:
    """Yield a sentence, with its line, for each trigger that the data show can never fire."""
    for problem in one.problems:
        key = dotted(("models", name, "triggers", problem.index, problem.key))
        yield f"{loaded.origins.get(key, loaded.path)}: {key}: {problem.text}"


def _look_all(loaded: Loaded) -> tuple[dict[str, Looked], dict[str, DriftdError]]:
    looked: dict[str, Looked] = {}
    errors: dict[str, DriftdError] = {}
    with progress("looking at the data") as report:
        for index, (name, model) in enumerate(loaded.config.models.items()):
            report(index, len(loaded.config.models))
            try:
                with keeping_quiet(model.columns.private):
                    looked[name] = look(model)
            except DriftdError as error:
                errors[name] = error
    return looked, errors


def look(model: ModelSection) -> Looked:
    """Find the roles of the columns, and count the rows of the log. Raises ConfigError, SourceError, CannotJudge."""
    from monitor.check.resolve import resolve
    from monitor.sources import open_source

    now = utcnow()
    found = resolve(Look(model=model, as_of=now))
    roles = found.roles
    source = open_source(model.predictions, model.timezone)
    ledger = found.ledger
    assert ledger is not None
    rows = ledger.used if ledger.files is None else ledger.files - ledger.untimed
    newest = ledger.high if rows else None
    return Looked(
        roles=roles, task=found.task, metric=found.metric, reference_rows=found.reference_rows,
        maturity=found.maturity, rows=rows, first=ledger.low if rows else None, newest=newest,
        ended=stale(model, newest, now, found.pause),
        extra=found.extra, types=found.types, left_out=found.left_out, guesses=source.guesses(), outlook=found.outlook,
        said=found.said, problems=found.problems, ledger=ledger,
    )


def _unreachable(loaded: Loaded) -> Iterator[str]:
    """Yield a sentence for each pipeline that cannot take a request now, and each registry that cannot be read."""
    from monitor.promotion.mlflow import Mlflow
    from monitor.retrain.pipelines import open_pipeline

    for name, section in loaded.config.pipelines.items():
        try:
            for text in open_pipeline(section, state_dir(loaded.config, loaded.path)).check():
                yield f"pipelines.{name}: {text}"
        except DriftdError as error:
            yield f"pipelines.{name}: {error}"
    for name, model in loaded.config.models.items():
        try:
            _ = model.registry and Mlflow(model.registry).version()
        except DriftdError as error:
            yield f"models.{name}.registry: {error}"


def _print_json(loaded: Loaded, looked: dict[str, Looked], show: bool, problems: list[str]) -> None:
    models = [{"model": name, **_looked_json(resolved)} for name, resolved in looked.items()]
    roles = {name: resolved.roles for name, resolved in looked.items()}
    shown = {"settings": settings(loaded, roles)} if show else {}
    print_json(file=str(loaded.path), problems=problems, models=models, **shown)


def _looked_json(one: Looked) -> Json:
    found = {field.name: getattr(one, field.name) for field in fields(one)}
    del found["problems"]                # they stand among the file's
    return found | {"maturity": format_duration(one.maturity)}


def _print(loaded: Loaded, looked: dict[str, Looked], show: bool) -> None:
    if show:
        roles = {name: resolved.roles for name, resolved in looked.items()}
        rows = [(setting.key, setting.value, setting.origin) for setting in settings(loaded, roles)]
        print_table(("setting", "value", "from"), rows)
        say()
    for name, resolved in looked.items():
        for line in _confirmation(loaded.config.models[name], resolved):
            say(line)


def _about(span: timedelta) -> str:
    """Return a duration to the minute."""
    return format_duration(timedelta(minutes=round(span / timedelta(minutes=1))))


def _confirmation(model: ModelSection, one: Looked) -> Sequence[str]:
    roles, window, zone = one.roles, model.window, model.timezone
    size = f"{window.size} rows" if isinstance(window.size, int) else format_duration(window.size)
    between = f", {moment(one.first, zone)} to {moment(one.newest, zone)}" if one.first else ""
    shown = ("timestamp", "prediction", "probability", "label")
    columns = ", ".join(f"{part} {getattr(roles, part) or 'none'}" for part in shown)
    if roles.label and one.task is None:
        judged = f"no label of the reference ({roles.label}) is known yet: performance cannot be judged"
    elif roles.label:
        judged = f"{one.task}, judged by {one.metric}; labels known after {_about(one.maturity)}"
    else:
        judged = "no labels: drift and data quality only"
    lines = [
        f"{model.name}: {one.rows} rows{between}",
        f"  columns    {columns}",
        f"  features   {len(roles.features)}: {names(roles.features)}",
        f"  task       {judged}",
        f"  windows    {size}, reference of {one.reference_rows} rows; mode {model.mode}",
    ]
    lines += [f"  {'alarms' if not at else '':9}  {text}" for at, text in enumerate(one.outlook.lines)]
    lines += [f"  {'found' if not at else '':9}  {text}" for at, text in enumerate(one.said)]
    built_in = watched(labelled=roles.label is not None and one.task is not None)
    lines += [f"  {'built in' if not at else '':9}  {name}: {text}" for at, (name, text) in enumerate(built_in)]
    counts = [*([one.ended] if one.ended else []), *unusual_rows(one.ledger)]
    lines += [f"  {'rows' if not at else '':9}  {text}" for at, text in enumerate(counts)]
    if one.extra:
        lines.append(f"  unwatched  {names(one.extra)}: the reference has no such column")
    lines += [f"  {'types' if not at else '':9}  {text}" for at, text in enumerate(one.types)]
    for reason in dict.fromkeys(one.left_out.values()):
        lines.append(f"  left out   {names([name for name, why in one.left_out.items() if why == reason])}: {reason}")
    if one.guesses:
        lines.append("  read as    " + ", ".join(f"{key} {value!r}" for key, value in one.guesses.items()))
    return lines
