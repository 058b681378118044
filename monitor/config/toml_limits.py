"""Limits of a TOML text, looked at before it is parsed: a parser's time and memory grow with depth and with keys."""

import re

DEPTH = 32                       # tables and lists inside one another, and parts of a dotted key
KEYS = 30_000                    # keys, tables and elements of lists, of all files together
DEEP = f"is nested deeper than {DEPTH} keys, expected fewer"
MANY = f"the configuration has more than {KEYS} keys and values here, expected fewer"

_TOKEN = re.compile(
    r"""\#[^\n]*
    |\"{3}(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}
    |'{3}(?:[^']++|'{1,2}(?!'))*+'{3,5}
    |"(?:[^"\\\n]++|\\.)*+"
    |'[^'\n]*+'
    |["'\[\]{}.=,\n]""",
    re.DOTALL | re.VERBOSE,
)


def beyond(text: str) -> tuple[int, str] | None:
    """Return the line of the first place beyond a limit, and a sentence; None where there is none.

    Need not be valid TOML: behind a text that is not closed nothing is looked at, as no parser gets further.
    """
    depth = dots = keys = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in "\"'":
            return None
        depth += (token in "[{") - (token in "]}")
        dots = dots + 1 if token == "." else dots if token[0] in "\"'" else 0
        keys += token in "=,["
        if depth > DEPTH or dots >= DEPTH or keys > KEYS:
            line = text.count("\n", 0, found.start()) + 1
            return line, MANY if keys > KEYS else DEEP
    return None
