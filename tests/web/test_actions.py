"""What people do from a page: who may, what protects it, what it leaves in the store and the audit."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from monitor.config import Config, ModelSection
from monitor.records import Approval, DispatchState, EpisodeState
from monitor.store import Store
from monitor.web.actions import GRAVE, Actions
from monitor.web.forms import FORM, Refused
from monitor.web.policy import ACT, READ, Principal
from tests.store.conftest import T0, WEEK, dispatch, episode, reference, snapshot, verdict
from tests.web.conftest import TOKENS, Serve, Site, asked
from tests.web.test_access import PASSWORD, USERS, basic, bearer

EVERY = (*sorted(GRAVE), "pause", "resume", "silence", "end-silence")
ANN = Principal("ann", "user", frozenset({ACT, READ}))
BOB = Principal("bob", "user", frozenset({ACT, READ}))
NOW = T0 + 3 * WEEK
SECTION = {"name": "m", "mode": "act", "predictions": {"path": "."}, "reference": {"source": {"path": "."}},
           "retrain": {"pipeline": "p", "approval": {"request": "person", "lapse": "36500d"}}}


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as opened:
        assert opened.references.install(reference(), None, T0)
        yield opened


@pytest.fixture
def actions(store: Store) -> Actions:
    config = Config(models={"m": ModelSection.model_validate(SECTION)})
    return Actions(store, lambda: config, lambda: NOW, asked, lambda: None)


def form(actions: Actions, principal: Principal = ANN, **given: str) -> bytes:
    """A form as a page of ours sends it."""
    usual = {"model": "m", "reason": "because", "sure": "yes", "token": actions.token(principal)}
    return urlencode({name: value for name, value in (usual | given).items() if value}).encode()


def wait_for_approval(store: Store) -> None:
    need = replace(episode(state=EpisodeState.AWAITING_APPROVAL), approval=Approval(asked_at=NOW, asked_by="bob"))
    assert store.checks.commit(snapshot(), expected_reference="r1", verdict=verdict(), episode=need)


def lose(store: Store) -> str:
    """A request of which nobody knows whether it arrived."""
    need = episode()
    lost = dispatch(need, state=DispatchState.AMBIGUOUS, unclear=1, tries=1)
    assert store.checks.commit(snapshot(), expected_reference="r1", verdict=verdict(), episode=need, dispatch=lost)
    return lost.id


def test_pause_and_resume(store: Store, actions: Actions) -> None:
    """The pause holds by the name of who signed in; both are in the audit with their reasons."""
    assert actions.act("pause", ANN, FORM, form(actions)).href == "/models/m"
    pause = store.pauses.current("m")
    assert pause is not None
    assert (pause.by, pause.reason) == ("ann", "because")
    actions.act("resume", BOB, FORM, form(actions, BOB, reason="good again"))
    assert store.pauses.current("m") is None
    said = [(entry.actor, entry.action, entry.reason) for entry in store.audit.by_people()]
    assert said == [("ann", "pause", "because"), ("bob", "resume", "good again")]


def test_silence_and_its_end(store: Store, actions: Actions) -> None:
    """A silence lasts as long as was said, about what was said; a span that is not offered is refused."""
    config = Config(models={"m": ModelSection.model_validate(SECTION)})
    actions.act("silence", ANN, FORM, form(actions, **{"for": "4h", "trigger": "broken-data"}))
    [one] = store.silences.in_force(config, "m", NOW)
    assert (one.trigger, one.by, (one.until - NOW).total_seconds()) == ("broken-data", "ann", 4 * 3600)
    for wrong in ({"for": "99d"}, {"for": "1h", "trigger": "none"},
                  {"for": "1h", "trigger": "source", "maintenance": "yes"}, {}):
        with pytest.raises(Refused, match="expected how long"):
            actions.act("silence", ANN, FORM, form(actions, **wrong))
    actions.act("end-silence", ANN, FORM, form(actions))
    assert store.silences.in_force(config, "m", NOW) == ()


def test_approval_by_another_person(store: Store, actions: Actions) -> None:
    """Who asked cannot approve; somebody else can, once, and the request is written."""
    wait_for_approval(store)
    with pytest.raises(Refused, match="bob"):
        actions.act("approve", BOB, FORM, form(actions, BOB))
    actions.act("approve", ANN, FORM, form(actions))
    assert [one.state for one in store.requests.all("m")] == [DispatchState.PENDING]
    with pytest.raises(Refused, match="no retrain awaits approval"):
        actions.act("approve", ANN, FORM, form(actions))


def test_rejection(store: Store, actions: Actions) -> None:
    """A rejected need asks for nothing."""
    wait_for_approval(store)
    actions.act("reject", ANN, FORM, form(actions))
    standing = store.episodes.standing("m")
    assert standing is not None
    assert (standing.state, store.requests.all("m")) == (EpisodeState.REJECTED, [])


def test_a_request_is_resolved_or_repeated(store: Store, actions: Actions) -> None:
    """What became of a lost request is said; one that has ended is repeated under a new id."""
    lost = lose(store)
    done = actions.act("resolve", ANN, FORM, form(actions, model="", request=lost, outcome="failed"))
    assert done.href == f"/requests/{lost}"
    assert store.requests.get(lost).state is DispatchState.FAILED
    with pytest.raises(Refused, match="has ended"):
        actions.act("resolve", ANN, FORM, form(actions, model="", request=lost, outcome="sent"))
    actions.act("retry-new", ANN, FORM, form(actions, model="", request=lost))
    assert [one.attempt for one in store.requests.all("m")] == [1, 2]


@pytest.mark.parametrize(("action", "given", "why"), [
    ("resume", {}, "is not paused"), ("end-silence", {}, "not silenced"), ("approve", {}, "no retrain awaits"),
    ("approve-version", {}, "no version awaits"), ("reject-version", {}, "no version awaits"),
    ("retrain", {}, "not been checked"), ("rollback", {"version": "7"}, "has no"), ("rollback", {}, "version to go"),
    ("retry", {}, "expected the request"), ("resolve", {"outcome": "sent"}, "expected the request"),
    ("resolve", {"outcome": "maybe"}, "what became of it"), ("retry", {"request": "none"}, "no such request"),
    ("pause", {"model": "none"}, "no such model"), ("pause", {"model": ""}, "no such model"),
])
def test_what_cannot_be_done_is_told(
    store: Store, actions: Actions, action: str, given: dict[str, str], why: str
) -> None:
    """An action that does not fit the state is refused in a sentence and changes nothing."""
    with pytest.raises(Refused, match=why) as refused:
        actions.act(action, ANN, FORM, form(actions, **given))
    assert refused.value.status == 409
    assert store.audit.by_people() == []


@pytest.mark.parametrize("action", sorted(GRAVE))
def test_what_cannot_be_undone_is_confirmed(actions: Actions, action: str) -> None:
    """Without the box ticked nothing is done."""
    with pytest.raises(Refused, match="cannot be undone"):
        actions.act(action, ANN, FORM, form(actions, sure=""))


@pytest.mark.parametrize("given", [
    {"token": ""}, {"token": "x" * 64}, {"token": "é"}, {"reason": " "}, {"reason": "x" * 2001},
])
def test_a_form_that_is_not_ours_is_refused(store: Store, actions: Actions, given: dict[str, str]) -> None:
    """No action is done without the token of a page that was made for this person, and a reason."""
    everything = form(actions, **given)
    for action in ("pause", "resume", "approve", "retry"):
        with pytest.raises(Refused):
            actions.act(action, ANN, FORM, everything)
    with pytest.raises(Refused, match="too old or not ours"):
        actions.act("pause", ANN, FORM, form(actions, BOB))
    assert (store.pauses.current("m"), store.audit.by_people()) == (None, [])


def test_no_action_is_taken_without_the_token_of_the_page(store: Store, actions: Actions) -> None:
    """Of every action: no token, another person's, one of another start of driftd, one cut short. None is accepted."""
    wait_for_approval(store)
    other = Actions(store, lambda: Config(models={}), lambda: NOW, asked, lambda: None)
    tokens = ("", actions.token(BOB), other.token(ANN), actions.token(ANN)[:-1], actions.token(ANN) + "0",
              actions.token(Principal("ann", "token", ANN.scopes)))
    before = len(store.audit.about("m"))
    for action in EVERY:
        for token in tokens:
            with pytest.raises(Refused, match="too old or not ours") as refused:
                actions.act(action, ANN, FORM, form(actions, token=token, version="1", outcome="sent", **{"for": "1h"}))
            assert refused.value.status == 403
    assert len(store.audit.about("m")) == before


