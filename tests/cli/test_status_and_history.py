"""`driftd status` and `driftd history` on a state with a story in it; a person's hand on it."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.gate_result import read_gate_result
from monitor.records import (
    Action,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Firing,
    Promotion,
    PromotionState,
    Recovery,
    Reference,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store import Store
from tests.gate.test_gate_result import GATE

CONFIG = """
[models.rides]
predictions = "rides.csv"
reference   = "first 30d"
mode        = "act"
timezone    = "Europe/Paris"

[models.rides.retrain]
pipeline = "local"

[pipelines.local]
kind    = "command"
command = ["true"]
"""
MIDNIGHT = datetime(2024, 2, 4, 23, tzinfo=UTC)      # of Monday the 5th in Paris
WEEK = timedelta(days=7)
REFERENCE = Reference(model="rides", id="ref", model_version=None, origin="first 30d", since=MIDNIGHT - WEEK)


def _window(week: int) -> Window:
    return Window(model="rides", start=MIDNIGHT + week * WEEK, end=MIDNIGHT + (week + 1) * WEEK, spec="7d")


def _snapshot(week: int, **changes: Any) -> Snapshot:
    return replace(
        Snapshot(
            window=_window(week), revision=0, taken_at=_window(week).end, reference_id="ref",
            model_version=None,
            config_hash="c", code_version="0", rows=168, labelled=160, late=2, sampled=1.0,
            mature=True, status=SnapshotStatus.OK, reason=None,
            scores=(
                Score(metric="regret", value=2.5, threshold=2.0, n=160),
                Score(metric="drift", method="ks", column="temp", value=0.001, threshold=0.05,
                      status=ScoreStatus.DRIFTED, n=168),
                Score(metric="drift", method="ks", column="hum", value=float("nan"), threshold=0.05, n=168),
            ),
        ),
        **changes,
    )


def _verdict(snapshot: Snapshot, action: Action, *fired: str, guards: tuple[str, ...] = ()) -> Verdict:
    said = ("retraining-pays saw 2.5, above 2: a value below 2 would have held",)
    return Verdict(
        window=snapshot.window, revision=snapshot.revision, at=snapshot.taken_at, action=action, fired=fired,
        guards=guards, reasons=said if fired else ("nothing fired",),
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state holds two windows: a quiet one, then a retrain that was asked for."""
    (tmp_path / "rides.csv").write_text("timestamp,prediction\n2024-01-01,1\n")
    path = tmp_path / "driftd.toml"
    path.write_text(CONFIG)
    quiet, loud = _snapshot(0), _snapshot(1)
    episode = Episode(
        id="e" * 40, model="rides", reference_id="ref", trigger="retraining-pays", window=loud.window,
        state=EpisodeState.REQUESTED, reason="regret 2.5 passed 2",
    )
    dispatch = Dispatch(
        id=Dispatch.new_id(episode.id, 1), episode_id=episode.id, attempt=1, model="rides", pipeline="local",
        state=DispatchState.PENDING, body="{}", created_at=loud.taken_at,
    )
    firing = Firing(
        model="rides", trigger="retraining-pays", firing=True, since=loud.window.end, reason="2.5 above 2"
    )
    with Store.open(tmp_path / "state") as store:
        store.references.install(REFERENCE, None, MIDNIGHT)
        store.checks.commit(quiet, expected_reference="ref", verdict=_verdict(quiet, Action.HOLD))
        store.checks.commit(
            loud, expected_reference="ref", verdict=_verdict(loud, Action.RETRAIN, "retraining-pays"),
            firing=[firing], episode=episode, dispatch=dispatch,
        )
    return path


def test_status_says_what_goes_on(driftd: Any, config: Path) -> None:
    """One line a model with its newest window in local time, what fires since when, and the request."""
    done = driftd("status", "-c", config)
    assert done.code == 0
    for text in ("rides", "act", "2024-02-12", "retrain", "retraining-pays", "pending", "need requested: 2.5 above 2"):
        assert text in done.out
    table = done.out.split("\nrides: ")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_an_explanation_has_the_gate_of_the_candidate(driftd: Any, config: Path) -> None:
    """What a gate said of the version that a need led to stands with the window the need began with."""
    with Store.open(config.parent / "state") as store:
        [request] = store.requests.all("rides")
        assert store.gates.record(request, read_gate_result(GATE), MIDNIGHT + 3 * WEEK)
    out = driftd("history", "--explain", "2024-02-12", "-c", config).out
    assert f"the gate of {request.id}, 2024-02-26: refused: rmse of b=2: shown to be worse" in out
    assert [line.split() for line in out.splitlines() if line.startswith("b=2")] == [
        ["b=2", "300", "40", "52", "-12", "-15", "-9", "refused"]]
    document = driftd("history", "--explain", "2024-02-12", "-c", config, "--json").json
    assert document["gates"][request.id]["outcome"] == "refused"


