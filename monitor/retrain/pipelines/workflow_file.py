"""What driftd needs to see in a GitHub workflow file: the inputs it declares, and whether its runs carry our id."""

import re
from collections.abc import Iterable
from typing import Any

from monitor.records import Json
from monitor.untrusted import parse_yaml

_OUR_ID = re.compile(r"(^|\s)\$\{\{\s*(github\.event\.)?inputs\.driftd_id\s*\}\}($|\s)")


def declared_inputs(text: str) -> frozenset[str]:
    """Names of the inputs under `on.workflow_dispatch`; none where the text is no workflow."""
    return frozenset(_below(_read(text), "on", "workflow_dispatch", "inputs"))


def names_runs(text: str) -> bool:
    """Whether `run-name` holds our id as a word of its own."""
    name = (_read(text) or {}).get("run-name")
    return isinstance(name, str) and _OUR_ID.search(name) is not None


def missing_lines(text: str, needed: Iterable[str], where: str) -> list[str]:
    """What to add to the workflow, as sentences with the YAML to paste; none when nothing is missing."""
    if _read(text) is None:
        return [f"{where} is no YAML that can be read, expected a workflow; GitHub would not run it"]
    problems, declared = [], declared_inputs(text)
    absent = [name for name in needed if name not in declared]
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


def _read(text: str) -> Json | None:
    """The workflow with every scalar as text, for YAML 1.1 reads a plain `on` as true; None where it is none."""
    try:
        workflow = parse_yaml(text, texts=True)
    except ValueError:
        return None
    return workflow if isinstance(workflow, dict) else None


def _below(workflow: Any, *keys: str) -> Json:
    """What stands under these keys, one within the other; nothing where one of them holds no mapping."""
    for key in keys:
        workflow = workflow.get(key) if isinstance(workflow, dict) else None
    return workflow if isinstance(workflow, dict) else {}
