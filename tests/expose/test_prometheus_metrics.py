import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.config.sections import Config
from monitor.expose.prometheus import MAX_COLUMNS, Metrics
from monitor.expose.status_document import status_document
from monitor.expose.view import View, read_view
from monitor.records import (
    Action,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Firing,
    Message,
    Reference,
    Score,
    ScoreStatus,
    Silence,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store import Store
from monitor.web.page import page

DAY = timedelta(days=1)
START = datetime(2025, 3, 3, tzinfo=UTC)
NOW = START + 60 * DAY
ROOT = Path(__file__).resolve().parents[2]
CONFIG = Config.model_validate({
    "models": {
        name: {"name": name, "mode": "act", "predictions": {"path": "log"}, "reference": {"first": "90d"}}
        for name in ("flights", "other")
    }
})
DRIFT = Score(
    metric="drift", method="psi", column="distance", value=0.31, reference=0.0, threshold=0.2,
    status=ScoreStatus.DRIFTED,
)
ACCURACY = Score(metric="accuracy", value=0.75, reference=0.82, low=0.71, high=0.79, n=700)


def window(number: int) -> Window:
    start = START + 7 * number * DAY
    return Window(model="flights", start=start, end=start + 7 * DAY, spec="s")


def snapshot(number: int = 1, scores: tuple[Score, ...] = (DRIFT, ACCURACY), **changes) -> Snapshot:
    made = Snapshot(
        window=window(number), revision=0, taken_at=NOW, reference_id="ref", model_version=None,
        config_hash="c", code_version="0", rows=1000, labelled=700, late=3, sampled=1.0, mature=False,
        status=SnapshotStatus.OK, reason=None, scores=scores,
    )
    return replace(made, **changes)


@pytest.fixture
def store():
    with Store.memory() as memory:
        memory.references.install(
            Reference(model="flights", id="ref", model_version="1", origin="r.csv", since=START), None, NOW
        )
        yield memory


def fill(store: Store) -> None:
    """A mature window, a newer one that fires and asks for a retrain, a message."""
    older = replace(ACCURACY, value=0.8)
    store.checks.commit(snapshot(0, (older,), mature=True), expected_reference="ref")
    episode = Episode(
        id="e" * 40, model="flights", reference_id="ref", trigger="retraining-pays", window=window(1),
        state=EpisodeState.REQUESTED, reason="it pays",
    )
    store.checks.commit(
        snapshot(1),
        expected_reference="ref",
        verdict=Verdict(
            window=window(1), revision=0, at=NOW, action=Action.RETRAIN, fired=("drift",), guards=(),
            reasons=("<b>drift</b> fires",),
        ),
        firing=[Firing(model="flights", trigger="drift", firing=True, since=window(1).end, reason="1 of 1")],
        episode=episode,
        dispatch=Dispatch(
            id=Dispatch.new_id(episode.id, 1), episode_id=episode.id, attempt=1, model="flights",
            pipeline="ci", state=DispatchState.PENDING, body="{}", created_at=NOW,
        ),
        messages=[Message(id="m", model="flights", kind="firing", title="t", body="b", created_at=NOW)],
    )


@pytest.fixture
def metrics(store):
    fill(store)
    made = Metrics("1.2.3")
    made.show(read_view(store, CONFIG, NOW))
    made.checked("flights", "judged", 2.5, NOW, ["retrain"])
    made.reloaded(True, NOW)
    return made


def values(metrics: Metrics) -> dict[str, float]:
    """Each line of the exposition, its labels without the empty ones, and its number."""
    lines = [line for line in metrics.render()[0].decode().splitlines() if not line.startswith("#")]
    pairs = (line.rsplit(" ", 1) for line in lines)
    return {re.sub(r',?\w+=""', "", name).replace("{,", "{"): float(number) for name, number in pairs}


def test_scores_are_exposed_with_what_they_are_compared_with(metrics):
    """Value, reference, interval, threshold and status of the newest window's scores are series."""
    found = values(metrics)
    drift = '{column="distance",method="psi",metric="drift",model="flights"}'
    accuracy = '{metric="accuracy",model="flights"}'
    assert found["driftd_score" + drift] == 0.31
    assert found["driftd_score_threshold" + drift] == 0.2
    assert found["driftd_score_drifted" + drift] == 1
    assert found["driftd_score" + accuracy] == 0.75
    assert found["driftd_score_reference" + accuracy] == 0.82
    assert found["driftd_score_low" + accuracy] == 0.71
    assert found["driftd_score_high" + accuracy] == 0.79
    assert found["driftd_score_drifted" + accuracy] == 0
    assert found['driftd_scores{model="flights",status="drifted"}'] == 1


def test_the_newest_mature_window_has_series_of_its_own(metrics):
    """While the newest window's accuracy is provisional, the last one known for sure stays visible."""
    found = values(metrics)
    assert found['driftd_mature_score{metric="accuracy",model="flights"}'] == 0.8
    assert found['driftd_mature_window_end_timestamp_seconds{model="flights"}'] == window(0).end.timestamp()
    assert found['driftd_window_end_timestamp_seconds{model="flights"}'] == window(1).end.timestamp()
    assert found['driftd_window_mature{model="flights"}'] == 0
    assert found['driftd_label_coverage_ratio{model="flights"}'] == 0.7


def test_triggers_needs_and_requests_are_exposed(metrics):
    """What fires, what was asked for and where it is can be alerted on."""
    found = values(metrics)
    assert found['driftd_trigger_firing{model="flights",trigger="drift"}'] == 1
    assert found['driftd_trigger_firing{model="flights",trigger="retraining-pays"}'] == 0
    assert found['driftd_trigger_firing{model="flights",trigger="source"}'] == 0
    assert found['driftd_source_up{model="flights"}'] == 1
    assert found['driftd_episode_state{model="flights",state="requested"}'] == 1
    assert found['driftd_dispatches{model="flights",pipeline="ci",state="pending"}'] == 1
    assert found['driftd_dispatch_requests_total{model="flights",pipeline="ci"}'] == 1
    assert found["driftd_messages_pending"] == 1
    assert found['driftd_verdicts_total{action="retrain",model="flights"}'] == 1


def test_a_silent_source_keeps_what_fires(store, metrics):
    """A failed source shows as down; the trigger that fired before stays at 1."""
    broken = snapshot(2, (), status=SnapshotStatus.SOURCE_FAILED, reason="gone", rows=0, labelled=0)
    gone = Firing(model="flights", trigger="source", firing=True, since=broken.window.end, reason="gone")
    store.checks.commit(broken, expected_reference="ref", firing=[gone])
    metrics.show(read_view(store, CONFIG, NOW))
    found = values(metrics)
    assert found['driftd_source_up{model="flights"}'] == 0
    assert found['driftd_trigger_firing{model="flights",trigger="drift"}'] == 1
    assert 'driftd_label_coverage_ratio{model="flights"}' not in found
    assert not [name for name in found if name.startswith("driftd_score{")]


def test_series_of_a_removed_model_vanish(store, metrics):
    """A model taken out of the configuration leaves no series, whatever the store remembers of it."""
    rest = CONFIG.model_copy(update={"models": {"other": CONFIG.models["other"]}})
    metrics.show(read_view(store, rest, NOW))
    metrics.forget("flights")
    assert not [name for name in values(metrics) if "flights" in name]
    assert [name for name in values(metrics) if 'model="other"' in name]


def test_columns_over_the_limit_are_counted_and_drifted_ones_kept(store, metrics):
    """With `metrics_columns = "all"` the first 200 columns have series, drifted ones above all; the rest is counted."""
    calm = [replace(DRIFT, column=f"c{number}", status=ScoreStatus.OK) for number in range(MAX_COLUMNS + 50)]
    store.checks.commit(snapshot(2, (*calm, replace(DRIFT, column="last"))), expected_reference="ref")
    daemon = CONFIG.daemon.model_copy(update={"metrics_columns": "all"})
    metrics.show(read_view(store, CONFIG.model_copy(update={"daemon": daemon}), NOW))
    found = values(metrics)
    assert len([name for name in found if name.startswith("driftd_score{")]) == MAX_COLUMNS
    assert found['driftd_score_drifted{column="last",method="psi",metric="drift",model="flights"}'] == 1
    assert found['driftd_columns_dropped{model="flights"}'] == 51


def test_columns_without_news_are_left_out_and_counted(store, metrics):
    """Columns have series where they drift or broke, each its bad scores, and where a trigger or `drift` names them."""
    calm = [replace(DRIFT, column=f"c{number}", status=ScoreStatus.OK) for number in range(10)]
    broken = Score(metric="missing_share", column="c3", value=0.9, status=ScoreStatus.BREACHED)
    store.checks.commit(snapshot(2, (*calm, broken, replace(DRIFT, column="last"))), expected_reference="ref")
    trigger = {"name": "t", "metric": "drift", "column": "c7", "drifted": True, "action": "alert"}
    model = {"name": "flights", "predictions": {"path": "log"}, "reference": {"first": "90d"}, "triggers": [trigger],
             "drift": {"columns": {"c8": {"method": "ks"}}}}
    metrics.show(read_view(store, Config.model_validate({"models": {"flights": model}}), NOW))
    found = values(metrics)
    shown = {(re.search(r'column="(\w+)"', name)[1], re.search(r'metric="(\w+)"', name)[1])
             for name in found if name.startswith("driftd_score{")}
    assert shown == {("c3", "missing_share"), ("last", "drift"), ("c7", "drift"), ("c8", "drift")}
    assert found['driftd_columns_dropped{model="flights"}'] == 7


def test_names_from_outside_are_escaped(store, metrics):
    """A column with quotes, a backslash and a line break stays one label value in both formats."""
    name = 'a"b\\c\nd}'
    store.checks.commit(snapshot(2, (replace(DRIFT, column=name),)), expected_reference="ref")
    metrics.show(read_view(store, CONFIG, NOW))
    for accept, parse in (("", parse_text), ("application/openmetrics-text", parse_openmetrics)):
        text = metrics.render(accept)[0].decode()
        labels = [s.labels for family in parse(text) for s in family.samples if s.name == "driftd_score"]
        assert [one["column"] for one in labels] == [name]


def test_openmetrics_where_asked_for(metrics):
    """The Accept header chooses the format; both hold the same series."""
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    text, kind = metrics.render(accept)
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    names = {s.name for family in parse_openmetrics(text.decode()) for s in family.samples}
    plain = {s.name for family in parse_text(metrics.render()[0].decode()) for s in family.samples}
    assert {name for name in plain if name.startswith("driftd_")} <= names


def test_every_metric_is_documented_with_its_type(metrics):
    """docs/metrics.md and /metrics name the same metrics with the same types."""
    rows = re.findall(r"^\| `(driftd_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    exposed = re.findall(r"^# TYPE (driftd_\w+) (\w+)", metrics.render()[0].decode(), re.MULTILINE)
    assert sorted(rows) == sorted(exposed)


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: tests/real/install")
def test_promtool_finds_nothing_to_mend(metrics):
    """`promtool check metrics` is silent about names, types and help texts of ours."""
    ours = metrics.render()[0]
    done = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_an_unchanged_view_is_not_rendered_again(store, metrics):
    """Scrapes between two checks get what was rendered once."""
    before = metrics._shown
    metrics.show(read_view(store, CONFIG, NOW + DAY))
    assert metrics._shown is before


def test_the_status_as_json_says_what_stands(store, metrics):
    """`/api/status` names window, verdict, firing triggers, need and requests, without bodies."""
    flights, other = status_document(read_view(store, CONFIG, NOW))["models"]
    assert flights["window"]["end"] == "2025-03-17T00:00:00Z"
    assert flights["verdict"]["action"] == "retrain"
    assert [one["trigger"] for one in flights["firing"]] == ["drift"]
    assert flights["episode"]["state"] == "requested"
    assert flights["dispatches"][0]["state"] == "pending"
    assert "body" not in flights["dispatches"][0]
    assert other["window"] is None


def test_nothing_known_yet_is_no_error():
    """A daemon that has not checked anything exposes its own metrics."""
    metrics = Metrics("1.2.3")
    metrics.show(View())
    assert values(metrics)['driftd_build_info{version="1.2.3"}'] == 1


def test_silences_are_seen_while_they_last(store):
    """Metrics, page and status show what is silent until when, and nothing of it afterwards."""
    until = NOW + timedelta(hours=2)
    store.silences.add(Silence(model="flights", until=until, reason="moving", maintenance=True, by="ann"), NOW)
    store.silences.add(Silence(model="flights", until=until, reason="<noisy>", trigger="drift", by="ann"), NOW)
    made, now = Metrics("1"), read_view(store, CONFIG, NOW)
    made.show(now)
    seen = values(made)
    assert seen['driftd_maintenance{model="flights"}'] == 1
    assert seen['driftd_silenced{model="flights"}'] == seen['driftd_silenced{model="flights",trigger="drift"}'] == 1
    assert "drift silenced until" in page(now)
    assert "&lt;noisy&gt;, says ann" in page(now)
    assert [one["trigger"] for one in status_document(now)["models"][0]["silences"]] == [None, "drift"]
    made.show(read_view(store, CONFIG, until))
    assert values(made)['driftd_maintenance{model="flights"}'] == 0
