"""The standing suite against harm: a short form in `make test`, the long one by `make torture`.

A test names its row of docs/reliability.md with `@pytest.mark.torture(row)`, takes its number of repetitions from
`effort`, its random numbers from `seed`, and says what came out with `figure`. The long form writes those figures into
the table; a test marked `only_long=True` has no other. Environment: DRIFTD_TORTURE=long,
DRIFTD_TORTURE_SEED=<number>, DRIFTD_TORTURE_ROW=<row>, DRIFTD_TORTURE_MINUTES=<of each fuzzer>.
"""

import datetime
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[2] / "docs/reliability.md"
LONG = os.environ.get("DRIFTD_TORTURE") == "long"
LINE = re.compile(r"^\| (\d+) \|.*$", re.MULTILINE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the row that was asked for; what takes an hour only in the long form."""
    wanted = os.environ.get("DRIFTD_TORTURE_ROW")
    left = [item for item in items if (wanted and _row(item) != int(wanted)) or (_only_long(item) and not LONG)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _row(item: pytest.Item) -> int | None:
    mark = item.get_closest_marker("torture")
    return mark.args[0] if mark else None


def _only_long(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("torture")
    return mark is not None and mark.kwargs.get("only_long", False)


@pytest.fixture
def effort() -> Callable[[int, int], int]:
    """How often: `effort(short, long)`."""
    return lambda short, long: long if LONG else short


@pytest.fixture
def seed() -> int:
    """The seed of a test's random numbers; another one is another set of harms."""
    return int(os.environ.get("DRIFTD_TORTURE_SEED", "1"))


@pytest.fixture
def figure(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what came out, in words that stand alone: `figure("200 harms: 131 refused, 69 exact, 0 accepted otherwise")`.

    Several tests of one row: each keeps its own sentence, by the name of the test.
    """

    def say(text: str) -> None:
        record_property("figure", text)
        if LONG:
            _write(_row(request.node), request.node.name, text)

    return say


@pytest.fixture
def silent_database() -> Iterator[str]:
    """The address of a database that takes connections and never says a word."""
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(server.accept()[0])
            except OSError:              # closed
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=take, daemon=True).start()
        yield f"postgresql://u:p@127.0.0.1:{server.getsockname()[1]}/x"
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


def _write(row: int | None, name: str, text: str) -> None:
    page = TABLE.read_text(encoding="utf-8")
    said = f"{text} ({datetime.datetime.now(datetime.UTC).date()})"
    assert f"\n| {row} | " in page, f"docs/reliability.md has no row {row}"
    TABLE.write_text(LINE.sub(lambda line: _cell(line, str(row), name, said), page), encoding="utf-8")


def _cell(line: re.Match[str], row: str, name: str, said: str) -> str:
    if line[1] != row:
        return line[0]
    *cells, last = line[0].strip("| ").split(" | ")
    figures = dict(re.findall(r"`([^`]+)`: (.*?)(?:<br>|$)", last)) | {name: said.replace("|", "/")}
    return f"| {' | '.join(cells)} | {'<br>'.join(f'`{key}`: {value}' for key, value in figures.items())} |"
