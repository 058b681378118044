"""The registry at its worst, and a person's wish to move its alias; a real MLflow is in tests/real."""

import base64
import hashlib
import hmac
import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.config import Config
from monitor.config.sections import ModelSection, PromotionSection
from monitor.errors import DeliveryError, UsageError
from monitor.http import Unclear
from monitor.promotion.mlflow import Denied, Mlflow, NoAlias, signed_by_mlflow
from monitor.promotion.registry import Registries
from monitor.promotion.versions import approve_promotion, collect, in_service, reject_promotion, rollback
from monitor.records import Dispatch, DispatchState, MoveState, PromotionState
from monitor.retrain.outbox import Outbox, new_dispatch
from monitor.retrain.pipelines import Answer, Result
from monitor.store import Store
from monitor.times import format_moment

MINUTE = timedelta(minutes=1)


class Kept:
    """What an MLflow keeps, told and asked by its REST API; `fail` answers instead while it is set."""

    def __init__(self, server: Any) -> None:
        self.alias: str | None = "1"
        self.challenger: str | None = None   # the version in shadow
        self.fail: Any = None
        self.fail_after: Any = None          # answers instead of what it nevertheless did
        self.moves: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.url = server.url
        server.reply = self.reply

    def reply(self, seen: Any) -> Any:
        if self.fail is not None:
            return self.fail() if callable(self.fail) else self.fail
        path = urlsplit(seen.path)
        name = path.path.removeprefix("/api/2.0/mlflow/")
        told = seen.json() if seen.body else {key: value[0] for key, value in parse_qs(path.query).items()}
        answer = getattr(self, f"{seen.method}_{name}".replace("/", "_").replace("-", "_"))(told)
        return self.fail_after if self.fail_after is not None and seen.method == "POST" else answer

    def GET_registered_models_alias(self, told: Any) -> Any:
        version = self.challenger if told["alias"] == "challenger" else self.alias
        if version is None:
            return 400, {}, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias not found."}
        return 200, {}, {"model_version": {"name": told["name"], "version": version}}

    def POST_registered_models_alias(self, told: Any) -> Any:
        self.alias = told["version"]
        self.moves.append(told["version"])
        return 200, {}, {}

    def GET_experiments_get_by_name(self, told: Any) -> Any:
        return 200, {}, {"experiment": {"experiment_id": "7"}}

    def POST_runs_search(self, told: Any) -> Any:
        wanted = told["filter"].split("'")[1]
        found = [{"info": {"run_id": id}} for id, run in self.runs.items() if run["driftd.window"] == wanted]
        return 200, {}, {"runs": found}

    def POST_runs_create(self, told: Any) -> Any:
        id = f"run-{len(self.runs)}"
        self.runs[id] = {tag["key"]: tag["value"] for tag in told["tags"]} | {"metrics": {}}
        return 200, {}, {"run": {"info": {"run_id": id}}}

    def POST_runs_log_batch(self, told: Any) -> Any:
        run = self.runs[told["run_id"]]
        run["metrics"] |= {one["key"]: one["value"] for one in told["metrics"]}
        run.update({tag["key"]: tag["value"] for tag in told["tags"]})
        return 200, {}, {}

    def POST_runs_update(self, told: Any) -> Any:
        return 200, {}, {}


@pytest.fixture
def mlflow(server: Any) -> Kept:
    return Kept(server)


def model_of(kit: Any, mlflow: Kept, *, promotion: str = "automatic", **more: Any) -> ModelSection:
    registry = {"kind": "mlflow", "url": mlflow.url, "name": "flights", "timeout": "2s"} | more
    retrain = {"pipeline": "p", "approval": {"promotion": promotion}}
    made: ModelSection = kit.model(version="1", registry=registry, retrain=retrain)
    return made


def of(model: ModelSection, store: Store, clock: Any) -> Registries:
    return Registries(Config(models={"m": model}), store, clock)


def firing(store: Store) -> set[str]:
    return {one.trigger for one in store.firings.all("m") if one.firing}


