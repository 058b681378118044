"""Text that comes from data, people or other servers, made harmless for where it goes: one function for each place.

A sign acts if it does more than show itself: it ends a line, moves a cursor, turns the direction of writing, or is no
character at all. `visible` writes such signs as Python does (`\\n`, `\\x1b`, `\\u202e`); the others build on it.
"""

import glob
import hashlib
import html as _html
import json
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

NAME = 120              # characters shown of a name or a value …
SENTENCE = 2_000        # … of a sentence, which may name several …
TRACE = 20_000          # … of a traceback, on one line
JSON_TEXT = 10_000      # … and of one string in JSON, where a value is otherwise exact
_KEPT = 24              # characters of the end that are kept where the middle is left out

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MARKDOWN = re.compile(
    r"[\\`*\[\]|~$]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|(?<=[a-z]):(?=//)|(?<=\bwww)\.", re.IGNORECASE
)
_BLOCK = re.compile(r"^(\s*)([#>+=-]|\d+(?=[.)]))")
_PLAIN_NAME = re.compile(r"[\w .,:;=/+%-]+")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_TAG = re.compile(r"<(?=\S)")
_ZERO_WIDTH = "\u200b"
_ALIKE = str.maketrans({"*": "∗", "~": "∼", "\\": "∖", "[": "［", "]": "］", "|": "∣", "<": "‹", ">": "›"})


def acts(sign: str) -> bool:
    """Whether a character does more than show itself. Spaces of other widths do not."""
    return not sign.isprintable() and unicodedata.category(sign) != "Zs"


def visible(text: str) -> str:
    """The text on one line, signs that act as backslash escapes."""
    return text if text.isprintable() else "".join(_escaped(sign) if acts(sign) else sign for sign in text)


def plain(text: str) -> str:
    """The text on one line, signs that act and spaces in a row as one space: for words of others, not for names."""
    return " ".join("".join(" " if acts(sign) else sign for sign in text).split())


