"""What is watched of every model without configuration, in words, and what of it cannot work without labels."""

from collections.abc import Iterator

_LABELS = "cannot work without labels"
_ALWAYS = (
    ("performance-lost", True, "the model's metric is worse than on the reference, or no better than a guess"),
    ("labels-lost", True, "labels that are overdue do not come"),
    ("predictions-collapsed", False, "nearly all predictions or probabilities are the same"),
    ("broken-data", False, "columns are missing or of another type, many values are missing, or rows are lost"),
    ("source", False, "the log cannot be read, is empty, or stands still"),
)


def watched(*, labelled: bool) -> Iterator[tuple[str, str]]:
    """Yield each built-in trigger with what makes it fire, or why it cannot."""
    for name, needs_labels, text in _ALWAYS:
        yield name, _LABELS if needs_labels and not labelled else text
    if not labelled:
        yield "estimates", f"{_LABELS} in the reference: their skill is not known"