def test_status_shows_the_metric_its_reference_and_its_course(driftd: Any, config: Path) -> None:
    """One line says how the model does, with a bar for each window; the window's column names its time zone."""
    with Store.open(config.parent / "state") as store:
        for week, value in ((2, 4.0), (3, 8.0), (4, 6.0)):
            later = _snapshot(week, scores=(Score(metric="mae", value=value, reference=4.0, n=100),))
            store.checks.commit(later, expected_reference="ref", verdict=_verdict(later, Action.HOLD))
    out = driftd("status", "-c", config).out
    assert "rides: MAE now 6, before 4  ▁█▅ (3 windows)\n" in out
    told = driftd("status", "-c", config, "--json").json["models"][0]["metric"]
    assert (told["metric"], told["value"], told["reference"]) == ("mae", 6, 4)
    assert "window (Europe/Paris)" in out.splitlines()[0]
    assert "2024-02-05 – 2024-02-12" in driftd("history", "-c", config).out


def test_status_as_json(driftd: Any, config: Path) -> None:
    """--json prints one document with the same, times in UTC."""
    document = driftd("status", "-c", config, "--json").json
    [model] = document["models"]
    assert (document["schema_version"], document["messages_pending"]) == (2, 0)
    assert (model["window"]["start"], model["window"]["end"]) == ("2024-02-11T23:00:00Z", "2024-02-18T23:00:00Z")
    assert (model["mode"], model["action"], model["verdict"]["action"]) == ("act", "retrain", "retrain")
    assert model["paused"] is None
    assert [one["trigger"] for one in model["firing"]] == ["retraining-pays"]
    assert model["dispatch"]["state"] == "pending"
    assert model["episode"]["state"] == "requested"
    assert model["metric"] is None


def test_status_says_how_much_gains_count(driftd: Any, config: Path) -> None:
    """What earlier promotions brought is told in a sentence, and as a score to machines and in explanations."""
    words = "gains count 60%: so much of them 1 earlier promotion brought"
    later = _snapshot(2, scores=(Score(metric="gain_realised", value=0.6, n=1, reference=1.0, reason=words),))
    with Store.open(config.parent / "state") as store:
        store.checks.commit(later, expected_reference="ref", verdict=_verdict(later, Action.HOLD))
    assert f"rides: {words}\n" in driftd("status", "-c", config).out
    [model] = driftd("status", "-c", config, "--json").json["models"]
    assert model["gain_realised"]["value"] == 0.6
    assert "gain_realised" in driftd("history", "-c", config, "--explain", "newest").out


def test_status_before_any_check(driftd: Any, config: Path) -> None:
    """A model that was never checked is listed, and nothing fails."""
    config.write_text(CONFIG.replace("models.rides", "models.other"))
    done = driftd("status", "-c", config)
    assert done.code == 0
    assert "none yet" in done.out


def test_history_lists_windows(driftd: Any, config: Path) -> None:
    """Every window with its verdict, newest last; --limit keeps the newest."""
    lines = driftd("history", "-c", config).out.splitlines()[2:]
    assert [(line.split()[0], line.split()[4]) for line in lines] == [
        ("2024-02-05", "hold"), ("2024-02-12", "retrain"),
    ]
    found = driftd("history", "-c", config, "--limit", 1, "--json").json["windows"]
    assert [one["verdict"] for one in found] == ["retrain"]


def test_history_names_the_columns_a_trigger_fired_for(driftd: Any, config: Path) -> None:
    """Behind the trigger's name, the worst first, in the table of a terminal and, in one line, of a pipe."""
    config.write_text(CONFIG + '[[models.rides.triggers]]\nname = "moved"\nmetric = "drift"\ndrifted = true\n')
    scores = [Score(metric="drift", method="psi", column=name, value=value, threshold=0.2, status=ScoreStatus.DRIFTED)
              for name, value in (("hum", 0.3), ("temp", 0.9), ("wind\nspeed", 0.5), ("season", 0.4))]
    later = _snapshot(2, scores=tuple(scores))
    with Store.open(config.parent / "state") as store:
        store.checks.commit(later, expected_reference="ref", verdict=_verdict(later, Action.ALERT, "moved"))
    words = " ".join(driftd("history", "-c", config, "-n", 1).out.split())
    assert "alert moved (temp, wind\\nspeed, season" in words
    assert "1 more)" in words


