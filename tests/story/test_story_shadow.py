"""A candidate in shadow: its predictions stand beside the champion's, and it is judged as labels mature."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.gate_result import ShadowState
from monitor.promotion.versions import approve_promotion
from monitor.records import AliasSeen, Firing, MoveState

DAYS, EVERY_HOUR = 12, 24


@pytest.fixture
def live(world, made):
    """A model in service as version 1, with labels an hour after each row, and a place for a candidate, version 2."""
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.HOUR))
    world.rows = made.rows(0, DAYS, label_after=made.HOUR)
    world.write("log.parquet", world.rows)
    (world.folder / "shadow").mkdir()
    configured(world)
    return world


def configured(world, **given) -> None:
    """Windows are long, so that nothing but the candidate is measured: once a day."""
    world.model(**({"version": "1", "window": {"size": "28d"}, "promotion": shadow(world)} | given))


def shadow(world, **given):
    return {"shadow": {"path": str(world.folder / "shadow" / "{version}.parquet"), "version": "2", "since":
                       world.rows["timestamp"][0].as_py()} | given}


def says(world, error: float, *, version: str = "2", **columns: pa.Array) -> Path:
    """Write what the candidate says: the truth, wrong by so much; with other columns than these, or None without."""
    wrong = np.random.default_rng(5).normal(0, error, len(world.rows))
    table = {"id": world.rows["id"], "prediction": pa.array(world.rows["label"].to_numpy() + wrong)} | columns
    path = world.folder / "shadow" / f"{version}.parquet"
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)
    return path


def standing(world):
    return world.store.shadows.newest("m")


def audited(world) -> list[str]:
    return [one.action for one in world.store.audit.about("m") if "shadow" in one.action]


def test_a_better_candidate_is_promoted_once(live):
    """Undecided while rows are few, with the days left; then promoted. It is recorded and told once, however often
    driftd looks, and without a registry the message says what to do."""
    says(live, 0.3)
    live.check(2)
    first = standing(live)
    assert (first.state, first.champion) == ("undecided", "1")
    assert "expected at least 100" in first.reason
    assert first.days_left == pytest.approx(2.2, abs=0.3)        # 47 labelled rows of 100, 24 a day
    for day in (7, 8, 9):
        live.check(day)
    found = standing(live)
    assert found.state is ShadowState.PROMOTED
    assert found.result.rows == 7 * EVERY_HOUR - 1
    assert live.said().count("shadow") == 1
    assert audited(live) == ["shadow begun", "shadow promoted"]
    [told] = [one for one in live.store.messages.all("m") if one.kind == "shadow"]
    assert told.title == "m: version 2, in shadow, is shown to be better"
    assert 'write version = "2" into [models.m]' in told.body


def test_a_candidate_may_answer_in_a_table_of_its_version(live):
    """`{version}` stands in a table's name as in a path; a version that is no part of one is said to be none."""
    told = pq.read_table(says(live, 0.3))
    with sqlite3.connect(live.folder / "answers.db") as database:
        database.execute("CREATE TABLE answers_2 (id TEXT, prediction REAL)")
        database.executemany("INSERT INTO answers_2 VALUES (?, ?)", zip(*told.to_pydict().values(), strict=True))
    place = {"path": None, "database": f"sqlite:///{live.folder}/answers.db", "table": "answers_{version}"}
    configured(live, promotion=shadow(live, **place))
    live.check(7)
    assert standing(live).state is ShadowState.PROMOTED
    configured(live, promotion=shadow(live, version="3; DROP", **place))
    live.check(8)
    assert "cannot be part of a table's name" in standing(live).reason


def test_a_worse_candidate_is_refused(live):
    """It is shown to be worse, which is told once; nothing comes into service, and it is not judged again."""
    says(live, 3.0)
    live.check(7)
    assert standing(live).state is ShadowState.REFUSED
    assert "is shown to be worse: better by at most -" in standing(live).reason
    says(live, 0.1)
    live.check(10)
    assert standing(live).state is ShadowState.REFUSED
    assert live.said().count("shadow") == 1
    assert live.store.promotions.all("m") == []


def test_an_equal_candidate_stays_undecided(live):
    """A candidate that says what the champion says is neither, and nobody is told."""
    says(live, 0, prediction=live.rows["prediction"])
    live.check(8)
    assert standing(live).state is ShadowState.UNDECIDED
    assert "shadow" not in live.said()


def test_a_person_is_asked_where_that_is_configured(live, made):
    """Like any version the promoted one waits for approval; once it is approved it is in service."""
    configured(live, retrain={"pipeline": "p", "approval": {"promotion": "person"}})
    says(live, 0.3)
    live.check(7)
    waiting = live.store.promotions.waiting("m")
    assert (waiting.version, waiting.origin, waiting.replaces) == ("2", "shadow", "1")
    approve_promotion(live.store, live.section, "ann", "looks right", made.START + 7 * made.DAY)
    live.check(8)
    assert live.store.references.current("m").model_version == "2"
    assert standing(live).state is ShadowState.PROMOTED


