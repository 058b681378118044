"""The messages of docs/messages.md, made by the code that sends them, from a few weeks of flights that never flew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from monitor.config.sections import (
    ModelSection,
    ReferenceSection,
    RetrainSection,
    SourceSection,
    TriggerSection,
)
from monitor.decide.decision import decide
from monitor.decide.messages import note_look
from monitor.decide.triggers import SOURCE_DOWN
from monitor.escape import message as shown
from monitor.gate_result import ShadowAnswer, ShadowState
from monitor.history import History
from monitor.notify.letter import Form, Letter
from monitor.promotion import registry, shadow
from monitor.records import (
    AliasMove,
    Dispatch,
    DispatchState,
    Message,
    MoveState,
    Promotion,
    PromotionState,
    Recovery,
    Reference,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Window,
)
from monitor.retrain.outbox import message as of_request
from monitor.store import Store
from monitor.store.shadows import Shadow

URL = "https://driftd.example.org"
START, WEEK = datetime(2013, 5, 6, tzinfo=UTC), timedelta(days=7)
AUC = (0.697, 0.693, 0.641, 0.632)
_TRIGGERS = (
    TriggerSection(name="drift", metric="drifted_share", drifted=True),
    TriggerSection(name="auc-low", metric="roc_auc", below=0.65, windows="2 of 2", action="retrain"),
)
_NAMES = {
    "firing": "A trigger fires", "cleared": "A trigger clears", "suppressed": "A retrain is needed, and guards object",
    "approval": "A retrain awaits approval", "requested": "A retrain is asked for", "ended": "A run ends",
    "shadow": "A candidate in shadow is decided", "promotion": "A version awaits approval",
    "registry": "The registry's alias is moved", "recovered": "A new version has helped",
    "source": "The source is down",
}


def model(mode: str = "act", request: str = "automatic", promotion: str = "automatic") -> ModelSection:
    retrain = RetrainSection(pipeline="ci", cooldown="3d", budget="4 per 30d", min_labels=0,
                             approval={"request": request, "promotion": promotion})
    return ModelSection(
        name="flights", version="2013-03", mode=mode, metric="roc_auc", triggers=_TRIGGERS, retrain=retrain,
        predictions=SourceSection(path="flights/*.parquet"), reference=ReferenceSection(first="90d"),
    )


def snapshots() -> list[Snapshot]:
    """Four weeks: drift in the second and the third, ever worse from the third on."""
    return [_snapshot(number, auc, drifted=number in (1, 2)) for number, auc in enumerate(AUC)]


def _snapshot(number: int, auc: float, *, drifted: bool) -> Snapshot:
    far = {"distance": 0.61, "carrier": 0.34, "dep_hour": 0.27, "dest": 0.22} if drifted else {}
    columns = [
        Score(metric="drift", method="psi", column=name, value=far.get(name, 0.04), threshold=0.2,
              status=ScoreStatus.DRIFTED if name in far else ScoreStatus.OK)
        for name in ("distance", "carrier", "dep_hour", "dest", "month")
    ]
    share = Score(metric="drifted_share", value=len(far) / 5, threshold=0.5,
                  status=ScoreStatus.DRIFTED if drifted else ScoreStatus.OK)
    metric = Score(metric="roc_auc", value=auc, reference=0.697, low=auc - 0.013, high=auc + 0.013, n=6200)
    sd = Score(metric="metric_sd", method="roc_auc", value=0.011)
    window = Window(model="flights", start=START + number * WEEK, end=START + (number + 1) * WEEK, spec="weeks")
    return Snapshot(
        window=window, revision=0, taken_at=window.end + timedelta(hours=2), reference_id="ref-1",
        model_version="2013-03", config_hash="c", code_version="v", rows=6310, labelled=6201, late=0, sampled=1.0,
        mature=True, status=SnapshotStatus.OK, reason=None, scores=(*columns, share, metric, sd),
    )


def played(section: ModelSection, came: Promotion | None = None) -> list[Message]:
    """What people are told over the four weeks; `came`: the version that came before them."""
    reference = Reference(model="flights", id="ref-1", model_version="2013-03", origin="first 90d", since=START)
    past, told = History(reference=reference, promotion=came), []
    for one in snapshots():
        decision = decide(section, past, one, one.taken_at, newest=True)
        told += decision.messages
        firing = {**past.firing, **{each.trigger: each for each in decision.firing}}
        past = replace(past, snapshots=(*past.snapshots, one), firing=firing, episode=decision.episode or past.episode)
    return told


def of_versions() -> dict[str, Message]:
    """What people are told of a candidate that serves in shadow and is to replace the version in service."""
    now, person = START + 4 * WEEK, model(promotion="person")
    candidate = Shadow(model="flights", version="2013-05", champion="2013-03", since=START, began_at=START)
    words = "roc_auc is shown to be better: at least 0.017, by 24,804 labelled rows"
    better = ShadowAnswer(state=ShadowState.PROMOTED, reason=words)
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        shadow.note_answer(store, person, store.shadows.begin(candidate), better, now)
        told = {one.kind: one for one in store.messages.due(now)}
    moved = AliasMove(
        id="move-1", model="flights", from_version="2013-03", to_version="2013-05", by_whom="ann", state=MoveState.DONE,
        reason="better in shadow, and the clinics agree", created_at=now,
    )
    return told | {"registry": registry.move_ended(moved, None, now)}


def of_recovery() -> Message:
    """What people are told when the version that came has ended the need."""
    came = Promotion(
        model="flights", version="2013-03", replaces="2012-12", configured=None, origin="run", at=START, need="auc-low",
        state=PromotionState.TAKEN, recovery=Recovery.AWAITED,
    )
    return next(one for one in played(model(), came) if one.kind == "recovered")


def messages() -> dict[str, Message]:
    """One message of each kind."""
    found: dict[str, Message] = {}
    for section in (model(), model(mode="observe"), model(request="person")):
        for one in played(section):
            found.setdefault(one.kind, one)
    now = START + 4 * WEEK
    run = Dispatch(
        id=f"driftd-{'0' * 40}-1", episode_id="0" * 40, attempt=1, model="flights", pipeline="ci",
        state=DispatchState.SUCCEEDED, body="{}", created_at=now, reason="the run has ended well",
        url="https://ci.example.org/runs/7",
    )
    found["ended"] = of_request(run, "ended", now)
    found |= of_versions() | {"recovered": of_recovery()}
    if noticed := note_look("flights", SOURCE_DOWN, None, "flights/*.parquet: there is no such file", now):
        [_, told] = noticed
        if told is not None:
            found["source"] = told
    return {kind: found[kind] for kind in _NAMES}


def in_form(message: Message, form: Form) -> str:
    """Its body in a format, with the addresses of a driftd."""
    return Letter.of(message, URL).written(form)


def examples() -> str:
    """The chapters of docs/messages.md that are made here: each message as text, then one in every format."""
    told = messages()
    parts = [
        f"### {_NAMES[kind]}\n```text\n{shown(one.title)}\n\n{in_form(one, 'text')}\n```\n"
        for kind, one in told.items()
    ]
    first = told["firing"]
    parts.append("## One message in every format\n")
    for form, words in (("markdown", "Slack, Teams and other chats that take Markdown"), ("html", "Mail")):
        parts.append(f"### {words}\n```{form}\n{in_form(first, form)}\n```\n")
    return "\n".join(parts)

