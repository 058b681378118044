"""What a daemon does with a request, in a process that test_kill.py kills: commit it, send it, follow its run."""

from typing import Any

from pydantic import TypeAdapter

from monitor.config.pipeline_sections import Pipeline as Section
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import open_pipeline
from monitor.store import Store
from tests.retrain import dying
from tests.retrain.conftest import NOW, request_in
from tests.retrain.kinds import KINDS


def pipeline(name: str, url: str, **more: Any) -> Any:
    """The pipeline of a kind that goes to this address."""
    kind = KINDS[name]
    address = {kind.address: url + kind.suffix} | ({"login": url} if name == "azureml" else {})
    section = {"kind": name.split()[0], **kind.section, **address, "timeout": "5s"}
    return open_pipeline(TypeAdapter(Section).validate_python(section).model_copy(update=more))


def address(case: dying.Case) -> str:
    """Each death has a server of its own, by the first part of the path."""
    return f"{case['url']}/{case['name']}"


def delivered(case: dying.Case, store: Store) -> None:
    if not store.requests.all():
        request_in(store)
    outbox = Outbox(store, {"p": pipeline(case["story"], address(case))}, lambda: NOW)
    outbox.send_due()
    outbox.follow()


if __name__ == "__main__":
    dying.main(delivered)