def shortened(text: str, longest: int = NAME) -> str:
    """The text, its middle left out (…) where it is longer."""
    if len(text) <= longest:
        return text
    kept = min(_KEPT, longest // 3)
    return f"{text[:longest - kept - 1]}…{text[len(text) - kept:]}"


def name(text: str) -> str:
    """A name or a value as it is shown among words: on one line, at most NAME characters; a blank one in quotes."""
    return shortened(visible(shortened(text, NAME)), NAME) if text.strip() else f'"{visible(text[:NAME])}"'


def names(texts: Iterable[str]) -> str:
    """Names in a row, a comma between them, as `sentence` would show the whole."""
    return sentence(", ".join(map(name, texts)))


def sentence(text: str) -> str:
    """A sentence as it is shown: on one line, at most SENTENCE characters."""
    return shortened(visible(shortened(text, SENTENCE)), SENTENCE)


def trace(text: str, *, exact: bool = False) -> str:
    """A traceback on one line, its beginning and its end kept. `exact` leaves its signs as they are."""
    half = TRACE // 2
    kept = text if len(text) <= TRACE else f"{text[:half]}…{text[-half:]}"
    return kept if exact else visible(kept)


def toml_string(text: str) -> str:
    """The text as a TOML string, from which the same text is read again.

    Raises ValueError for a lone surrogate, which TOML cannot hold.
    """
    if any(unicodedata.category(sign) == "Cs" for sign in text):
        raise ValueError(f'"{name(text)}" is not valid Unicode, expected a name that UTF-8 can hold')
    return f'"{"".join(_in_toml(sign) for sign in text)}"'


def toml_key(text: str) -> str:
    """The text as one part of a TOML key, in quotes where it needs them."""
    return text if _BARE_KEY.fullmatch(text) else toml_string(text)


def toml_comment(text: str) -> str:
    """The text behind a #: it cannot end the line."""
    return f"# {sentence(text)}"


def html(text: str) -> str:
    """A sentence in HTML, XML or SVG, also inside an attribute in quotes."""
    return _html.escape(sentence(text), quote=True)


def markdown(text: str) -> str:
    """A sentence in Markdown: no code, link, picture, table, tag, emphasis, mention or heading begins in it."""
    plain = _ENTITY.sub("&amp;", sentence(" ".join(text.split(" "))))
    plain = _MARKDOWN.sub(lambda found: "\\" + found[0], plain).replace("<", "&lt;").replace(">", "&gt;")
    return _BLOCK.sub(_unblocked, plain).replace("@", "@&#8203;")


def markdown_name(text: str) -> str:
    """A name in Markdown, as code where no sign of it could end that."""
    shown = name(text)
    return f"`{shown}`" if _PLAIN_NAME.fullmatch(shown) and shown.strip() else markdown(shown)


def message(text: str) -> str:
    """Lines for people's mail and chat, as plain text that no chat reads as a mention, a tag or a named link."""
    lines = "\n".join(map(sentence, text.split("\n")))
    plain = _TAG.sub("‹", lines).replace("](", "] (").replace("`", "'")
    return re.sub(r"@(?=\w)", "@" + _ZERO_WIDTH, plain)


def chat_markdown(text: str) -> str:
    """The same for chats that read Markdown: nothing in it is set otherwise, listed or linked under another name.

    Chats differ in what a backslash does, so signs that would act are replaced by others that look alike.
    """
    alike = message(text).translate(_ALIKE)
    parted = re.sub(r"(?<![^\W_])_|_(?![^\W_])", f"{_ZERO_WIDTH}_{_ZERO_WIDTH}", alike)
    return re.sub(r"^(\s*)([#>+=-]|\d+(?=[.)]))", rf"\1{_ZERO_WIDTH}\2{_ZERO_WIDTH}", parted, flags=re.MULTILINE)


def csv_cell(text: str) -> str:
    """A text in CSV that no spreadsheet takes for a formula: one gets an apostrophe before it; numbers stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def label(text: str) -> str:
    """The value of a Prometheus label; the format itself escapes line feeds, quotes and backslashes.

    What is left out of a long one is told by a hash, so that two of them stay two series.
    """
    shown = "\n".join(map(visible, text.split("\n")))
    if len(shown) <= NAME:
        return shown
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{shown[:NAME - len(digest) - 1]}…{digest}"


def json_text(value: Any, *, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """JSON text: exact when it is read, but signs that act are written as \\u escapes. Raises ValueError for NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    if text.isprintable():
        return text
    return "".join(_in_json(sign) if sign != "\n" and acts(sign) else sign for sign in text)


def bounded(value: Any, longest: int = JSON_TEXT) -> Any:
    """JSON data whose strings and keys have at most so many characters each, and in which no number is NaN."""
    if isinstance(value, str):
        return shortened(value, longest)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {shortened(str(key), longest): bounded(item, longest) for key, item in value.items()}
    return [bounded(item, longest) for item in value] if isinstance(value, list | tuple) else value


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


def _in_toml(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    if not acts(sign):
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08x}"


def _in_json(sign: str) -> str:
    return json.dumps(sign)[1:-1]


def _unblocked(found: re.Match[str]) -> str:
    """The beginning of a line that would be a heading, a list or a quotation."""
    return found[1] + (f"\\{found[2]}" if not found[2].isdigit() else f"{found[2]}&#8203;")


def in_path(version: str) -> str:
    """The version as a part of a path: it leads to no folder above, and no character of it makes a pattern.

    A registry or a run names versions, and the path is of whoever wrote the configuration.
    """
    parts = version.replace("\0", "%00").split("/")
    inside = (part.replace(".", "%2E") if part in (".", "..") else part for part in parts)
    whole = "/".join(inside)
    return glob.escape(f"%2F{whole[1:]}" if whole.startswith("/") else whole)
