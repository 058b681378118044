"""What may not be private: columns whose values are told by what they are for. Refused, without an exception."""

from collections.abc import Iterator

from monitor.config.column_roles import Roles
from monitor.config.keys import Key
from monitor.config.sections import ModelSection

OPTIONS = ("column", "column_name", "columns", "x_column", "y_column")     # of Evidently's metrics, where columns stand


def check(model: ModelSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with the private columns of a model, as far as the configuration alone says it."""
    private = set(model.columns.private)
    named = {"timestamp": model.columns.timestamp, "id": model.columns.id}
    yield from ((("columns", "private"), text) for text in _of_parts(model, named))
    protected = model.fairness.columns if model.fairness else ()
    for key, names in ((("columns", "segments"), model.columns.segments), (("fairness", "columns"), protected)):
        for name in names:
            if name in private:
                yield key, f'"{name}" is private, but its values would name the groups, expected another column'
    for index, one in enumerate(model.evidently):
        given = {str(name) for option in OPTIONS for name in _listed(one.options.get(option))}
        if found := sorted(given & private):
            yield ("evidently", index, "options"), \
                f'"{found[0]}" is private, and what {one.metric} tells of it may be a value, expected another column'
        elif private and one.metric.endswith("ByLabel") and _of_classes(model):
            yield ("evidently", index, "metric"), \
                f"{one.metric} names the classes, expected columns.label and columns.prediction that are not private"


def of_roles(model: ModelSection, roles: Roles) -> list[str]:
    """The same of the columns that were found by their usual names."""
    return [f"{model.name}: columns.private: {text}"
            for text in _of_parts(model, {"timestamp": roles.timestamp, "id": roles.id})]


def _of_parts(model: ModelSection, parts: dict[str, str | None]) -> Iterator[str]:
    if (name := parts["timestamp"]) in model.columns.private:
        yield f'"{name}" is the timestamp, which every window tells, expected other columns'
    if isinstance(model.window.size, int) and (name := parts["id"]) in model.columns.private:
        yield f'"{name}" is the id, which bounds windows of so many rows, expected a window of time'


def _of_classes(model: ModelSection) -> bool:
    """Whether the classes may be values of a private column."""
    named = {model.columns.label, model.columns.prediction}
    return None in named or bool(named & set(model.columns.private))


def _listed(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)
