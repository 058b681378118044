"""Which data a model was judged on is kept by content; what may not be private is refused when it is found."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import ConfigError
from monitor.store import Store


@pytest.fixture
def kept(tmp_path: Path, world: Any) -> Iterator[Any]:
    """The same world, whose memory is a folder."""
    with Store.open(tmp_path / "state") as store:
        world.store = store
        yield world


def seen(world: Any) -> list[tuple[str, str, str | None]]:
    contents = [seen.content for seen in world.store.lineage.data_seen("m")]
    return [(content.place, Path(content.name).name, content.hash) for content in contents]


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_data_are_kept_by_content(kept: Any, made: Any, tmp_path: Path) -> None:
    """Log and reference are hashed when windows were checked: each state of a file once, a changed one again."""
    log, reference = kept.write("log.parquet", made.rows(0, 2)), tmp_path / "reference.parquet"
    kept.model()
    kept.check(2)
    first = [("predictions", "log.parquet", _sum(log)), ("reference", "reference.parquet", _sum(reference))]
    assert seen(kept) == first
    kept.check(2)
    assert seen(kept) == first
    kept.write("log.parquet", made.rows(0, 3))
    kept.check(3)
    assert seen(kept) == [*first, ("predictions", "log.parquet", _sum(log))]


def test_nothing_is_hashed_where_nothing_is_kept(world: Any, made: Any) -> None:
    """A backtest, whose memory is gone afterwards, reads no file for its hash."""
    world.write("log.parquet", made.rows(0, 2))
    world.model()
    world.check(2)
    assert world.store.lineage.data_seen("m") == []


@pytest.mark.parametrize(
    ("column", "given", "said"),
    [
        ("timestamp", {}, '"timestamp" is the timestamp, which bounds every window, expected other columns'),
        ("id", {"window": {"size": 24, "min_rows": 5}}, '"id" is the id, which bounds windows of so many rows'),
        ("nmae", {}, 'columns.private: there is no column "nmae"'),
    ],
)
def test_what_cannot_be_private_is_refused(world: Any, made: Any, column: str, given: Any, said: str) -> None:
    """Also where the part of a column was found by its usual name; a name that is not there protects nothing."""
    world.write("log.parquet", made.rows(0, 2))
    world.model(columns={"private": [column]}, **given)
    with pytest.raises(ConfigError, match=said):
        world.check(2)


def test_an_id_may_be_private_where_windows_are_of_time(world: Any, made: Any) -> None:
    """Then it bounds nothing."""
    world.write("log.parquet", made.rows(0, 2))
    world.model(columns={"private": ["id"]})
    assert len(world.check(2)) == 2
