"""What people are told: one sentence, the figures that go with it, what driftd will do."""

from dataclasses import replace

import pytest

from monitor.config.sections import RegistrySection, RetrainSection
from monitor.decide.decision import decide
from monitor.decide.messages import asked_for
from monitor.decide.triggers import concerned
from monitor.escape import NAME
from monitor.records import Episode, EpisodeState, Score, ScoreStatus

MOVED = {"name": "moved", "metric": "drift", "drifted": True}
SHARE = {"name": "share", "metric": "drifted_share", "drifted": True}
LOW = {"name": "low", "metric": "roc_auc", "below": 0.7}
ASKS = {**LOW, "name": "asks", "action": "retrain"}
AUC = Score(metric="roc_auc", value=0.612, reference=0.684, low=0.6, high=0.62, n=1000)
METRIC = "ROC AUC now 0.612, before 0.684."
COLUMNS = "Drifted most: c 0.9 (psi, threshold 0.2), d 0.5 (psi, threshold 0.2), e 0.4 (psi, threshold 0.2) and 1 more."


def _told(made, *triggers, scores=(), **given):
    """The messages about one window, by what they are about."""
    drifted = [made.drift(value, column) for column, value in zip("abcde", (0.1, 0.3, 0.9, 0.5, 0.4), strict=True)]
    share = Score(metric="drifted_share", value=0.8, threshold=0.5, status=ScoreStatus.DRIFTED)
    window = made.snapshot(0, *(scores or (*drifted, share, AUC)))
    decision = decide(made.model(*triggers, **given), made.history(), window, made.START, newest=True)
    return {(one.trigger, one.kind): one for one in decision.messages}


@pytest.mark.parametrize(
    ("trigger", "sentence", "figures"),
    [
        (SHARE, "share fires: drifted_share is 0.8 (limit 0.5), most: c, d, e and 1 more.", [COLUMNS, METRIC]),
        (LOW, "low fires: roc_auc is 0.612 (limit 0.7, reference 0.684).", [METRIC, COLUMNS]),
    ],
)
def test_an_alert_is_a_sentence_its_figures_and_what_follows(made, trigger, sentence, figures):
    """The metric now and before, the columns that drifted most, first what it is about; then what driftd will do."""
    said = _told(made, trigger)[trigger["name"], "firing"].body.split("\n")
    assert said == [
        sentence, *figures, "driftd asks for no retrain because of this.",
        "Window 3 May 2013 to 10 May 2013, 1,000 rows, 1,000 of them labelled; reference reference.csv, model 2013-03.",
    ]


@pytest.mark.parametrize(
    ("given", "kind", "then"),
    [
        ({}, "requested", "driftd follows the run, and tells how it ends."),
        ({"mode": "observe"}, "suppressed", "This is decided again at every window."),
        ({"retrain": RetrainSection(pipeline="ci", approval={"request": "person"}, min_labels=0)}, "approval",
         "`driftd approve --model flights"),
    ],
)
def test_a_need_says_why_and_what_becomes_of_it(made, given, kind, then):
    """A request, a need that is held back and one that waits for a person tell both figures and what happens next."""
    said = _told(made, ASKS, **given)["asks", kind].body.split("\n")
    assert "asks fires: roc_auc is 0.612 (limit 0.7, reference 0.684)." in said[0]
    assert said[1:3] == [METRIC, COLUMNS]
    assert any(then in line for line in said[3:])


@pytest.mark.parametrize(
    ("given", "then"),
    [({}, "driftd asks ci to retrain, unless a guard objects."),
     ({"mode": "observe"}, "driftd asks nobody to retrain: it only observes this model.")],
)
def test_a_trigger_that_asks_says_whether_anybody_is_asked(made, given, then):
    """Beside the message of the request itself."""
    assert then in _told(made, ASKS, **given)["asks", "firing"].body.split("\n")