@pytest.mark.parametrize("answer", [
    (500, {}, {}), (503, {"Retry-After": "9"}, b"busy"), (429, {}, {}), (401, {}, {"error_code": "UNAUTHENTICATED"}),
    (403, {}, {}), (404, {}, b"no such page"), (302, {"Location": "/login"}, b""), (200, {}, b"<html>"),
    (200, {}, {}), (200, {}, {"model_version": {}}), (200, {}, {"model_version": {"version": 3}}), (200, {}, []),
    (200, {}, b"[" * 70_000), b"nonsense\r\n\r\n", lambda: None,
    (400, {}, {"error_code": "INVALID_PARAMETER_VALUE"}), (404, {}, {"error_code": "RESOURCE_DOES_NOT_EXIST"}),
])
def test_whatever_it_answers_but_a_version_changes_nothing(store, clock, kit, mlflow, answer) -> None:
    """Down, missing, forbidden, redirected or nonsense: the version stays; after 15 minutes people hear of it, once."""
    store.references.install(kit.REFERENCE, None, clock.now)
    model = model_of(kit, mlflow)
    looking = of(model, store, clock)
    assert looking.look() == []
    mlflow.fail, began = answer, clock.now
    for _ in range(3):
        assert looking.look() == []
        clock.forward(5 * MINUTE)
    assert firing(store) == set()
    for _ in range(3):
        assert looking.look() == []
        clock.forward(5 * MINUTE)
    assert firing(store) == {"registry"}
    [told] = store.messages.all("m")
    assert (told.kind, told.title, told.next_try_at) == ("registry", "m: the registry cannot be read", told.created_at)
    since = format_moment(began)
    assert told.body.startswith(f"the registry cannot be read since {since}: ")
    assert told.body.endswith("; version and alias stay")
    assert in_service(store, model) == "1"
    mlflow.fail = None
    assert looking.look() == []
    assert firing(store) == set()
    [_, back] = store.messages.all("m")
    assert (back.title, back.next_try_at) == ("m: the registry is back", clock.now)
    assert back.body == f"the registry answers again; it had been away since {since}."
    assert store.aliases.seen("m").down_since is None


@pytest.mark.parametrize(("status", "code", "raised"), [
    (400, "INVALID_PARAMETER_VALUE", NoAlias), (404, "RESOURCE_DOES_NOT_EXIST", NoAlias),
    (404, "ENDPOINT_NOT_FOUND", Unclear), (400, "", Denied), (500, "RESOURCE_DOES_NOT_EXIST", Unclear),
    (503, "INVALID_PARAMETER_VALUE", Unclear), (401, "INVALID_PARAMETER_VALUE", Unclear),
])
def test_only_the_registrys_own_word_says_that_an_alias_is_not_there(kit, mlflow, status, code, raised) -> None:
    """Code and status together; a server that fails, or does not know the caller, says nothing of aliases."""
    mlflow.fail = (status, {}, {"error_code": code} if code else {})
    registry = Mlflow(model_of(kit, mlflow).registry)
    for ask in (registry.version, lambda: registry.move("2")):
        with pytest.raises(DeliveryError, match=f"answered {status} {code}".rstrip()) as caught:
            ask()
        assert type(caught.value) is raised


def test_a_registry_nobody_is_at(store, clock, kit, mlflow) -> None:
    """A port where nothing listens is as good as any other trouble."""
    mlflow.url = "http://127.0.0.1:1"
    looking = of(model_of(kit, mlflow), store, clock)
    assert looking.look() == []
    assert "127.0.0.1:1" in store.aliases.seen("m").reason


def test_the_candidate_in_shadow_is_read_by_its_alias(store, clock, kit, mlflow) -> None:
    """Another version there is looked at soon; an alias that is not there is no candidate, and no failure."""
    shadow = {"shadow": {"path": "shadow", "alias": "challenger"}}
    model = model_of(kit, mlflow).model_copy(update={"promotion": PromotionSection.model_validate(shadow)})
    registries = of(model, store, clock)
    registries.look()
    assert (store.aliases.seen("m").version, store.aliases.seen("m").shadow) == ("1", None)
    mlflow.challenger = "2"
    assert (registries.look(), registries.look()) == (["m"], [])
    assert (store.aliases.seen("m").shadow, in_service(store, model)) == ("2", "1")
    mlflow.challenger = None
    registries.look()
    assert (store.aliases.seen("m").shadow, firing(store)) == (None, set())


def test_the_alias_wins_over_the_file(store, clock, kit, mlflow) -> None:
    """With a registry `version` in the file counts only until the alias was read."""
    store.references.install(kit.REFERENCE, None, clock.now)
    model, mlflow.alias = model_of(kit, mlflow), "5"
    assert in_service(store, model) == "1"
    assert of(model, store, clock).look() == ["m"]
    assert in_service(store, model) == "5"
    assert in_service(store, model.model_copy(update={"version": "9"})) == "5"


