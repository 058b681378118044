"""The worker's side of a look at a candidate in shadow."""

from monitor.check.opened_data import known_files, open_reference
from monitor.check.requests import ShadowRequest
from monitor.gate.shadow_rows import judge_shadow
from monitor.gate_result import ShadowAnswer
from monitor.private import for_a_model


@for_a_model
def look_at_shadow(request: ShadowRequest) -> ShadowAnswer:
    """Judge the candidate on the rows whose labels have matured. Raises as `judge_shadow` does."""
    with known_files(request):
        return judge_shadow(request.model, request.shadow, open_reference(request), request.since, request.as_of)
