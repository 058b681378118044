"""What HTTP answers to a retrain request mean; the success of each kind is its own matter."""

import re
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from monitor.http import NotSent, NotTheApi, Refused, Reply, Unclear
from monitor.records import DispatchState
from monitor.retrain.pipelines import Answer
from monitor.times import utcnow
from monitor.untrusted import MALFORMED

LONGEST_WAIT = timedelta(days=1)
RATE_LIMIT_WAIT = timedelta(minutes=1)       # where a rate limit does not say how long
# What is wrong with the request itself: the same again would be refused again.
FINAL = (400, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 417, 422, 431)
_MOMENTS = 10**9             # seconds: fewer are no moment of our time
SEE_OTHER = 303                              # often what follows a request that was taken


def failure(reply: Reply, where: str) -> Answer:
    """Read an answer that is no success.

    What may be otherwise soon (a credential, a route, a login, a server in trouble) is asked for again while the need
    stands; only what speaks against the request itself ends it.
    """
    status, said = reply.status, quoted(reply)
    if status == 410:
        return _rejected(f"{where} says it is disabled for good (410){said}; nothing more is sent, remove it or ask")
    if status in FINAL:
        return _rejected(f"{where} rejects the request ({status}){said}; mend it, then driftd retry")
    wait = waiting_time(reply)
    if status in (425, 429) or (status in (403, 503) and wait is not None):
        reason = f"{where} asks to wait ({status}){said}"
        return Answer(state=DispatchState.PENDING, reason=reason, retry_after=wait or RATE_LIMIT_WAIT)
    if status in (408, SEE_OTHER) or status < 300 or status >= 500:
        reason = f"{where} answered {status}{said}: it may have been accepted"
        return Answer(state=DispatchState.AMBIGUOUS, reason=reason)
    return Answer(state=DispatchState.PENDING, reason=f"{where} {_refusal(status)}{said}; it is tried again")


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"redirects ({status}), which is never followed: is it a login, or an old address?"
    if status in (401, 403):
        return f"does not accept our credential ({status}), renew it"
    if status == 407:
        return "is behind a proxy that does not accept our credential (407)"
    return "is not there (404)" if status == 404 else f"refuses the request for now ({status})"


def trouble(error: NotSent | Unclear) -> Answer:
    """Read an exchange that ended without an answer of the API."""
    state = DispatchState.PENDING if isinstance(error, NotSent) else DispatchState.AMBIGUOUS
    return Answer(state=state, reason=str(error), heard=isinstance(error, Refused | NotTheApi))


def unanswered(reply: Reply, state: DispatchState) -> Answer:
    """Read an answer, other than 200, to the question how a run is; a server in trouble said nothing about it."""
    reason = f"asking for the run was answered {reply.status}"
    return Answer(state=state, reason=reason, retry_after=waiting_time(reply), heard=reply.status < 500)


def waiting_time(reply: Reply) -> timedelta | None:
    """How long the answer asks to wait: Retry-After, or the end of an exhausted rate limit."""
    given = _headers(reply)
    if (after := given.get("retry-after")) is not None:
        return _retry_after(after)
    if given.get("x-ratelimit-remaining") == "0" and (reset := given.get("x-ratelimit-reset")) is not None:
        return _until_reset(reset)
    return RATE_LIMIT_WAIT if b"rate limit" in reply.body.lower() else None


def _retry_after(text: str) -> timedelta:
    """Seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if (number := _whole(text)) is not None:
        return _bounded(number)
    try:
        moment = parsedate_to_datetime(text)
        return _bounded((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - utcnow().timestamp())
    except MALFORMED:
        return RATE_LIMIT_WAIT


def _until_reset(text: str) -> timedelta:
    """Seconds since 1970 as GitHub gives them, in thousandths as others do, or from now where they are too few."""
    number = _whole(text)
    if number is None:
        return RATE_LIMIT_WAIT
    if number < _MOMENTS:
        return _bounded(number)
    return _bounded((number / 1000 if number > 100 * _MOMENTS else number) - utcnow().timestamp())


def _whole(text: str) -> int | None:
    """A whole number in a header; None where it is none, or absurd."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,18}\s*", text) else None


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 1), LONGEST_WAIT.total_seconds()))


def _headers(reply: Reply) -> dict[str, str]:
    return {name.lower(): value for name, value in reply.headers.items()}


def quoted(reply: Reply) -> str:
    """What the other side says of it, in its own words."""
    return f': "{said}"' if (said := reply.said()) else ""


def _rejected(reason: str) -> Answer:
    return Answer(state=DispatchState.ABANDONED, reason=reason)
