#!/usr/bin/env python3
"""Retrain a model because driftd asked: rows, fit, gate, register, promote, report. Copy it and change `fit`.

Without an argument all steps run one after the other; a pipeline with steps of its own calls one at a time. A step
that fails, or a gate that refuses (exit code 3), ends the run: the model in service stays.

Set in the environment:
  DRIFTD_MODEL    the model's name in driftd's configuration
  DRIFTD_CONFIG   that configuration, where driftd's log can be read from here; else
  ROWS            a file that `driftd window export` has written where it can
  VERSIONS        the folder of model versions (default: versions); each has its model and the reference to compare with
  WORK            the folder of the candidate until it is a version (default: candidate, in the run's own folder
                  when driftd runs this as a command)
  MLFLOW_TRACKING_URI   where versions are registered, of the registered model DRIFTD_MODEL; else
  VERSION         the new version's name (default: the folder's next number; a runner without the folder cannot know it)
  ALIAS           of the version in service there (default: champion)
  SHADOW          a folder: the new version does not come into service but serves in shadow (docs/how-to/shadow.md). Its
                  alias is "challenger", and the step `shadow`, run once a day, writes there what it says of live rows
  GATE            more options for `driftd gate`, such as --protected sex --limit demographic_parity_difference=0.1
And by driftd, which started the run:
  DRIFTD_ID       the request's id
  DRIFTD_RESULT   where the result goes when the run is a command on driftd's machine; else
  DRIFTD_URL      driftd's address, with CALLBACK_SECRET, to report to
"""

import base64
import hashlib
import hmac
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor

RUN = Path(os.environ.get("DRIFTD_RESULT", "result")).parent
WORK, VERSIONS = Path(os.environ.get("WORK", RUN / "candidate")), Path(os.environ.get("VERSIONS", "versions"))
ROWS = Path(os.environ.get("ROWS", WORK / "log.parquet"))
MADE = RUN / "version"               # which holds the new version's name, from one step to the next
SHADOW, CHALLENGER = os.environ.get("SHADOW"), "challenger"
HELD_OUT = 0.25                      # the newest rows, which the candidate never sees, are what it is judged on
NOT_FEATURES = ("timestamp", "prediction_id", "prediction", "prediction_proba", "label", "label_timestamp",
                "model", "model_version")


def fit(rows: pd.DataFrame) -> HistGradientBoostingRegressor:
    """Fit the candidate on rows with labels."""
    return HistGradientBoostingRegressor(random_state=0).fit(features(rows), rows["label"])


def predict(model: HistGradientBoostingRegressor, rows: pd.DataFrame) -> pd.Series:
    """What the candidate says of these rows."""
    return pd.Series(model.predict(features(rows)), rows.index)


def features(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=[name for name in NOT_FEATURES if name in rows])


def step_rows() -> None:
    """Fetch rows with matured labels and what the model in service said of them."""
    if "ROWS" not in os.environ:
        WORK.mkdir(parents=True, exist_ok=True)
        place = ("-c", os.environ["DRIFTD_CONFIG"], "-m", os.environ["DRIFTD_MODEL"])
        run("window", "export", *place, "-o", ROWS)


def step_fit() -> None:
    """Fit on all but the newest rows, and write down what the candidate says of those."""
    rows = pd.read_parquet(ROWS).sort_values("timestamp")
    cut = rows["timestamp"].iloc[int(len(rows) * (1 - HELD_OUT))]
    old, new = rows[rows["timestamp"] < cut], rows[rows["timestamp"] >= cut]
    model = fit(old)
    answers = new.assign(prediction=predict(model, new))
    WORK.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, WORK / "model.skops")       # no pickle: it is read without running what it holds
    answers.to_parquet(WORK / "reference.parquet")
    answers[["prediction_id", "prediction"]].to_parquet(WORK / "predictions.parquet")
    new.to_parquet(WORK / "rows.parquet")
    facts = {"trained_from": stamp(old["timestamp"].min()), "trained_to": stamp(cut), "git_revision": revision()}
    (WORK / "facts.json").write_text(json.dumps({name: value for name, value in facts.items() if value}))


def step_gate() -> None:
    """Ask whether the candidate may replace the model in service; the table is kept for people, and told to driftd."""
    facts = json.loads((WORK / "facts.json").read_text())
    code = exit_code(
        "gate", "--data", WORK / "rows.parquet", "--candidate", WORK / "predictions.parquet",
        "--trained-until", facts["trained_to"], "--markdown", WORK / "gate.md", "--junit", WORK / "gate.xml",
        "--report", WORK / "gate.json", *shlex.split(os.environ.get("GATE", "")))
    if code and (WORK / "gate.json").exists():
        tell("failed", {"gate": json.loads((WORK / "gate.json").read_text())})
    if code:
        sys.exit(code)


def step_register() -> None:
    """Give the candidate its version: MLflow's number, the name given, or the next of the folder."""
    known = [int(folder.name) for folder in VERSIONS.glob("*") if folder.name.isdigit()]
    named = os.environ.get("VERSION") or str(max(known, default=0) + 1)
    version = registered() if "MLFLOW_TRACKING_URI" in os.environ else named
    VERSIONS.mkdir(parents=True, exist_ok=True)
    shutil.move(WORK, VERSIONS / version)
    MADE.write_text(version)


