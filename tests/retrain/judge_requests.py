"""Run by a Python that has the clients: asks the scripted server for the same things, the clients' own way.

Reads driftd's requests and what it knows of states; each request is made again by the client. Prints what the client
does not have: a call, a parameter, a key, a word for a state.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

Call = Callable[..., Any]


def gitlab(url: str) -> dict[str, Call]:
    from gitlab import Gitlab

    project = Gitlab(url, private_token="t0ken").projects.get("acme/flights", lazy=True)
    base = "/api/v4/projects/acme%2Fflights"

    def listed(query: Any, body: Any) -> Any:
        # python-gitlab sends whatever it is given; updated_after is GitLab's, and newer than its list
        if unknown := set(query) - {*project.pipelines._list_filters, "per_page", "updated_after"}:
            raise TypeError(f"pipelines cannot be listed by {', '.join(unknown)}")
        return project.pipelines.list(**query, get_all=False)

    return {
        f"POST {base}/pipeline": lambda query, body: project.pipelines.create(body),
        f"GET {base}/pipelines": listed,
        rf"GET {base}/pipelines/(\d+)": lambda query, body, id: project.pipelines.get(id),
        rf"GET {base}/pipelines/(\d+)/variables": lambda query, body, id: project.pipelines.get(
            id, lazy=True).variables.list(get_all=False),
        f"GET {base}/repository/branches/(.+)": lambda query, body, name: project.branches.get(name),
        f"GET {base}/repository/files/(.+)/raw": lambda query, body, path: project.files.raw(path, **query),
    }


def jenkins(url: str) -> dict[str, Call]:
    from jenkins import Jenkins

    server, job = Jenkins(url, "ada", "t0ken", timeout=20), "ml/retrain"
    return {
        "POST /job/ml/job/retrain/buildWithParameters": lambda query, body: server.build_job(job, body),
        r"GET /queue/item/(\d+)/api/json": lambda query, body, id: server.get_queue_item(int(id)),
        "GET /queue/api/json": lambda query, body: server.get_queue_info(),
        "GET /job/ml/job/retrain/api/json": lambda query, body: server.get_job_info(job),
        r"GET /job/ml/job/retrain/(\d+)/api/json": lambda query, body, id: server.get_build_info(job, int(id)),
    }


def github(url: str) -> dict[str, Call]:
    from githubkit import GitHub, TokenAuthStrategy

    client = GitHub(TokenAuthStrategy("t0ken"), base_url=url, auto_retry=False, http_cache=False)
    new, old = client.rest("2026-03-10"), client.rest("2022-11-28")
    where, base = ("acme", "flights"), "/repos/acme/flights"

    def dispatch(query: Any, body: Any, file: str, client: Any = client) -> Any:    # kept: its parts need it
        return new.actions.create_workflow_dispatch(*where, file, data=checked(body, "Workflow"))

    def event(query: Any, body: Any) -> Any:
        return old.repos.create_dispatch_event(*where, data=checked(body, "Repository"))

    return {
        f"POST {base}/actions/workflows/(.+)/dispatches": dispatch,
        f"POST {base}/dispatches": event,
        f"GET {base}/actions/workflows/(.+)/runs": lambda query, body, file: old.actions.list_workflow_runs(
            *where, file, **query),
        rf"GET {base}/actions/runs/(\d+)": lambda query, body, id: old.actions.get_workflow_run(*where, int(id)),
        f"GET {base}/contents/(.+)": lambda query, body, path: old.repos.get_content(*where, path, **query),
        f"GET {base}": lambda query, body: old.repos.get(*where),
    }


def checked(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """The body, if GitHub's description knows each of its keys."""
    from githubkit_schemas.v2022_11_28 import models as old
    from githubkit_schemas.v2026_03_10 import models as new

    model = (new.ReposOwnerRepoActionsWorkflowsWorkflowIdDispatchesPostBody if kind == "Workflow"
             else old.ReposOwnerRepoDispatchesPostBody)
    if unknown := set(body) - set(model.model_fields):
        raise TypeError(f"{model.__name__} has no {', '.join(unknown)}")
    model.model_validate(body)
    return body


def states(kind: str) -> Iterable[str]:
    """Every word for the state of a run that the client knows."""
    if kind == "gitlab":
        from gitlab.const import PipelineStatus

        return [str(one.value) for one in PipelineStatus]
    if kind == "jenkins":
        from api4jenkins.job import Project

        try:
            next(iter(Project.filter_builds_by_result(None, result="")))
        except ValueError as error:
            return re.findall(r"'(\w+)'", str(error))
    if kind == "github":
        import inspect

        from githubkit_schemas.v2026_03_10.rest import actions

        told = inspect.signature(actions.ActionsClient.list_workflow_runs).parameters["status"].annotation
        return [word for word in re.findall(r"'(\w+)'", str(told)) if word != "completed"]
    return []


def asked_again(calls: dict[str, Call], requests: list[Any]) -> Iterator[str]:
    for one in requests:
        place = f"{one['method']} {one['path']}"
        found = next(((call, match) for pattern, call in calls.items()
                      if (match := re.fullmatch(pattern, place))), None)
        if found is None:
            yield f"{place}: the client has no such call"
            continue
        call, match = found
        try:
            call(one["query"], one["body"], *map(unquote, match.groups()))
        except TypeError as error:
            yield f"{place}: {error}"


CLIENTS = {"gitlab": gitlab, "jenkins": jenkins, "github": github}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    kind = asked["kind"].split()[0]
    said = list(asked_again(CLIENTS[kind](asked["url"]), asked["requests"]))
    if asked["states"]:
        ours, theirs = set(asked["states"]), set(states(kind))
        said += [f"{word}: not known to driftd" for word in sorted(theirs - ours)]
        said += [f"{word}: not known to the client" for word in sorted(ours - theirs)]
    print(json.dumps(said))
