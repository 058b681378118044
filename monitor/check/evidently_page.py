"""The worker's side of Evidently's own report of a window: one HTML file with its plots."""

from monitor.check.opened_data import open_log, open_reference
from monitor.check.requests import EvidentlyPage, EvidentlyRequest
from monitor.drift.evidently_report import report_page
from monitor.errors import CannotJudge
from monitor.private import for_a_model

MOST_ROWS = 10_000      # of each side; Evidently takes seconds for so many, and plots hold every value


@for_a_model
def evidently_page(request: EvidentlyRequest) -> EvidentlyPage:
    """What the window and the reference are in Evidently's presets, without private columns.

    Raises CannotJudge where there is nothing to compare or Evidently fails, SourceError.
    """
    reference = open_reference(request)
    window = open_log(request, reference.roles).window(request.window, request.model.window.sample, whole=True)
    if not len(window.table):
        raise CannotJudge("the window has no rows")
    before, now = (rows.drawn(MOST_ROWS, reference.roles).table for rows in (reference.opened(), window))
    task = reference.performance.task if reference.performance else None
    return EvidentlyPage(report_page(
        before, now, reference.roles, request.model.drift, task, without=request.model.columns.private))
