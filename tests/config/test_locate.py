"""Where keys stand in a TOML text."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.keys import Key, dotted
from monitor.config.line_numbers import locate

NAMES = st.sampled_from(["a", "b-1", "key", "with space", "dot.ted", 'quo"te', "#hash", "[x]", "é", ""])
SCALARS = st.sampled_from(
    ["1", "-2.5e3", "true", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", '"te#xt"', '"a\\"]b"',
     "'lit}eral'", "inf",
     '"""one\n\n[not.a.header]\nk = 1"""', "'''two\nlines'''", '"""ends in quotes"""""', '""', '""""""']
)
COMMENTS = st.sampled_from(["", "  # a comment = [x", "\t"])


def quoted(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").isalnum()
    return name if bare else '"' + name.replace('"', '\\"') + '"'


class Writer:
    """Writes a random TOML document and remembers the line on which it put each key."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Key, int] = {}

    def line(self) -> int:
        return self.text.count("\n") + 1

    def end(self) -> None:
        self.text += self.draw(COMMENTS) + "\n" * self.draw(st.integers(1, 3))

    def body(self, key: Key, depth: int) -> None:
        for name in self.names():
            self.pair((*key, name), name, depth)
            self.end()

    def names(self) -> list[str]:
        return self.draw(st.lists(NAMES, max_size=3, unique=True))

    def pair(self, key: Key, name: str, depth: int) -> None:
        self.lines[key] = self.line()
        self.text += quoted(name)
        if self.draw(st.integers(0, 4)) == 0:
            self.text += self.draw(st.sampled_from([".", " . "]))
            inner = self.draw(NAMES)
            self.pair((*key, inner), inner, depth)
            return
        self.text += self.draw(st.sampled_from(["=", " = "]))
        self.value(key, depth)

    def value(self, key: Key, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "scalar", "array", "inline"])) if depth else "scalar"
        if kind == "scalar":
            self.text += self.draw(SCALARS)
        elif kind == "inline":
            self.text += "{ "
            for i, name in enumerate(self.names()):
                self.text += ", " if i else ""
                self.pair((*key, name), name, depth - 1)
            self.text += " }"
        else:
            self.text += "["
            for i in range(self.draw(st.integers(0, 3))):
                self.text += self.draw(st.sampled_from(["", "\n", "\n  # ] }\n  "]))
                self.lines[*key, i] = self.line()
                self.value((*key, i), depth - 1)
                self.text += ","
            self.text += "]"

    def document(self) -> None:
        self.body((), 2)
        for i in range(self.draw(st.integers(0, 3))):
            name = f"table{i}"
            for index in range(self.draw(st.integers(0, 2))):
                self.lines.setdefault((name,), self.line())
                self.lines[name, index] = self.line()
                self.text += f"[[ {name} ]]"
                self.end()
                self.body((name, index), 2)
                self.lines[name, index, "sub table"] = self.line()
                self.text += f'[{name} . "sub table"]\n'
                self.body((name, index, "sub table"), 1)
            else:
                self.lines[f"t{i}",] = self.lines[f"t{i}", "deep"] = self.line()
                self.text += f"[t{i}.deep]"
                self.end()
                self.body((f"t{i}", "deep"), 2)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_every_key_is_located(data: st.DataObject) -> None:
    """Whatever the document looks like, each key is found on the line that holds it, and nothing else is."""
    writer = Writer(data.draw)
    writer.document()
    tomllib.loads(writer.text)
    assert locate(writer.text) == writer.lines


def test_crlf_and_missing_final_newline() -> None:
    """Windows line ends and a last line without one change nothing."""
    assert locate("[a]\r\nb = 1\r\n\r\n[[a.c]]\r\nd = [1,\r\n2]")["a", "c", 0, "d", 1] == 6


def test_header_of_a_table_wins_over_an_earlier_mention() -> None:
    """A table first mentioned through its child is located at its own header."""
    assert locate("[a.b]\nx = 1\n[a]\ny = 2")["a",] == 3


def test_dotted_writes_keys_as_toml_does() -> None:
    """Names that need quotes get them; elements count from 1 as people do."""
    assert dotted(("models", "a b", "triggers", 0, "name")) == 'models."a b".triggers.1.name'
