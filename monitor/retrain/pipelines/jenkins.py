"""A parametrised Jenkins job, found again by the parameter that holds our id.

https://www.jenkins.io/doc/book/using/remote-access-api/. A request is first an item of the queue, which Jenkins forgets
five minutes after it became a build: then the build is looked for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from monitor.config.pipeline_sections import JenkinsPipeline
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Basic
from monitor.retrain.pipelines.rest import LISTED, TOLD, Rest, missing, parameters, segment, stated

RESULTS = {
    "SUCCESS": DispatchState.SUCCEEDED, "UNSTABLE": DispatchState.FAILED, "FAILURE": DispatchState.FAILED,
    "ABORTED": DispatchState.CANCELLED, "NOT_BUILT": DispatchState.CANCELLED,
}
BUILD = "number,url,building,result,actions[parameters[name,value]]"
ITEM = "id,url,cancelled,executable[url],actions[parameters[name,value]]"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Jenkins(Rest):
    KEY = "findable"
    ACCEPTED = (201, 303)                    # 303: the very same item is queued already

    def __init__(self, section: JenkinsPipeline, state_dir: Path | None) -> None:
        self._section, self._url = section, section.url.rstrip("/")
        self._job = self._url + "".join(f"/job/{segment(part)}" for part in section.job.split("/"))
        where = f"{self._url} {section.job}"
        super().__init__(where, section.timeout, section.ca, Basic(section.username, section.token))

    def _start(self, dispatch: Dispatch) -> Reply:
        told = {name.upper(): value for name, value in parameters(dispatch, {}).items()} | self._section.parameters
        return self._ask("POST", f"{self._job}/buildWithParameters", urlencode(told).encode(), headers=FORM)

    def _accepted(self, reply: Reply) -> Answer:
        """The place of the queue item; without it the build is found by its parameter."""
        place = urlsplit(_header(reply, "location")).path.strip("/")
        number = place.rsplit("/", 1)[-1]
        handle = f"queue/item/{int(number)}" if number.isdigit() else None
        return Answer(state=DispatchState.QUEUED, reason="accepted", handle=handle)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        handle = dispatch.handle or ""
        if handle.startswith("queue/"):
            return self._ask("GET", f"{self._url}/{handle}/api/json?{urlencode({'tree': ITEM})}")
        return self._ask("GET", f"{self._job}/{segment(handle)}/api/json?{urlencode({'tree': BUILD})}")

    def follow(self, dispatch: Dispatch) -> Answer:
        """Ask for the queue item, then for the build; what has left the queue is looked for by our id."""
        asked = super().follow(dispatch)
        left = dispatch.handle is None or (dispatch.handle.startswith("queue/") and asked.state is dispatch.state
                                           and asked.handle is None)
        if not left or asked.retry_after:
            return asked
        found = self.find(dispatch)
        return asked if found is None or found.state is DispatchState.AMBIGUOUS else found

    def _run(self, told: Any) -> Answer:
        if "building" not in told:
            return self._item(told)
        number, page = str(int(told["number"])), told.get("url")
        if told["building"] or told["result"] is None:
            return Answer(state=DispatchState.RUNNING, reason="the build runs", handle=number, url=page)
        return stated(RESULTS, told["result"], handle=number, url=page)

    def _item(self, told: Any) -> Answer:
        handle = f"queue/item/{int(told['id'])}"
        if told.get("cancelled"):
            return Answer(state=DispatchState.CANCELLED, reason="taken out of the queue", handle=handle)
        if build := (told.get("executable") or {}).get("url"):
            number = str(int(urlsplit(build).path.strip("/").rsplit("/", 1)[-1]))
            return Answer(state=DispatchState.RUNNING, reason="the build runs", handle=number, url=build)
        return Answer(state=DispatchState.QUEUED, reason="waits in the queue", handle=handle)

    def _search(self, dispatch: Dispatch) -> Answer | None:
        tree = urlencode({"tree": f"builds[{BUILD}]{{0,{LISTED}}}"})
        waiting = urlencode({"tree": f"items[{ITEM}]"})
        for told in (
            *self._read(f"{self._job}/api/json?{tree}", "the list of builds")["builds"],
            *self._read(f"{self._url}/queue/api/json?{waiting}", "the queue")["items"],
        ):
            if dispatch.id in _values(told):
                return self._run(told)
        return None

    def _problems(self) -> list[str]:
        tree = urlencode({"tree": "buildable,property[parameterDefinitions[name]]"})
        reply = self._ask("GET", f"{self._job}/api/json?{tree}")
        if reply.status == 404:
            return [f"{self._where}: there is no such job, or the user may not see it"]
        if reply.status != 200:
            return [f"{self._where} cannot be read ({reply.status}); may the user build this job?"]
        job = reply.json()
        declared = {parameter["name"] for part in job["property"] for parameter in part.get("parameterDefinitions", ())}
        needed = (*map(str.upper, TOLD), *self._section.parameters)
        lines = missing(needed, declared, self._where, "them as string parameters, Jenkins drops what it does not know")
        return [*([] if job["buildable"] else [f"{self._where} is disabled"]), *lines]


def _header(reply: Reply, name: str) -> str:
    return next((value for key, value in reply.headers.items() if key.lower() == name), "")


def _values(told: Any) -> Iterator[object]:
    """The values of a build's or queue item's parameters."""
    for action in told.get("actions", ()):
        yield from (parameter.get("value") for parameter in action.get("parameters", ()))
