"""The line of each key in a TOML text. tomllib is the parser; this finds lines in texts that it accepted."""

import re
import tomllib

from monitor.config.keys import Key

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAME = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_SCALAR = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*'|[^,\]}#\n]+''', re.DOTALL
)


def locate(text: str) -> dict[Key, int]:
    """Return the line (from 1) of every table, key and array element of a valid TOML text."""
    return _Locator(text).run()


class _Locator:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.seen = (0, 1)                   # a place in the text, and its line
        self.lines: dict[Key, int] = {}
        self.sizes: dict[Key, int] = {}      # how many elements each array of tables has so far

    def run(self) -> dict[Key, int]:
        table: Key = ()
        while self._blank():
            table = self._header() if self.text[self.at] == "[" else self._pair(table)
        return self.lines

    def _header(self) -> Key:
        double = self.text.startswith("[[", self.at)
        line = self._line()
        self._skip(2 if double else 1)
        *parents, last = self._names()
        self._skip(2 if double else 1)
        key = (*self._inside(tuple(parents), line), last)
        if not double:
            self.lines[key] = line
            return key
        self.sizes[key] = self.sizes.get(key, 0) + 1
        self.lines.setdefault(key, line)
        self.lines[*key, self.sizes[key] - 1] = line
        return (*key, self.sizes[key] - 1)

    def _inside(self, parents: Key, line: int) -> Key:
        """Follow a header's parents; in an array of tables the last element is meant."""
        key: Key = ()
        for name in parents:
            key = (*key, name)
            self.lines.setdefault(key, line)
            if key in self.sizes:
                key = (*key, self.sizes[key] - 1)
        return key

    def _pair(self, table: Key) -> Key:
        key, line = table, self._line()
        for name in self._names():
            key = (*key, name)
            self.lines.setdefault(key, line)
        self._skip(1)
        self._value(key)
        return table

    def _value(self, key: Key) -> None:
        self._blank()
        opening = self.text[self.at]
        if opening not in "[{":
            self._take(_SCALAR)
            return
        self._skip(1)
        index = 0
        while self._blank() and self.text[self.at] not in "]}":
            if self.text[self.at] == ",":
                self._skip(1)
            elif opening == "{":
                self._pair(key)
            else:
                self.lines[*key, index] = self._line()
                self._value((*key, index))
                index += 1
        self._skip(1)

    def _names(self) -> Key:
        names = []
        while True:
            self._blank()
            raw = self._take(_NAME)
            names.append(raw if raw[0] not in "\"'" else tomllib.loads(f"key = {raw}")["key"])
            if not self._take(_DOT):
                self._blank()
                return tuple(names)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match[0] if match else ""

    def _blank(self) -> bool:
        """Skip space, line ends and comments; return whether anything is left."""
        self._take(_BLANK)
        return self.at < len(self.text)

    def _skip(self, count: int) -> None:
        self.at += count

    def _line(self) -> int:
        place, line = self.seen
        self.seen = (self.at, line + self.text.count("\n", place, self.at))
        return self.seen[1]
