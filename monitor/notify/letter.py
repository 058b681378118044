"""What a message says in each of the formats that a channel may take, from a template for each."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from monitor import escape, page_links
from monitor.records import Message

if TYPE_CHECKING:
    from jinja2 import Environment

Form = Literal["text", "markdown", "html"]
FORMS: tuple[Form, ...] = get_args(Form)
_FILES = {"text": "message.txt", "markdown": "message.md", "html": "message.html"}
_ESCAPES: dict[str, Callable[[str], str]] = {
    "text": escape.message, "markdown": escape.chat_markdown, "html": escape.html,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message before it is put into a format; the first line of `body` is what it says in one sentence."""

    title: str
    body: str
    kind: str = ""
    model: str = ""
    page: str = ""              # address of the model's page …
    report: str = ""            # … and of its report
    id: str = ""                # by which a repeat is known

    @classmethod
    def of(cls, message: Message, url: str | None) -> "Letter":
        """`url`: where people reach the page."""
        about = page_links.of_model(message.model)
        links = (about, page_links.report_of(about)) if url else ()
        page, report = (page_links.address(url or "", one) for one in links) if links else ("", "")
        known_by = hashlib.sha256(message.id.encode()).hexdigest()[:16]
        return cls(title=message.title, body=message.body, kind=message.kind, model=message.model, page=page,
                   report=report, id=known_by)

    def titled(self, form: Form) -> str:
        """The title; a mail's is its subject, which no markup acts in."""
        return _ESCAPES["markdown" if form == "markdown" else "text"](self.title)

    def written(self, form: Form, inline: str = "") -> str:
        """The body in a format, every text escaped for it; `inline`: the name of the picture that a mail shows."""
        sentence, *lines = self.body.split("\n")
        given = {"sentence": sentence, "lines": lines, "model": escape.name(self.model), "id": self.id,
                 "page": _Address(self.page), "report": _Address(self.report), "inline": inline}
        return _templates(form).get_template(_FILES[form]).render(given).strip()


class _Address(str):
    """An address of ours, whose names are quoted already: no format may change it."""

    __slots__ = ()


@cache
def _templates(form: Form) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    put = _ESCAPES[form]

    def finalize(value: str) -> str:
        return value if form != "html" and isinstance(value, _Address) else put(value)

    return Environment(
        loader=PackageLoader("monitor.notify"), autoescape=False, finalize=finalize, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
