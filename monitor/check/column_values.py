"""The worker's side of a column's picture: how its values are spread in a window, and in the reference."""

from dataclasses import replace

from monitor.calibration.outlook import power_words
from monitor.calibration.power import power
from monitor.check.opened_data import open_log, open_reference
from monitor.check.requests import SpreadRequest
from monitor.drift.column_scores import prediction_kinds
from monitor.errors import CannotJudge
from monitor.private import for_a_model
from monitor.records import Spread
from monitor.tables.digest import digest_of
from monitor.tables.spreads import spread_of


@for_a_model
def spread(request: SpreadRequest) -> Spread:
    """Shares of the present values, bar by bar. Raises CannotJudge where there is nothing to draw, SourceError."""
    model, name = request.model, request.column
    if name in model.columns.private:
        raise CannotJudge("the column is private: its values are never shown")
    reference = open_reference(request)
    task = reference.performance.task if reference.performance else None
    kind = (reference.roles.features | prediction_kinds(reference.answers, reference.roles, task)).get(name)
    if kind not in ("numerical", "categorical"):
        raise CannotJudge("only columns of numbers or categories can be drawn")
    rows = open_log(request, reference.roles).window(request.window, model.window.sample, whole=True)
    pieces, before = rows.pieces(name), reference.profile.column(name, kind)
    if pieces is None or before is None:
        raise CannotJudge("the column is not in both the window and the reference")
    now = digest_of(pieces, len(rows.table), kind)
    if not now.n or not before.n:
        raise CannotJudge("no row has a value in it")
    shown = next((one for one in power(model, reference) if one.column == name), None)
    return replace(spread_of(now, before), power="; ".join(power_words([shown])) if shown else None)
