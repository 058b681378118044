"""What a stream is to the collector, and what a message must be to become a row.

A stream has partitions; a message has a position in its partition. Both are texts, such as "3" and "1204".
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from monitor.errors import SourceError
from monitor.untrusted import NESTED, KeyTwice, nesting, parse_json

_LONGEST = 16 * 1024 * 1024      # bytes of a row: the longest that Arrow reads
_BOM = b"\xef\xbb\xbf"
_BREAKS = bytes.maketrans(b"\r\n", b"  ")        # between the parts of an object they are spaces, in a text not allowed


class Away(SourceError):
    """The server cannot be reached, or not now."""


class Message(NamedTuple):
    """A message; `row` is None where it is none, and `wrong` says why."""

    partition: str
    position: str
    row: bytes | None                # a JSON object on one line
    sent: bytes = b""                # where it is no row
    wrong: str = ""


class Stream(Protocol):
    """A stream that is read from a position on, and never changed.

    `gaps` are sentences about messages that had gone before they were read, since the last look at it.
    """

    name: str
    gaps: list[str]

    def open(self, after: Mapping[str, str]) -> None:
        """Begin behind the positions that are known of its partitions, else at the beginning.

        Raises Away; SourceError where there is no such stream, it may not be read, or it is another one than the
        positions are of.
        """

    def read(self) -> Sequence[Message]:
        """Return the next messages, none after a quiet moment. Raises as `open` does."""

    @property
    def drained(self) -> bool:
        """Whether every partition has been read to its end since it was opened."""

    def note(self, after: Mapping[str, str]) -> None:
        """Tell the server up to where messages are kept, where it wants to know; only while it is open."""

    def close(self) -> None: ...


def message(partition: str, position: str, value: bytes | None) -> Message:
    """Return the message of a value that is, or should be, a JSON object."""
    wrong = "has no value" if value is None else _wrong(value)
    if value is None or wrong:
        return Message(partition, position, None, value or b"", wrong)
    return Message(partition, position, value.removeprefix(_BOM).translate(_BREAKS).strip())


def _wrong(value: bytes) -> str:
    """Say why a value is no row; "" where it is one."""
    if len(value) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    try:
        found = parse_json(value, keys_once=True)
    except KeyTwice as error:
        return f"has the key {str(error)!r} twice"
    except UnicodeDecodeError:
        return "is not UTF-8"
    except ValueError:
        return "is not JSON"
    if not isinstance(found, dict):
        return "is not a JSON object"
    return f"is nested deeper than {NESTED} objects and lists" if nesting(value) > NESTED else ""
