"""A Redis stream, read with XREAD. Nothing is written to the server, and no consumer group is used."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from monitor.collect.address import Address
from monitor.collect.stream import Away, Message, message
from monitor.errors import SourceError
from monitor.escape import json_text
from monitor.outgoing import trust
from monitor.outgoing.guard import AddressRefused, look_up

_PARTITION = "0"                 # a stream has one
_AT_ONCE = 1000                  # entries
_PATIENCE = 10.0                 # seconds for an answer
_QUIET = 500                     # milliseconds that an empty read waits


class RedisStream:
    def __init__(self, address: Address, topic: str) -> None:
        self.name = f"stream {topic} of {address.shown}"
        self.gaps: list[str] = []
        self.drained = False
        self._address, self._key = address, topic.encode()
        self._after = "0-0"
        self._client: Any = None

    def open(self, after: Mapping[str, str]) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.close()
        self._after, self.drained = after.get(_PARTITION, "0-0"), False
        ((host, port),) = self._address.hosts
        with self._told():
            look_up(host, port)
            self._client = redis.Redis(
                host=host, port=port, db=self._address.database, username=self._address.user,
                password=self._address.password, ssl=self._address.tls, protocol=2, retry=Retry(NoBackoff(), 0),
                socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, **self._trusted(),
            )
            kind = self._client.type(self._key)
            if kind == b"none":
                raise Away(f"{self.name}: there is no such stream, expected one to read")
            if kind != b"stream":
                raise SourceError(f"{self.name}: is a {kind.decode()}, expected a stream")
            newest = self._client.xinfo_stream(self._key)["last-generated-id"].decode()
        if _order(newest) < _order(self._after):
            raise SourceError(f"{self.name}: ends at {newest}, but the folder holds entries up to {self._after}: it is "
                              "another stream; collect it into another folder")

    def _trusted(self) -> dict[str, Any]:
        if not self._address.tls:
            return {}
        store = trust.store()
        return {"ssl_ca_path" if os.path.isdir(store) else "ssl_ca_certs": store, "ssl_check_hostname": True}

    def read(self) -> Sequence[Message]:
        with self._told():
            pipe = self._client.pipeline(transaction=True)     # what was read last, and what follows, at one moment
            pipe.xrange(self._key, self._after, self._after, count=1)
            pipe.xread({self._key: self._after}, count=_AT_ONCE)
            last, found = pipe.execute()
            entries = found[0][1] if found else []
            if not entries:
                self.drained = True
                self._client.xread({self._key: self._after}, count=1, block=_QUIET)
                return []
        if not last and self._after != "0-0":
            self.gaps.append(f"{self.name}: entry {self._after}, the last one read, is gone, so entries between it and "
                             f"{entries[0][0].decode()} may have been removed before they were read")
        self._after = entries[-1][0].decode()
        return [_message(place.decode(), fields) for place, fields in entries]

    def note(self, after: Mapping[str, str]) -> None:
        return

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the client raises into sentences."""
        import redis

        try:
            yield
        except AddressRefused as error:
            raise SourceError(f"{self.name}: the address {error}") from None
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise SourceError(f"{self.name}: the server refuses user and password, or what they may read: {error}; see "
                              "--user and --password") from None
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise Away(f"{self.name}: the server cannot be reached ({error})") from None
        except redis.RedisError as error:
            raise SourceError(f"{self.name}: the server refuses: {error}") from None


def _message(place: str, fields: Mapping[bytes, bytes]) -> Message:
    """Return the row of an entry: the JSON object in its only field, or else its fields, as texts."""
    values = list(fields.values())
    if len(values) == 1 and values[0].lstrip().startswith(b"{"):
        return message(_PARTITION, place, values[0])
    try:
        texts = {name.decode(): value.decode() for name, value in fields.items()}
    except UnicodeDecodeError:
        return Message(_PARTITION, place, None, repr(dict(fields)).encode(), "is not UTF-8")
    return message(_PARTITION, place, json_text(texts).encode())


def _order(place: str) -> tuple[int, int]:
    time, _, number = place.partition("-")
    return int(time), int(number or 0)
