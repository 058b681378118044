"""`driftd compare`: which columns of two files drifted, and what broke the data contract."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from monitor.cli.junit_and_markdown import junit as as_junit
from monitor.cli.junit_and_markdown import markdown as as_markdown
from monitor.cli.junit_and_markdown import sentence
from monitor.cli.options import quiet_logs
from monitor.cli.terminal import number, print_json, print_table, say
from monitor.config import stores
from monitor.config.column_roles import (
    KEY_TOLD,
    USUAL_NAMES,
    Facts,
    Roles,
    feature_kind,
    is_row_number,
    why_no_feature,
)
from monitor.config.drift_methods import METHODS
from monitor.config.sections import DriftSection, QualitySection
from monitor.decide.particulars import beyond
from monitor.errors import CannotJudge, UsageError
from monitor.escape import names
from monitor.records import Json, Score, ScoreStatus, Spread
from monitor.sources.known_types import KnownTypes
from monitor.wording import spark

if TYPE_CHECKING:
    from monitor.reference.profile import RowsSide
    from monitor.sources.rows import Rows

DRIFT = ("drift", "drifted_share")
MEMORY_MB = 16    # of columns in memory at once
MIN_ROWS = 1      # the two files are all there is: judged as they are
MOST_DRAWN = 20   # columns whose values are drawn …
SPARK = 8         # … in so many signs
YES, UNJUDGED = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The scores of a comparison of two tables."""

    reference_rows: int
    current_rows: int
    breaks: tuple[Score, ...]            # breaches of the data contract: columns, types, nulls
    drift: tuple[Score, ...]             # one for each column, the furthest past its threshold first
    quality: tuple[Score, ...]           # the other scores of the data contract, not breached
    share: Score                         # of drifted columns
    left_out: dict[str, str]             # columns that are not compared, with the reason
    new: tuple[str, ...]                 # columns that only the current table has
    spreads: dict[str, Spread]           # of the columns that drifted most, how the values are spread
    doubts: tuple[str, ...] = ()         # on columns of text that hold numbers nearly throughout

    @property
    def scores(self) -> tuple[Score, ...]:
        return (*self.breaks, *self.drift, self.share, *self.quality)

    @property
    def drifted(self) -> bool:
        """Whether the data as a whole drifted."""
        return self.share.status == ScoreStatus.DRIFTED

    @property
    def exit_code(self) -> int:
        if self.drifted or self.breaks:
            return YES
        return UNJUDGED if self.share.value is None else 0


