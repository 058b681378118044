"""The pipelines to copy: the plain one runs from a request to a promotion; the others read as their servers would."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from monitor.demo import world
from monitor.retrain.pipelines.workflow_file import missing_lines

PIPELINES = Path(__file__).resolve().parents[2] / "deploy/pipelines"
MODEL = """
[models.bikes]
mode        = "act"
version     = "1"
window      = "7d"
predictions = "log/*.parquet"
reference   = "versions/{{version}}/reference.parquet"
retrain     = {{ pipeline = "ci", min_labels = 1 }}
rehearsal.enabled  = false
estimation.enabled = false

[[models.bikes.triggers]]
name = "drift"
metric = "drifted_share"
drifted = true
"""
CONFIG = MODEL + """
[pipelines.ci]
kind        = "command"
command     = ["{python}", "{script}"]
environment = {{ DRIFTD_CONFIG = "{folder}/driftd.toml", VERSIONS = "{folder}/versions", PATH = "{path}"{more} }}
"""
BEGIN, CHANGE, END = (datetime(2011, 4, 1, tzinfo=UTC) + timedelta(days=days) for days in (0, 60, 240))


def place(folder: Path, more: str = "") -> None:
    """A service whose model was fitted in spring, and a log that has gone on into winter since."""
    rows = world.rentals()
    model = world.fit(world.between(rows, datetime(2011, 1, 1, tzinfo=UTC), BEGIN))
    answered = world.predict(model, world.between(rows, BEGIN, END), "1").drop_columns(["model"])
    for part, path in ((world.between(answered, BEGIN, CHANGE), "versions/1/reference.parquet"),
                       (world.between(answered, CHANGE, END), "log/all.parquet")):
        world.write(as_if_now(part), folder / path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (folder / "driftd.toml").write_text(CONFIG.format(
        python=sys.executable, script=PIPELINES / "retrain.py", folder=folder, path=path, more=more,
    ))


def as_if_now(rows: pa.Table) -> pa.Table:
    """The same rows, the newest of the log from last night."""
    later = pa.scalar(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - END)
    for name in ("timestamp", "label_timestamp"):
        rows = rows.set_column(rows.column_names.index(name), name, pc.add(rows[name], later))
    return rows


def driftd(folder: Path, *arguments: str) -> Any:
    command = [str(Path(sys.executable).parent / "driftd"), *arguments, "-c", str(folder / "driftd.toml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ended(folder: Path) -> dict[str, Any]:
    """Ask for a retrain by hand, and look until its run is over."""
    driftd(folder, "check")
    assert driftd(folder, "retrain", "--reason", "to try it").returncode == 0
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        driftd(folder, "check")
        last = json.loads(driftd(folder, "status", "--json").stdout)["models"][0]["last_dispatch"]
        if last and last["state"] in ("succeeded", "failed", "abandoned", "unknown"):
            found: dict[str, Any] = last
            return found
    raise AssertionError("the run has not ended")


def output(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "state/runs").glob("*/output.log"))


def gated(folder: Path) -> dict[str, Any]:
    """What is known of the gate of the newest request: its event is that of the window it began with."""
    [gate] = json.loads(driftd(folder, "history", "--explain", "newest", "--json").stdout)["gates"].values()
    return dict(gate)


def in_service(folder: Path) -> tuple[str, str]:
    """The version that the next check compares with, and where its reference is."""
    driftd(folder, "check")
    found = json.loads(driftd(folder, "status", "--json").stdout)["models"][0]["reference"]
    return found["model_version"], found["origin"]


def test_the_plain_pipeline_goes_from_a_request_to_a_promotion(tmp_path: Path) -> None:
    """A better candidate passes the gate, becomes version 2 with a reference of its own, and driftd watches that."""
    place(tmp_path)
    last = ended(tmp_path)
    assert last["state"] == "succeeded", output(tmp_path)
    assert "passed: rmse is shown to be better" in output(tmp_path)
    assert (gated(tmp_path)["outcome"], gated(tmp_path)["parts"][0]["part"]) == ("passed", "overall")
    made = tmp_path / "versions/2"
    reference = pq.read_table(made / "reference.parquet")
    assert reference["timestamp"][0].as_py().isoformat() >= json.loads((made / "facts.json").read_text())["trained_to"]
    assert in_service(tmp_path) == ("2", str(made / "reference.parquet"))


@pytest.mark.real        # nothing needs to be installed for it; it takes as long as the one above
def test_a_refused_candidate_changes_nothing(tmp_path: Path) -> None:
    """The gate asks for more than the candidate gives: the run fails, and version 1 stays in service."""
    place(tmp_path, more=', GATE = "--margin 1000"')
    last = ended(tmp_path)
    assert last["state"] == "failed"
    assert gated(tmp_path)["outcome"] == "refused"
    assert not (tmp_path / "versions/2").exists()
    assert in_service(tmp_path) == ("1", str(tmp_path / "versions/1/reference.parquet"))


@pytest.mark.real        # nothing needs to be installed for it; it takes as long as the first one
def test_a_candidate_serves_in_shadow(tmp_path: Path) -> None:
    """With SHADOW the new version does not come into service; once its answers are there driftd says how it stands."""
    place(tmp_path, more=f', SHADOW = "{tmp_path}/shadow"')
    last = ended(tmp_path)
    assert (last["state"], last["reason"]) == ("succeeded", "the command ended with exit code 0"), output(tmp_path)
    assert gated(tmp_path)["outcome"] == "passed"
    assert in_service(tmp_path)[0] == "1"
    said = tmp_path / "shadow/2/predictions.parquet"
    assert len(pq.read_table(said)) > 1000
    said.unlink()
    since = json.loads((tmp_path / "versions/2/facts.json").read_text())["trained_to"]
    text = (tmp_path / "driftd.toml").read_text()
    shadow = f'path = "shadow/{{version}}/*.parquet"\nversion = "2"\nsince = "{since}"\n'
    (tmp_path / "driftd.toml").write_text(f"{text}\n[models.bikes.promotion.shadow]\n{shadow}")
    told = {"DRIFTD_CONFIG": tmp_path / "driftd.toml", "DRIFTD_MODEL": "bikes", "VERSIONS": tmp_path / "versions",
            "SHADOW": tmp_path / "shadow", "WORK": tmp_path / "work"}
    script = [sys.executable, str(PIPELINES / "retrain.py"), "shadow"]
    subprocess.run(script, env=os.environ | {name: str(value) for name, value in told.items()}, check=True)
    assert len(pq.read_table(said)) > 1000
    driftd(tmp_path, "check")
    found = json.loads(driftd(tmp_path, "status", "--json").stdout)["models"][0]["shadow"]
    assert found["version"] == "2"
    assert found["reason"].startswith(("rmse is better by", "rmse is shown to be better"))    # the log ends today
    assert found["reason"].endswith("labelled rows")


def test_the_workflow_is_what_driftd_needs() -> None:
    """Inputs are declared and runs carry our id, as `driftd validate --online` wants it."""
    text = (PIPELINES / "github/retrain.yml").read_text()
    assert missing_lines(text, ("driftd_id", "driftd_evidence"), "retrain.yml") == []


@pytest.mark.parametrize("name", ["github/retrain.yml", "github/pull-request.yml", "gitlab/retrain.yml"])
def test_steps_are_those_of_the_script(name: str) -> None:
    """Whatever a file asks of retrain.py is one of its steps."""
    text = (PIPELINES / name).read_text()
    assert yaml.safe_load(text)
    steps = (PIPELINES / "retrain.py").read_text()
    for line in (line for line in text.splitlines() if "retrain.py " in line):
        for step in line.split("retrain.py ")[1].split():
            assert f'"{step}": step_{step}' in steps
