"""The only outgoing HTTP: one request, one answer, nothing repeated and nothing followed.

No redirects, no retries, no netrc. Proxies of the environment are used (`outgoing/proxies.py`). Addresses are checked
when the socket opens (`outgoing/guard.py`): what is never called is refused, whatever name leads there; other internal
addresses are normal here.
"""

import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from monitor.errors import DeliveryError
from monitor.outgoing import quoting, trust
from monitor.outgoing.guard import AddressRefused, check_behind_proxy
from monitor.outgoing.proxies import proxy_of
from monitor.untrusted import parse_json

if TYPE_CHECKING:        # most commands send nothing, and need not wait for these
    import requests

    from monitor.outgoing.wire import Adapter, Wire

LIMIT = 64_000              # bytes of an answer that are read
CONNECT_SECONDS = 10.0
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_FLAWS: dict[int | str, str] = {                 # OpenSSL's numbers (X509_V_ERR_…) and words for them
    9: "its certificate is not valid yet; is this machine's clock right?",
    10: "its certificate has expired",
    62: "its certificate is for another host",
    64: "its certificate is for another host",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS 1.2 or newer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no TLS 1.2 or newer",
    "WRONG_VERSION_NUMBER": "what answers speaks no TLS; is it http:// instead of https://?",
}


class NotSent(DeliveryError):
    """The request surely did not leave: no such name, refused, no connection, TLS failed."""


class Refused(NotSent):
    """The address is one that is never called."""


class NotTheApi(NotSent):
    """The request surely was not taken: what answered is not the API but a page for people."""


class TooLong(DeliveryError):
    """The body is longer than there is room for."""


class Unclear(DeliveryError):
    """The request may have been taken: no answer, a broken one, or the connection was lost."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` ends after the limit, or where the connection broke after the headers."""

    status: int
    headers: Mapping[str, str]           # names in any case
    body: bytes
    secrets: frozenset[str] = field(default=frozenset(), repr=False)    # of the request; an answer may repeat them

    def json(self) -> Any:
        """Read the body as JSON. Raises ValueError."""
        return parse_json(self.body)

    def said(self) -> str:
        """The reason that the other side gives, as it may be shown; "" where it gives none."""
        return quoting.said(self.body, self.secrets)

    def of_the_api(self, where: str) -> "Reply":
        """This answer. Raises NotTheApi where it is 200 and a page for people, such as a login's."""
        if self.status == 200 and quoting.is_page(self.body):
            title = f' "{said}"' if (said := self.said()) else ""
            raise NotTheApi(f"{where} answers with a page for people{title} and not as the API: "
                            "is there a login before it, or is the address another one?")
        return self


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: timedelta = timedelta(seconds=15),
    ca: Path | None = None,
    limit: int = LIMIT,
    secret_url: bool = False,
    into: Path | None = None,
) -> Reply:
    """Send one request; `timeout` bounds all of it from the opening of the socket to the last byte.

    `into`: a file for the whole body of an answer 200; one longer than `limit` is TooLong, one that breaks off Unclear.

    Errors name the address without user, query and, with `secret_url`, path. Raises NotSent, Refused,
    Unclear, TooLong.
    """
    import requests
    import urllib3

    from monitor.outgoing.wire import Adapter, Wire

    where = redacted(url, secret=secret_url)
    if not where.startswith(("http://", "https://")) or ":///" in where:
        raise Refused(f"{where}: not an address to send to, expected http:// or https://")
    try:
        proxy, context = _proxy(url), trust.context(ca)
    except AddressRefused as error:
        raise Refused(f"{where}: {error}") from None
    except (OSError, ValueError) as error:
        raise NotSent(f"{where}: {error}") from None
    if proxy is not None:
        where += f" through the proxy {redacted(proxy, secret=True).removesuffix('/…')}"
    wire = Wire()
    alarm = threading.Timer(timeout.total_seconds(), wire.cut)
    alarm.daemon = True
    alarm.start()
    try:
        with _session(Adapter(wire, context)) as session:
            answer = _exchange(session, method, url, headers or {}, body, timeout, proxy)
            secrets = quoting.secrets(url, headers or {}, secret_url=secret_url)
            if into is not None and answer.status_code == 200:
                if _pour(answer, into, limit) > limit:
                    raise TooLong(f"{where}: the answer is longer than {limit} bytes")
                return Reply(answer.status_code, answer.headers, b"", secrets)
            body = _body(answer, limit if into is None else LIMIT)
            return Reply(answer.status_code, answer.headers, body, secrets)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _failed(error, where, wire, timeout) from None
    finally:
        alarm.cancel()
        wire.close()


