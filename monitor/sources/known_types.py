"""What is known of a source's columns before they are read."""

from dataclasses import dataclass

# Texts that mean "missing" in a column of numbers or times. Among words they are words.
MISSING_WORDS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL",
    "NaN", "n/a", "nan", "null", "None", "none", "Null", "<NA>", "NaT", "NAN", "na", "N.A.", "n.a.", "N.A", "n.a",
    "NONE", "nil", "NIL", "(null)", "\\N", "-", "--", "---", "\u2013", "\u2014", ".", "?", "#VALUE!", "#DIV/0!",
    "#REF!", "#NUM!", "#NAME?", "#NULL!",
)


@dataclass(frozen=True, slots=True)
class KnownTypes:
    """Columns whose type does not depend on the rows that are read."""

    exact: frozenset[str] = frozenset()      # ids: text, with the digits as they are written, in every format
    words: frozenset[str] = frozenset()      # the reference holds words here: CSV cells are not turned into numbers
    numbers: frozenset[str] = frozenset()    # declared to be numbers: what is no number is missing

    @property
    def texts(self) -> frozenset[str]:
        """The columns that are read as text."""
        return self.exact | self.words


NOTHING = KnownTypes()
