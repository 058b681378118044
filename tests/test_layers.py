"""The layers and the one-place rules of docs/architecture.md, held by reading every import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MONITOR = ROOT / "monitor"
HEAVY = {"pandas", "pyarrow", "scipy", "sklearn", "evidently"}

# Paths below monitor/; a folder ends in /.
# Only workers and one-shot commands load these: here heavy packages may be imported.
IN_WORKERS = (
    "sources/", "tables/", "quality/", "drift/", "performance/", "estimation/", "challenger/", "reference/",
    "attribution/", "calibration/", "check/column_values.py",
    "check/data_seen.py", "check/measure_window.py", "check/opened_data.py", "check/resolve.py",
    "check/survey.py", "check/window_parts.py", "backtest/challenger_scores.py", "gate/matured_rows.py",
    "gate/measured_trial.py", "gate/paired_difference.py", "gate/prediction_files.py", "gate/resampled_metrics.py",
    "gate/shadow_rows.py", "demo/",
    "pandas_later.py",
)
# The only places that may import a package, and why it is so.
ONE_PLACE = {
    "apscheduler": (("daemon/schedule.py",), "APScheduler has one place"),
    "apprise": (("notify/",), "people are told in one place"),
    "evidently": (("drift/evidently.py",), "Evidently has one place, only in workers"),
    "sqlite3": (("store/",), "SQL has one place"),
    "psycopg": (("store/", "sources/databases/"), "SQL has one place, and one for reading sources"),
    "redis": (("collect/",), "streams are read in one place"),
    "confluent_kafka": (("collect/",), "streams are read in one place"),
    "requests": (("http.py", "outgoing/"), "HTTP goes out in one place"),
    "urllib3": (("http.py", "outgoing/"), "HTTP goes out in one place"),
    "http.client": (("http.py",), "HTTP goes out in one place"),
    "urllib.request": (("http.py",), "HTTP goes out in one place"),
    "starlette": (("web/",), "HTTP comes in in one place"),
    "uvicorn": (("web/",), "HTTP comes in in one place"),
    "bcrypt": (("web/passwords.py",), "passwords are checked in one place"),
    "pickle": ((), "nothing is ever unpickled"),
    "joblib": ((), "nothing is ever unpickled"),
    "shelve": ((), "nothing is ever unpickled"),
    "marshal": ((), "nothing is ever unpickled"),
} | dict.fromkeys(sorted(HEAVY - {"evidently"}), (IN_WORKERS, "heavy packages load only in workers"))
# What measures and what decides does no I/O, reads no clock, writes no log, and imports only its like.
PURE = (
    "tables/", "quality/", "decide/", "gate_result.py", "history.py", "metric_catalogue.py", "wording.py", "records.py",
    "errors.py", "escape.py", "ledger.py", "charts/",
    "drift/column_scores.py", "drift/count_tests.py", "drift/evidently.py", "drift/evidently_report.py",
    "drift/methods.py", "drift/multivariate.py", "drift/rank_tests.py", "drift/text.py",
    "performance/", "estimation/cbpe_and_dle.py", "estimation/estimators.py", "estimation/skill.py",
    "attribution/broken_columns.py", "attribution/explanations.py", "attribution/loss_parts.py",
    "attribution/relation.py", "attribution/sides.py", "challenger/rehearsal.py",
    "calibration/block_bootstrap.py", "calibration/calibrated_thresholds.py", "calibration/outlook.py",
    "calibration/block_scores.py", "calibration/dependence.py", "calibration/smallest_shift.py",
    "backtest/policies.py", "backtest/schedules.py", "backtest/simulated_triggers.py",
    "gate/gate_verdict.py", "gate/paired_difference.py", "gate/resampled_metrics.py", "gate/shadow_verdict.py",
)
BESIDE_PURE = ("config/", "times.py", "private.py", "pandas_later.py")     # what pure files may import besides
IMPURE = {"logging", "structlog", "socket", "subprocess", "threading", "urllib", "http", "tempfile", "shutil"}
CLOCK = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
NO_ROW = "stands in no row of docs/architecture.md, add it to the table"
ALONE = ("times.py", "client.py")       # may read the clock: its one place, and what stands outside the rest


@dataclass(frozen=True)
class Import:
    path: str           # below monitor/
    line: int
    module: str         # absolute; of `from a import b`, a
    names: tuple[str, ...]
    top: bool           # runs when the module is imported


@dataclass(frozen=True)
class Broken:
    path: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"monitor/{self.path}:{self.line}: {self.rule}"


def _rows() -> dict[str, int]:
    """Part ("store/", "check.py") → its row, read from the table in docs/architecture.md."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, flags=re.MULTILINE)
    rows = {part: int(row) for row, parts in table for part in re.findall(r"`([^`]+)`", parts)}
    return rows | {"__main__.py": 0, "__init__.py": 99, "client.py": 99}


ROWS = _rows()


