"""Whether a reference that is the beginning of a log is the same at every later look, as long as its files are."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config import ModelSection, Roles
from monitor.performance.labels import delays_of
from monitor.records import Window
from monitor.sources.log import Log

_FAR = datetime(9000, 1, 1, tzinfo=UTC)      # when every label is known


def is_final(
    model: ModelSection, log: Log, window: Window, table: pa.Table, roles: Roles, as_of: datetime, *, hold: bool
) -> bool:
    """Tell whether the rows of the window, as they were read at `as_of`, have all the labels that they will have, and
    whether the age by which labels are known will be the same.
    """
    if roles.label is None or roles.label not in table.column_names:
        return True
    if as_of < window.end + model.label_delay or not _is_old(table, roles, as_of):
        return False
    if model.labels is None:
        when = roles.label_timestamp
        newest = pc.max(table[when]).as_py() if when in table.column_names else None
        return newest is None or bool(newest <= as_of)
    # a log that is not held may grow: to join its labels once more at each look would cost more than it saves
    return hold and bool(table.equals(Log(model, log.roles, _FAR, hold=hold).window(window).table))


def _is_old(table: pa.Table, roles: Roles, as_of: datetime) -> bool:
    """Tell whether each row without a label is older than every delay there was, so that a higher age says no more."""
    delays = delays_of(table, roles, as_of)
    if delays is None or delays.labelled.all() or np.isnan(delays.ages[delays.labelled]).all():
        return True
    return bool(delays.ages[~delays.labelled].min() >= np.nanmax(delays.ages[delays.labelled]))
