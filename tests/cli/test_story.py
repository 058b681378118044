"""A newcomer with their own CSV: init, validate, check, status, history, backtest."""

import time
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.retrain.conftest import serving

PIPELINE = """
[models.live.retrain]
pipeline = "local"

[pipelines.local]
kind    = "command"
command = ["true"]
"""


def test_init_writes_what_it_found(driftd: Any, rides: Path, tmp_path: Path) -> None:
    """init finds the columns, the task and a fitting reference, and names the next two commands."""
    done = driftd("init", rides.name)
    assert done.code == 0, done.err
    assert "2400 rows, 2024-01-01 to 2024-04-09 23:00 UTC; regression" in done.out
    assert "read as delimiter ';', decimal ','" in done.out
    assert "driftd validate -c driftd.toml" in done.out
    model = tomllib.loads((tmp_path / "driftd.toml").read_text())["models"]["rides"]
    assert model["predictions"] == "rides.csv"
    assert model["reference"] == "first 33d"
    assert model["columns"] == {
        "timestamp": "timestamp", "prediction": "prediction", "label": "label", "categorical": ["weather"],
    }


def test_init_never_overwrites(driftd: Any, rides: Path, tmp_path: Path) -> None:
    """A file that is there stays as it is, unless --force is given."""
    (tmp_path / "driftd.toml").write_text("precious")
    done = driftd("init", rides)
    assert done.code == 2
    assert "driftd.toml exists; --force overwrites it" in done.err
    assert (tmp_path / "driftd.toml").read_text() == "precious"
    assert driftd("init", rides, "--force").code == 0


def test_init_asks_for_what_it_cannot_tell(driftd: Any, tmp_path: Path) -> None:
    """Columns whose names say nothing are named by the person; the error lists those there are."""
    frame = pd.DataFrame({
        "wann": pd.date_range("2024-01-01", periods=300, freq="h").astype(str), "x": range(300),
        "yhat": [i / 7 for i in range(300)],
    })
    frame.to_csv(tmp_path / "log.csv", index=False)
    done = driftd("init", "log.csv")
    assert done.code == 2
    assert "wann" in done.err
    assert not (tmp_path / "driftd.toml").exists()
    named = driftd("init", "log.csv", "--timestamp", "wann", "--prediction", "yhat")
    assert named.code == 0, named.err
    assert driftd("validate", "-c", "driftd.toml").code == 0


def test_init_beside_the_data(driftd: Any, rides: Path, tmp_path: Path) -> None:
    """Paths are written relative to the configuration, wherever that is."""
    done = driftd("init", rides, "--output", tmp_path / "etc" / "my.toml", "--model", "My rides")
    assert done.code == 0, done.err
    assert 'predictions = "../rides.csv"' in (tmp_path / "etc" / "my.toml").read_text()
    assert driftd("validate", "-c", "etc/my.toml").code == 0


@pytest.fixture
def config(driftd: Any, rides: Path) -> str:
    """The configuration that init wrote, checked from the log's beginning on."""
    assert driftd("init", rides).code == 0
    text = Path("driftd.toml").read_text()
    Path("driftd.toml").write_text(text.replace("# since", "since  "))
    return "driftd.toml"


def _as_glob(config: str) -> None:
    """Name the log by a pattern: then a file may come later, where a named one has to be there."""
    path = Path(config)
    path.write_text(path.read_text().replace('"rides.csv"', '"ride*.csv"'))


def test_validate_confirms(driftd: Any, config: str) -> None:
    """A right configuration is confirmed with what was found in the data."""
    done = driftd("validate", "-c", config)
    assert (done.code, done.err) == (0, "")
    for text in ("2400 rows", "label label", "3: temp, hum, weather", "judged by rmse", "windows    7d"):
        assert text in done.out


def test_validate_shows_origins(driftd: Any, config: str) -> None:
    """--show prints settings with where each comes from, at 80 columns."""
    done = driftd("validate", "-c", config, "--show")
    assert done.code == 0
    assert "driftd.toml:" in done.out
    assert "default" in done.out
    assert max(map(len, done.out.split("\n\n")[0].splitlines())) <= 80


def test_validate_says_everything_at_once(driftd: Any, config: str, tmp_path: Path) -> None:
    """Every problem is on stderr with its line, and nothing else is done."""
    text = (tmp_path / config).read_text()
    (tmp_path / config).write_text(text.replace("task ", "tsak ").replace('"7d"', '"7 parsecs"'))
    done = driftd("validate", "-c", config)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 2
    assert all("driftd.toml:" in line for line in done.err.splitlines())


def test_validate_without_the_data(driftd: Any, config: str, rides: Path) -> None:
    """A log that has not come yet is said in one sentence, and ends with 4."""
    _as_glob(config)
    rides.unlink()
    done = driftd("validate", "-c", config)
    assert done.code == 4
    assert "ride*.csv: there is no such file" in done.err


