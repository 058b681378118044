"""Every error a user can meet, and the exit code each one means.

    DriftdError                 1  a fault of ours
    ├── UsageError              2  a command was used wrongly, or names what does not exist
    ├── ConfigError             2  the configuration is wrong; carries every problem at once
    ├── CannotJudge             4  too little data to answer
    │   └── SourceError         4  a source is missing, damaged, of another schema, or too slow
    ├── StateError              5  the state is damaged or newer than this program
    │   └── StateLocked         5  another daemon holds the state
    ├── TaskFailed              1  a worker's task raised; the traceback is in the log
    │   ├── TaskTimeout         4  … ran over its time: most often a slow source
    │   │   └── SourceSilent    4  … waited for a source that gave no sign of life
    │   └── WorkerDied          1  … or its process was killed (memory limit, signal)
    ├── DeliveryError           1  a request could not be handed over; see retrain.pipelines
    └── Stopping                0  the daemon is stopping, and what was under way says nothing about anything

The text of each is one sentence a person can act on: what, where, what was expected, what to do. It is one line of
bounded length, whatever names of columns and values it holds.
"""

from monitor.escape import sentence


class DriftdError(Exception):
    """Base of all; str() is the sentence shown to the user."""

    exit_code = 1

    def __init__(self, text: str = "") -> None:
        super().__init__(sentence(text))


class UsageError(DriftdError):
    exit_code = 2


class ConfigError(DriftdError):
    """All problems of a configuration, each "file:line: key: what is wrong, what was expected"."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        self.problems = [sentence(problem) for problem in problems]
        Exception.__init__(self, "\n".join(self.problems))


class CannotJudge(DriftdError):
    exit_code = 4


class SourceError(CannotJudge):
    pass


class StateError(DriftdError):
    exit_code = 5


class StateLocked(StateError):
    pass


class TaskFailed(DriftdError):
    pass


class TaskTimeout(TaskFailed):
    exit_code = 4


class SourceSilent(TaskTimeout):
    pass


class WorkerDied(TaskFailed):
    pass


class DeliveryError(DriftdError):
    pass


class Stopping(DriftdError):
    exit_code = 0
