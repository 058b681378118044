"""The expected false alarms of a configuration, in numbers and as text."""

from dataclasses import dataclass

from monitor.wording import several


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
class Outlook:
    """The expected false alarms of each trigger in the order of the file, and of all known ones together."""

    triggers: tuple[Expected, ...]
    together: Expected | None            # None if at most one is known
    notes: tuple[str, ...]               # on a reference that is too short for calibrated thresholds

    @property
    def lines(self) -> list[str]:
        whole = (self.together,) if self.together else ()
        return [*(f"{trigger.trigger}: {trigger.words}" for trigger in (*self.triggers, *whole)), *self.notes]