def registered() -> str:
    """Register the candidate in MLflow, with the rows it was made of and the request that it answers."""
    import mlflow

    name, rows = os.environ["DRIFTD_MODEL"], pd.read_parquet(ROWS)
    facts = json.loads((WORK / "facts.json").read_text())
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name=os.environ.get("DRIFTD_ID")) as run:
        mlflow.log_input(mlflow.data.from_pandas(rows, source=str(ROWS.resolve()), name=name), "training")
        mlflow.log_params(facts)
        for file in ("model.skops", "facts.json", "gate.md"):            # no rows: what people said stays here
            mlflow.log_artifact(str(WORK / file), "model")
        made = mlflow.MlflowClient().create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return str(made.version)


def step_promote() -> None:
    """Put the new version into service, or into its shadow: let the registry's alias name it. Without a registry the
    report says it.
    """
    version = MADE.read_text()
    if SHADOW:
        answer(version)
    if "MLFLOW_TRACKING_URI" in os.environ:
        import mlflow

        alias = CHALLENGER if SHADOW else os.environ.get("ALIAS", "champion")
        mlflow.MlflowClient().set_registered_model_alias(os.environ["DRIFTD_MODEL"], alias, version)


def step_report() -> None:
    """Tell driftd which version is in service now: it compares with that one's own reference from here on."""
    version = MADE.read_text()
    folder = (VERSIONS / version).resolve()
    result = {**json.loads((folder / "facts.json").read_text()), "gate": json.loads((folder / "gate.json").read_text())}
    if not SHADOW:
        result["model_version"] = version
        if "DRIFTD_RESULT" in os.environ:
            result["reference"] = str(folder / "reference.parquet")
    tell("succeeded", result)


def step_shadow() -> None:
    """Let the candidate that serves in shadow answer the rows that have come since."""
    answer(challenger())


def answer(version: str) -> None:
    """Write what a version says of the rows that the model in service has answered; driftd compares them."""
    assert SHADOW, "set SHADOW, the folder for what the candidate says"
    saved = VERSIONS / version / "model.skops"
    model = skops.io.load(saved, trusted=skops.io.get_untrusted_types(file=saved))      # our own, made by step_fit
    folder, exported = Path(SHADOW) / version, WORK / "live.parquet"
    for place in (folder, WORK):
        place.mkdir(parents=True, exist_ok=True)
    run("window", "export", "-c", os.environ["DRIFTD_CONFIG"], "-m", os.environ["DRIFTD_MODEL"], "-o", exported)
    rows = pd.read_parquet(exported)
    exported.unlink()
    part = folder / "predictions.parquet.tmp"
    rows.assign(prediction=predict(model, rows))[["prediction_id", "prediction"]].to_parquet(part)
    part.rename(folder / "predictions.parquet")


def challenger() -> str:
    """The version that serves in shadow: the registry's alias names it; without a registry it is the newest one."""
    if "MLFLOW_TRACKING_URI" in os.environ:
        import mlflow

        return str(mlflow.MlflowClient().get_model_version_by_alias(os.environ["DRIFTD_MODEL"], CHALLENGER).version)
    return str(max(int(folder.name) for folder in VERSIONS.glob("*") if folder.name.isdigit()))


def tell(outcome: str, result: dict[str, object]) -> None:
    """Say how the run ended: by a file on driftd's machine, else by a signed report."""
    if place := os.environ.get("DRIFTD_RESULT"):
        Path(place).write_text(json.dumps(result))
    elif url := os.environ.get("DRIFTD_URL"):
        post(f"{url}/v1/runs/{os.environ['DRIFTD_ID']}", {"schema_version": 1, "outcome": outcome, **result})


def post(url: str, report: dict[str, object]) -> None:
    """Send a report signed as Standard Webhooks says."""
    body, now, id = json.dumps(report), str(int(time.time())), os.environ["DRIFTD_ID"]
    key = base64.b64decode(os.environ["CALLBACK_SECRET"].removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{id}.{now}.{body}".encode(), hashlib.sha256)).decode()
    headers = {"webhook-id": id, "webhook-timestamp": now, "webhook-signature": f"v1,{signature}"}
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=30) as answer:
        print(answer.read().decode())


def run(*command: object) -> None:
    """Run driftd, of this Python; its exit code ends this one where it is not 0."""
    if code := exit_code(*command):
        sys.exit(code)


def exit_code(*command: object) -> int:
    return subprocess.run([sys.executable, "-m", "monitor", *map(str, command)], check=False).returncode


def revision() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def stamp(moment: pd.Timestamp) -> str:
    return moment.isoformat()


STEPS = {
    "rows": step_rows, "fit": step_fit, "gate": step_gate, "register": step_register, "promote": step_promote,
    "report": step_report,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or STEPS:
        print(f"== {name}", flush=True)
        {**STEPS, "shadow": step_shadow}[name]()
