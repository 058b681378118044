"""A retrain that takes a person's word: asked, answered, remembered; and needs that dates and rows make."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.errors import UsageError
from monitor.retrain.approval import approve, reject

BY_PERSON = {"pipeline": "p", "cooldown": "0s", "budget": "9 per 1d", "min_labels": 0,
             "approval": {"request": "person", "lapse": "2d"}}


def at(day):
    """The moment, so many days after the beginning."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)


@pytest.fixture
def asked(world, made):
    """A world in which many rows have come on the third day, and a person's word is awaited."""
    world.write("log.parquet", made.rows(0, 2), made.rows(2, 8, per_day=48))
    world.model(made.MANY | {"above": 30, "action": "retrain"}, retrain=BY_PERSON)
    world.check(3)
    return world


def test_an_approved_need_is_sent_with_its_evidence(asked):
    """Nothing is written for the pipeline before the yes; both names and the reason are kept."""
    assert asked.store.requests.all("m") == []
    assert "approval" in asked.said()
    sent = approve(asked.store, asked.section, "ann", "the holidays are over", at(3.5))
    episode = asked.store.episodes.standing("m")
    assert (episode.state, sent.episode_id, sent.state) == ("requested", episode.id, "pending")
    answer = episode.approval
    assert (answer.asked_by, answer.decision, answer.decided_by, answer.reason) == (
        None, "requested", "ann", "the holidays are over")
    hands = [(entry.actor, entry.action, entry.subject) for entry in asked.store.audit.by_people()]
    assert hands == [("ann", "approve", sent.id)]
    with pytest.raises(UsageError, match="no retrain awaits approval"):
        approve(asked.store, asked.section, "ann", "again", at(3.6))


def test_a_rejected_need_is_silent_until_it_has_cleared(asked, made):
    """While many rows come nobody hears of it; when they came, stayed away and came again, people are asked again."""
    reject(asked.store, asked.section, "ann", "not now", at(3.5))
    asked.check(6)
    assert (asked.store.episodes.standing("m").state, asked.said().count("approval")) == ("rejected", 1)
    asked.write("log.parquet", made.rows(0, 2), made.rows(2, 4, per_day=48), made.rows(6, 1),
                made.rows(7, 2, per_day=48))
    asked.check(7)
    assert asked.store.episodes.standing("m") is None
    asked.check(8)
    assert (asked.store.episodes.standing("m").state, asked.said().count("approval")) == ("awaiting_approval", 2)


def test_an_approval_lapses_between_windows(asked):
    """At the first look after its time it lapses, people hear of it once, and it can no longer be approved."""
    with pytest.raises(UsageError, match="no retrain awaits approval"):
        approve(asked.store, asked.section, "ann", "late", at(5.1))
    asked.check(5.1)
    asked.check(5.2)
    assert (asked.store.episodes.standing("m").state, asked.said().count("approval")) == ("lapsed", 2)
    assert asked.store.requests.all("m") == []


def test_who_asked_cannot_approve(asked):
    """A person's own request takes the place of the standing need, and another person's word."""
    before = asked.store.episodes.standing("m")
    asked.checker(3.5).request("m", "ann", "new prices")
    assert asked.store.episodes.get(before.id).state == "superseded"
    with pytest.raises(UsageError, match="expected somebody else"):
        approve(asked.store, asked.section, "ann", "I am sure", at(3.6))
    with pytest.raises(UsageError, match="asked for already"):
        asked.checker(3.6).request("m", "ann", "new prices")
    sent = approve(asked.store, asked.section, "bob", "so am I", at(3.7))
    assert "new prices" in sent.body
    assert asked.store.episodes.standing("m").approval.asked_by == "ann"


def test_broken_data_cannot_be_approved(asked, made):
    """When the log breaks while a person thinks, the yes is refused."""
    broken = made.rows(3, 1, per_day=48).drop_columns(["x"])
    asked.write("log.parquet", made.rows(0, 2).drop_columns(["x"]), made.rows(2, 1, per_day=48).drop_columns(["x"]),
                broken)
    asked.check(4)
    with pytest.raises(UsageError, match="broken-data fires"):
        approve(asked.store, asked.section, "ann", "fine", at(4.1))
    assert asked.store.requests.all("m") == []


def test_new_rows_ask_once(world, made):
    """Enough new mature rows make one request, however often one looks."""
    world.write("log.parquet", made.rows(0, 8, label_after=made.HOUR))
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.HOUR))
    world.with_retrain({"name": "fresh", "metric": "new_rows", "above": 60, "action": "retrain"})
    for day in (3, 3.5, 4, 4.5, 5):
        world.check(day)
    (sent,) = world.store.requests.all("m")
    assert "new mature rows" in sent.body
    assert world.store.episodes.standing("m").trigger == "fresh"


def test_a_need_that_was_held_back_pays_for_all_windows_since(world, made):
    """Rows that came while it was held back are not new once more after the request."""
    world.write("log.parquet", made.rows(0, 9, label_after=made.HOUR))
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.HOUR))
    world.with_retrain({"name": "fresh", "metric": "new_rows", "above": 60, "action": "retrain"}, mode="observe")
    world.check(6.5)
    assert world.store.episodes.standing("m").state == "suppressed"
    world.change(mode="act")
    world.check(7.5)
    sent = world.store.requests.claim(at(7.6))
    world.store.requests.record(replace(sent, state="succeeded", accepted_at=at(7.6), ended_at=at(7.6)), was=sent.state)
    world.check(8.5)
    assert len(world.store.requests.all("m")) == 1