@pytest.mark.parametrize("before", [lambda: None, (503, {}, {}), b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_an_unclear_move_is_cleared_up_by_looking(store, clock, kit, mlflow, before) -> None:
    """It was moved, and the answer lost: the next try finds it there, and moves nothing a second time."""
    store.references.install(kit.REFERENCE, None, clock.now)
    model = model_of(kit, mlflow)
    looking = of(model, store, clock)
    mlflow.alias = "2"
    looking.look()
    rollback(store, model, "1", "ann", "worse", clock.now)
    lost = before() if callable(before) else before
    mlflow.fail_after = lost if lost is not None else b""
    assert looking.move() == []
    assert looking.move() == []                      # not before its time
    assert (mlflow.moves, store.aliases.moves("m")[-1].state) == (["1"], MoveState.SENDING)
    mlflow.fail_after = None
    clock.forward(MINUTE)
    assert looking.move() == ["m"]
    assert (mlflow.moves, store.aliases.moves("m")[-1].state, in_service(store, model)) == (["1"], MoveState.DONE, "1")
    assert looking.look() == []
    newest = store.promotions.all("m")[-1]
    assert (newest.version, newest.origin, newest.decided_by, newest.reason) == ("1", "rollback", "ann", "worse")


def test_a_move_waits_while_the_registry_is_away(store, clock, kit, mlflow) -> None:
    """Hours offline cost nothing but delay; a second wish meanwhile is refused, and all of it is in the audit."""
    store.references.install(kit.REFERENCE, None, clock.now)
    model = model_of(kit, mlflow)
    looking = of(model, store, clock)
    mlflow.alias = "2"
    looking.look()
    rollback(store, model, "1", "ann", "worse", clock.now)
    mlflow.fail = (500, {}, {})
    for _ in range(6):
        assert looking.move() == []
        clock.forward(60 * MINUTE)
    with pytest.raises(UsageError, match="the alias is being moved to 1 already"):
        rollback(store, model, "3", "bob", "no, this one", clock.now)
    mlflow.fail = None
    assert looking.move() == ["m"]
    waits, done = store.messages.all("m")[-2:]
    assert waits.title == "m: the alias is not moved to version 1 yet"
    assert waits.body.startswith("ann asked for it: worse. ")
    assert waits.body.endswith(". It is tried again.")
    assert (done.title, done.body) == ("m: the alias names version 1", "ann asked for it: worse.")
    assert (waits.next_try_at, done.next_try_at) == (waits.created_at, done.created_at)
    hands = [(entry.actor, entry.action) for entry in store.audit.by_people()]
    assert hands == [("ann", "rollback"), ("ann", "promotion taken")]


def test_rollback_without_a_registry_says_what_to_do(store, kit) -> None:
    """There is nothing driftd could move: the sentence names what a person does."""
    with pytest.raises(UsageError, match=r'put version 1 back into service, then write version = "1" into'):
        rollback(store, kit.model(version="2"), "1", "ann", "worse", kit.NOW)


def test_rollback_to_what_is_there(store, clock, kit, mlflow) -> None:
    """A slip is said at once."""
    model = model_of(kit, mlflow)
    of(model, store, clock).look()
    with pytest.raises(UsageError, match="champion names version 1 already"):
        rollback(store, model, "1", "ann", "worse", clock.now)


def asked_back(store: Store, model: ModelSection, kit: Any) -> str:
    """Commit a need to go back to version 1, as a check would; return the request's id."""
    store.references.install(replace(kit.REFERENCE, model_version="2"), None, kit.NOW)
    need = replace(kit.need(), trigger="going-back-pays", version="1")
    made = new_dispatch(model, need, kit.snapshot(), kit.verdict(), kit.REFERENCE, kit.NOW)
    assert store.checks.commit(kit.snapshot(), expected_reference="ref1", verdict=kit.verdict(), episode=need,
                               dispatch=made)
    return made.id


@pytest.mark.parametrize(("meanwhile", "state", "serves"), [("2", "succeeded", "1"), ("3", "failed", "2")])
def test_a_version_that_is_asked_back_moves_the_alias(store, clock, kit, mlflow, meanwhile, state, serves) -> None:
    """The alias names it again and the request has succeeded; where somebody else moved the alias, it has failed."""
    model, mlflow.alias = model_of(kit, mlflow), "2"
    looking, outbox = of(model, store, clock), Outbox(store, {}, clock)
    looking.look()
    asked = asked_back(store, model, kit)
    outbox.send_due()
    outbox.send_due()
    assert store.requests.get(asked).state is DispatchState.RUNNING
    mlflow.alias = meanwhile
    looking.move()
    clock.forward(MINUTE)
    outbox.follow()
    assert (store.requests.get(asked).state, in_service(store, model)) == (state, serves)
    assert mlflow.alias == {"succeeded": "1", "failed": "3"}[state]
    store.references.install(replace(kit.REFERENCE, id="ref2", model_version="1"), "ref1", clock.now,
                             needs={"going-back-pays"})
    newest = store.promotions.all("m")[-1]
    if state == "succeeded":
        assert (newest.origin, newest.need, newest.decided_by) == ("rollback", "going-back-pays", "driftd")
    assert [one.title for one in store.messages.all("m") if "going back" in one.title] == [
        f"m: going back to version 1 {state}"]


class Made:
    """A pipeline whose run has made version 2 at once."""

    def key(self) -> str:
        return "native"

    def submit(self, dispatch: Dispatch) -> Answer:
        return Answer(state=DispatchState.SUCCEEDED, result=Result(model_version="2", reference="two.csv"))


def test_approved_it_moves_the_alias(store, clock, kit, mlflow) -> None:
    """A run says what it made, a person says yes, driftd moves the alias, and only then is it in service."""
    kit.request_in(store)
    model = model_of(kit, mlflow, promotion="person")
    looking = of(model, store, clock)
    looking.look()
    Outbox(store, {"p": Made()}, clock).send_due()
    collect(store, model, clock.now)
    assert store.promotions.waiting("m").version == "2"
    move = approve_promotion(store, model, "ann", "good", clock.now)
    assert (move.to_version, in_service(store, model), mlflow.alias) == ("2", "1", "1")
    assert looking.move() == ["m"]
    newest = store.promotions.newest_taken("m")
    assert (mlflow.alias, newest.version, newest.decided_by, newest.reference) == ("2", "2", "ann", "two.csv")
    collect(store, model, clock.now)
    assert (looking.look(), store.promotions.waiting("m")) == ([], None)


def test_without_approval_a_run_decides_nothing_beside_an_alias(store, clock, kit, mlflow) -> None:
    """What it made is in service once the alias names it, with the reference it named."""
    kit.request_in(store)
    model = model_of(kit, mlflow)
    looking = of(model, store, clock)
    looking.look()
    Outbox(store, {"p": Made()}, clock).send_due()
    collect(store, model, clock.now)
    assert in_service(store, model) == "1"
    mlflow.alias = "2"
    assert looking.look() == ["m"]
    taken = store.promotions.newest_taken("m")
    assert (taken.reference, taken.origin) == ("two.csv", "registry")


def test_a_moved_alias_waits_for_a_person_and_is_not_asked_about_twice(store, clock, kit, mlflow) -> None:
    """Rejected it stays out while the alias stays; moved away and there again it is asked about anew."""
    store.references.install(kit.REFERENCE, None, clock.now)
    model = model_of(kit, mlflow, promotion="person")
    looking = of(model, store, clock)
    looking.look()
    mlflow.alias = "2"
    for _ in range(2):
        looking.look()
    assert [one.state for one in store.promotions.all("m")] == [PromotionState.WAITING]
    reject_promotion(store, model, "ann", "no", clock.now)
    looking.look()
    assert [one.state for one in store.promotions.all("m")] == [PromotionState.REJECTED]
    for version in ("1", "2"):
        mlflow.alias = version
        looking.look()
    assert [one.state for one in store.promotions.all("m")] == [PromotionState.REJECTED, PromotionState.WAITING]
    mlflow.alias = "1"
    looking.look()
    assert store.promotions.waiting("m") is None
    mlflow.alias = "2"
    looking.look()
    assert approve_promotion(store, model, "ann", "yes", clock.now) is None
    assert in_service(store, model) == "2"


def test_a_run_for_each_window_once(store, clock, kit, mlflow) -> None:
    """Cut off in the middle it is logged again into the same run; the numbers are those of the whole and of columns."""
    kit.request_in(store)
    looking = of(model_of(kit, mlflow, experiment="driftd"), store, clock)
    chance, cut = random.Random(4), [(500, {}, {}), b"", (429, {}, {}), (200, {}, b"{")]
    for _ in range(8):
        mlflow.fail_after = chance.choice(cut)
        assert looking.track() == 0
        mlflow.fail_after = None
    assert looking.track() == 1
    assert looking.track() == 0
    (run,) = mlflow.runs.values()
    assert run["metrics"]["accuracy"] == 0.8
    assert run["metrics"]["drift.psi.column 1"] == pytest.approx(0.31)
    assert 0.1 not in run["metrics"].values()        # a segment's
    assert (run["driftd.model_version"], run["driftd.rows"]) == ("1", "1000")


def test_mlflows_signature() -> None:
    """`v1,` and the base64 of HMAC-SHA256 over id.timestamp.body; anything else is not MLflow's."""
    body, secret = json.dumps({"entity": "model_version_alias"}).encode(), "between us"
    right = base64.b64encode(hmac.new(secret.encode(), b"d1.170." + body, hashlib.sha256).digest()).decode()
    headers = {"x-mlflow-delivery-id": "d1", "x-mlflow-timestamp": "170", "x-mlflow-signature": f"v1,{right}"}
    assert signed_by_mlflow(secret, headers, body)
    for changed in ({"x-mlflow-timestamp": "171"}, {"x-mlflow-signature": right}, {"x-mlflow-delivery-id": "d2"}):
        assert not signed_by_mlflow(secret, headers | changed, body)
    assert not signed_by_mlflow("another", headers, body)
    assert not signed_by_mlflow(secret, {}, body)
    assert not signed_by_mlflow(secret, headers, body + b" ")
