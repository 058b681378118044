"""Rows 1 and 2: kill −9 at random moments, and at each boundary of a delivery, a promotion and a rollback."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.records import DispatchState
from monitor.store import Store
from tests.retrain import conftest as makers
from tests.retrain import dying, test_kill, test_promotion_kill

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("webhook", "airflow", "gitlab", "jenkins", "github", "github event")


@pytest.mark.torture(1)
def test_killed_at_random_moments_nothing_is_lost_or_doubled(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """What was acknowledged is kept; each need was sent under one id and is delivered; the state is whole."""
    kills = effort(10, 1000)
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.killed", tmp_path, str(kills), str(seed)], check=False, cwd=ROOT,
        capture_output=True, text=True, timeout=7200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    acknowledged, sent = ((tmp_path / name).read_text().splitlines() for name in ("acknowledged", "sent"))
    with Store.open(tmp_path / "state") as store:
        requests = store.requests.all()
        kept = {row["reason"] for row in store._db.all("SELECT reason FROM silences")}
        assert store.audit.verify().problem is None
    assert not set(acknowledged) - kept
    assert {one.id for one in requests if one.state is DispatchState.DELIVERED} == set(sent)
    assert len({one.episode_id for one in requests}) == len(requests)
    again = sum(count - 1 for count in Counter(sent).values())
    figure(f"{kills} kills at random moments: {len(acknowledged)} acknowledgements, 0 lost; {len(requests)} requests, "
           f"0 lost, 0 under two ids, {again} sent again under their id")


@pytest.mark.torture(2)
def test_killed_at_each_boundary_of_a_delivery(
    effort: Callable[[int, int], int], figure: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after each commit and each exchange: the request becomes one run."""
    for kind in KINDS[: effort(1, len(KINDS))]:
        folder = tmp_path / kind.replace(" ", "-")
        folder.mkdir()
        with makers.serving() as server:
            test_kill.test_killed_anywhere_a_request_becomes_one_run(
                server, makers, makers.Hand(), folder, monkeypatch, kind, effort(1, 20)
            )
    figure(f"{deaths(tmp_path)} kills at the boundaries of a delivery by {effort(1, len(KINDS))} kinds of pipeline: "
           "each request became one run")


@pytest.mark.torture(2)
def test_killed_at_each_boundary_of_a_promotion(
    effort: Callable[[int, int], int], figure: Callable[[str], None], tmp_path: Path
) -> None:
    """Before and after each commit and each exchange: the version and its reference come, or go back, once."""
    stories = ("run", "alias", "rollback")
    for story in stories[: effort(1, len(stories))]:
        folder = tmp_path / story
        folder.mkdir()
        with Store.open(folder / "begun") as store:
            makers.request_in(store)
        case = {"from": str(folder / "begun"), "folder": str(folder)}

        def killed(told: str, url: str, times: int, case: dying.Case = case) -> list[dying.Case]:
            return dying.killed("tests.retrain.promoting", case | {"story": told, "url": url}, times)

        with makers.serving() as server:
            if story == "rollback":
                test_promotion_kill.test_a_rollback_happens_once(server, killed, effort(1, 20))
            else:
                test_promotion_kill.test_a_promotion_comes_once(server, killed, story, effort(1, 20))
    figure(f"{deaths(tmp_path)} kills at the boundaries of a promotion or a rollback: each came once")


def deaths(folder: Path) -> int:
    """How many states were left by those that were killed."""
    return len(list(folder.glob("*/commit-*"))) + len(list(folder.glob("*/exchange-*")))
