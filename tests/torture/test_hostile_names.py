"""Row 18: SQL and paths in names: of models, columns, tables, triggers, segments, pipelines, versions and runs."""

import random
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.cli import main
from monitor.records import Dispatch, Episode, Message, Window
from monitor.reference.profile import kept, profile_folder
from monitor.sources.databases.duckdb import DuckDB
from monitor.sources.databases.engine import Column
from monitor.store import Store
from tests.store.conftest import T0, WEEK, dispatch, episode, reference, snapshot, verdict
from tests.torture.test_hostile_text import _config, _rows
from tests.web.test_pages import Site, crawled, remember, serving

SQL = (
    "'", '"', "''", '""', "`", ";", "--", "/*", "*/", "\\", "\\'", "%", "%s", "%(a)s", "{}", "{0}", "?", ":a", "$1",
    "$$", "x' OR '1'='1", "'; DROP TABLE windows;--", '"; DELETE FROM audit;--', "') UNION SELECT * FROM meta--",
    "\x1a", "* FROM audit", "E'\\''", "U&\"d!0061t\" UESCAPE '!'", "[a]", "NULL", "\n", "\t", "é", "ﬀ", "＇", "\u2019",
    "x" * 300,
)
TIMES = pa.timestamp("us")
PATHS = (
    "..", ".", "/", "../", "../../../escaped", "/tmp/escaped", "~", "~root/x", "a/b", "a\\b", "..\\..\\x", "C:\\x",
    "%2e%2e%2f",
    "....//", "-rf", "state", "driftd.db", ".hidden", "CON", "a:b", "\n../x", "${HOME}/x", "$(id)", "*", "x" * 300,
    "é" * 200,
)
QUOTED = re.compile(r'"(?:[^"]|"")*"')


def drawn(pieces: tuple[str, ...], count: int, chance: random.Random) -> list[str]:
    """So many different names: pieces alone, then several together."""
    names = dict.fromkeys(chance.sample(pieces, min(count, len(pieces))))
    while len(names) < count:
        names["".join(chance.choices(pieces, k=3)) + str(len(names))] = None
    return list(names)


def schema(path: Path) -> list[object]:
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    database.close()
    return found


