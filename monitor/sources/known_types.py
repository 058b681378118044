"""What is known of a source's columns before they are read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownTypes:
    """Columns whose type does not depend on the rows that are read."""

    exact: frozenset[str] = frozenset()      # ids: text, with the digits as they are written, in every format
    words: frozenset[str] = frozenset()      # the reference holds words here: CSV cells are not turned into numbers
    numbers: frozenset[str] = frozenset()    # declared to be numbers: what is no number is missing


NOTHING = KnownTypes()
