"""Had each retrain been carried out: policies beside one another on the bundled rentals, and a price from a wish."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from monitor.backtest.chart import draw
from monitor.backtest.price_search import suggest
from monitor.backtest.replay import backtest
from monitor.backtest.simulation import rehearsal
from monitor.config.values import Budget, Level
from monitor.demo import world as rentals
from monitor.errors import CannotJudge, UsageError

FOUR_WEEKS = {"size": "28d", "min_rows": 100}
PAYS = {"name": "pays", "metric": "regret", "above": 2.0, "action": "retrain"}
FALLS = {"name": "falls", "metric": "rmse", "rise": "20%", "action": "retrain"}
LIMITS = {"pipeline": "p", "budget": "12 per year"}


def _section(folder, made, **given):
    from monitor.config import ModelSection

    return ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(folder / "log.parquet")}, "task": "regression", "metric": "rmse",
        "reference": {"source": {"path": str(folder / "reference.parquet")}}, "window": FOUR_WEEKS,
        "drift": {"threshold": "evidently"}, "estimation": {"enabled": False}, "columns": {"model_version": "model"},
        "triggers": [PAYS, FALLS], "retrain": LIMITS,
    } | given)


@pytest.fixture(scope="module")
def bikes(tmp_path_factory, made):
    """Nineteen windows of four weeks, answered by one model that cannot see that demand grows; all played once."""
    folder, rows = tmp_path_factory.mktemp("bikes"), rentals.rentals()
    begin = datetime.min.replace(tzinfo=rentals.OPENED.tzinfo)
    model = rentals.fit(rentals.between(rows, begin, rentals.FIRST_FIT))
    for name, start, end in (("reference", rentals.FIRST_FIT, rentals.OPENED), ("log", rentals.OPENED, rentals.CLOSED)):
        rentals.write(rentals.predict(model, rentals.between(rows, start, end), "1"), folder / f"{name}.parquet")
    section = _section(folder, made)
    result = backtest(made.loaded(section), "m", made.Here(), rehearsed=True)
    told = rehearsal(result.played, result.world, result.snapshots)
    return SimpleNamespace(folder=folder, section=section, result=result, told=told)


def test_a_rehearsed_backtest_says_what_a_plain_one_says(bikes, made):
    """Fitting ahead changes no verdict: the gains are those that each check would have measured itself."""
    plain = backtest(made.loaded(bikes.section), "m", made.Here())
    assert plain.verdicts == bikes.result.verdicts


def test_policies_are_ranked_sanely(bikes):
    """Rentals grow: the best schedule has net 1, never 0, retraining when it pays recovers most."""
    found = {one.name: one for one in bikes.told.policies}
    assert found["best schedule"].net == pytest.approx(1.0)
    assert found["never"].net == 0.0
    assert 0.6 < found["pays"].net <= 1.0
    assert found["pays"].retrains == len(found["pays"].schedule) > 0
    low, high = found["pays"].net_interval
    assert low <= found["pays"].net <= high
    assert found["best calendar"].net > 0
    assert bikes.told.mean(found["pays"]) < bikes.told.mean(found["never"])


def test_every_trigger_that_retrains_is_played_alone(bikes):
    """Each has its own row, one on regret also a row with going back; what alerts has none."""
    assert list(bikes.told.played) == ["pays", "pays, and going back", "falls"]


def test_the_proposed_price_gives_the_wished_number_once_in_the_file(bikes, made):
    """`--suggest` for so many a year; the price it writes, put into the file, asks exactly as often."""
    proposed = suggest(bikes.result, bikes.told, Budget.parse("1 per year"))
    assert proposed.wanted == 2
    assert proposed.policy.retrains == 2
    (line,) = [line for line in proposed.lines if line.startswith("above")]
    price = Level.parse(line.partition('"')[2].rstrip('"'))
    section = _section(bikes.folder, made, triggers=[PAYS | {"above": str(price), "about": "1 per year"}])
    result = backtest(made.loaded(section), "m", made.Here(), rehearsed=True)
    told = rehearsal(result.played, result.world, result.snapshots)
    assert told.played["pays"].schedule == proposed.policy.schedule
    assert told.price == pytest.approx(proposed.sds)


@pytest.mark.parametrize("ending", ["html", "svg"])
def test_the_picture_loads_nothing(bikes, tmp_path, ending):
    """Each policy with a schedule has its lane and a line; light and dark; nothing is fetched from elsewhere."""
    file = tmp_path / f"told.{ending}"
    draw(bikes.told, bikes.section.name, bikes.section.timezone, file)
    text = file.read_text()
    shown = [one for one in bikes.told.policies if one.schedule is not None]
    assert all(f">{one.name}: {one.retrains}</text>" in text for one in shown)
    assert text.count('class="series ') >= len(shown)
    assert "src=" not in text
    assert "prefers-color-scheme: dark" in text
    assert "This assumes that a retrain yields the challenger" in text


def test_a_wish_is_needed_and_must_fit_the_budget(bikes):
    """Without one, and with one that the budget would never allow, the sentence says what to write."""
    with pytest.raises(UsageError, match="no rate of retrains is given"):
        suggest(bikes.result, bikes.told, None)
    with pytest.raises(UsageError, match='"99 per 365d" is more than'):
        suggest(bikes.result, bikes.told, Budget.parse("99 per year"))


def test_where_nothing_may_be_fitted_nothing_is_rehearsed(bikes, made):
    """`rehearsal.enabled = false` is a promise."""
    section = _section(bikes.folder, made, rehearsal={"enabled": False})
    with pytest.raises(UsageError, match=r"rehearsal\.enabled is false"):
        backtest(made.loaded(section), "m", made.Here(), rehearsed=True)


def test_two_windows_are_too_few_to_rehearse(world, made):
    """With fewer than four windows there is nothing to compare."""
    world.write("log.parquet", made.rows(0, 3, label_after=timedelta(hours=1)))
    world.model(task="regression", metric="mae", rehearsal={"enabled": True})
    with pytest.raises(CannotJudge, match="3 windows, expected at least 4"):
        backtest(made.loaded(world.section), "m", made.Here(), rehearsed=True)