@pytest.mark.torture(18)
def test_sql_in_names_is_a_name_in_the_state(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """What is kept of models, columns, triggers and segments so called is read back, of each its own, and no more."""
    names = drawn(SQL, effort(40, 2_000), random.Random(seed))
    with Store.open(tmp_path / "state") as store:
        before = schema(tmp_path / "state/driftd.db")
        sent = {name: keep(store, name, place) for place, name in enumerate(names)}
        for name, (need, asked) in sent.items():
            [taken] = store.snapshots.newest_revisions(name)
            assert (taken.window.model, taken.scores[0].column, taken.scores[0].segment) == (name, name, name)
            assert [taken.scores[0]] == list(store.snapshots.newest_revisions(name, metrics={"drift"})[0].scores)
            assert [one.fired for one in store.verdicts.all(name)] == [(name,)]
            assert (store.episodes.all(name), store.requests.all(name)) == ([need], [asked])
            assert [one.title for one in store.messages.all(name)] == [name]
            assert [one.origin for one in store.references.all(name)] == [name]
            assert list(store.lineage.version_facts(name)) == [name]
            pause = store.pauses.current(name)
            assert pause is not None
            assert (pause.by, pause.reason) == (name, name)
        assert sorted(store.references.models()) == sorted(names)
        assert (store.audit.verify().problem, schema(tmp_path / "state/driftd.db")) == (None, before)
    figure(f"{len(names)} names with SQL in the state: each read back as it was, no table or row of another touched")


def keep(store: Store, name: str, place: int) -> tuple[Episode, Dispatch]:
    """Write everything about a model that can be called as somebody likes."""
    at, taken = Window(model=name, start=T0, end=T0 + WEEK, spec="7d"), snapshot()
    need = replace(episode(), id=Episode.new_id(name, "r1", name, at), model=name, window=at, trigger=name)
    score = replace(taken.scores[0], column=name, segment=name, reason=name)
    asked = replace(dispatch(need), model=name, pipeline=name)
    assert store.references.install(replace(reference(), model=name, origin=name, model_version=name), None, T0)
    assert store.checks.commit(
        replace(taken, window=at, model_version=name, scores=(score, *taken.scores[1:])), expected_reference="r1",
        verdict=replace(verdict(), window=at, fired=(name,), reasons=(name,)), episode=need, dispatch=asked,
        messages=[Message(id=str(place), model=name, kind=name, title=name, body=name, created_at=T0)],
    )
    store.pauses.begin(name, name, name, T0)
    store.lineage.note_version(name, name, {"git_revision": name}, T0)
    return need, asked


@pytest.mark.torture(18)
def test_sql_in_names_is_a_name_for_databases(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """Outside what is in quotation marks, a query is the same whatever table and columns are called."""
    chance, number, engine = random.Random(seed), effort(300, 100_000), DuckDB("", "", WEEK)
    for _ in range(number):
        table, column, moment = ("".join(chance.choices(SQL, k=2)) for _ in range(3))
        hostile, plain = (
            engine.query([Column(pa.field(text, TIMES), exact=False)], name,
                         f" WHERE {engine.limit(pa.field(at, TIMES), '>=', T0)}", 5)
            for name, text, at in ((table.replace(".", ""), f"{column}c", f"{moment}t"), ("table", "c", "t"))
        )
        assert QUOTED.sub("NAME", hostile) == QUOTED.sub("NAME", plain), hostile
    figure(f"{number:,} queries of databases with SQL in names: 0 changed by them")


@pytest.mark.torture(18)
def test_paths_in_names_lead_nowhere(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], figure: Callable[[str], None],
) -> None:
    """Every file that is written lies where it should: state, profiles, runs, reports, exports and backups."""
    chance, rounds = random.Random(seed), effort(1, 25)
    monkeypatch.setenv("HOOK", "x" * 32)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for turn in range(rounds):
        names = drawn(PATHS, 8, chance)
        folder = tmp_path / f"{turn}/a/b/c/d"
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        now = datetime.now(UTC).replace(microsecond=0)
        versions = {"model_version": [names[place % 3] for place in range(720)]}
        before = _rows(names, now - timedelta(days=30), timedelta(minutes=30), 0, seed)
        after = _rows(names, now - timedelta(days=3), timedelta(minutes=6), 5, seed + 1)
        pq.write_table(pa.table(before), "ref.parquet")
        pq.write_table(pa.table(after | versions), "log.parquet")
        Path("driftd.toml").write_text(re.sub(
            r'kind = "webhook"[\s\S]*', 'kind = "command"\ncommand = ["true"]\n', _config(names)), encoding="utf-8")
        for words in (("check",), ("report", "--html", "r.html"), ("window", "export", "-o", "e.csv"),
                      ("audit", "export", "-o", "a.zip"), ("state", "backup", "b")):
            assert main([*words, "-c", "driftd.toml"]) in (0, 3), (words, capsys.readouterr())
        assert "Traceback" not in "".join(capsys.readouterr())
        written = {path.relative_to(folder).parts[0] for path in (tmp_path / str(turn)).rglob("*")
                   if path.is_file()}
        assert written == {"ref.parquet", "log.parquet", "driftd.toml", "state", "r.html", "e.csv", "a.zip", "b"}
        for path in [*Path("state").rglob("*"), *Path("b").rglob("*")]:
            assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", path.name), path
        assert any(Path("state/runs").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(rounds)))
    figure(f"{rounds} models whose names, columns, triggers, pipelines and versions are paths: "
           "every file where it should be")


@pytest.mark.torture(18)
def test_names_on_pages_are_names(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """Models, columns, triggers, versions and pipelines so called have pages, each reached by links, each whole."""
    names = drawn(SQL + PATHS, effort(4, 200), random.Random(seed))
    with Store.memory() as store:
        for at, name in enumerate(names):
            remember(store, name, names[at - 1], windows=3)
        server = serving(store, *names)
        try:
            pages = crawled(Site(server, store), sorted_too=False)
        finally:
            server.close()
    scripts = {path: len(page.all("script")) for path, page in pages.items()}
    assert scripts == {path: int(not path.endswith("/report")) for path in pages}      # a report is read without one
    assert len([path for path in pages if "/columns/" in path]) == len(names)
    figure(f"{len(pages)} pages about {len(names)} models with SQL and paths in names: all reached, none harmed")


@pytest.mark.torture(18)
def test_profiles_stay_in_their_folder(tmp_path: Path, effort: Callable[[int, int], int], seed: int) -> None:
    """Whatever a profile is made from and keeps by name, its files lie in its own folder."""
    for name in drawn(PATHS, effort(50, 5_000), random.Random(seed)):
        folder = profile_folder(tmp_path / "profiles", name, name)
        assert folder is not None
        assert kept(folder, name, lambda name=name: {"is": name}) == {"is": name}
        assert folder.parent == tmp_path / "profiles"
    assert {path.name for path in tmp_path.iterdir()} == {"profiles"}
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json"}
    assert all(len(path.relative_to(tmp_path).parts) == 3 for path in tmp_path.rglob("*") if path.is_file())
