"""The worker's side of lineage: which data there were, by their content."""

from typing import Any

from monitor.config import ModelSection
from monitor.private import for_a_model
from monitor.records import to_json
from monitor.sources import open_source


@for_a_model
def contents(task: dict[str, Any]) -> list[Any]:
    """Hash the files of a model that changed since they were `known`. Returns Contents; raises SourceError."""
    model = ModelSection.model_validate(task["model"])
    sections = {
        "predictions": model.predictions, "labels": model.labels, "attributes": model.attributes,
        "reference": model.reference.source,
    }
    found = []
    for place, section in sections.items():
        known = {(name, stamp) for where, name, stamp in task["known"] if where == place}
        if section is not None:
            found += [to_json(one) for one in open_source(section, model.timezone).contents(place, known)]
    return found