@pytest.mark.parametrize("body", [b"", b"\xff", b"a=%ff", b"&".join([b"a=b"] * 40), b"=" * 10_000])
def test_noise_is_refused(actions: Actions, body: bytes) -> None:
    """A body that is no form of ours is told so, whatever it is; so is another type, or an unknown action."""
    with pytest.raises(Refused):
        actions.act("pause", ANN, FORM, body)
    for action, kind in (("pause", "application/json"), ("pause", ""), ("none", FORM)):
        with pytest.raises(Refused, match=r"expected a form|expected one of the actions"):
            actions.act(action, ANN, kind, form(actions))


# --- over the socket

@pytest.fixture
def site(serve: Serve) -> Site:
    return serve("users.ann = ['read', 'act']\nusers.bob = ['read']\n" + TOKENS, USERS, names=("m",))


def test_a_form_from_the_page_is_done_and_told(site: Site) -> None:
    """The page of who may act has forms; sending one leads back to the page, which tells what was done."""
    ann = basic("ann", PASSWORD)
    text = site.ask("/models/m", Authorization=ann).body.decode()
    token = re.search(r'name="token" value="(\w+)"', text)
    assert token is not None
    body = urlencode({"token": token[1], "model": "m", "reason": "a <b>reason</b>"}).encode()
    sent = {"Authorization": ann, "Content_Type": FORM, "Sec_Fetch_Site": "same-origin",
            "Origin": f"http://127.0.0.1:{site.port}"}
    answer = site.ask("/actions/pause", "POST", body=body, **sent)
    assert (answer.status, answer.headers["location"].split("?")[0]) == (303, "../models/m")
    after = site.ask(answer.headers["location"].removeprefix(".."), Authorization=ann).body.decode()
    assert "paused; no retrain is asked for" in after
    again = site.ask("/actions/resume", "POST", body=body.replace(token[1].encode(), b"x"), **sent)
    assert (again.status, b"too old or not ours" in again.body) == (403, True)
    assert [entry.actor for entry in site.store.audit.by_people()] == ["ann"]


def test_who_may_only_read_sees_no_form_and_does_nothing(site: Site) -> None:
    """Without the scope there is no form, and no action is taken however it is sent."""
    for given in (basic("bob", PASSWORD), bearer("r" * 32), bearer("m" * 32)):
        assert b"<form" not in site.ask("/models/m", Authorization=given).body
        for action in (*EVERY, "none"):
            answer = site.ask(f"/actions/{action}", "POST", body=b"model=m", Authorization=given, Content_Type=FORM)
            assert (answer.status, answer.body) == (403, b"")
    assert site.ask("/actions/pause", Authorization=basic("ann", PASSWORD)).status == 405
    assert site.store.audit.between(None, datetime.max.replace(tzinfo=UTC)) == []
