"""Objects of S3, Google Cloud Storage and Azure (by Arrow's filesystems), and single files over HTTPS.

Every address is checked before anything is contacted. Keys are read when they are needed and never shown.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow.fs

from monitor.config.sections import SourceSection
from monitor.config.stores import scheme_of
from monitor.config.values import Secret
from monitor.errors import DeliveryError, SourceError
from monitor.http import Reply, TooLong, send
from monitor.outgoing import trust
from monitor.outgoing.guard import AddressRefused, check_behind_proxy, look_up
from monitor.outgoing.proxies import proxy_of
from monitor.untrusted import MALFORMED

_CHUNK = 1 << 20
_CONNECT_SECONDS = 10.0
_LONGEST = timedelta(minutes=30)     # that one file over HTTPS may take
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Object:
    """An object below the address of a store; `name` is "" where it is what the address itself names."""

    name: str
    size: int | None                 # bytes; None: not told
    stamp: int | None                # nanoseconds, another number when it has been written; None: not told


class Gone(Exception):
    """The object is no longer what the list said of it."""


class Store(Protocol):
    def objects(self) -> list[Object]:
        """Return what is at the address and below it. Raises SourceError."""

    def fetch(self, one: Object, path: Path) -> None:
        """Write the object into a file. Raises Gone, SourceError."""


def open_store(section: SourceSection, address: str) -> Store:
    """Return the store of an address without patterns, without contacting it."""
    kind = Web if scheme_of(address) in ("http", "https") else Bucket
    return kind(section, address)


class Bucket:
    def __init__(self, section: SourceSection, address: str) -> None:
        self._section, self._address, self._scheme = section, address, scheme_of(address)
        rest = address.partition("://")[2].rstrip("/")
        self._base = rest.split("@")[0] + "/" + rest.partition("/")[2] if self._scheme == "abfs" else rest
        self._base = self._base.rstrip("/")

    def objects(self) -> list[Object]:
        with self._named_errors():
            found = self._files.get_file_info(self._base)
            if found.type is pyarrow.fs.FileType.File:
                return [Object("", found.size, found.mtime_ns)]
            below = self._files.get_file_info(pyarrow.fs.FileSelector(self._base, allow_not_found=True, recursive=True))
        start = len(self._base) + 1
        return [Object(one.path[start:], one.size, one.mtime_ns) for one in below
                if one.type is pyarrow.fs.FileType.File]

    def fetch(self, one: Object, path: Path) -> None:
        with self._named_errors():
            try:
                place = f"{self._base}/{one.name}".rstrip("/")
                # without `compression` Arrow would unpack by the name's ending
                with self._files.open_input_stream(place, compression=None) as stream, path.open("wb") as file:
                    while chunk := stream.read(_CHUNK):
                        file.write(chunk)
            except FileNotFoundError:
                raise Gone from None
        if path.stat().st_size != one.size:
            raise Gone

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn what the store says into one sentence without keys."""
        try:
            yield
        except AddressRefused as error:
            raise SourceError(f"{self._address}: {error}") from None
        except (OSError, ValueError) as error:
            text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            for key in (self._section.storage.access_key, self._section.storage.secret_key,
                        self._section.storage.session_token):
                text = text.replace(key.reveal(), "…") if key else text
            raise SourceError(f"{self._address}: cannot be read ({text})") from None

    @cached_property
    def _files(self) -> Any:
        made = {"s3": self._s3, "gs": self._google, "abfs": self._azure}
        return made[self._scheme]()

    def _s3(self) -> Any:
        storage = self._section.storage
        endpoint = storage.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = storage.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        proxy = _checked(endpoint or f"https://s3.{f'{region}.' if region else ''}amazonaws.com")
        if region is None and endpoint is None:
            region = pyarrow.fs.resolve_s3_region(self._base.partition("/")[0])
        place = urlsplit(endpoint) if endpoint else None
        return pyarrow.fs.S3FileSystem(
            access_key=_revealed(storage.access_key), secret_key=_revealed(storage.secret_key),
            session_token=_revealed(storage.session_token), anonymous=storage.anonymous, region=region or "us-east-1",
            scheme=place.scheme if place else "https", endpoint_override=place.netloc if place else None,
            connect_timeout=_CONNECT_SECONDS, request_timeout=self._section.timeout.total_seconds(),
            proxy_options=proxy, **({"tls_ca_file_path": trust.store()} if os.path.isfile(trust.store()) else {}),
        )

    def _google(self) -> Any:
        endpoint = self._section.storage.endpoint
        _checked(endpoint or "https://storage.googleapis.com")
        place = urlsplit(endpoint) if endpoint else None
        return pyarrow.fs.GcsFileSystem(
            anonymous=self._section.storage.anonymous, scheme=place.scheme if place else "https",
            endpoint_override=place.netloc if place else None, retry_time_limit=self._section.timeout,
        )

    def _azure(self) -> Any:
        endpoint = self._section.storage.endpoint
        host = urlsplit(self._address).hostname or ""
        _checked(endpoint or f"https://{host}")
        place = urlsplit(endpoint) if endpoint else None
        own = {} if place is None else {
            "blob_storage_authority": place.netloc, "dfs_storage_authority": place.netloc,
            "blob_storage_scheme": place.scheme, "dfs_storage_scheme": place.scheme,
        }
        key = _revealed(self._section.storage.access_key)
        return pyarrow.fs.AzureFileSystem(account_name=host.partition(".")[0], account_key=key, **own)


