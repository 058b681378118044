"""What the demo prints: a progress bar, each request with its reasons, and the comparison at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from monitor.records import Json
from monitor.wording import spark

WIDTH = 80
ADDRESS = "127.0.0.1:9745"   # where the daemon listens, unless somebody else does
NAMED = 4            # drifted columns named in a line; the rest is counted
SHOWN = 8            # fortnights whose error is named in a line


@dataclass(frozen=True, slots=True)
class Stretch:
    """One fortnight of the service: its start, the model version, and the root mean squared error."""

    start: datetime
    version: str
    error: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A retraining policy, the retrains it led to, and its error in each fortnight."""

    name: str
    retrains: tuple[datetime, ...]
    errors: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.errors) / len(self.errors)


class Show:
    """Everything the demo prints, on one console, in lines of at most 80 columns."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.console.width = min(self.console.width, WIDTH)

    def begin(self, rows: int, start: datetime, end: datetime) -> None:
        self.console.print(
            f"[bold]driftd demo[/]: bike rentals in Washington, {start:%Y-%m-%d} to {end:%Y-%m-%d}, {rows:,} rows.\n"
            "A model predicts each hour. It cannot see that demand grows.\n"
            "driftd looks at every fortnight. Only the clock is not real.\n"
            "[dim]Data: Fanaee-T and Gama 2013, UCI data set 275, CC BY 4.0.[/]\n"
        )

    @contextmanager
    def progress(self, count: int) -> Iterator[Callable[[datetime], None]]:
        count_of = TextColumn("{task.completed}/{task.total} fortnights")
        columns = (TextColumn("{task.description}"), BarColumn(24), count_of, TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task("starting", total=count)
            yield lambda now: bar.update(task, advance=1, description=f"watching {now:%Y-%m-%d}")

    def asked(self, now: datetime, event: Json, errors: Sequence[float]) -> None:
        """Print a signed request that arrived; `errors` are those of the model in service, by fortnight."""
        data = event["data"]
        self.console.print(f"[bold yellow]{now:%Y-%m-%d}  a retrain is asked for[/]")
        now, before = data["accuracy"]["now"], data["accuracy"]["before"]
        self._lines(
            ("webhook", f"{event['id'][:15]}…, [green]signature verified[/]"),
            ("trigger", ", ".join(data["triggers"])),
            ("why", data["regret"] or ""),
            ("drifted", _columns(data["drifted_columns"])),
            (data["accuracy"]["metric"], f"{now:.0f} rentals an hour now, {before:.0f} on the reference"),
            ("error", f"{', '.join(f'{error:.0f}' for error in errors[-SHOWN:])} in the fortnights before"),
        )

    def retrained(self, version: str, rows: int) -> None:
        self._lines(("retrained", f"[green]model {version} fitted on {rows:,} labelled hours, watched from now on[/]"))

    def recovered(self, one: Stretch, otherwise: float) -> None:
        """Print a new model's error in its first fortnight, and the error its predecessor would have had."""
        change = one.error / otherwise - 1
        text = f"{one.error:.0f} in its first fortnight; the old model: {otherwise:.0f} ({change:+.0%})"
        self._lines(("recovery", text))
        self.console.print()

    def end(self, alarms: tuple[int, int], policies: Sequence[Policy]) -> None:
        """Print the comparison of driftd with other policies."""
        self.console.print(
            f"The usual drift rule (half of the columns) fired in {alarms[0]} of {alarms[1]} windows.\n"
            "Seasons do that. People are told; nothing was retrained for it.\n"
        )
        table = Table(title="what each policy cost", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for name in ("policy", "retrains", "error"):
            table.add_column(name, justify="left" if name == "policy" else "right")
        table.add_column("by fortnight")
        top = max(max(policy.errors) for policy in policies)
        for policy in policies:
            table.add_row(policy.name, str(len(policy.retrains)), f"{policy.mean:.1f}", spark(policy.errors, 0, top))
        self.console.print(table)

    def stay(self, address: str, config: str) -> None:
        taken = "" if address == ADDRESS else f"{ADDRESS} is taken, so it listens elsewhere.\n"
        self.console.print(
            f"\ndriftd keeps running, on the last day of the data.\n{taken}Open\n"
            f"    http://{address}/          what is going on\n"
            f"    http://{address}/metrics   the same for Prometheus\n"
            "or, in another terminal:\n"
            f"    .venv/bin/driftd status -c {config}\n"
            f"    .venv/bin/driftd history -c {config} --explain newest\n"
            "Ctrl-C ends it.\n"
        )

    def _lines(self, *rows: tuple[str, str]) -> None:
        """Print a name and a text for each row; long texts are wrapped."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=2)
        grid.add_column(width=9, style="dim")
        grid.add_column()
        for name, text in rows:
            grid.add_row("", name, text)
        self.console.print(grid)


def _columns(drifted: Sequence[Json]) -> str:
    """The columns farthest beyond their thresholds, with their distances."""
    named = ", ".join(f"{score['column']} {score['value']:.2g}" for score in drifted[:NAMED])
    return f"{named} and {len(drifted) - NAMED} more" if len(drifted) > NAMED else named or "none"
