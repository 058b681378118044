"""The expected false alarms of a configuration, in numbers and as text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.config.column_roles import FeatureKind
from monitor.wording import several

_NAMED = 5          # columns named in a sentence; more are counted
_MOVES: dict[FeatureKind, str] = {"numerical": "a mean that moved", "categorical": "a largest share that moved"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected false alarms of one trigger per year; `untold`: why they are not known."""

    trigger: str
    a_year: float | None = None
    at_most: int | None = None           # in 95 of 100 years
    windows: int | None = None           # of the reference that were used, …
    begun: int | None = None             # … how often it begins to fire in them, …
    firing: int | None = None            # … and in how many of them it fires
    untold: str | None = None

    @property
    def mostly_on(self) -> bool:
        """Whether it fires in most windows of the reference, where nothing has changed."""
        return bool(self.windows and self.firing and self.firing > self.windows / 2)

    @property
    def rate(self) -> str:
        """The rate per year, to two digits; a dash if it is not known."""
        if self.a_year is None:
            return "–"
        if self.mostly_on:
            return "most of the time"
        return f"{self.a_year:.2g} a year" if self.a_year < 10 else f"{self.a_year:.0f} a year"

    @property
    def words(self) -> str:
        if self.a_year is None:
            return f"not known: {self.untold}"
        if self.mostly_on:
            return f"fires most of the time, in {self.firing} of the reference's {self.windows} windows"
        rate = f"about {self.rate}; at most {self.at_most} by chance"
        if self.windows is None:
            return rate
        firing = f", {self.firing} firing" if self.firing else ""
        return f"{rate} (began {several(self.begun or 0, 'time')} in the reference's {self.windows} windows{firing})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """How far a column must move for about half of the windows of so many values to be beyond its threshold."""

    column: str
    kind: FeatureKind
    shift: float | None                  # standard deviations, or change of the largest share; None: none is seen
    rows: int

    @property
    def words(self) -> str:
        shift = self.shift or 0.0
        return f"{shift:.2g} sd" if self.kind == "numerical" else several(round(100 * shift), "point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The expected false alarms of each trigger in the order of the file, and of all known ones together."""

    triggers: tuple[Expected, ...]
    together: Expected | None            # None if at most one is known
    notes: tuple[str, ...]               # on a reference that is too short for calibrated thresholds
    noticed: tuple[Noticed, ...] = ()    # how far columns with calibrated thresholds must move

    @property
    def lines(self) -> list[str]:
        whole = (self.together,) if self.together else ()
        expected = [f"{trigger.trigger}: {trigger.words}" for trigger in (*self.triggers, *whole)]
        return [*expected, *self.notes, *power_words(self.noticed)]


def power_words(noticed: Sequence[Noticed]) -> Iterator[str]:
    """Yield for each kind of column what is found first and last."""
    for kind, what in _MOVES.items():
        found = [one for one in noticed if one.kind == kind and one.shift is not None]
        found.sort(key=lambda one: one.shift or 0.0)
        if found:
            ends = dict.fromkeys(f"{one.words} ({one.column})" for one in (found[0], found[-1]))
            yield f"half of the windows of {found[0].rows} values show {what} by {' to '.join(ends)}"
        if unseen := [one.column for one in noticed if one.kind == kind and one.shift is None]:
            yield f"no window shows {what} of {listed(unseen)}: windows of the reference differ too much there"


def uncalibrated(lack: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each reason why columns have no calibrated threshold; `lack`: the reason of each column."""
    for why in dict.fromkeys(lack.values()):
        columns = listed([name for name, reason in lack.items() if reason == why])
        yield f"uncalibrated: {columns}; {why}. Evidently's thresholds are used, and never cause a retrain alone"


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