class Web:
    """One file at an address; it cannot be listed."""

    def __init__(self, section: SourceSection, address: str) -> None:
        self._section, self._address = section, address

    def objects(self) -> list[Object]:
        reply = self._asked("HEAD")
        if reply.status in (405, 501):
            return [Object("", None, None)]
        self._require_found(reply)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        size = headers.get("content-length", "")
        return [Object("", int(size) if re.fullmatch("[0-9]{1,18}", size) else None, _stamp(headers))]

    def fetch(self, one: Object, path: Path) -> None:
        reply = self._asked("GET", path)
        self._require_found(reply)
        if one.size not in (None, path.stat().st_size):
            raise Gone

    def _asked(self, method: str, into: Path | None = None) -> Reply:
        token, room = self._section.storage.token, self._section.storage.space_mb
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        try:
            if into is None:
                return send(method, self._address, headers=headers, timeout=self._section.timeout)
            return send(method, self._address, headers=headers, timeout=_LONGEST, into=into, limit=room << 20)
        except TooLong:
            raise SourceError(f"{self._address}: is longer than storage.space_mb ({room}); expected a smaller file, "
                              "or allow more") from None
        except DeliveryError as error:
            raise SourceError(f"{error}; expected a file") from None

    def _require_found(self, reply: Reply) -> None:
        if reply.status != 200:
            to = reply.headers.get("Location") if reply.status in (301, 302, 303, 307, 308) else None
            more = " with another address, which is not followed; write that one" if to else ""
            raise SourceError(f"{self._address}: the server answers {reply.status}{more}, expected a file")


def _stamp(headers: dict[str, str]) -> int | None:
    """Return a number made of the time and the tag of a file; None where the server tells neither."""
    try:
        written = int(parsedate_to_datetime(headers["last-modified"]).timestamp()) * _SECOND
    except MALFORMED:
        written = 0
    tag = hashlib.sha256(headers["etag"].encode()).digest() if "etag" in headers else b""
    return written + int.from_bytes(tag[:4], "big") % _SECOND if written or tag else None


def _checked(url: str) -> str | None:
    """Return the proxy on the way to an address that may be called. Raises AddressRefused, OSError, ValueError."""
    parts, proxy = urlsplit(url), proxy_of(url)
    if proxy is not None:
        check_behind_proxy(parts.hostname or "")
        url = proxy
    found = urlsplit(url)
    look_up(found.hostname or "", found.port or (443 if found.scheme == "https" else 80))
    return proxy


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
