"""The worker's side of lineage: which data there were, by their content."""

from collections.abc import Iterator

from monitor.check.opened_data import known_files
from monitor.check.requests import Contents, ContentsRequest
from monitor.private import for_a_model
from monitor.records import Content
from monitor.sources import open_source
from monitor.sources.column_types import Bounds


@for_a_model
def contents(request: ContentsRequest) -> Contents:
    """Hash the files of a model that changed since they were `known`. Raises SourceError."""
    with known_files(request):
        return Contents(changed=tuple(_changed(request)))


def _changed(request: ContentsRequest) -> Iterator[Content]:
    model, first = request.model, request.model.reference.first
    spans = {(window.start, window.end) for window in request.windows}
    if first is not None and request.stretch is not None:
        spans.add((request.stretch, request.stretch + first))
    during = [Bounds(request.timestamp, start, end) for start, end in spans]
    sections = {
        "predictions": model.predictions, "labels": model.labels, "attributes": model.attributes,
        "reference": model.reference.source,
    }
    for place, section in sections.items():
        known = {(content.name, content.stamp) for content in request.known if content.place == place}
        if section is not None:
            of_log = during if place == "predictions" else []
            yield from open_source(section, model.timezone).contents(place, known, of_log)