@click.command()
@click.argument("reference", metavar="REFERENCE")
@click.argument("current", metavar="CURRENT")
@click.option("--method", default="auto", help="Drift method of all columns; auto chooses as Evidently does.")
@click.option("--threshold", type=float, help="Threshold of all columns; default: the method's own.")
@click.option("--categorical", metavar="A,B", help="Columns of numbers that are categories.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="F", help="Write JUnit XML.")
@click.option("--markdown", type=click.Path(path_type=Path), metavar="F", help="Write Markdown.")
def compare(
    reference: str, current: str, method: str, threshold: float | None, categorical: str | None,
    as_json: bool, junit: Path | None, markdown: Path | None,
) -> int:
    """Compare two files without a configuration: which columns drifted, and what broke the data contract.

    The files are Parquet, ORC, Feather, CSV or JSON lines. Ends with 3 if at least half of the columns drifted or the
    contract is broken, with 4 if there is too little data to judge.
    """
    quiet_logs()
    section = DriftSection(method=method, threshold="evidently" if threshold is None else threshold)
    named = [name.strip() for name in categorical.split(",")] if categorical else []
    result = examine(reference, current, section, named)
    if junit:
        junit.write_text(as_junit(result.scores), encoding="utf-8")
    if markdown:
        markdown.write_text(as_markdown(result.breaks, result.drift, summary(result)), encoding="utf-8")
    if as_json:
        print_json(**document(result))
    else:
        _print(result)
    return result.exit_code


def examine(reference: str, current: str, section: DriftSection, categorical: Sequence[str]) -> Comparison:
    """Read both files and measure drift and quality. Raises SourceError, CannotJudge, UsageError."""
    from monitor.drift.column_scores import column_scores
    from monitor.drift.text import text_scores
    from monitor.quality.column_checks import has_value, schema_changes
    from monitor.reference.profile import RowsSide
    from monitor.sources.column_types import codes_in, fractions, text_columns
    from monitor.sources.log import facts_of

    if section.method not in ("auto", *METHODS):
        raise UsageError(f"no drift method {section.method!r}; expected auto or one of: {', '.join(METHODS)}")
    before, unread = _read(reference)
    now, unread_now = _read(current, text_columns(before.schema))
    others = text_columns(now.schema) - text_columns(before.schema)
    if codes := codes_in(now.columns(others)):
        before, unread = _read(reference, codes)
    of_ids = USUAL_NAMES["id"]     # of other fractions nobody asks how many there are
    columns = facts_of(before, {name for name in fractions(before.schema) if name.lower() not in of_ids})
    if absent := [name for name in categorical if name not in columns]:
        raise UsageError(
            f"--categorical: {reference} has no column {absent[0]!r}; it has {', '.join(columns)}"
        )
    roles = parts(columns, categorical)
    named = [name for name, kind in roles.features.items() if kind == "text"]
    texts = text_scores(before.columns(named), now.columns(named), roles, section, MIN_ROWS) if named else ()
    sides = RowsSide(before), RowsSide(now)
    scores = column_scores(*sides, roles.features, {}, section, QualitySection(), MIN_ROWS, texts=texts)
    drift = [score for score in scores if score.metric == "drift"]
    schema = schema_changes(before.schema, now.schema, roles, holds=lambda name: has_value(now.column(name)))
    columns_held = (None, *now.schema.names)     # missing columns are reported by the schema score
    quality = [schema, *(score for score in scores if score.metric not in DRIFT)]
    quality = [score for score in quality if score.column in columns_held]
    furthest = sorted(drift, key=beyond, reverse=True)
    return Comparison(
        reference_rows=len(before.table),
        current_rows=len(now.table),
        breaks=tuple(score for score in quality if score.status == ScoreStatus.BREACHED),
        drift=tuple(furthest),
        quality=tuple(score for score in quality if score.status != ScoreStatus.BREACHED),
        share=next(score for score in scores if score.metric == "drifted_share"),
        left_out={name: _why(name, of) for name, of in columns.items() if name not in roles.features} | unread
        | unread_now,
        new=tuple(name for name in now.schema.names if name not in columns and name not in unread),
        spreads=_spreads(sides, roles, furthest),
        doubts=tuple(dict.fromkeys(text for rows in (before, now) for text in _doubts(rows, roles))),
    )


def _spreads(sides: tuple["RowsSide", "RowsSide"], roles: Roles, furthest: Sequence[Score]) -> dict[str, Spread]:
    """How the values of the first drifted columns are spread."""
    from monitor.tables.spreads import spread_of

    spreads = {}
    drifted = [score.column for score in furthest if score.status == ScoreStatus.DRIFTED]
    for name in [one for one in drifted if one is not None and roles.features[one] != "text"][:MOST_DRAWN]:
        before, now = (side.column(name, roles.features[name]) for side in sides)
        if before is not None and now is not None and before.n and now.n:
            spreads[name] = spread_of(now, before)
    return spreads


def _read(path: str, words: Collection[str] = ()) -> tuple["Rows", dict[str, str]]:
    """Return the rows of a file, and the columns that are not read, each with the reason.

    `words`: columns that hold words or codes in the other file, and so in this one.
    """
    from monitor.sources import open_source
    from monitor.sources.rows import Rows

    known = KnownTypes(words=frozenset(words))
    source = open_source(stores.section_of(path), ZoneInfo("UTC"), known)
    rows = Rows.every(source, MEMORY_MB)
    if not len(rows.table):
        raise CannotJudge(f"{path} has no rows, expected some to compare")
    return rows, source.left_out()


def _doubts(rows: "Rows", roles: Roles) -> Iterator[str]:
    from monitor.sources.column_types import text_columns
    from monitor.sources.written_numbers import Style, doubts

    unclear = text_columns(rows.schema) & set(roles.features)
    return doubts(rows.columns(unclear), Style(), settable=False)


def _why(name: str, facts: Facts) -> str:
    if is_row_number(name):
        return "a data frame's row numbers"
    if _identifies(name, facts):
        return "by its name it says which row it is, and when"
    return why_no_feature(facts).replace(KEY_TOLD, "--categorical compares it")


def parts(columns: dict[str, Facts], categorical: Sequence[str]) -> Roles:
    """Return every column but timestamps and ids as a feature to compare; predictions and labels too."""
    in_order = any(facts.kind == "timestamp" and facts.rises for facts in columns.values())
    kinds = {
        name: kind for name, facts in columns.items()
        if not _identifies(name, facts) and (name in categorical or not facts.tells_apart(in_order))
        and (kind := feature_kind(facts, name in categorical)) is not None
    }
    return Roles(
        timestamp="", id=None, prediction="", probability=None, label=None, label_timestamp=None,
        model_version=None, features=kinds,
    )


def _identifies(name: str, facts: Facts) -> bool:
    """Whether a column holds timestamps, ids or row numbers, by its name."""
    moments = (*USUAL_NAMES["timestamp"], *USUAL_NAMES["label_timestamp"], "model_version")
    is_id = name.lower() in USUAL_NAMES["id"] and facts.distinct == facts.rows
    return name.lower() in moments or is_row_number(name) or is_id


def document(result: Comparison) -> Json:
    """Return the comparison as `--json` prints it."""
    return {
        "drifted": result.drifted,
        "drifted_columns": [s.column for s in result.drift if s.status == ScoreStatus.DRIFTED],
        "drifted_share": result.share.value,
        "contract_broken": bool(result.breaks),
        "reference_rows": result.reference_rows,
        "current_rows": result.current_rows,
        "new_columns": result.new,
        "doubts": result.doubts,
        "left_out": list(result.left_out),
        "left_out_because": result.left_out,
        "scores": result.scores,
    }


def summary(result: Comparison) -> str:
    """Return the answer in one line."""
    judged = [s for s in result.drift if s.status in (ScoreStatus.OK, ScoreStatus.DRIFTED)]
    drifted = sum(s.status == ScoreStatus.DRIFTED for s in judged)
    breaks = "contract broken, " if result.breaks else ""
    answer = "the data drifted" if result.drifted else "the data did not drift as a whole"
    if not judged:
        answer = "drift could not be judged"
    return f"{breaks}{drifted} of {len(judged)} columns drifted: {answer}"


def _print(result: Comparison) -> None:
    for score in result.breaks:
        say(f"contract: {score.column or 'table'}: {sentence(score)}")
    if result.breaks:
        say()
    drawn = ("before", "now") if result.spreads else ()
    rows = [
        (s.column, s.method, number(s.value), number(s.threshold), s.status,
         *(_drawn(result.spreads.get(s.column or "")) if drawn else ()), s.reason)
        for s in result.drift
    ]
    print_table(("column", "method", "value", "threshold", "status", *drawn, ""), rows, ("value", "threshold"))
    if drawn:
        say("before, now: the values from low to high, categories from the most frequent on")
    say("", summary(result), f"{result.current_rows} rows against {result.reference_rows}")
    if result.new:
        say(f"only in the second file, not compared: {names(result.new)}")
    for text in result.doubts:
        say(text)
    for reason in dict.fromkeys(result.left_out.values()):
        say(f"left out: {names([name for name, why in result.left_out.items() if why == reason])}: {reason}")


def _drawn(spread: Spread | None) -> tuple[str, str]:
    """The bars of both sides, to one scale."""
    if spread is None:
        return "", ""
    most = max(*spread.reference, *spread.window)
    return spark(spread.reference, 0, most, SPARK), spark(spread.window, 0, most, SPARK)