def test_check_then_look(driftd: Any, live: Path) -> None:
    """check judges every window since the beginning; status and history say what it found; then nothing is due."""
    assert driftd("init", live).code == 0
    text = Path("driftd.toml").read_text()
    Path("driftd.toml").write_text(text.replace("# since", "since  "))
    done = driftd("check", "-c", "driftd.toml", "--json")
    assert done.code == 3, done.err
    windows = done.json["windows"]
    assert len(windows) >= 6
    assert (windows[0]["verdict"], windows[0]["triggers"]) == ("hold", [])
    assert "drift" in windows[-1]["triggers"]
    assert "drift since" in driftd("status", "-c", "driftd.toml").out
    assert "drift: drifted_share is" in driftd("history", "-c", "driftd.toml", "--explain", "newest").out
    again = driftd("check", "-c", "driftd.toml")
    assert again.code == 3
    assert again.out.startswith("live: nothing due; firing: drift")


def test_a_retrain_is_asked_for_and_followed(driftd: Any, live: Path) -> None:
    """In act mode the one-shot check hands the request over, and a later one sees how its run ended."""
    assert driftd("init", live).code == 0
    text = Path("driftd.toml").read_text().replace("# since", "since  ").replace("# mode ", "mode ")
    Path("driftd.toml").write_text(text + PIPELINE)
    done = driftd("check", "-c", "driftd.toml", "--json")
    assert (done.code, done.json["windows"][-1]["verdict"]) == (3, "retrain"), done
    deadline = time.monotonic() + 60
    while (last := driftd("status", "--json", "-c", "driftd.toml").json["models"][0]["last_dispatch"]) is None or (
        last["state"] != "succeeded" and time.monotonic() < deadline
    ):
        driftd("check", "-c", "driftd.toml")
    assert last["state"] == "succeeded", last
    by_hand = driftd("retrain", "-c", "driftd.toml", "--reason", "again")
    assert by_hand.code == 0, by_hand.err
    assert "for local is written" in by_hand.out


def test_a_request_that_is_rejected_ends_with_1(driftd: Any, live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check whose request is refused for good is no success; the other side's reason is printed."""
    monkeypatch.setenv("HOOK", "whsec_" + "c2VjcmV0" * 6)
    assert driftd("init", live).code == 0
    with serving() as server, Path("driftd.toml").open("a") as file:
        file.write(f"""
[models.live.retrain]
pipeline = "hook"

[pipelines.hook]
kind   = "webhook"
url    = "{server.url}/hook"
secret = {{ env = "HOOK" }}
""")
        file.flush()
        driftd("check", "-c", "driftd.toml")
        assert driftd("retrain", "-c", "driftd.toml", "--model", "live", "--reason", "a try").code == 0
        server.reply = lambda seen: (422, {}, {"message": "no such branch"})
        done = driftd("check", "-c", "driftd.toml")
    assert done.code == 1, done.err
    assert 'rejects the request (422): "no such branch"' in done.out


def test_a_dry_run_records_nothing(driftd: Any, config: str) -> None:
    """--at says what would have been said then; the state stays untouched."""
    done = driftd("check", "-c", config, "--at", "2024-03-01", "--json")
    assert done.code == 0, done.err
    assert done.json["windows"][-1]["window"]["end"] <= "2024-03-01T00:00:00Z"
    assert "none yet" in driftd("status", "-c", config).out


def test_a_source_that_is_gone_cannot_be_judged(driftd: Any, config: str, rides: Path) -> None:
    """A check without its log ends with 4 and one sentence, and still prints its document."""
    _as_glob(config)
    rides.unlink()
    done = driftd("check", "-c", config, "--json")
    assert done.code == 4
    assert "ride*.csv: there is no such file" in done.err
    assert done.json["errors"][0]["model"] == "rides"


def test_backtest_tells_the_same_story(driftd: Any, config: str) -> None:
    """backtest replays the log: quiet before the change, and a retrain that would have been asked for after."""
    done = driftd("backtest", "-c", config, "--model", "rides", "--json")
    assert done.code == 3, done.err
    first = done.json["retrains"][0]
    assert set(first) == {"window", "at", "trigger", "why", "suppressed_by"}
    assert first["window"]["end"] > "2024-03-18"
    assert first["trigger"] == "retraining-pays"
    expected = {one["trigger"]: one["false_alarms"] for one in done.json["triggers"] if one["false_alarms"]}
    validated = driftd("validate", "-c", config, "--json").json["models"][0]["outlook"]["triggers"]
    assert expected == {one["trigger"]: one for one in validated}


def test_backtest_rehearses_suggests_and_draws(driftd: Any, config: str, tmp_path: Path) -> None:
    """A table of policies as wide as the terminal, what it assumes, a price with lines to paste, and an image."""
    words = ("--about", "4 per year", "--suggest", "--picture", tmp_path / "told.png")
    done = driftd("backtest", "-c", config, "--model", "rides", *words)
    assert done.code == 3, done.err
    assert "best schedule  " in done.out
    assert "Assumed: each accepted request puts the challenger of that moment" in done.out
    assert 'about  = "4 per 365d"' in done.out
    assert (tmp_path / "told.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--about", "4 per year"], "--about goes with --suggest"),
        (["--suggest", "--about", "often"], "'often' is not a rate"),
        (["--picture", "told.gif"], "expected a name that ends in .html, .svg or .png"),
    ],
)
def test_wrong_options_of_a_backtest_are_said_before_anything_is_read(
    driftd: Any, words: list[str], said: str
) -> None:
    """A slip ends with 2 and one sentence."""
    done = driftd("backtest", "--model", "rides", *words)
    assert done.code == 2
    assert said in done.err
