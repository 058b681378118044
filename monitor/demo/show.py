"""What the demo prints: a progress bar, each request with its reasons, and the comparison at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the service answered in a fortnight, with which model, and its root mean squared error."""

    start: datetime
    version: str
    error: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A way of deciding when to retrain, and the error, fortnight by fortnights it led to."""

    name: str
    retrains: int
    errors: list[float]

    @property
    def mean(self) -> float:
        return sum(self.errors) / len(self.errors)


class Show:
    """Everything the demo says, on one console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=False)
        self._recovering: tuple[str, float] | None = None

    def begin(self, rows: int, start: datetime, end: datetime) -> None:
        self.console.print(
            f"[bold]driftd demo[/]: {rows:,} hours of bike rentals in Washington, {start:%B %Y} to {end:%B %Y}.\n"
            "A model answers every hour. It cannot see that demand grows. driftd looks every one.\n"
        )

    @contextmanager
    def progress(self, count: int) -> Iterator[Callable[[datetime], None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} fortnights"))
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True) as bar:
            task = bar.add_task("watching", total=count)
            yield lambda now: bar.update(task, advance=1, description=f"watching {now:%Y-%m-%d}")

    def asked(self, now: datetime, event: dict[str, Any], served: list[Stretch]) -> None:
        """A signed request arrived: say what it says."""
        data = event["data"]
        self.console.print(
            f"[bold yellow]{now:%Y-%m-%d}  a retrain is asked for[/] [dim](webhook {event['id'][:15]}…, signature verified)[/]"
        )
        self.console.print(f"    {data['regret']}")
        self._recovering = (served[-1].version, served[-1].error)

    def retrained(self, version: str, rows: int) -> None:
        self.console.print(f"    [green]model {version} fitted on {rows:,} labelled hours, in service from the next one[/]")

    def served(self, one: Stretch) -> None:
        """After a retrain: did the new model recover?"""
        if self._recovering is None or one.version == self._recovering[0]:
            return
        before = self._recovering[1]
        self.console.print(f"    its first fortnight: error {one.error:.0f} rentals an hour, the one before {before:.0f}\n")
        self._recovering = None

    def end(self, served: list[Stretch], alarms: tuple[int, int], policies: list[Policy]) -> None:
        """Compare driftd with what else could have been done."""
        self.console.print(
            f"\nThe usual drift rule (half of the columns) fired in {alarms[0]} of {alarms[1]} windows: "
            "people were told, nothing was retrained for it.\n"
        )
        table = Table(title="what each policy cost", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for name in ("policy", "retrains", "mean error"):
            table.add_column(name, justify="left" if name == "policy" else "right")
        table.add_column("error, fortnight by fortnight")
        top = max(max(policy.errors) for policy in policies)
        for policy in policies:
            table.add_row(policy.name, str(policy.retrains), f"{policy.mean:.1f}", spark(policy.errors, top))
        self.console.print(table)

    def stay(self, address: str, config: str) -> None:
        self.console.print(
            f"\ndriftd keeps running. Open http://{address}/ and http://{address}/metrics, or in another terminal:\n"
            f"    .venv/bin/driftd status -c {config}\n    .venv/bin/driftd history -c {config} --model bikes\n"
            "Ctrl-C ends it."
        )


def spark(values: list[float], top: float, width: int = 40) -> str:
    """Draw the values as a line of bars, at most `width` of them, each the mean of its stretch."""
    size = max(1, -(-len(values) // width))
    means = [sum(part) / len(part) for part in (values[at:at + size] for at in range(0, len(values), size))]
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in means)
