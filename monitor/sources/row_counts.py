"""The ledger of a window's rows: how many were read, and what became of each."""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import Roles
from monitor.records import Ledger, Window
from monitor.sources.ids import LabelCounts, Unjoined, given
from monitor.sources.rows import Mask
from monitor.sources.strays import Strays


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows of a window that are left out, since a later one has the same id and timestamp."""

    repeated: int = 0
    contradicting: int = 0               # … and another prediction


def repeats(table: pa.Table, keep: Mask, inside: Mask, roles: Roles) -> Repeats:
    """Count the rows `inside` that are not kept.

    A row that is written again with its label is the same row. Of several with one id and timestamp whose predictions
    differ, all but one are contradicted by it.
    """
    left_out = int((inside & ~keep).sum())
    if not left_out or roles.id is None:
        return Repeats()
    key = [roles.id, roles.timestamp]
    said = [name for name in (roles.prediction, roles.probability) if name and name in table.column_names]
    rows = table.select(list(dict.fromkeys([*key, *said]))).filter(pa.array(inside))
    rows = rows.set_column(0, roles.id, given(rows[roles.id])).filter(pc.is_valid(given(rows[roles.id])))
    different = (rows.group_by(list(names)).aggregate([]).num_rows for names in (rows.column_names, key))
    contradicting = next(different) - next(different)
    return Repeats(left_out - contradicting, contradicting)


def ledger_of(
    used: pa.Table, roles: Roles, window: Window, strays: Strays, repeats: Repeats,
    labels: LabelCounts | None = None, without_row: Unjoined | None = None,
) -> Ledger:
    """Return the ledger of a window whose rows with their known labels are `used`; `without_row`: of labelled ids."""
    astray = strays.inside(window.start, window.end)
    undated, labelled = label_counts(used, roles)
    found = Ledger(
        files=strays.rows, untimed=strays.untimed, apart=strays.apart, low=strays.low, high=strays.high,
        unplaced=strays.unplaced, read=len(used) + repeats.repeated + repeats.contradicting + astray,
        used=len(used), astray=astray, repeated=repeats.repeated, contradicting=repeats.contradicting,
        without_id=_without_id(used, roles), labelled=labelled, undated_labels=undated,
    )
    if without_row is not None:
        found = replace(found, labels_without_row=without_row.absent, labels_nearly_joined=without_row.nearly,
                        labels_loosely_joined=without_row.loosely)
    if labels is None:
        return found
    return replace(
        found, labels=labels.rows, labels_without_id=labels.without_id, labels_repeated=labels.repeated,
        labels_contradicting=labels.contradicting,
    )


def _without_id(table: pa.Table, roles: Roles) -> int:
    return given(table[roles.id]).null_count if roles.id in table.column_names else 0


def label_counts(table: pa.Table, roles: Roles) -> tuple[int, int]:
    """Count the rows whose label has no time at which it became known, and all rows with a label."""
    if roles.label not in table.column_names:
        return 0, 0
    known = pc.is_valid(table[roles.label])
    when = roles.label_timestamp
    undated = pc.and_(known, pc.is_null(table[when])) if when in table.column_names else pa.array([False])
    return pc.sum(undated).as_py() or 0, pc.sum(known).as_py() or 0

