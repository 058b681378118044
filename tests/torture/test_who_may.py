"""Row 17: requests with nothing or something wrong to show who they come from; forged and repeated reports."""

import json
import random
import string
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from monitor.times import utcnow
from tests.retrain.conftest import kit
from tests.retrain.test_callback import SUCCEEDED, Service, secret, service
from tests.web.conftest import ACT_TOKEN, METRICS_TOKEN, READ_TOKEN, TOKENS, Serve, serve
from tests.web.test_access import GUARDED, PASSWORD, USERS, WRONG, basic, bearer

__all__ = ["kit", "serve", "service"]      # fixtures
RIGHT = (METRICS_TOKEN, READ_TOKEN, ACT_TOKEN)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def wrong_credentials(chance: random.Random) -> str | None:
    """None, one of the known mistakes, or a right token or password with one thing changed."""
    if chance.random() < 0.3:
        return chance.choice(list(WRONG.values()))
    if chance.random() < 0.3:
        return basic(chance.choice(("ann", "bob", "eve")), changed(PASSWORD, chance))
    return chance.choice((bearer, str, "Token {}".format, "bearer\t{}".format))(changed(chance.choice(RIGHT), chance))


def changed(text: str, chance: random.Random) -> str:
    """The text with one sign replaced, added or taken away."""
    place, sign = chance.randrange(len(text)), chance.choice(string.ascii_letters + string.digits)
    kind = chance.randrange(3)
    made = text[:place] + (sign if kind < 2 else "") + text[place + (kind != 1):]
    return made if made != text else text + sign


@pytest.mark.torture(17)
def test_requests_without_the_right_token(
    serve: Serve, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """No path, method, host or page gets a byte of the state without a token that opens it."""
    site, chance, number = serve("users.ann = ['read']\n" + TOKENS, USERS), random.Random(seed), effort(150, 5_000)
    for _ in range(number):
        headers: dict[str, str] = {"Authorization": value} if (value := wrong_credentials(chance)) is not None else {}
        if chance.random() < 0.3:
            headers["Host"] = chance.choice(("evil.example", "127.0.0.1.evil.example", "169.254.169.254", "localhost"))
        if chance.random() < 0.3:
            headers["Origin"] = chance.choice(("null", "https://evil.example", "http://127.0.0.1:1"))
        if chance.random() < 0.3:
            headers["X_Forwarded_For"], headers["X_Forwarded_Host"] = "127.0.0.1", "localhost"
        path = chance.choice(GUARDED) + chance.choice(("", "", "?token=" + READ_TOKEN, "/../", "//", "%2f", ";x"))
        answer = site.ask(path, chance.choice(METHODS), **headers)
        assert (answer.status in (401, 403, 421, 429), answer.body) == (True, b""), (path, headers, answer)
    figure(f"{number:,} requests without the right token, from another name or page: 0 answered, 0 bytes")


@pytest.mark.torture(17)
def test_reports_that_are_forged_or_repeated(
    service: Any, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """A report that is not signed for this run, now, with the secret, changes nothing; nor does one taken before."""
    chance, number, before = random.Random(seed), effort(100, 5_000), service.store.requests.get(service.id)
    for _ in range(number):
        told = SUCCEEDED | {"model_version": str(chance.randrange(9))}
        answer = forged(service, chance, told)
        assert answer[0] in (401, 404), answer
        assert service.store.requests.get(service.id) == before
    assert service.woken == []
    at = utcnow()
    assert service.report(SUCCEEDED, at=at)[0] == 200
    taken = service.store.requests.get(service.id)
    for _ in range(number):
        assert service.report(SUCCEEDED, at=at)[0] == 409
    assert service.store.requests.get(service.id) == taken
    figure(f"{number:,} forged reports and {number:,} repetitions of a taken one: 0 effects")


def forged(service: Service, chance: random.Random, told: dict[str, object]) -> tuple[int, str]:
    """A report with one thing wrong about it."""
    kind = chance.randrange(5)
    if kind == 0:
        return service.report(told, key=secret())
    if kind == 1:
        return service.report(told, ago=timedelta(minutes=chance.choice((-1, 1)) * chance.randint(6, 10_000)))
    if kind == 2:
        return service.report(told, id=changed(service.id, chance))
    if kind == 3:
        return service.report(told, message=changed(service.id, chance))
    return service.post(f"/v1/runs/{service.id}", json.dumps(told), {
        "webhook-id": service.id, "webhook-timestamp": str(int(utcnow().timestamp())),
        "webhook-signature": chance.choice(("", "v1,", "v1,AAAA", "v1a,x", "v0," + secret()))})
