"""Forms that a browser sends: what they hold, and what is told where it is none of ours."""

from http import HTTPStatus
from urllib.parse import parse_qsl

FORM = "application/x-www-form-urlencoded"
FIELDS = 16             # at most


class Refused(Exception):
    """A form of which nothing is done, with the reason in a sentence."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


def form_of(kind: str, body: bytes) -> dict[str, str]:
    """The fields of a form; `kind`: its Content-Type. Raises Refused."""
    none = Refused(HTTPStatus.BAD_REQUEST, "expected a form of one of driftd's pages")
    if kind.partition(";")[0].strip().lower() != FORM:
        raise none
    try:
        text = body.decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS, errors="strict"))
    except ValueError:
        raise none from None
