"""RetrainOpt's online policies: each line of stdin is a JSON request, each line of stdout its answer.

`{"fit": "base" or "learned", "states": […], "actions": […]}` fits a policy to a history, `{"state": […]}` asks the
newest one whether to retrain. A state is [current staleness, accumulated staleness, steps since the last retrain].
"""

import json
import os
import sys

from retrainopt import BaseOnlinePolicy, Decision, DecisionAction, LearnedOnlinePolicy, OnlineState, PlanResult

ROWS = 1000      # of every training set: how many to use is not asked here


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    policy = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "fit" in asked:
            policy = fitted(asked)
            answer = True
        else:
            decided = policy.decide(state(0, asked["state"]), train_size=ROWS)
            answer = decided.action is DecisionAction.RETRAIN
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def fitted(asked):
    """Return a policy fitted to the states and actions of historical plans."""
    decisions = [decision(at, retrain) for at, retrain in enumerate(asked["actions"])]
    if asked["fit"] == "base":
        return BaseOnlinePolicy.from_plan(PlanResult("exact", decisions, 0.0, 0.0, 0.0))
    states = [state(at, values) for at, values in enumerate(asked["states"])]
    return LearnedOnlinePolicy().fit(states, decisions)


def decision(step, retrain):
    return Decision(DecisionAction.RETRAIN, ROWS, step) if retrain else Decision(DecisionAction.KEEP)


def state(step, values):
    current, accumulated, steps = values
    return OnlineState(step, current, accumulated, int(steps))


if __name__ == "__main__":
    main()
