"""A GitHub workflow is read as YAML, in whatever style it is written."""

import pytest

from monitor.retrain.pipelines.workflow_file import declared_inputs, missing_lines, names_runs

BLOCK = """\
name: retrain
run-name: retrain ${{ inputs.driftd_id }}   # how a run is found again
on:
  push:
    branches: [main]
  workflow_dispatch:
    inputs:
      driftd_id:
        type: string
      region: {type: string, default: eu}
jobs:
  train:
    inputs:
      not_ours: {}
"""
FLOW = """\
on: {push: {branches: [main]}, workflow_dispatch: {inputs: {driftd_id: {type: string}, region: {default: eu}}}}
run-name: "retrain ${{ github.event.inputs.driftd_id }}"
"""
QUOTED = """\
"on":
  'workflow_dispatch':
    "inputs": {"driftd_id": {"type": "string"}, region: }
"run-name": >-
  retrain
  ${{inputs.driftd_id}} now
"""
ANCHORS = """\
on:
  workflow_call:
    inputs: &asked
      driftd_id: &text {type: string}
      region: *text
  workflow_dispatch:
    inputs: *asked
run-name: ${{ inputs.driftd_id }}
"""
JSON = """\
{"on": {"workflow_dispatch": {"inputs": {"driftd_id": {}, "region": {}}}}, "run-name": "${{ inputs.driftd_id }}"}
"""
STYLES = {"block": BLOCK, "flow": FLOW, "quoted": QUOTED, "anchors": ANCHORS, "json": JSON}


@pytest.mark.parametrize("text", STYLES.values(), ids=STYLES)
def test_every_style_of_yaml_says_the_same(text: str) -> None:
    """Block and flow style, quoted keys, anchors and JSON declare the same inputs and name their runs."""
    assert declared_inputs(text) == {"driftd_id", "region"}
    assert names_runs(text)
    assert missing_lines(text, ("driftd_id", "region"), "retrain.yml") == []


@pytest.mark.parametrize("on", [
    "workflow_dispatch", "[push, workflow_dispatch]", "{workflow_dispatch: }", "{workflow_dispatch: {inputs: }}",
    "{push: {inputs: {driftd_id: {}}}}", "",
])
def test_a_workflow_without_inputs_declares_none(on: str) -> None:
    """A trigger that is a word, in a list, or empty has no inputs, nor has another trigger any for us."""
    (said,) = missing_lines(f"on: {on}\nrun-name: ${{{{ inputs.driftd_id }}}}\n", ["driftd_id"], "retrain.yml")
    assert said.startswith("retrain.yml does not declare the inputs driftd_id, GitHub would refuse the request; add:")


@pytest.mark.parametrize("name", [
    "retrain", "run-${{ inputs.driftd_id }}", "'${{ inputs.driftd_id }}'x", "${{ inputs.driftd_identity }}",
    "[${{ inputs.driftd_id }}]", "",
])
def test_a_name_without_our_id_as_a_word_is_none(name: str) -> None:
    """A run is found by the words of its name, so the id must be one of them."""
    assert not names_runs(f"run-name: {name}\n")
    assert not names_runs(f"jobs: {{train: {{run-name: '{FLOW.splitlines()[1][11:-1]}'}}}}\n")


@pytest.mark.parametrize("text", ["on: {workflow_dispatch: ", "just words", "- a list", "a: b: c", "", "[" * 5000])
def test_what_is_no_workflow_is_said(text: str) -> None:
    """A text that is no YAML, or no mapping, is one sentence and never a traceback."""
    assert missing_lines(text, ["driftd_id"], "acme/flights retrain.yml") == [
        "acme/flights retrain.yml is no YAML that can be read, expected a workflow; GitHub would not run it"
    ]
    assert (declared_inputs(text), names_runs(text)) == (frozenset(), False)
