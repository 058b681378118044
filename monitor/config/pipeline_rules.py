"""Rules for `[pipelines.NAME]` that types cannot express: addresses, names of repositories, no secret in the file."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from monitor.config.keys import Key
from monitor.config.pipeline_sections import AirflowPipeline, CommandPipeline, GithubPipeline, Pipeline, PrefectPipeline

Problems = Iterator[tuple[Key, str]]

MOST_INPUTS, MOST_PAYLOAD = 23, 8             # GitHub takes 25 inputs and 10 keys of a payload; driftd adds two
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)$", re.IGNORECASE)


def address(key: Key, url: str) -> Problems:
    """Yield what is wrong with an address, without quoting it: it may hold a secret."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        yield key, "holds a blank or a sign that is not printed, expected an address without"
    elif not whole:
        yield key, 'expected an address that begins with https:// or http://, such as "https://ci.example/hook"'
    elif parts.password or parts.username:
        yield key, 'holds a user or password, expected an address without, or all of it as { env = "NAME" }'


def check(pipelines: Mapping[str, Pipeline]) -> Problems:
    """Yield every problem of the pipelines, with its key."""
    for name, pipeline in pipelines.items():
        key = ("pipelines", name)
        for part in ("url", "api", "login"):
            if isinstance(url := getattr(pipeline, part, None), str):
                yield from address((*key, part), url)
        if isinstance(pipeline, GithubPipeline):
            yield from _github(key, pipeline)
        elif isinstance(pipeline, AirflowPipeline | PrefectPipeline):
            yield from _account(key, pipeline)
        elif isinstance(pipeline, CommandPipeline):
            yield from _command(key, pipeline)


def _github(key: Key, pipeline: GithubPipeline) -> Problems:
    if (pipeline.workflow is None) == (pipeline.event_type is None):
        yield key, 'expected either workflow = "retrain.yml" or event_type = "retrain"'
    if (pipeline.token is None) == (pipeline.app is None):
        yield key, 'expected either token = { env = "NAME" } or app = { id = …, installation = …, key = … }'
    if len(pipeline.inputs) > (MOST_INPUTS if pipeline.event_type is None else MOST_PAYLOAD):
        most = f"{MOST_INPUTS} inputs of a workflow, {MOST_PAYLOAD} keys of an event"
        yield (*key, "inputs"), f"holds {len(pipeline.inputs)} entries, besides ours GitHub takes {most}"
    if not re.fullmatch(r"[\w-]+/[\w.-]+", pipeline.repository):
        yield (*key, "repository"), f'"{pipeline.repository}" is not OWNER/NAME, such as "acme/flights"'


def _account(key: Key, pipeline: AirflowPipeline | PrefectPipeline) -> Problems:
    if (pipeline.username is None) != (pipeline.password is None):
        yield key, "a username goes with a password, and a password with a username"
    elif pipeline.username is not None and pipeline.token is not None:
        yield key, "expected either a token or username and password"


def _command(key: Key, pipeline: CommandPipeline) -> Problems:
    for index, word in enumerate(pipeline.command):
        if "\0" in word or not (index or word.strip()):
            yield (*key, "command", index), "is empty or holds a zero byte, expected a program and its arguments"
    for name, value in pipeline.environment.items():
        place = (*key, "environment", name)
        if not name or "=" in name or "\0" in f"{name}{value}":
            yield place, "cannot be a variable: its name is empty or holds =, or there is a zero byte"
        elif isinstance(value, str) and _SECRET_NAME.search(name):
            yield place, 'a secret is never written in the file: expected such as { env = "NAME" }'
