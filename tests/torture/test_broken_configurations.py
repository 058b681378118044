"""Configurations that were mistyped, mangled or made to exhaust the reader."""

import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.config import load
from monitor.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
VALUES = (
    '"x"', "-1", "1e999", "nan", "-inf", "[]", "{}", "true", '""', '"99999999999999999999d"', '"0s"', "1979-05-27",
    "07:32:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", r'"\u0000"', '"../../.."', "{ env = 1 }",
    '{ env = "A", file = "b" }', "[[[[]]]]", f'"{"9" * 400}"', f'"{"9" * 5000} of {"9" * 5000}"', "9" * 5000,
    "0x7fffffffffffffffffff", "-0.0", "[1979-05-27]", "{ a = 1979-05-27 }", r'"\u202e\u0007"', '"Europe"', '"*" * 9',
    '"[" ', '"file:///etc/passwd"', '"{version}"', '"' + "*/" * 60 + '"', "[" * 31 + "]" * 31, "'''\n\n'''",
)
SIGNS = (0, 7, 27, 34, 0x202E, 0xD7FF, 0xFEFF, 0x2028, 123, 91, 61)
DEADLINE = 15                    # seconds; 5 on a machine that does nothing else
KINDS = ("value", "value", "value", "key", "twice", "section", "syntax", "removed", "sign")


