"""Going back by the registry: the wish to move its alias is written, and the move followed until it has ended.

The move itself is made where every other move is, see `promotion/registry.py`.
"""

from monitor.errors import UsageError
from monitor.records import AliasMove, Dispatch, DispatchState, MoveState
from monitor.retrain.pipelines import Answer, Key
from monitor.store import Store
from monitor.store.audit import DRIFTD

ALIAS = "registry alias"        # stands for a pipeline's name in such requests
_STATES = {
    MoveState.PENDING: DispatchState.RUNNING, MoveState.SENDING: DispatchState.RUNNING,
    MoveState.DONE: DispatchState.SUCCEEDED, MoveState.REFUSED: DispatchState.FAILED,
}


class Alias:
    def __init__(self, store: Store) -> None:
        self._store = store

    def key(self) -> Key:
        return "native"

    def submit(self, dispatch: Dispatch) -> Answer:
        """Write the wish; a second time for the same request answers how the move is doing."""
        if found := self.find(dispatch):
            return found
        model, version = dispatch.model, dispatch.version
        named = self._store.aliases.seen(model).version
        if named is None or version is None:
            waits = "the registry has not said yet which version is in service"
            return Answer(state=DispatchState.PENDING, reason=f"{waits}; it is tried again")
        if named == version:
            return Answer(state=DispatchState.SUCCEEDED, reason=f"the alias names version {version} already")
        move = AliasMove(
            id=_id(dispatch), model=model, from_version=named, to_version=version, by_whom=DRIFTD,
            reason=dispatch.id, state=MoveState.PENDING, created_at=dispatch.created_at,
        )
        try:
            self._store.aliases.add_move(move, "rollback")
        except UsageError as error:          # another move is under way
            return Answer(state=DispatchState.PENDING, reason=f"{error}; it is tried again")
        return _answer(move)

    def find(self, dispatch: Dispatch) -> Answer | None:
        moves = (move for move in self._store.aliases.moves(dispatch.model) if move.id == _id(dispatch))
        return next((_answer(move) for move in moves), None)

    def follow(self, dispatch: Dispatch) -> Answer:
        lost = Answer(state=DispatchState.FAILED, reason="the wish to move the alias is not in the state any more")
        return self.find(dispatch) or lost

    def check(self) -> list[str]:
        return []


def _answer(move: AliasMove) -> Answer:
    how = {MoveState.DONE: "the alias names", MoveState.REFUSED: "the alias was not moved to"}
    words = f"{how.get(move.state, 'the alias is being moved to')} version {move.to_version}"
    return Answer(state=_STATES[move.state], handle=move.id, reason=f"{words}: {move.answer}" if move.answer else words)


def _id(dispatch: Dispatch) -> str:
    return f"move-{dispatch.id}"
