"""Which column plays which part."""

import pytest

from monitor.config import Columns, Facts, find_roles
from monitor.errors import ConfigError

WHERE = "log.csv: columns"

MANY = Facts("float", 900, 1000)
WHEN = Facts("timestamp", 1000, 1000)
NAME = Facts("string", 1000, 1000)
FLAG = Facts("integer", 2, 1000)
LOG = {"timestamp": WHEN, "prediction_id": NAME, "age": MANY, "prediction": FLAG, "prediction_proba": MANY,
       "label": FLAG, "label_timestamp": WHEN}


def problems(columns: Columns, facts: dict[str, Facts], labels: dict[str, Facts] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        find_roles(columns, facts, labels, "log.csv")
    return caught.value.problems


def test_usual_names_are_found() -> None:
    """A log with our own names needs no configuration."""
    roles = find_roles(Columns(), LOG, None, "log")
    assert (roles.timestamp, roles.id, roles.prediction) == ("timestamp", "prediction_id", "prediction")
    assert (roles.probability, roles.label, roles.label_timestamp) == (
        "prediction_proba", "label", "label_timestamp")
    assert roles.features == {"age": "numerical"}


def test_case_does_not_matter() -> None:
    """Other usual names in other cases are found too."""
    roles = find_roles(Columns(), {"TS": WHEN, "Y_Pred": FLAG, "Actual": FLAG}, None, "log")
    assert (roles.timestamp, roles.prediction, roles.label) == ("TS", "Y_Pred", "Actual")


def test_rarer_names_count_where_no_usual_one_is() -> None:
    """They never compete with a usual name, so that nothing is between two."""
    facts = {"ts": WHEN, "y_hat": FLAG, "Y_Score": MANY, "true_label": FLAG}
    roles = find_roles(Columns(), facts, None, "log")
    assert (roles.prediction, roles.probability, roles.label) == ("y_hat", "Y_Score", "true_label")
    roles = find_roles(Columns(), facts | {"pred": FLAG, "score": MANY, "label": FLAG}, None, "log")
    assert (roles.prediction, roles.probability, roles.label) == ("pred", "score", "label")


def test_absent_parts_are_none() -> None:
    """Without labels there is no performance, but there are roles."""
    roles = find_roles(Columns(), {"ts": WHEN, "pred": MANY}, None, "log")
    assert (roles.id, roles.label, roles.probability, roles.model_version) == (None, None, None, None)


def test_two_candidates_are_an_error_that_names_them() -> None:
    """Nothing is guessed between two columns that could both be it; naming one settles it."""
    facts = {"event_time": WHEN, "created_at": WHEN, "prediction": FLAG}
    assert problems(Columns(), facts) == [
        f"{WHERE}.timestamp: event_time, created_at could each be it, expected one of them under columns"
    ]
    assert find_roles(Columns(timestamp="created_at"), facts, None, "log").timestamp == "created_at"


def test_our_own_name_outranks_others_and_types_settle() -> None:
    """`prediction` beats `predicted`; of date and time only the one that holds moments counts."""
    facts = {"date": WHEN, "time": FLAG, "prediction": FLAG, "predicted": FLAG}
    roles = find_roles(Columns(), facts, None, "log")
    assert (roles.timestamp, roles.prediction) == ("date", "prediction")
    assert set(roles.features) == {"time", "predicted"}


def test_an_integer_score_is_a_feature() -> None:
    """A probability is a broken number."""
    roles = find_roles(Columns(), {**LOG, "score": Facts("integer", 400, 1000)}, None, "log")
    assert (roles.probability, roles.features["score"]) == ("prediction_proba", "numerical")
    facts = {"ts": WHEN, "pred": FLAG, "score": Facts("integer", 400, 1000)}
    assert find_roles(Columns(), facts, None, "log").probability is None


def test_missing_parts_and_columns_all_at_once() -> None:
    """A named column that is not there and a part nobody plays are reported together."""
    usual = "prediction, predicted, pred, y_pred, …"
    one_of = "expected one of age, label, ts"
    found = problems(Columns(label="lable", features=("agee",)), {"age": MANY, "label": FLAG, "ts": WHEN})
    assert found == [
        f"{WHERE}.prediction: no column has a usual name for it ({usual}), {one_of}",
        f'{WHERE}.label: there is no column "lable", did you mean "label"? there are age, label, ts',
        f'{WHERE}.features: there is no column "agee", did you mean "age"? there are age, label, ts',
    ]


def test_the_columns_that_hold_times_are_offered_for_a_timestamp() -> None:
    """Where no usual name tells, only columns that could be it are named; all of them where none could."""
    columns = {"made": WHEN, "due": WHEN, "age": MANY, "pred": FLAG}
    (asked,) = problems(Columns(), columns)
    assert asked.endswith("expected one that holds times: made, due")
    (asked,) = problems(Columns(), {"age": MANY, "pred": FLAG})
    assert asked.endswith("expected one of age, pred")


def test_kinds_of_features() -> None:
    """Kinds are guessed as Evidently guesses, unless declared; times are no features."""
    facts = LOG | {"grade": FLAG, "count": Facts("integer", 11, 1000), "member": Facts("boolean", 2, 1000),
                   "city": Facts("string", 500, 1000), "note": Facts("string", 501, 1000), "seen": WHEN,
                   "blob": Facts("other", 0, 1000), "zip": Facts("integer", 800, 1000)}
    assert find_roles(Columns(categorical=("zip",)), facts, None, "log").features == {
        "age": "numerical", "grade": "categorical", "count": "numerical", "member": "categorical",
        "city": "categorical", "note": "text", "zip": "categorical",
    }


def test_listed_features_only() -> None:
    """A list of features is taken as it is; what cannot be a feature is refused."""
    assert list(find_roles(Columns(features=("age",)), {**LOG, "x": MANY}, None, "log").features) == ["age"]
    assert problems(Columns(features=("label", "seen"), categorical=("age",)), {**LOG, "seen": WHEN}) == [
        f'{WHERE}.features: "label" already has another role',
        f'{WHERE}.features: "seen" is of kind timestamp, expected numbers, text or booleans',
        f'{WHERE}.categorical: "age" is not a feature',
    ]


def test_labels_in_a_place_of_their_own() -> None:
    """Label and its time come from the labels' table, which must hold the id."""
    log = {"ts": WHEN, "id": NAME, "pred": FLAG, "x": MANY}
    roles = find_roles(Columns(), log, {"id": NAME, "outcome": FLAG, "labeled_at": WHEN}, "log")
    assert (roles.label, roles.label_timestamp, list(roles.features)) == ("outcome", "labeled_at", ["x"])
    other = "if the id has another name there, columns.label_id says so"
    assert problems(Columns(), log, {"key": NAME, "outcome": FLAG}) == [
        f'{WHERE}.id: the labels have no "id" to be joined on, they have key, outcome; {other}'
    ]
    del log["id"]
    one_of = "expected one of ts, pred, x"
    assert problems(Columns(), log, {"id": NAME, "outcome": FLAG}) == [
        f"{WHERE}.id: labels in a place of their own are joined on it, {one_of}"
    ]


KEYS = {
    "hash": Facts("string", 990, 1000, single=True), "running": Facts("integer", 1000, 1000, rises=True),
    "odometer": Facts("float", 1000, 1000, rises=True),
}
NO_KEYS = {
    "note": Facts("string", 990, 1000), "city": Facts("string", 400, 1000, single=True), "amount": MANY,
    "price": Facts("float", 1000, 1000), "step": Facts("integer", 600, 1000, rises=True),
    "few": Facts("string", 20, 20, single=True),
}
RISING = {"timestamp": Facts("timestamp", 1000, 1000, rises=True), "prediction": FLAG}


def test_columns_that_only_tell_rows_apart_are_no_features():
    """Ids, hashes, and numbers that grow with time; not texts with blanks, nor few rows."""
    roles = find_roles(Columns(), {**RISING, **KEYS, **NO_KEYS}, None, "log")
    assert set(roles.keys) == set(KEYS)
    assert set(roles.features) == set(NO_KEYS)


def test_numbers_that_grow_in_a_file_without_order_of_time_are_features():
    """A file sorted by a feature says nothing of the feature."""
    roles = find_roles(Columns(), {**LOG, **KEYS}, None, "log")
    assert roles.keys == ("hash",)


@pytest.mark.parametrize("columns", [
    Columns(types={"hash": "text"}), Columns(categorical=("hash",)), Columns(segments=("hash",)),
    Columns(features=("hash",)),
])
def test_whoever_names_such_a_column_has_it_watched(columns):
    """Under columns, or by a trigger or drift.columns (`watched`)."""
    assert "hash" in find_roles(columns, {**RISING, **KEYS}, None, "log").features
    assert "hash" in find_roles(Columns(), {**RISING, **KEYS}, None, "log", watched=["hash"]).features
