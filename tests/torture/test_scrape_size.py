"""Row 9, the scrape: 100 models of 200 columns each, in a state made through the store."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.config.sections import Config
from monitor.expose.prometheus import Metrics
from monitor.expose.view import read_view
from monitor.records import Action, Firing, Reference, Score, ScoreStatus, Snapshot, SnapshotStatus, Verdict, Window
from monitor.store import Store

MODELS, COLUMNS = 100, 200
MOST_BYTES, MOST_SECONDS = 2_000_000, 1.0
NOW = datetime(2025, 3, 3, tzinfo=UTC)
WHOLE = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "log_loss", "brier",
         "average_precision", *(f"estimated_{name}" for name in ("accuracy", "recall", "precision", "f1", "roc_auc")))


def _config(**daemon: str) -> Config:
    model = {"predictions": {"path": "log"}, "reference": {"first": "90d"}, "triggers": [
        {"name": "watched", "metric": "drift", "column": "x7", "drifted": True, "action": "alert"},
    ]}
    return Config.model_validate({
        "daemon": daemon, "models": {f"model{at}": {"name": f"model{at}", **model} for at in range(MODELS)},
    })


def _scores(drifted: int) -> tuple[Score, ...]:
    """What a window of a model yields: drift and quality of each column, performance known and estimated."""
    of_columns = [
        Score(metric=metric, method=method, column=f"x{at}", value=0.123456 + at, reference=0.1, threshold=0.1,
              status=bad if at < drifted else ScoreStatus.OK, n=10_000)
        for at in range(COLUMNS)
        for metric, method, bad in (("drift", "wasserstein", ScoreStatus.DRIFTED),
                                    ("missing_share", None, ScoreStatus.BREACHED),
                                    ("out_of_range_share", None, ScoreStatus.OK))
    ]
    performance = [
        Score(metric=metric, value=0.87654321, reference=0.9, low=0.85, high=0.89, n=10_000)
        for metric in WHOLE
    ]
    return (*of_columns, *performance, Score(metric="drifted_share", value=0.3, threshold=0.5, n=COLUMNS))


def _fill(store: Store, config: Config, drifted: int) -> None:
    for name in config.models:
        store.references.install(
            Reference(model=name, id="ref", model_version="1", origin="r.parquet", since=NOW), None, NOW)
        window = Window(model=name, start=NOW, end=NOW + timedelta(days=1), spec="s")
        snapshot = Snapshot(
            window=window, revision=0, taken_at=NOW, reference_id="ref", model_version=None, config_hash="c",
            code_version="0", rows=10_000, labelled=9_000, late=3, sampled=1.0, mature=True, status=SnapshotStatus.OK,
            reason=None, scores=_scores(drifted),
        )
        verdict = Verdict(window=window, revision=0, at=NOW, action=Action.ALERT, fired=("drift",), guards=(),
                          reasons=("drift fires",))
        firing = [Firing(model=name, trigger="drift", firing=True, since=NOW, reason="1 of 1")]
        store.checks.commit(snapshot, expected_reference="ref", verdict=verdict, firing=firing)


@pytest.mark.torture(9)
@pytest.mark.parametrize("drifted", [0, 12, COLUMNS])
def test_a_scrape_of_many_models_is_small(drifted: int, figure: Callable[[str], None]) -> None:
    """However many columns drift, a scrape has at most 2 MB; what is left out is counted, named columns are there."""
    config = _config()
    with Store.memory() as store:
        _fill(store, config, drifted)
        metrics = Metrics("0")
        metrics.show(read_view(store, config, NOW + timedelta(days=1)))
    for name in config.models:
        metrics.checked(name, "judged", 1.0, NOW, ["alert"])
    began = time.process_time()
    text = metrics.render()[0]
    seconds = time.process_time() - began
    families = {family.name: family.samples for family in text_string_to_metric_families(text.decode())}
    figure(f"100 models × 200 columns, {drifted} drifted of each: a scrape of {len(text) / 1e6:.2f} MB, "
           f"{seconds:.2f} s of processor")
    assert len(text) <= MOST_BYTES
    assert seconds <= 5 * MOST_SECONDS          # the bound on an idle core, with room for a busy one
    columns = {(s.labels["model"], s.labels["column"]) for s in families["driftd_score"] if s.labels["column"]}
    assert {(name, "x7") for name in config.models} <= columns
    for sample in families["driftd_columns_dropped"]:
        shown = sum(model == sample.labels["model"] for model, _ in columns)
        assert sample.value == COLUMNS - shown


@pytest.mark.torture(9)
def test_all_columns_by_choice() -> None:
    """With `metrics_columns = "all"` every column of a model has its series, up to 200."""
    config = _config(metrics_columns="all")
    name = next(iter(config.models))
    config = config.model_copy(update={"models": {name: config.models[name]}})
    with Store.memory() as store:
        _fill(store, config, 0)
        metrics = Metrics("0")
        metrics.show(read_view(store, config, NOW + timedelta(days=1)))
    text = metrics.render()[0].decode()
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert len({s.labels["column"] for s in families["driftd_score"]} - {""}) == COLUMNS