def _is_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _walk(node: ast.AST, top: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, each with whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_checking(child)
        yield child, top and not inside
        yield from _walk(child, top and not inside)


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = ["monitor", *Path(path).parent.parts]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def imports(path: str, source: str) -> list[Import]:
    """All imports of a module, also those inside functions."""
    found = []
    for node, top in _walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(path, node.lineno, alias.name, (), top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append(Import(path, node.lineno, _absolute(path, node), names, top))
    return found


def _part(path: str) -> str:
    """The part a path below monitor/ belongs to: "store/" or "check.py"."""
    head, _, rest = path.partition("/")
    return f"{head}/" if rest else head


def _imported(found: Import) -> Iterator[str]:
    """The files of monitor an import names, as paths below monitor/."""
    head, *rest = found.module.split(".")
    if head != "monitor":
        return
    base = "/".join(rest)
    for name in found.names or ("",):
        places = [f"{base}/{name}".strip("/"), base]
        yield next((file for place in places if name or place for file in _files(place)), "__init__.py")


def _files(place: str) -> Iterator[str]:
    """The file a dotted place is, if there is one: a module or a package."""
    for file in (f"{place}.py", f"{place}/__init__.py"):
        if place and (MONITOR / file).exists():
            yield file


def row_rules(found: Import) -> Iterator[Broken]:
    """A room imports only itself and rooms in rows below its own."""
    own = _part(found.path)
    for part in dict.fromkeys(map(_part, _imported(found))):
        if own == "client.py":
            yield Broken(found.path, found.line, f"client.py stands alone, it must not import {found.module}")
        elif part not in ROWS:
            yield Broken(found.path, found.line, f"{part} {NO_ROW}")
        elif part != own and ROWS[part] <= ROWS[own]:
            yield Broken(
                found.path, found.line,
                f"row {ROWS[own]} ({own}) must not import {found.module}: it stands in row {ROWS[part]}, not below",
            )


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Files that import one another in a circle, each circle once, shortest first."""
    found = set()
    for begin in edges:
        paths = [[begin]]
        seen = {begin}
        while paths:
            path = paths.pop(0)
            for file in sorted(edges.get(path[-1], ())):
                if file == begin:
                    at = path.index(min(path))
                    found.add(tuple(path[at:] + path[:at]))
                elif file not in seen:
                    seen.add(file)
                    paths.append([*path, file])
    return [list(one) for one in sorted(found, key=lambda one: (len(one), one))]


def _under(path: str, places: tuple[str, ...]) -> bool:
    return any(path.startswith(place) if place.endswith("/") else path == place for place in places)


def place_rules(found: Import) -> Iterator[Broken]:
    """Each dangerous package is imported in one place."""
    whole = {found.module, *(f"{found.module}.{name}" for name in found.names)}
    for package, (places, why) in ONE_PLACE.items():
        named = any(module == package or module.startswith(f"{package}.") for module in whole)
        if named and not _under(found.path, places):
            where = " ".join(places) or "nowhere"
            yield Broken(found.path, found.line, f"{package} is imported only by {where}: {why}")


def pure_rules(path: str, tree: ast.AST, found: list[Import]) -> Iterator[Broken]:
    """What is pure touches nothing; only times.py reads the clock."""
    if _under(path, PURE):
        for one in found:
            if one.module.split(".")[0] in IMPURE:
                yield Broken(path, one.line, f"{path} is pure, it must not import {one.module}")
            for file in dict.fromkeys(_imported(one)):
                if file != "__init__.py" and not _under(file, (*PURE, *BESIDE_PURE)):
                    yield Broken(path, one.line, f"{path} is pure, it must not import {file}, which is not")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ".".join(ast.unparse(node.func).split(".")[-2:])
        if name in CLOCK and path not in ALONE:
            yield Broken(path, node.lineno, f"{name}() reads the clock, only times.py does: take `now`")
        if name in ("open", "print") and _under(path, PURE):
            yield Broken(path, node.lineno, f"{path} is pure, it must not call {name}()")


def broken_rules(path: str, source: str) -> list[Broken]:
    """Every rule a module breaks; `path` is below monitor/."""
    if _part(path) not in ROWS:
        return [Broken(path, 1, f"{_part(path)} {NO_ROW}")]
    found = imports(path, source)
    problems = [problem for one in found for rule in (row_rules, place_rules) for problem in rule(one)]
    return problems + list(pure_rules(path, ast.parse(source), found))


def _modules() -> list[str]:
    return sorted(str(file.relative_to(MONITOR)) for file in MONITOR.rglob("*.py"))


def test_every_module_keeps_the_rules() -> None:
    """No module of monitor/ imports upwards, into a neighbour, or what has its one place elsewhere."""
    sources = {path: (MONITOR / path).read_text(encoding="utf-8") for path in _modules()}
    problems = [problem for path, source in sources.items() for problem in broken_rules(path, source)]
    assert not problems, "docs/architecture.md is broken here:\n" + "\n".join(map(str, problems))


def test_no_file_imports_in_a_circle() -> None:
    """No file of monitor/ reaches itself through its imports."""
    edges = {
        path: {file for one in imports(path, (MONITOR / path).read_text(encoding="utf-8")) for file in _imported(one)}
        for path in _modules()
    }
    assert circles(edges) == []


def test_a_circle_is_seen() -> None:
    """Files that import one another are named, each circle once."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_every_named_place_exists() -> None:
    """What the rules name is there: a file that moved does not slip out of them."""
    named = {*IN_WORKERS, *PURE, *BESIDE_PURE, *ALONE, *(place for places, _ in ONE_PLACE.values() for place in places)}
    assert [place for place in sorted(named) if not (MONITOR / place).exists()] == []


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("records.py", "import monitor.config.sections", "row 15 (records.py) must not import monitor.config"),
        ("decide/x.py", "def f():\n    from monitor.store import x", "row 8 (decide/) must not import"),
        ("config/x.py", "from ..store import y", "row 13 (config/) must not import monitor.store"),
        ("drift/x.py", "from monitor.estimation.skill import x", "row 9 (drift/) must not import monitor.estimation"),
        ("client.py", "from monitor import times", "client.py stands alone"),
        ("store/x.py", "def f():\n    import pandas", "pandas is imported only by"),
        ("web/x.py", "from urllib import request", "urllib.request is imported only by http.py"),
        ("drift/x.py", "import evidently", "evidently is imported only by drift/evidently.py"),
        ("sources/x.py", "import pickle", "pickle is imported only by nowhere"),
        ("decide/x.py", "import logging", "decide/x.py is pure"),
        ("tables/x.py", "def f():\n    open('x')", "tables/x.py is pure, it must not call open()"),
        ("decide/x.py", "from monitor.http import x", "decide/x.py is pure, it must not import http.py"),
        ("store/x.py", "import datetime\ndatetime.datetime.now()", "datetime.now() reads the clock"),
        ("elsewhere.py", "", "stands in no row"),
    ],
)
def test_each_rule_is_seen(path: str, source: str, rule: str) -> None:
    """A module that breaks a rule is named with its line and the rule."""
    problems = [str(problem) for problem in broken_rules(path, source)]
    where = f"monitor/{path}:{max(1, len(source.splitlines()))}: "
    assert any(one.startswith(where) and rule in one for one in problems), problems


