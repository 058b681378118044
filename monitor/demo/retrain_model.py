"""The demo's retraining pipeline: `python -m monitor.demo.retrain_model FOLDER MOMENT VERSION`.

Fits on every row labelled by MOMENT, writes the new model's predictions for later rows and its reference (predictions
on held-out rows), then writes the new version into driftd.toml, as a deployment would.
"""

import sys
from datetime import datetime
from pathlib import Path

from monitor.demo.world import CLOSED, HELD_OUT, between, fit, labelled_by, predict, rentals, write


def retrain(folder: Path, moment: datetime, version: str) -> int:
    """Fit, write `versions/<version>/`, deploy; return the number of rows fitted on."""
    rows = rentals()
    known = labelled_by(rows, moment)
    held_out = between(known, moment - HELD_OUT, moment)
    rehearsed = fit(between(known, datetime.min.replace(tzinfo=moment.tzinfo), moment - HELD_OUT))
    place = folder / "versions" / version
    write(predict(rehearsed, held_out, version), place / "reference.parquet")
    write(predict(fit(known), between(rows, moment, CLOSED), version), place / "answers.parquet")
    deploy(folder / "driftd.toml", version)
    return len(known)


def deploy(config: Path, version: str) -> None:
    """Change the line of the configuration that names the version in service."""
    lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = [f'version = "{version}"\n' if line.startswith("version = ") else line for line in lines]
    part = config.with_suffix(".part")
    part.write_text("".join(changed), encoding="utf-8")
    part.replace(config)


if __name__ == "__main__":
    folder, moment, version = sys.argv[1:]
    print(retrain(Path(folder), datetime.fromisoformat(moment), version))
