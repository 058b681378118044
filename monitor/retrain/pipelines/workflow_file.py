"""The three things driftd needs to see in a GitHub workflow file, read line by line (block style)."""

import re
from collections.abc import Iterable, Iterator

_KEY = re.compile(r"""["']?([A-Za-z_][\w-]*)["']?\s*:""")


def declared_inputs(text: str) -> frozenset[str]:
    """Names of the inputs under `workflow_dispatch`."""
    under = _below(_below(_lines(text), "workflow_dispatch"), "inputs")
    depth = min((indent for indent, _ in under), default=0)
    keys = (_KEY.match(line) for indent, line in under if indent == depth)
    return frozenset(key[1] for key in keys if key)


def names_runs(text: str) -> bool:
    """Whether `run-name` holds our id as a word of its own."""
    lines = list(_lines(text))
    heads = [line for indent, line in lines if indent == 0 and line.startswith("run-name:")]
    whole = " ".join(heads + [line for _, line in _below(lines, "run-name")])
    return re.search(r"(^|[\s:\"'])\$\{\{\s*(github\.event\.)?inputs\.driftd_id\s*\}\}($|[\s\"'])", whole) is not None


def missing_lines(text: str, needed: Iterable[str], where: str) -> list[str]:
    """What to add to the workflow, as sentences with the YAML to paste; none when nothing is missing."""
    problems = []
    absent = [name for name in needed if name not in declared_inputs(text)]
    if absent:
        lines = "\n".join(f"      {name}:\n        type: string\n        required: false" for name in absent)
        problems.append(
            f"{where} does not declare the inputs {', '.join(absent)}, GitHub would refuse the request; add:\n"
            f"on:\n  workflow_dispatch:\n    inputs:\n{lines}"
        )
    if not names_runs(text):
        problems.append(
            f"{where}: run-name does not hold our id, so a run cannot be found again after an unclear answer; "
            "add:\nrun-name: retrain ${{ inputs.driftd_id }}"
        )
    return problems


def _lines(text: str) -> list[tuple[int, str]]:
    """(indent, content) of every line that is not empty or a comment."""
    rows = ((len(raw) - len(raw.lstrip()), raw.strip()) for raw in text.expandtabs().splitlines())
    return [(indent, line) for indent, line in rows if line and not line.startswith("#")]


def _below(lines: Iterable[tuple[int, str]], key: str) -> list[tuple[int, str]]:
    return list(_walk_below(lines, key))


def _walk_below(lines: Iterable[tuple[int, str]], key: str) -> Iterator[tuple[int, str]]:
    """The lines deeper than the first line with this key, until one is not."""
    depth: int | None = None
    for indent, line in lines:
        if depth is not None and indent <= depth:
            return
        if depth is not None:
            yield indent, line
        elif (found := _KEY.match(line)) and found[1] == key:
            depth = indent