@pytest.mark.parametrize(("mode", "moves"), [("act", 1), ("observe", 0)])
def test_the_alias_is_moved(live, made, mode, moves):
    """With a registry the candidate is named by an alias, and that of the version in service is moved to it; in
    `mode = "observe"` it stays."""
    registry = {"kind": "mlflow", "url": "https://mlflow.example", "name": "m"}
    named = shadow(live, version=None, alias="challenger")
    configured(live, mode=mode, registry=registry, promotion=named)
    says(live, 0.3)
    live.check(7)
    assert standing(live) is None                                # the registry has not said which version it is
    live.store.aliases.note_seen(AliasSeen(model="m", version="1", shadow="2", read_at=made.START))
    live.check(7.1)
    found = [(one.from_version, one.to_version, one.by_whom, one.state) for one in live.store.aliases.moves("m")]
    assert found == [("1", "2", "driftd", MoveState.PENDING)] * moves
    assert standing(live).state is ShadowState.PROMOTED


def test_a_candidate_may_answer_in_batches(live):
    """The newest rows, which it was not asked about yet, count as little as those before its first answer."""
    silent = pa.array([None] * len(live.rows), pa.float64())
    says(live, 0.3, prediction=silent)
    live.check(3)
    assert "said nothing yet" in standing(live).reason
    said = [one if 24 <= at < 24 * 6 else None for at, one in enumerate(live.rows["label"].to_pylist())]
    says(live, 0.3, prediction=pa.array(said, pa.float64()))
    live.check(8)
    assert standing(live).state is ShadowState.PROMOTED
    assert standing(live).result.rows == 5 * EVERY_HOUR


def test_a_candidate_that_answered_none_but_earlier_rows_is_awaited(live):
    """Its ids are the log's, though of rows before the comparison begins: nothing is wrong, and nobody is told."""
    configured(live, promotion=shadow(live, since=live.rows["timestamp"][48].as_py()))
    says(live, 0.3, id=live.rows["id"][:48], prediction=live.rows["label"][:48])
    live.check(3)
    assert "said nothing yet of the rows since 2024-01-03" in standing(live).reason
    assert "source" not in live.said()
    says(live, 0.3)
    live.check(9)
    assert standing(live).state is ShadowState.PROMOTED


def test_broken_data_promote_nobody(live, made):
    """As long as broken-data fires the candidate stays undecided, and says why; then it is promoted."""
    says(live, 0.3)
    broken = Firing(model="m", trigger="broken-data", firing=True, since=made.START, reason="x is text")
    live.store.checks.note(broken, None)
    live.check(7)
    assert standing(live).state is ShadowState.UNDECIDED
    assert standing(live).reason.endswith("; but broken-data fires: x is text")
    live.store.checks.note(replace(broken, firing=False), None)
    live.check(8)
    assert standing(live).state is ShadowState.PROMOTED


def test_another_champion_is_another_comparison(live):
    """What was undecided beside the version before is superseded; rows of that version are not judged again."""
    says(live, 0, prediction=live.rows["prediction"])
    live.check(4)
    live.change(version="1b")
    live.check(6.5)
    found = standing(live)
    assert (found.champion, found.state, found.seq) == ("1b", "undecided", 2)
    assert found.since == live.store.references.current("m").since
    assert "shadow superseded" in audited(live)


BAD = {
    "ids of other rows": (
        lambda rows: {"id": pa.array([f"x{i}" for i in range(len(rows))])},
        "none of its 288 ids is that of a row of the log since 2024-01-01T00:00:00Z, expected the log's ids"),
    "repeated ids": (
        lambda rows: {"id": pa.array(rows["id"].to_pylist()[:-2] + rows["id"].to_pylist()[:2])},
        "2 rows repeat an id, expected one prediction of each row"),
    "no ids": (lambda rows: {"id": None, "row": rows["id"]}, "has no column id, which joins the candidate's"),
    "no predictions": (lambda rows: {"prediction": None, "a": rows["x"], "b": rows["x"]}, "no column of predictions"),
    "rows left out": (
        lambda rows: {"prediction": pa.array([None if i % 9 == 0 else 1.0 for i in range(len(rows))])},
        "says nothing of 21 of 190 labelled rows, expected at most 1%"),
}


@pytest.mark.parametrize("name", BAD)
def test_predictions_that_cannot_be_used_are_one_sentence(live, name):
    """It promotes nothing, people are told once, and once it is mended the candidate is judged."""
    columns, sentence = BAD[name]
    says(live, 0.3, **columns(live.rows))
    live.check(7)
    live.check(8)
    [firing] = [one for one in live.store.firings.all("m") if one.trigger == "shadow"]
    assert sentence in firing.reason
    assert standing(live).state is ShadowState.UNDECIDED
    assert [one.kind for one in live.store.messages.all("m") if one.trigger == "shadow"] == ["source"]
    says(live, 0.3)
    live.check(9)
    assert standing(live).state is ShadowState.PROMOTED
    assert [one.firing for one in live.store.firings.all("m") if one.trigger == "shadow"] == [False]


def test_the_version_in_service_is_no_candidate(live):
    """A shadow of the champion itself is one sentence, and nothing is judged."""
    says(live, 0.3, version="1")
    configured(live, promotion=shadow(live, version="1"))
    live.check(7)
    [firing] = [one for one in live.store.firings.all("m") if one.trigger == "shadow"]
    assert firing.reason == "promotion.shadow: version 1 is in service already, expected another one"
    assert standing(live) is None


def test_rows_before_its_first_prediction_are_not_judged(live):
    """A candidate that came later is judged from then on; rows it could not answer are not held against it."""
    late = 5 * EVERY_HOUR
    says(live, 0.3, prediction=pa.array([None] * late + live.rows["label"].to_pylist()[late:]))
    live.check(11)
    assert standing(live).state is ShadowState.PROMOTED
    assert standing(live).result.rows == 6 * EVERY_HOUR - 1
