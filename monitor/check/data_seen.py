"""The worker's side of lineage: which data there were, by their content."""

from monitor.check.requests import Contents, ContentsRequest
from monitor.private import for_a_model
from monitor.records import Content
from monitor.sources import open_source


@for_a_model
def contents(request: ContentsRequest) -> Contents:
    """Hash the files of a model that changed since they were `known`. Raises SourceError."""
    model = request.model
    sections = {
        "predictions": model.predictions, "labels": model.labels, "attributes": model.attributes,
        "reference": model.reference.source,
    }
    changed: list[Content] = []
    for place, section in sections.items():
        known = {(content.name, content.stamp) for content in request.known if content.place == place}
        if section is not None:
            changed += open_source(section, model.timezone).contents(place, known)
    return Contents(changed=tuple(changed))