@pytest.mark.parametrize(
    ("version", "registry", "told"),
    [(None, True, "ci is asked to retrain"), ("3", True, "the registry is asked to go back to version 3"),
     ("3", False, "ci is asked to go back to version 3")],
)
def test_who_is_asked_for_what(made, version, registry, told):
    """A pipeline retrains; to go back a registry is asked where there is one."""
    section = RegistrySection(kind="mlflow", url="https://mlflow.test", name="flights") if registry else None
    episode = Episode(id="0" * 40, model="flights", reference_id="ref-1", trigger="low", window=made.window(0),
                      state=EpisodeState.REQUESTED, reason="low", version=version)
    assert asked_for(made.model(registry=section), episode) == told


def test_a_provisional_metric_is_said_to_be_one(made):
    """Who reads 0.612 knows that not all labels have come."""
    said = _told(made, LOW, scores=(replace(AUC, provisional=True),))["low", "firing"].body
    assert "ROC AUC now 0.612, before 0.684 (provisional: not all labels have come)." in said


def test_an_older_window_that_fires_a_trigger_is_told_with_the_values_of_now(made):
    """What a revision of an older window changes is said by what the newest window showed, as in every other place."""
    model = made.model({**LOW, "windows": "2 of 2"})
    stream = [made.snapshot(0, replace(AUC, value=0.75)), made.snapshot(1, replace(AUC, value=0.65))]
    _, past = made.play(model, stream)
    later = made.snapshot(0, replace(AUC, value=0.5), revision=1)
    decision = decide(model, past, later, made.START, newest=True)
    [told] = decision.messages
    [firing] = [one for one in decision.firing if one.trigger == "low"]
    assert told.body.startswith(f"low fires: {firing.reason}.")
    assert "roc_auc is 0.65" in firing.reason
    assert "labelled, measured again (revision 1);" in told.body


BOTH = {"name": "both", "all": ["low", "share"]}
IN_PARIS = {"name": "paris", "metric": "roc_auc", "segment": "city", "below": 0.7}


@pytest.mark.parametrize(
    ("trigger", "places"),
    [("share", list("cdeb")), ("moved", list("cdeb")), ("paris", ["city=Paris"]), ("both", list("cdeb")), ("low", []),
     ("broken-data", ["f"]), ("pays", []), ("unknown", [])],
)
def test_a_trigger_is_said_to_be_about_its_columns_and_segments(made, trigger, places):
    """Worst first; the members' where it names others; none where it is about the model as a whole."""
    pays = {"name": "pays", "metric": "regret", "above": 1.0, "action": "retrain"}
    triggers = made.model(LOW, SHARE, MOVED, IN_PARIS, BOTH, pays).triggers
    scores = [made.drift(value, column) for column, value in zip("abcde", (0.1, 0.3, 0.9, 0.5, 0.4), strict=True)]
    city = [Score(metric="roc_auc", segment=f"city={name}", value=value, low=value - 0.1, high=value + 0.05)
            for name, value in (("Rome", 0.8), ("Paris", 0.6))]
    nulls = Score(metric="missing_share", column="f", value=0.9, threshold=0.2, status=ScoreStatus.BREACHED)
    share = Score(metric="drifted_share", value=0.8, threshold=0.5, status=ScoreStatus.DRIFTED)
    assert concerned(triggers, trigger, [*scores, *city, nulls, share, AUC]) == places


def test_names_from_data_are_one_bounded_line(made):
    """Of a column whose name has a line break and a thousand characters, a message shows a name."""
    name = "evil\n" + "x" * 1000
    said = _told(made, SHARE, scores=(made.drift(0.9, name), AUC, Score(
        metric="drifted_share", value=0.8, threshold=0.5, status=ScoreStatus.DRIFTED)))["share", "firing"].body
    line = next(line for line in said.split("\n") if line.startswith("Drifted most: "))
    assert line.startswith(r"Drifted most: evil\nxxx")
    assert len(line) < NAME + 60