def redacted(url: str, *, secret: bool = False) -> str:
    """The address as it may be shown: without user and query, of a secret one only scheme and host."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{'/…' if secret else parts.path}"
    except ValueError:
        return "an address that cannot be read"


def _proxy(url: str) -> str | None:
    """The proxy on the way; then what can be known here of the host is checked. Raises AddressRefused, ValueError."""
    proxy = proxy_of(url)
    if proxy is not None:
        check_behind_proxy(urlsplit(url).hostname or "")
    return proxy


def _session(adapter: "Adapter") -> "requests.Session":
    import requests

    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = "driftd"
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


def _exchange(
    session: "requests.Session",
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: timedelta,
    proxy: str | None,
) -> "requests.Response":
    seconds = timeout.total_seconds()
    return session.request(
        method, url, headers={"Accept-Encoding": "identity", **headers}, data=body, stream=True,
        allow_redirects=False, timeout=(min(seconds, CONNECT_SECONDS), seconds),
        proxies={"all": proxy} if proxy else None,
    )


def _body(answer: "requests.Response", limit: int) -> bytes:
    """As much as comes and fits: the status alone already answers most questions."""
    import urllib3

    body = b""
    with suppress(urllib3.exceptions.HTTPError, OSError):
        while len(body) < limit and (chunk := answer.raw.read(min(16_384, limit - len(body)))):
            body += chunk
    return body


def _pour(answer: "requests.Response", into: Path, limit: int) -> int:
    """Write the body until it ends or is over the limit; return how much. Raises HTTPError where it breaks off."""
    with into.open("wb") as file:
        for chunk in answer.raw.stream(1 << 20, decode_content=False):
            file.write(chunk)
            if file.tell() > limit:
                break
        return file.tell()


def _failed(error: BaseException, where: str, wire: "Wire", timeout: timedelta) -> DeliveryError:
    refused = next((cause for cause in _causes(error) if isinstance(cause, AddressRefused)), None)
    if refused is not None:
        return Refused(f"{where}: {refused}")
    kind = Unclear if wire.connected else NotSent
    return kind(f"{where}: {_why(error, wire, timeout)}")


def _why(error: BaseException, wire: "Wire", timeout: timedelta) -> str:
    """The cause in words, never the library's text, which repeats the address."""
    import requests

    causes = list(_causes(error))
    if wire.overdue or any(isinstance(c, TimeoutError | requests.Timeout) for c in causes):
        what = "no complete answer" if wire.connected else "no connection"
        return f"{what} within {timeout.total_seconds():g} s"
    if any(isinstance(c, socket.gaierror) for c in causes):
        return "the name is not known"
    if any(type(c).__name__ == "InvalidHeader" or isinstance(c, UnicodeEncodeError) for c in causes):
        return "a header of the request holds what none can, such as a line break; is it in a secret?"
    if any("SSL" in type(c).__name__ or "Certificate" in type(c).__name__ for c in causes):
        flaw = next((said for c in causes if (said := _FLAWS.get(_flaw(c)))), None)
        if flaw is not None:
            return f"the TLS connection failed: {flaw}"
        return "the TLS connection failed; is the certificate one this machine trusts?"
    named = [c.strerror for c in causes if isinstance(c, OSError) and c.strerror]
    if named:
        return named[-1].lower()
    if answered := next((found for c in causes if (found := _TUNNEL.search(str(c)))), None):
        return f"the proxy refuses to connect ({answered[1]})"
    return "the connection was lost or the answer was no HTTP" if wire.connected else "it cannot be reached"


def _flaw(cause: BaseException) -> int | str:
    """What OpenSSL calls it: a number where it is the certificate, else a word."""
    return getattr(cause, "verify_code", None) or str(getattr(cause, "reason", ""))


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that led to it, the first cause last."""
    chain: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in chain:
            chain.append(cause)
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return chain
