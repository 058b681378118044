"""`driftd gate`: judge whether a candidate may replace the champion, from files or from the log of a watched model."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import click

from monitor.cli.gate_table import as_markdown, print_gate
from monitor.cli.junit_and_markdown import junit
from monitor.cli.log_rows import Asked, read_matured, stretch_options
from monitor.cli.options import MOMENT, config_option, json_option, model_option, quiet_logs
from monitor.cli.terminal import print_json, say
from monitor.config import ModelSection, Task
from monitor.config.spanning_rules import wrong_limits
from monitor.errors import UsageError
from monitor.gate.trial import Judged, Seen, gate_files, gate_log
from monitor.gate_result import Outcome
from monitor.metric_catalogue import PERFORMANCE
from monitor.private import keeping_quiet
from monitor.records import Score

EXIT = {Outcome.PASSED: 0, Outcome.REFUSED: 3, Outcome.UNJUDGED: 4}
_PARTS = ("timestamp", "id", "prediction", "probability", "label")
_FILE = click.Path(path_type=Path)


class Limit(click.ParamType[tuple[str, float]]):
    """NAME=NUMBER."""

    name = "NAME=NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        name, _, text = value.partition("=")
        try:
            return name, float(text)
        except ValueError:
            self.fail(f"{value!r} is not a limit, expected one such as demographic_parity_difference=0.1")


@click.command()
@click.option("--data", type=_FILE, metavar="F", help="Rows with labels; then no configuration is read.")
@click.option("--champion", type=_FILE, metavar="F", help="The champion's predictions; default: those in the data.")
@click.option("--candidate", type=_FILE, metavar="F", required=True, help="The candidate's predictions.")
@config_option
@model_option
@stretch_options
@click.option("--trained-until", type=MOMENT, help="Where the candidate's training data end.")
@click.option("--champion-trained-until", type=MOMENT, help="Where the champion's training data end.")
@click.option("--trained-on", type=_FILE, metavar="F", help="The rows the candidate was fitted on, or their ids.")
@click.option("--reference", type=_FILE, metavar="F", help="Rows whose columns and types the data should have.")
@click.option("--margin", type=float, metavar="X", help="The improvement must be above it; default 0.")
@click.option("--delta", type=click.FloatRange(min=0), metavar="X", help="How much worse a segment may be; default 0.")
@click.option("--min-rows", type=click.IntRange(1), metavar="N",
              help="Labelled rows needed, in total and in each segment; default 100.")
@click.option("--always-valid", is_flag=True, default=None, help="Bounds that hold however often you look; wider.")
@click.option("--segments", metavar="A,B", help="Columns whose values are segments.")
@click.option("--protected", metavar="A,B", help="Columns whose groups are compared with the limits.")
@click.option("--limit", type=Limit(), multiple=True, help="Limit of a fairness metric; may be repeated.")
@click.option("--task", type=click.Choice(get_args(Task)), help="Kind of model; default: inferred from the labels.")
@click.option("--metric", metavar="NAME", help="The metric that decides; default: from the task.")
@click.option("--timestamp", metavar="COLUMN", help="When a prediction was made; default: by its usual name.")
@click.option("--id", metavar="COLUMN", help="Identifies rows in all files; without it rows are matched by order.")
@click.option("--prediction", metavar="COLUMN", help="What the model predicted.")
@click.option("--probability", metavar="COLUMN", help="Predicted probability of the positive class.")
@click.option("--label", metavar="COLUMN", help="The true outcome.")
@json_option
@click.option("--junit", "junit_file", type=_FILE, metavar="F", help="Write JUnit XML.")
@click.option("--markdown", "markdown_file", type=_FILE, metavar="F", help="Write Markdown.")
@click.option("--report", "report_file", type=_FILE, metavar="F", help="Write what a run reports of its gate: JSON.")
def gate(
    data: Path | None, candidate: Path, config_file: Path | None, model: str | None, window: str | None,
    since: datetime | None, until: datetime | None, trained_until: datetime | None,
    champion_trained_until: datetime | None, trained_on: Path | None, as_json: bool, junit_file: Path | None,
    markdown_file: Path | None, report_file: Path | None, **by_files: Any,
) -> int:
    """Judge whether a candidate may replace the champion. Its predictions come as a file, from any framework.

    With --data the rows come from files, else from the log of a model in the configuration. Ends with 0 if the
    candidate passes, with 3 if it is refused, with 4 if that could not be judged: too few rows, no labels, or rows
    that a model was fitted on.
    """
    quiet_logs()
    seen = Seen(candidate_until=trained_until, champion_until=champion_trained_until, candidate_on=trained_on)
    asked = Asked(window, since, until)
    if data is None:
        _refuse("goes with --data; without --data it is set in the configuration", by_files)
        section, found = read_matured(config_file, model, asked, seen)
        with keeping_quiet(section.columns.private):
            judged = gate_log(section, found, candidate, seen)
    else:
        others = {"config": config_file, "model": model, "window": window, "since": since, "until": until}
        _refuse("goes with a configuration, expected either it or --data", others)
        rules = file_rules(data, by_files)
        judged = gate_files(rules, data, by_files["champion"], candidate, seen, by_files["reference"])
    if junit_file:
        junit_file.write_text(junit(judged.verdict.scores, "gate", _case), encoding="utf-8")
    if markdown_file:
        markdown_file.write_text(as_markdown(judged), encoding="utf-8")
    if report_file:
        report_file.write_text(judged.result.as_text() + "\n", encoding="utf-8")
    if as_json:
        print_json(**judged.to_json())
    else:
        _print(judged)
    return EXIT[judged.verdict.outcome]


def _refuse(why: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value not in (None, ()):
            raise UsageError(f"--{name.replace('_', '-')} {why}")


def file_rules(data: Path, given: Mapping[str, Any]) -> ModelSection:
    """Return the options as the section of a model. Raises UsageError."""
    limits = dict(given["limit"])
    for _, text in wrong_limits(limits):
        raise UsageError(f"--limit: {text}")
    protected = _names(given["protected"])
    if limits and not protected:
        raise UsageError("--limit applies to protected columns, expected --protected with their names")
    if given["metric"] not in (None, *PERFORMANCE):
        raise UsageError(f"there is no metric {given['metric']!r}; expected one of: {', '.join(PERFORMANCE)}")
    place = {"path": str(data)}
    rules = {name: given[name] for name in ("margin", "delta", "min_rows", "always_valid") if given[name] is not None}
    return ModelSection.model_validate({
        "name": "candidate", "predictions": place, "reference": {"source": place},
        "task": given["task"], "metric": given["metric"],
        "columns": {part: given[part] for part in _PARTS} | {"segments": _names(given["segments"])},
        "fairness": {"columns": protected} if protected else None,
        "gate": rules | {"limits": limits},
    })


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _case(score: Score) -> str:
    """Return the name of the JUnit test case for a score."""
    if score.metric == "improvement":
        return score.segment or "overall"
    return f"{score.metric} of {score.segment}" if score.segment else f"contract: {score.column or score.metric}"


def _print(judged: Judged) -> None:
    found = judged.result
    for part in found.contract:
        say(f"contract: {part.part}: {part.reason}")
    if found.contract:
        say()
    print_gate(found)
    say("", f"{found.rows} rows, {found.labelled} labelled, judged by {found.metric}")
    for note in judged.notes:
        say(note)
    say(found.sentence)