def test_what_is_allowed_breaks_nothing() -> None:
    """Imports downwards, of a neighbour's face, and heavy ones in their rooms are fine."""
    assert not broken_rules("web/x.py", "from monitor.store import Store\nimport monitor.times")
    assert not broken_rules("notify/x.py", "from monitor.http import x\nfrom urllib.parse import urlsplit")
    assert not broken_rules("sources/x.py", "import pyarrow.parquet as pq")


def _loads(module: str) -> set[str]:
    """The names of all modules that importing one loads in a fresh process."""
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"import {module} fails:\n{done.stderr}"
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "part", ["cli", "daemon", "check.checker", "check.requests", "web", "retrain", "store", "notify", "expose"]
)
def test_the_parent_stays_light(part: str) -> None:
    """Importing what the daemon's parent runs loads no pandas, pyarrow, SciPy, scikit-learn, Evidently."""
    heavy = sorted(HEAVY & _loads(f"monitor.{part}"))
    assert not heavy, f"import monitor.{part} loads {heavy}: import them inside what only a worker runs"


@pytest.mark.parametrize(("what", "modules", "later"), [
    ("a check", ("cli.run", "check.checker", "promotion.registry", "notify.notifier", "retrain.outbox"),
     {"requests", "urllib3", "jinja2", "apprise", "starlette"}),
    ("its worker", ("workers.child", "check.survey", "check.measure_window", "check.data_seen"),
     {"pandas", "scipy", "sklearn", "evidently", "requests", "click", "structlog"}),
])
def test_a_check_loads_only_what_each_check_needs(what: str, modules: tuple[str, ...], later: set[str]) -> None:
    """What only some checks use is imported there: sending, writing letters, calibrating, Evidently's methods."""
    loaded = sorted(later & _loads(", ".join(f"monitor.{module}" for module in modules)))
    assert not loaded, f"{what} loads {loaded}: import them inside the functions that use them"


def test_the_client_stands_alone() -> None:
    """A service that imports monitor.client gets nothing else of monitor."""
    loaded = {name for name in _loads("monitor.client") if name.split(".")[0] == "monitor"}
    assert loaded == {"monitor", "monitor.client"}


def _named_functions() -> list[tuple[str, str]]:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    return re.findall(r"`([a-z_/]+\.py):([\w.]+)`", text)


@pytest.mark.parametrize(("path", "name"), _named_functions())
def test_the_tour_names_what_is_there(path: str, name: str) -> None:
    """Each function the guided tour names is where it says."""
    nodes: list[ast.stmt] = ast.parse((MONITOR / path).read_text(encoding="utf-8")).body
    for part in name.split("."):
        named = {_name(node): node for node in nodes}
        assert part in named, f"docs/architecture.md names {path}:{name}, which is not there"
        nodes = getattr(named[part], "body", [])


def _name(node: ast.stmt) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else node
    return str(getattr(target, "name", getattr(target, "id", "")))
