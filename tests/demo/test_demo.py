"""The demo's story, shortened: what a person who watches it would notice."""

import io
import json
import os
import pty
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from monitor.cli import main
from monitor.demo.output import Policy, Show
from monitor.demo.receiver import Receiver
from monitor.demo.story import Story, Told
from monitor.store import Store
from monitor.wording import spark
from tests.torture.harness import free_port

UNTIL = datetime(2011, 9, 19, tzinfo=UTC)
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, str, Path]:
    """Seven fortnights: what happened, what was printed, and the folder."""
    folder, output = tmp_path_factory.mktemp("demo"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DRIFTD_DEMO_SECRET", "OMP_NUM_THREADS"):
            patch.setenv(name, "1")          # the story sets them; put back at the end
        with Story(folder, Show(Console(file=output, width=80, highlight=False)), until=UNTIL) as story:
            told = story.play()
    return told, output.getvalue(), folder


def test_a_request_arrives_with_its_reasons(played: tuple[Told, str, Path]) -> None:
    """The verified webhook says which trigger, what waiting has cost, which columns drifted, the error then and now."""
    event = played[0].events[0]
    data = event["data"]
    assert event["id"].startswith("driftd-")
    assert "retraining-pays" in data["triggers"]
    assert data["regret"].startswith("the model is worse than before")
    assert "; a retrain would lower its RMSE by about " in data["regret"]
    assert {"column", "method", "value", "threshold"} == set(data["drifted_columns"][0])
    assert data["accuracy"]["metric"] == "rmse"
    assert data["accuracy"]["now"] > data["accuracy"]["before"]


def test_the_new_model_is_in_service_and_better(played: tuple[Told, str, Path]) -> None:
    """After the request another version answers, is the one that is watched, and errs less than never retraining."""
    told, _, folder = played
    assert told.served[0].version == "1"
    assert told.served[-1].version == str(1 + len(told.events))
    assert f'version = "{told.served[-1].version}"' in (folder / "driftd.toml").read_text()
    never, _, driftd = told.policies
    assert driftd.mean < never.mean
    assert len(driftd.retrains) == len(told.events)


def test_every_fortnight_is_judged(played: tuple[Told, str, Path]) -> None:
    """Models change where windows end, so no window is lost to a change."""
    told = played[0]
    assert told.alarms[1] == len(told.served) == 7


def test_the_output_fits_a_terminal(played: tuple[Told, str, Path]) -> None:
    """What is printed says the story in lines of at most 80 columns."""
    text = played[1]
    assert max(map(len, text.splitlines())) <= 80
    for said in ("a retrain is asked for", "signature verified", "recovery", "never retrain", "calendar, as often"):
        assert said in text


def test_a_second_demo_beside_a_running_one_says_where_the_first_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the first one's folder and address; its files stay as they are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo/driftd.toml").write_text('listen = "127.0.0.1:9745"\n')
    with Store.open(tmp_path / ".demo/state"):
        assert main(["demo"]) == 2
    said = capfd.readouterr().err
    assert f"a demo runs in {tmp_path / '.demo'} already" in said.replace("\n", " ")
    assert "http://127.0.0.1:9745" in said
    assert "Traceback" not in said
    assert (tmp_path / ".demo/driftd.toml").exists()


def test_it_ends_with_its_terminal(tmp_path: Path) -> None:
    """The daemon that stays after the story, in a real terminal that is closed: it ends, and well."""
    (tmp_path / "driftd.toml").write_text(
        f'[daemon]\nlisten = "127.0.0.1:{free_port()}"\n[models.m]\npredictions = "a.csv"\nreference = "a.csv"\n')
    code = ("import pathlib\nfrom monitor.daemon.service import run\n"
            "ended = run(pathlib.Path('driftd.toml'), ends_with_terminal=True)\n"
            "pathlib.Path('ended').write_text(str(ended))")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-c", code])
    said = b""
    while b"Listening" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    os.waitpid(pid, 0)
    assert (tmp_path / "ended").read_text() == "0"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver(SECRET)
    yield opened
    opened.close()


def test_a_wrong_signature_is_refused(receiver: Receiver) -> None:
    """The receiver believes nobody who does not know the secret."""
    headers = {"webhook-id": "driftd-1", "webhook-timestamp": "1700000000", "webhook-signature": "v1,bm8="}
    request = urllib.request.Request(receiver.url, json.dumps({"data": {}}).encode(), headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 401
    refused.value.close()
    assert receiver.events.empty()


def test_the_pictures_are_drawn_from_the_same_story(played: tuple[Told, str, Path]) -> None:
    """The chart holds a line a policy and a mark a retrain."""
    import runpy

    told = played[0]
    drawn = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs/pictures/make.py"))["chart"](
        told.served, told.policies,
    )
    paths = list(ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}path"))
    titled = {one.get("class"): one.attrib["d"] for one in paths if one.find("*") is not None}
    assert set(titled) == {"series c0", "series c1", "series grey", "tick c0", "tick c1"}
    assert titled["tick c0"].count("M") == len(told.events)


def test_a_line_of_bars() -> None:
    """The highest value is the highest bar; a long row is thinned to its width."""
    assert spark([0, 50, 100], 0, 100) == "▁▅█"
    assert len(spark([1.0] * 100, 0, 1.0)) <= 40
    assert Policy("p", (), (1.0, 3.0)).mean == 2