@pytest.mark.parametrize("window", ["newest", "2024-02-12", "2024-02-11T23:00Z", "2024-02-14"])
def test_history_explains_a_window(driftd: Any, config: Path, window: str) -> None:
    """--explain finds a window by its start, a moment inside it, or as the newest, and says why."""
    done = driftd("history", "-c", config, "--explain", window)
    assert done.code == 0
    assert "rides, window 2024-02-12 – 2024-02-19 (Europe/Paris), revision 0" in done.out
    assert "168 rows (2 late), 160 labelled, labels mature" in done.out
    assert "a value below 2 would have held" in done.out
    assert "temp" in done.out
    assert "hum" not in done.out


def test_an_explanation_names_method_and_segment(driftd: Any, config: Path) -> None:
    """Two scores of one metric are told apart: by the segment they are of, and by their method."""
    scores = (
        Score(metric="mae", value=1.5, n=100), Score(metric="mae", segment="city=Paris", value=2.5, n=60),
        Score(metric="challenger_gain", method="mae", value=0.5, n=100),
    )
    later = _snapshot(2, scores=scores)
    with Store.open(config.parent / "state") as store:
        store.checks.commit(later, expected_reference="ref", verdict=_verdict(later, Action.HOLD))
    out = driftd("history", "-c", config, "--explain", "newest").out
    rows = {tuple(line.split()[:3]) for line in out.splitlines()}
    assert {("mae", "of", "city=Paris"), ("challenger_gain", "(mae)", "0.5")} <= rows


