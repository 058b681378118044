"""kill -9 at every boundary of a delivery: nothing is lost, and no second run where the pipeline can tell a repeat."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.records import DispatchState
from monitor.retrain.outbox import Outbox
from monitor.store import Store
from tests.retrain import dying
from tests.retrain.delivering import address, pipeline
from tests.retrain.kinds import KINDS, Side
from tests.retrain.test_answers import secret_of

# One of each way to tell a repeat: by a key of its own, refused by its name, found again, not at all.
ALWAYS = ("webhook", "kubernetes", "gitlab", "github event")
OFTEN = ("webhook", "airflow", "kubernetes", "gitlab", "jenkins", "github", "github event")
SWEEPS = [(name, 1) for name in KINDS if name in ALWAYS] + [
    pytest.param(name, 20 if name in OFTEN else 1, marks=pytest.mark.real) for name in KINDS
]


class Sides:
    """The other side of every death: those of one never see another's."""

    def __init__(self, server: Any, name: str) -> None:
        self.name = name
        self.of: dict[str, Side] = {}
        server.reply = self.reply

    def reply(self, seen: Any) -> Any:
        case, _, rest = seen.path[1:].partition("/")
        return self.of.setdefault(case, Side(self.name))(replace(seen, path=f"/{rest}"))


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(("name", "times"), SWEEPS)
def test_killed_anywhere_a_request_becomes_one_run(
    server: Any, kit: Any, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    """The next daemon delivers what was on its way, once; where a repeat cannot be told, it is held and people know."""
    monkeypatch.setenv("TOKEN", secret_of(name))
    sides, begun = Sides(server, name), tmp_path / "begun"
    Store.open(begun).close()
    wanted = {"story": name, "url": server.url, "from": str(begun), "folder": str(tmp_path)}
    for case in dying.killed("tests.retrain.delivering", wanted, times):
        with Store.open(Path(case["state"])) as store:
            run = _next_daemon(store, case, kit, clock)
            starts = sides.of[case["name"]].starts if case["name"] in sides.of else 0
            told = [message.kind for message in store.messages.all()]
        if KINDS[name].key == "blind" and run.state is DispatchState.AMBIGUOUS:
            assert (starts <= 1, "held" in told) == (True, True), case
        else:
            assert (starts, run.state) == (1, KINDS[name].accepted), case


def _next_daemon(store: Store, case: dying.Case, kit: Any, clock: Any) -> Any:
    """Go on as after a restart, for some hours; a check whose commit was cut short is done again, whole."""
    outbox = Outbox(store, {"p": pipeline(case["story"], address(case))}, clock)
    clock.now = kit.NOW
    outbox.recover()
    if not store.requests.all():
        kit.request_in(store)
    for _ in range(4):
        outbox.send_due()
        outbox.follow()
        clock.forward(timedelta(hours=1))
    (run,) = store.requests.all()
    return run
