"""What is said of the false alarms to be expected of a configuration, in numbers and in words."""

from dataclasses import dataclass

from monitor.wording import several


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """False alarms of one trigger to be expected in a year; `untold`: why they cannot be told."""

    trigger: str
    a_year: float | None = None
    at_most: int | None = None           # in 95 of 100 years
    windows: int | None = None           # that it rests on, …
    begun: int | None = None             # … how often it begins to fire in them as they are, …
    firing: int | None = None            # … and in how many of them it fires
    untold: str | None = None

    @property
    def mostly_on(self) -> bool:
        """Whether it fires in most windows in which nothing has changed: it begins once, and stays."""
        return bool(self.windows and self.firing and self.firing > self.windows / 2)

    @property
    def rate(self) -> str:
        """So many a year, to two digits; a dash where it cannot be told."""
        if self.a_year is None:
            return "–"
        if self.mostly_on:
            return "most of the time"
        return f"{self.a_year:.2g} a year" if self.a_year < 10 else f"{self.a_year:.0f} a year"

    @property
    def words(self) -> str:
        if self.a_year is None:
            return f"cannot be told: {self.untold}"
        if self.mostly_on:
            return f"fires most of the time, in {self.firing} of the reference's {self.windows} windows"
        said = f"about {self.rate}; at most {self.at_most} by chance"
        if self.windows is None:
            return said
        firing = f", {self.firing} firing" if self.firing else ""
        return f"{said} (began {several(self.begun or 0, 'time')} in the reference's {self.windows} windows{firing})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """False alarms to be expected of each trigger in the order of the file, and of all that can be told together."""

    triggers: tuple[Expected, ...]
    together: Expected | None            # None where no more than one can be told
    notes: tuple[str, ...]               # where the reference is too short for calibrated thresholds

    @property
    def lines(self) -> list[str]:
        whole = (self.together,) if self.together else ()
        return [*(f"{one.trigger}: {one.words}" for one in (*self.triggers, *whole)), *self.notes]