def test_history_explains_as_json(driftd: Any, config: Path) -> None:
    """--explain --json has the verdict, its reasons and every score; what is not a number is null."""
    document = driftd("history", "-c", config, "--explain", "newest", "--json").json
    assert document["verdict"] == "retrain"
    assert document["revisions"] == [0]
    assert [score["value"] for score in document["scores"]] == [2.5, 0.001, None]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--explain", "2020-01-01"), "no window 2020-01-01 has been checked"),
        (("--explain", "monday"), "'monday' is not a window, expected the date of its start"),
        (("--model", "ride"), "no model 'ride'; did you mean 'rides'?"),
    ],
)
def test_what_is_not_there_is_said(
    driftd: Any, config: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """A window or model that is not there ends with 2 and one sentence."""
    done = driftd("history", "-c", config, *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


def test_a_pause_is_kept_and_ended(driftd: Any, config: Path, tmp_path: Path) -> None:
    """pause and resume change the status, and who, what and why are in the audit."""
    assert driftd("pause", "-c", config, "--by", "ada", "--reason", "new sensor").code == 0
    assert "paused by ada" in driftd("status", "-c", config).out
    assert driftd("resume", "-c", config, "--by", "ada", "--reason", "done").code == 0
    again = driftd("resume", "-c", config, "--by", "ada", "--reason", "done")
    assert (again.code, again.err) == (2, "rides is not paused\n")
    with Store.open(tmp_path / "state", exclusive=False) as store:
        trail = [(one.actor, one.action, one.subject, one.reason) for one in store.audit.by_people()]
    assert trail == [("ada", "pause", "rides", "new sensor"), ("ada", "resume", "rides", "done")]


def test_retry_and_resolve(driftd: Any, config: Path, tmp_path: Path) -> None:
    """A person sends a request again under its id, or says how it ended; then nothing is left to say."""
    name = f"driftd-{'e' * 40}-1"
    common = ("-c", config, "--by", "ada", "--reason", "I looked there")
    assert "is due" in driftd("retry", name, *common).out
    assert driftd("resolve", name, "failed", *common).out == f"rides: request {name} is failed\n"
    again = driftd("resolve", name, "sent", *common)
    assert again.code == 2
    assert "has ended" in again.err
    new = driftd("retry", name, "--new-attempt", *common)
    assert f"driftd-{'e' * 40}-2 is due" in new.out
    assert driftd("retry", "driftd-x-1", *common).code == 2
    with Store.open(tmp_path / "state", exclusive=False) as store:
        assert [one.action for one in store.audit.by_people()] == ["retry", "resolve failed", "retry --new-attempt"]


def test_a_reason_is_asked_for(driftd: Any, config: Path) -> None:
    """A person's command without --reason is a usage error."""
    done = driftd("pause", "-c", config)
    assert done.code == 2
    assert "--reason" in done.err


def test_notify_test_says_how_each_place_took_it(
    driftd: Any, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address it ends with 2; an address nobody answers at ends with 1, its secret part unsaid."""
    assert driftd("notify", "test", "-c", config).code == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))    # bound and not listening: refuses
        monkeypatch.setenv("PEOPLE", f"json://127.0.0.1:{taken.getsockname()[1]}/s3cret")
        config.write_text(CONFIG + '[notify]\nurls = [{ env = "PEOPLE" }]\n')
        done = driftd("notify", "test", "-c", config)
    assert done.code == 1
    assert done.out.startswith("json://127.0.0.1")
    assert "s3cret" not in done.out + done.err


def test_looking_needs_no_lock(driftd: Any, config: Path, tmp_path: Path) -> None:
    """While the service holds the state, looking works, and a check ends with 5 and names the holder."""
    with Store.open(tmp_path / "state"):
        assert driftd("status", "-c", config).code == 0
        done = driftd("check", "-c", config)
    assert done.code == 5
    assert "is held by process" in done.err


def test_a_damaged_state_is_refused(driftd: Any, config: Path, tmp_path: Path) -> None:
    """A state that is no database ends with 5, is said so, and is not started afresh."""
    database = tmp_path / "state" / "driftd.db"
    database.write_bytes(b"not a database" * 100)
    done = driftd("status", "-c", config)
    assert done.code == 5
    assert database.read_bytes().startswith(b"not a database")


def test_a_persons_word_is_asked_given_and_shown(driftd: Any, tmp_path: Path) -> None:
    """A retrain by hand waits for somebody else's yes; status says how, history who said what."""
    text = CONFIG.replace('pipeline = "local"', 'pipeline = "local"\napproval = { request = "person" }', 1)
    (tmp_path / "driftd.toml").write_text(text)
    (tmp_path / "rides.csv").touch()
    with Store.open(tmp_path / "state") as store:
        store.references.install(REFERENCE, None, MIDNIGHT)
        store.checks.commit(_snapshot(0), expected_reference="ref")
    by_hand = ("-c", "driftd.toml", "--model", "rides")
    assert "another person" in driftd("retrain", *by_hand, "--by", "ann", "--reason", "new prices").out
    assert "`driftd approve` or `driftd reject` answers it" in driftd("status", "-c", "driftd.toml").out
    assert driftd("approve", *by_hand, "--by", "ann", "--reason", "I am sure").code == 2
    assert "approved; request driftd-" in driftd("approve", *by_hand, "--by", "bob", "--reason", "so am I").out
    shown = driftd("history", "-c", "driftd.toml").out
    assert "ann asked on" in shown
    assert "approved by bob" in shown
    (kept,) = driftd("history", "-c", "driftd.toml", "--json").json["approvals"]
    assert (kept["approval"]["asked_by"], kept["approval"]["decided_by"]) == ("ann", "bob")


def test_a_silence_is_shown_until_it_ends(driftd: Any, tmp_path: Path) -> None:
    """By hand, with a reason; status shows it, and a trigger that is not there is refused."""
    (tmp_path / "driftd.toml").write_text(CONFIG)
    (tmp_path / "rides.csv").touch()
    by_hand = ("-c", "driftd.toml", "--model", "rides", "--by", "ann", "--reason", "a known holiday")
    assert driftd("silence", *by_hand, "--trigger", "drfit", "--for", "2h").code == 2
    assert driftd("silence", *by_hand).code == 2
    assert driftd("silence", *by_hand, "--for", "2h", "--maintenance").code == 0
    assert "a known holiday, says ann" in " ".join(driftd("status", "-c", "driftd.toml").out.split())
    (silence,) = driftd("status", "-c", "driftd.toml", "--json").json["models"][0]["silences"]
    assert (silence["maintenance"], silence["trigger"], silence["by"]) == (True, None, "ann")
    assert driftd("silence", *by_hand, "--end").code == 0
    assert driftd("status", "-c", "driftd.toml", "--json").json["models"][0]["silences"] == []


PROMOTING = CONFIG.replace('pipeline = "local"', 'pipeline = "local"\napproval = { promotion = "person" }')


def _promotion(**given: Any) -> Promotion:
    return Promotion(**({
        "model": "rides", "version": "2", "replaces": None, "configured": None, "origin": "run",
        "state": PromotionState.TAKEN, "at": MIDNIGHT + WEEK,
    } | given))


def test_versions_are_told_with_what_came_of_them(driftd: Any, tmp_path: Path) -> None:
    """`status` and `history` say which version came how, by whose word, and whether its need has gone."""
    (tmp_path / "driftd.toml").write_text(CONFIG)
    (tmp_path / "rides.csv").touch()
    with Store.open(tmp_path / "state") as store:
        came = store.promotions.add(_promotion(decided_by="ann", decided_at=MIDNIGHT, reason="good"))
        reference = replace(REFERENCE, id="ref-2", model_version="2")
        store.references.install(REFERENCE, None, MIDNIGHT)
        store.references.install(reference, "ref", MIDNIGHT + WEEK)
        store.promotions.note_recovery(replace(came, recovery=Recovery.RECOVERED, recovery_reason="mae is 1.0"))
        store._db.run("UPDATE promotions SET need = 'wrong'")
        store.checks.commit(replace(_snapshot(0), reference_id="ref-2"), expected_reference="ref-2")
    for command in ("status", "history"):
        said = driftd(command, "-c", "driftd.toml").out
        assert "version 2 taken" in said
        assert "(run, ann: good), need wrong: recovered: mae is 1.0" in said
    assert driftd("status", "-c", "driftd.toml", "--json").json["models"][0]["promotion"]["recovery"] == "recovered"
    assert driftd("history", "-c", "driftd.toml", "--json").json["promotions"][0]["version"] == "2"


def test_a_person_answers_for_a_version(driftd: Any, tmp_path: Path) -> None:
    """`approve --promotion` and `reject --promotion` say what comes of it; without one that waits, 2."""
    (tmp_path / "driftd.toml").write_text(PROMOTING)
    (tmp_path / "rides.csv").touch()
    because = ("-c", "driftd.toml", "--promotion", "--by", "ann", "--reason", "looks right")
    assert driftd("approve", *because).code == 2
    for version, word, said in (("2", "approve", "version 2 is in service"), ("3", "reject", "version 3 is rejected")):
        with Store.open(tmp_path / "state") as store:
            store.promotions.add(_promotion(
                version=version, state=PromotionState.WAITING, replaces=None if version == "2" else "2"))
        assert f"version {version} waits" in driftd("status", "-c", "driftd.toml").out
        done = driftd(word, *because)
        assert (done.code, said in done.out) == (0, True), done
    with Store.open(tmp_path / "state") as store:
        assert [one.actor for one in store.audit.by_people()] == ["ann", "ann"]


def test_rollback_without_a_registry_says_what_a_person_does(driftd: Any, tmp_path: Path) -> None:
    """There is no alias to move: 2, and the steps."""
    (tmp_path / "driftd.toml").write_text(CONFIG)
    (tmp_path / "rides.csv").touch()
    done = driftd("rollback", "-c", "driftd.toml", "--to", "1", "--reason", "worse")
    assert done.code == 2
    assert 'put version 1 back into service, then write version = "1" into [models.rides]' in done.err


def test_rollback_with_a_registry_writes_the_wish(driftd: Any, tmp_path: Path) -> None:
    """The alias is moved later, by the service; `validate --online` says that the registry cannot be reached."""
    registry = '[models.rides.registry]\nkind = "mlflow"\nurl = "http://127.0.0.1:1"\nname = "rides"\n'
    config = CONFIG.replace("[models.rides.retrain]", registry + "[models.rides.retrain]")
    (tmp_path / "driftd.toml").write_text(config.replace('mode        = "act"', 'mode = "act"\nversion = "2"'))
    (tmp_path / "rides.csv").touch()
    done = driftd("rollback", "-c", "driftd.toml", "--to", "1", "--by", "ann", "--reason", "worse")
    assert (done.code, "the alias will be moved from version 2 to 1" in done.out) == (0, True)
    assert "the alias is being moved to version 1" in driftd("status", "-c", "driftd.toml").out
    assert "models.rides.registry: http://127.0.0.1:1" in driftd("validate", "-c", "driftd.toml", "--online").err
