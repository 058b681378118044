"""kill -9 at every boundary of a promotion: none is lost, none happens twice, the alias moves once."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.errors import UsageError
from monitor.promotion.versions import in_service, rollback
from monitor.records import MoveState
from monitor.store import Store
from tests.retrain import dying, promoting

TIMES = pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.real)])


class Aliases:
    """A registry for many models at once; `moves` by name."""

    def __init__(self, server: Any) -> None:
        self.now: dict[str, str] = {}
        self.moves: dict[str, list[str]] = {}
        server.reply = self.reply

    def reply(self, seen: Any) -> Any:
        if seen.method == "POST":
            told = seen.json()
            self.now[told["name"]] = told["version"]
            self.moves.setdefault(told["name"], []).append(told["version"])
            return 200, {}, {}
        name = parse_qs(urlsplit(seen.path).query)["name"][0]
        return 200, {}, {"model_version": {"version": self.now.get(name, "2")}}


@pytest.fixture
def killed(kit: Any, tmp_path: Path) -> Callable[[str, str, int], list[dying.Case]]:
    """Play a story to each of its boundaries and kill it there; the deaths, each with its state."""
    begun = tmp_path / "begun"
    with Store.open(begun) as store:
        kit.request_in(store)
    case = {"from": str(begun), "folder": str(tmp_path)}
    return lambda story, url, times: dying.killed("tests.retrain.promoting", case | {"story": story, "url": url}, times)


def taken(store: Store) -> list[str]:
    return [one.version for one in store.promotions.all("m") if one.state == "taken"]


def versions(store: Store) -> list[str | None]:
    return [one.model_version for one in store.references.all("m")]


@TIMES
@pytest.mark.parametrize("story", ["run", "alias"])
def test_a_promotion_comes_once(server: Any, killed: Any, story: str, times: int) -> None:
    """By a run or by the alias: the next daemon brings version 2 and its reference, exactly once."""
    aliases = Aliases(server)
    for case in killed(story, server.url if story == "alias" else "", times):
        section = promoting.model(case["url"], case["name"])
        with Store.open(Path(case["state"])) as store:
            for _ in range(2):
                promoting.STORIES[story](section, store)
            assert (taken(store), versions(store), in_service(store, section)) == (["2"], ["1", "2"], "2"), case
            assert store.audit.verify().problem is None
    assert aliases.moves == {}


@TIMES
def test_a_rollback_happens_once(server: Any, killed: Any, times: int) -> None:
    """Whenever it is cut: a wish that was written is fulfilled, with one move of the alias; one that was not is not."""
    aliases = Aliases(server)
    for case in killed("rollback", server.url, times):
        section = promoting.model(case["url"], case["name"])
        with Store.open(Path(case["state"])) as store:
            promoting.daemon(section, store, timedelta(minutes=1))
            if not store.aliases.moves("m"):
                rollback(store, section, "1", "ann", "worse", promoting.NOW)   # she was told that it failed
            else:
                with pytest.raises(UsageError):
                    rollback(store, section, "1", "ann", "worse", promoting.NOW)
            for later in (1, 2):
                promoting.daemon(section, store, timedelta(hours=later))
            assert (taken(store), versions(store)) == (["2", "1"], ["1", "2", "1"]), case
            assert [one.state for one in store.aliases.moves("m")] == [MoveState.DONE]
            assert store.audit.verify().problem is None
        assert aliases.moves[case["name"]] == ["1"], case
