"""A column that came into the log after the reference was made."""

from pathlib import Path
from typing import Any


def test_it_is_mentioned_and_raises_no_alarm(driftd: Any, rides: Path, tmp_path: Path) -> None:
    """`validate` says once that it is not watched, the window's schema score says why, and nothing fires."""
    head, *rows = rides.read_text().splitlines()
    (tmp_path / "before.csv").write_text("\n".join([head, *rows[:800]]) + "\n")
    rides.write_text("\n".join([f"{head};wind", *(f"{row};3,5" for row in rows[800:1500])]) + "\n")
    assert driftd("init", "rides.csv", "before.csv").code == 0
    said = driftd("validate", "-c", "driftd.toml")
    assert said.code == 0, said.err
    assert said.out.count("unwatched  wind: the reference has no such column") == 1
    text = (tmp_path / "driftd.toml").read_text().replace("# since", "since  ")
    text = text.replace("[models.rides]\n", "[models.rides]\nrehearsal.enabled = false\n")
    (tmp_path / "driftd.toml").write_text(text)
    driftd("check", "-c", "driftd.toml")
    windows = driftd("history", "-c", "driftd.toml", "--json").json["windows"]
    assert not any("broken-data" in one["triggers"] for one in windows)
    explained = driftd("history", "-c", "driftd.toml", "--explain", windows[0]["window"]["start"], "--json").json
    schema = next(score for score in explained["scores"] if score["metric"] == "schema_changes")
    assert schema["value"] == 0
    assert schema["reason"] == "column wind, which the reference lacks: not watched"