@pytest.mark.torture(12)
def test_mutated(tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]) -> None:
    """Each of 1,000 mutations of a whole configuration is accepted or refused, and a refusal names the line."""
    lines = _whole_configuration(tmp_path)
    chance, count = random.Random(seed), Counter[str]()
    elsewhere, slowest = [], 0.0
    for _ in range(effort(150, 1000)):
        kind, near, text = _mutate(lines, chance)
        (tmp_path / "m.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
        begun = time.monotonic()
        named = _named_lines(tmp_path / "m.toml")
        slowest = max(slowest, time.monotonic() - begun)
        outcome = "accepted" if named is None else "right" if named & near else "elsewhere"
        count[outcome] += 1
        elsewhere += [(kind, near, named)] if outcome == "elsewhere" else []
    refused = count["right"] + count["elsewhere"]
    figure(f"{count.total()} mutations: {count['accepted']} accepted, {refused} refused, {count['right']} of them "
           f"with the right line, no traceback, slowest answer {slowest:.2f} s")
    assert slowest < DEADLINE
    assert refused
    assert count["right"] >= 0.99 * refused, elsewhere


BOMBS = {
    "deep lists": "x = " + "[" * 100_000 + "]" * 100_000,
    "deep lists that never close": "x = " + "[" * 400_000,
    "deep inline tables": "x = " + "{a=" * 50_000 + "1" + "}" * 50_000,
    "a key of 50,000 parts": ".".join(["a"] * 50_000) + " = 1",
    "a table of 50,000 parts": "[" + ".".join(["a"] * 50_000) + "]",
    "a deep key in a deep table": f"[{'a.' * 30}a]\n{'b.' * 30}b = {{ {'c.' * 30}c = 1 }}",
    "deep lists below [defaults]": "[defaults]\nx = " + "[" * 500 + "]" * 500,
    "a string of 30 MB": 'x = "' + "y" * 30_000_000 + '"',
    "a string of nearly 1 MB": 'x = "' + "y" * 999_000 + '"',
    "a million keys": "".join(f"k{at} = 1\n" for at in range(1_000_000)),
    "a list of a million": "x = [" + "1," * 450_000 + "]",
    "empty tables": "".join(f"[a{at}]\n" for at in range(90_000)),
    "a number of a million digits": "x = " + "9" * 990_000,
    "20,000 models": "".join(f'[models.m{at}]\npredictions="a"\nreference="b"\n' for at in range(20_000)),
    "14,000 users": "[daemon.users]\n" + "".join(f"u{at} = []\n" for at in range(14_000)),
    "a key of 900 kB": "x" * 900_000 + " = 1",
    "a model of 900 kB": f"[models.{'x' * 900_000}]",
    "quotation marks that never close": 'x = """' + '\\"""' * 100_000,
    "zero bytes": "\0" * 500_000,
    "nothing": "",
    "it includes itself": 'include = "bomb.toml"',
    "it includes a device": 'include = "/dev/zero"',
    "it includes the terminal": 'include = "/dev/tty"',
    "it includes a link to a device": 'include = "to-zero"',
    "it includes a FIFO": 'include = "fifo"',
    "it includes a folder": 'include = "."',
    "it includes links in a circle": 'include = "circle"',
    "it includes what has no end": 'include = "/proc/self/pagemap"',
    "it includes a file of 10 GB": 'include = "sparse"',
    "it includes every file of the machine": 'include = ["/usr/*/*", "/usr/*/*/*", "/usr/*/*/*/*"]',
    "it includes 1,500 files": 'include = "many/*"',
    "it includes latin-1": 'include = "latin"',
    "it includes a name with a zero byte": 'include = "a\\u0000b"',
    "it includes a name of 5,000 signs": f'include = "{"n" * 5000}"',
}
AT_THE_LIMITS = {
    "keys up to the limit": "".join(f"k{at} = 1\n" for at in range(29_000)),
    "tables in tables": "".join(f"[models.m{at}.columns]\n" for at in range(30_000)),
    "defaults for many models": "[defaults]\ncategorical = [" + '"x",' * 20_000 + "]\n"
                                + "".join(f'[models.m{at}]\npredictions="a"\n' for at in range(2_000)),
    "1,000 models": "".join(f'[models.m{at}]\npredictions="a"\nreference="b"\nx = 1\n' for at in range(1_000)),
    "7,000 pipelines": "".join(f'[pipelines.p{at}]\nkind="command"\ncommand=[]\n' for at in range(7_000)),
    "7,000 triggers": "[models.m]\n" + "[[models.m.triggers]]\nname='t'\nmetric='regret'\nabove=1\n" * 7_000,
    "7,000 silences": "[[silences]]\nmodel='m'\nsince=2020-01-01\n" * 7_000,
    "29,000 columns": "[models.m]\npredictions='a'\ncolumns.categorical = [" + '"x",' * 29_000 + "]",
}


@pytest.mark.torture(12)
@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb(bomb: str, tmp_path: Path) -> None:
    """A configuration that would exhaust the reader, or hang it, is refused within 5 seconds in a few sentences."""
    for name, target in (("to-zero", "/dev/zero"), ("circle", "circle")):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(10 << 30)
    (tmp_path / "latin").write_bytes(b"x = '\xe9'")
    (tmp_path / "many").mkdir()
    for number in range(1_500 if "1,500" in bomb else 0):
        (tmp_path / f"many/{number}.toml").write_text("")
    assert _seconds_until_refused(tmp_path, BOMBS[bomb]) < DEADLINE


@pytest.mark.torture(12)
def test_at_the_limits(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """Configurations just below the limits of bytes and keys are answered within 5 seconds of processor time too."""
    chosen = random.Random(seed).sample(sorted(AT_THE_LIMITS), effort(1, len(AT_THE_LIMITS)))
    slowest = max(_seconds_until_refused(tmp_path, AT_THE_LIMITS[name], time.process_time) for name in chosen)
    figure(f"{len(chosen)} configurations as large as they may be: the slowest refused after {slowest:.1f} s of "
           "processor time")
    assert slowest < DEADLINE


def _seconds_until_refused(folder: Path, text: str, clock: Callable[[], float] = time.monotonic) -> float:
    (folder / "bomb.toml").write_text(text)
    begun = clock()
    with pytest.raises(ConfigError) as refused:
        load(folder / "bomb.toml")
    assert len(refused.value.problems) <= 201
    return clock() - begun


def _whole_configuration(folder: Path) -> list[str]:
    """The lines of config/full.toml, with its files beside it."""
    shutil.copytree(ROOT / "config", folder, dirs_exist_ok=True)
    for name in ("production", "reference", "labels"):
        (folder / "flights").mkdir(exist_ok=True)
        (folder / f"flights/{name}.parquet").write_bytes(b"x")
    return (folder / "full.toml").read_text(encoding="utf-8").splitlines()


def _mutate(before: list[str], chance: random.Random) -> tuple[str, set[int], str]:
    """Return the kind of a mutation, the lines that a refusal of it may name, and the text."""
    lines, kind = list(before), chance.choice(KINDS)
    heads = [place for place, line in enumerate(lines) if line.startswith("[")]
    keys = [place for place, line in enumerate(lines) if re.match(r"[a-z_]+\s*=", line)]
    at = chance.choice(heads if kind == "section" else keys)
    line, near = lines[at], {at, at + 1, at + 2}
    if kind == "value":
        lines[at] = re.sub(r"=.*", lambda _: "= " + chance.choice(VALUES), line, count=1)
        near |= {at + 3}                     # a text of several lines
    elif kind == "key":
        lines[at] = line.replace("=", "x =", 1)
        near |= _section(heads, at, len(lines))
    elif kind == "twice":
        lines.insert(at, line)
    elif kind == "section":
        lines[at] = re.sub("[a-z]+", "nonsense", line, count=1)
        near |= _section(heads, at, len(lines))
    elif kind == "syntax":
        lines[at] = line.replace("=", chance.choice(("", "==", ":", "=[", '="')), 1)
        near |= {at + 3}
    elif kind == "removed":                  # what is missing is told of its section
        del lines[at]
        near |= _section(heads, at, len(lines))
    else:
        place = chance.randrange(len(line))
        lines[at] = line[:place] + chr(chance.choice(SIGNS)) + line[place:]
    return kind, near, "\n".join(lines)


def _section(heads: list[int], at: int, end: int) -> set[int]:
    """The lines of the table that a line stands in, from 1."""
    first = max((head for head in heads if head <= at), default=0)
    return set(range(first + 1, min((head for head in heads if head > at), default=end) + 1))


def _named_lines(path: Path) -> set[int] | None:
    """The lines that the refusal names; None where the configuration is accepted. Anything else is raised."""
    try:
        load(path)
    except ConfigError as error:
        return {int(line) for line in re.findall(rf"{re.escape(path.name)}:(\d+)", str(error))}
    return None
