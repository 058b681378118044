"""`python -m benchmarks [SECTION …] [--slow] [--json]`."""

import os
from collections.abc import Callable, Sequence

import click

from benchmarks import processes, window
from benchmarks.rows import Row
from monitor.cli.show import number, print_json, print_table

SECTIONS: dict[str, tuple[str, str, Callable[[int, bool], list[Row]]]] = {   # title, unit, how
    "check": (f"one window, {window.ROWS:,} rows × {window.COLUMNS} columns", "CPU s", window.check),
    "help": ("driftd --help", "CPU s", processes.help),
    "memory": ("the daemon at rest", "MB", processes.memory),
    "rest": (f"the daemon at rest, {processes.STRETCH} s of it", "% of a core", processes.rest),
    "backtest": ("ten months of flights, every window", "CPU s", processes.backtest),
}

os.environ |= {"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1"}   # Evidently sends telemetry unless told not to


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
@click.option("--runs", default=3, show_default=True, help="Medians are of so many.")
@click.option("--slow", is_flag=True, help="Evidently's whole report too; the backtest as often as the rest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(sections: Sequence[str], runs: int, slow: bool, as_json: bool) -> None:
    """Measure what driftd costs; every number stands beside another of the same run."""
    measured = {}
    for name in sections or SECTIONS:
        title, unit, measure = SECTIONS[name]
        try:
            measured[name] = measure(runs, slow)
        except processes.Absent as reason:
            click.echo(f"{name}: skipped, {reason}", err=True)
            continue
        if not as_json:
            _print(title, unit, measured[name])
    if as_json:
        print_json(sections={name: {"unit": SECTIONS[name][1], "rows": rows} for name, rows in measured.items()})


def _print(title: str, unit: str, measured: Sequence[Row]) -> None:
    print_table((title, unit, "ratio"), [(r.what, number(r.value), f"{r.ratio:.3g}") for r in measured],
                right=(unit, "ratio"))
    click.echo()


main()
