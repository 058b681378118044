"""`python -m benchmarks [SECTION …] [--slow] [--json] [--write]`."""

from collections.abc import Sequence

import click

from benchmarks import (
    calibrated,
    causes,
    check,
    closed_loop,
    commands,
    databases,
    dead_models,
    end_to_end,
    forecasts,
    gate,
    page,
    pages,
    peers,
    processes,
    real_causes,
    rehearsing,
    version_costs,
    weak_spots,
)
from benchmarks.rows import Absent, Asked, Row, Section
from monitor.cli.terminal import print_json, print_table

SECTIONS = {
    "check": Section(
        title="one window × 50 columns", unit="CPU s", ratio="times reading", measure=check.usual
    ),
    "check-large": Section(
        title="a million rows × 50 columns", unit="CPU s", ratio="times reading", measure=check.large, slow=True
    ),
    "peak": Section(
        title="one pass, extra memory at its peak", unit="MB", ratio="times Arrow whole", measure=check.peak
    ),
    "peers": Section(
        title="one window × 50 columns", unit="CPU s", ratio="times driftd", measure=peers.usual
    ),
    "peers-large": Section(
        title="a million rows × 50 columns", unit="CPU s", ratio="times driftd", measure=peers.large, slow=True
    ),
    "commands": Section(
        title="whole commands, a million rows × 50 columns", unit="CPU s", ratio="times reading",
        measure=commands.large, slow=True,
    ),
    "files": Section(
        title="whole commands, 1,825 daily files", unit="CPU s", ratio="times reading", measure=commands.many_files,
        slow=True,
    ),
    "databases": Section(
        title="whole commands, 2,000,000 rows × 20 columns in PostgreSQL", unit="server, CPU s",
        ratio="times streaming", measure=databases.postgresql, slow=True,
    ),
    "help": Section(title="driftd --help", unit="CPU s", measure=processes.help),
    "memory": Section(title="the daemon at rest", unit="MB", measure=processes.memory),
    "rest": Section(
        title=f"the daemon at rest, {processes.STRETCH} s of it", unit="% of a core", measure=processes.rest
    ),
    "pages": Section(title="a page nobody has asked for before", unit="CPU ms", measure=pages.pages),
    "backtest": Section(title="ten months of flights, every window", unit="CPU s", measure=processes.backtest),
    "rehearsal": Section(
        title="one rehearsal", unit="CPU s", ratio="times the bare fit", measure=rehearsing.rehearsal
    ),
    "versions": Section(
        title="a check of a week of flights, with its rehearsal", unit="CPU s", ratio="times without",
        measure=version_costs.check, slow=True,
    ),
    "calibrated": Section(
        title="nothing has changed", unit="windows in alarm", ratio="times the rate", measure=calibrated.false_alarms
    ),
    "power": Section(
        title="one column of 20 has moved", unit="windows in alarm", ratio="times ks", measure=calibrated.power
    ),
    "changes": Section(
        title="one column of 20 has changed, windows of 200 rows", unit="found at a tenth of false alarms",
        ratio="at a stated tenth", measure=weak_spots.changes, slow=True,
    ),
    "wandering": Section(
        title="window means are an AR(0.7)", unit="windows in alarm", ratio="times the rate",
        measure=weak_spots.wandering, slow=True,
    ),
    "gate": Section(
        title=f"{gate.SEGMENTS} segments of {gate.ROWS} rows", unit="blocked", ratio="times the point estimate",
        measure=gate.blocked,
    ),
    "gate-alike": Section(
        title=f"an equal candidate, {gate.TRIAL:,} rows, neighbours alike", unit="shown to be better",
        ratio="times a t-test on the rows", measure=gate.shown_better, slow=True,
    ),
    "dead-models": Section(
        title="a model that dies", unit="noticed within two windows", ratio="false alarms in 52 windows",
        measure=dead_models.noticed, slow=True,
    ),
    "causes": Section(
        title="why it fell", unit="right", ratio="more than a drift report", measure=causes.named, slow=True,
    ),
    "causes-real": Section(
        title="why it fell, real rows", unit="right", ratio="wrongly accused besides", measure=real_causes.named,
        slow=True,
    ),
    "forecasts": Section(
        title="what a new model is said to win back", unit="beyond what came", ratio="within a fifth",
        measure=forecasts.forecasts, slow=True,
    ),
    "closed_loop": Section(title="does a rule to retrain pay", unit="net gain", measure=closed_loop.closed_loop),
    "end_to_end": Section(
        title="does driftd pay end to end", unit="net gain", ratio="times the rule on known scores",
        measure=end_to_end.end_to_end, slow=True,
    ),
}


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
@click.option("--runs", default=3, show_default=True, help="Medians are of so many.")
@click.option("--rows", type=click.IntRange(min=100), help="Rows of the window, instead of 100,000, to try it out.")
@click.option("--slow", is_flag=True, help="The slow sections too, Evidently's whole report, 10 million rows × 50.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--write", is_flag=True, help="Put the tables and pictures into docs/.")
def main(sections: Sequence[str], runs: int, rows: int | None, slow: bool, as_json: bool, write: bool) -> None:
    """Measure what driftd costs; every number stands beside another of the same run."""
    if write and rows:
        raise click.UsageError("--write is for windows of the usual size, so leave out --rows")
    asked = Asked(runs=runs, slow=slow, rows=rows)
    measured: dict[str, list[Row]] = {}
    for name in sections or [name for name, section in SECTIONS.items() if slow or not section.slow]:
        try:
            measured[name] = SECTIONS[name].measure(asked)
        except Absent as reason:
            click.echo(f"{name}: skipped, {reason}", err=True)
            continue
        if write:
            page.write(name, SECTIONS[name], measured[name])
        if not as_json:
            headings, cells = SECTIONS[name].table(measured[name])
            print_table(headings, cells, right=headings[1:])
            click.echo()
    if as_json:
        print_json(machine=page.machine(),
                   sections={name: {"unit": SECTIONS[name].unit, "rows": rows} for name, rows in measured.items()})


if __name__ == "__main__":
    main()
