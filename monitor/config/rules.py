"""Rules that types cannot express: names that must exist, values that must fit each other."""

import glob
import ipaddress
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from monitor.config import cron, pipeline_rules, spanning_rules, stores, trigger_rules, web_rules
from monitor.config.document import Document
from monitor.config.drift_methods import METHODS
from monitor.config.evidently_metrics import METRICS as EVIDENTLY
from monitor.config.keys import Key, did_you_mean
from monitor.config.sections import (
    MEASURED,
    Columns,
    Config,
    DriftSection,
    EvidentlySection,
    ModelSection,
    SourceSection,
    TriggerSection,
    WindowSection,
)
from monitor.config.spanning_rules import BUILT_IN, LATER_BUILT_IN
from monitor.config.values import Budget, Persistence
from monitor.metric_catalogue import (
    CATALOGUE,
    ESTIMATED,
    ESTIMATES,
    OF_GROUPS,
    PERFORMANCE,
    Task,
    Use,
    estimable,
    names_for,
    performance_of,
)

Problems = Iterator[tuple[Key, str]]

SHORTEST_RETENTION = timedelta(days=60)

MOST_COLUMNS = spanning_rules.MOST_COLUMNS
_TRIGGERS = names_for(Use.ALERT)
_JUDGED = tuple(name for name in _TRIGGERS if CATALOGUE[name].judged)     # `drifted` goes with them


def check(config: Config, document: Document, *, data: bool) -> None:
    """Note every problem of a configuration whose types are right.

    `data`: look too whether the data are there, and warn of those that are not there yet. That may take as long as a
    mount does not answer.
    """
    written = document.data.get("pipelines", {})
    for key, text in (*_daemon(config), *pipeline_rules.check(config.pipelines), *spanning_rules.silences(config)):
        document.problem(key, text)
    if not config.models:
        document.problem(("models",), "there is no model, expected at least one table [models.NAME]")
    for name, model in config.models.items():
        for key, text in (*_model(model), *_retrain(model, written)):
            document.problem(("models", name, *key), text)
        if data:
            for key, text in _absent(model):
                document.missing(("models", name, *key), text)
            for key, text in _not_yet(model):
                document.warn(("models", name, *key), text)


def _daemon(config: Config) -> Problems:
    yield from web_rules.check(config.daemon)
    if config.daemon.retention is not None and config.daemon.retention < SHORTEST_RETENTION:
        yield ("daemon", "retention"), "is less than 60d; windows are measured again for late rows until then"
    if isinstance(config.daemon.heartbeat, str):
        yield from pipeline_rules.address(("daemon", "heartbeat"), config.daemon.heartbeat)
    for index, network in enumerate(config.daemon.allow_inner or ()):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield ("daemon", "allow_inner", index), f'"{network}" is no network, expected such as "10.20.0.0/16"'


def _model(model: ModelSection) -> Problems:
    yield from _schedule(model)
    yield from _window(model.window)
    yield from _columns(model.columns)
    yield from _label_id(model)
    yield from _sources(model)
    yield from _drift(model.drift)
    yield from _fairness(model)
    yield from spanning_rules.private_columns(model)
    if model.metric is not None:
        yield from _performance(("metric",), model.metric, model.task)
    yield from _evidently(model.evidently)
    yield from spanning_rules.gate_limits(model)
    yield from spanning_rules.shadow(model)
    if model.registry is not None:
        yield from pipeline_rules.address(("registry", "url"), model.registry.url)
    names: dict[str, int] = {}
    for index, trigger in enumerate(model.triggers):
        yield from _trigger(("triggers", index), trigger, model)
        yield from spanning_rules.composition(("triggers", index), trigger, model)
        yield from trigger_rules.never(("triggers", index), trigger, model)
        yield from _segment(("triggers", index, "segment"), trigger, model)
        if names.setdefault(trigger.name, index) != index:
            yield ("triggers", index, "name"), f'"{trigger.name}" is there already, expected each name once'


def _schedule(model: ModelSection) -> Problems:
    if model.every is not None and model.cron is not None:
        yield ("cron",), "every is given too, expected one of them"
    if model.cron is not None and (text := cron.wrong(model.cron)):
        yield ("cron",), f'"{model.cron}" {text}, expected such as "15 * * * *"'


def _window(window: WindowSection) -> Problems:
    few = f"fewer than min_rows ({window.min_rows}), expected at least so many"
    if isinstance(window.size, timedelta):
        if window.step is not None and window.step > window.size:
            yield ("window", "step"), "is longer than size and would leave rows out, expected at most size"
    else:
        if window.step is not None:
            yield ("window", "step"), "goes with a size in time, but size counts rows, expected no step"
        if window.size < window.min_rows:
            yield ("window", "size"), f"{window.size} rows are {few}"
    if window.sample is not None and window.sample < window.min_rows:
        yield ("window", "sample"), f"{window.sample} rows are {few}"


def _label_id(model: ModelSection) -> Problems:
    if model.columns.label_id is not None and model.labels is None:
        yield ("columns", "label_id"), "is the id among labels that are kept apart, expected labels beside predictions"


def _columns(columns: Columns) -> Problems:
    parts: dict[str, str] = {}
    for part in ("timestamp", "id", "prediction", "probability", "label", "label_timestamp", "model_version"):
        name = getattr(columns, part)
        if name is not None and parts.setdefault(name, part) != part:
            yield ("columns", part), f'"{name}" is the {parts[name]} already, expected a column of its own'


def _sources(model: ModelSection) -> Problems:
    if (model.reference.source is None) == (model.reference.first is None):
        yield ("reference",), 'expected either a place, such as path = "reference.csv", or first = "90d"'
    shadow = [(("promotion", "shadow"), model.promotion.shadow)] if model.promotion.shadow else []
    for key, source in (*_places(model), *_earlier(model), *shadow):
        for part, text in stores.wrong(source):
            yield (*key, *part), text
        if source.storage.endpoint is not None:
            yield from pipeline_rules.address((*key, "storage", "endpoint"), source.storage.endpoint)
    for key, source in _earlier(model):
        if "{version}" not in (source.path or "") + (source.table or ""):
            what = "path" if source.path else "table"
            yield (*key, what), 'names no {version}, expected such as "predictions/{version}.parquet"'


def _absent(model: ModelSection) -> Problems:
    """Yield data that do not exist. They may come and go: `validate` calls that an error, a check a failed source."""
    for key, source in _places(model):
        path = Path(source.path or ".")
        if "://" not in str(source.path) and _gone(path):
            yield (*key, "path"), f'there is no file "{path}", expected a file, a glob or a folder'


def _gone(path: Path) -> bool:
    return not path.exists() and not _may_come(path)


def _not_yet(model: ModelSection) -> Problems:
    shadow = model.promotion.shadow
    if shadow is not None and shadow.version is not None and shadow.version == model.version:
        yield ("promotion", "shadow", "version"), \
            f'"{shadow.version}" is the version in service: nothing is in shadow, expected no table'
    for key, source in _places(model):
        path = Path(source.path or ".")
        empty = path.is_dir() and not any(path.iterdir())
        missing = not path.exists() and _may_come(path) and not glob.glob(str(path), recursive=True)
        if empty or (missing and "://" not in str(source.path)):
            yield (*key, "path"), f'nothing is at "{source.path}" yet'


def _places(model: ModelSection) -> Iterator[tuple[Key, SourceSection]]:
    yield ("predictions",), model.predictions
    if model.labels is not None:
        yield ("labels",), model.labels
    if model.attributes is not None:
        yield ("attributes",), model.attributes
    if model.reference.source is not None:
        yield ("reference", "source"), model.reference.source


def _earlier(model: ModelSection) -> Iterator[tuple[Key, SourceSection]]:
    """Yield the place of the predictions of versions that served before: where each one's are need not be there."""
    if model.versions is not None and model.versions.predictions is not None:
        yield ("versions", "predictions"), model.versions.predictions


def _may_come(path: Path) -> bool:
    """Whether a path that does not exist may be filled later: a glob or a folder may, a named file should exist."""
    return glob.has_magic(str(path)) or not path.suffix


def _drift(drift: DriftSection) -> Problems:
    yield from _method(("drift", "method"), drift.method, (*METHODS, "auto"))
    yield from _threshold(("drift", "threshold"), drift.threshold)
    if not drift.false_alarms.count or not drift.false_alarms.span:
        yield ("drift", "false_alarms"), f'"{drift.false_alarms}" is not a rate, expected a text such as "1 per 90d"'
    for name, column in drift.columns.items():
        yield from _method(("drift", "columns", name, "method"), column.method, (*METHODS, "auto"))
        yield from _threshold(("drift", "columns", name, "threshold"), column.threshold)


def _method(key: Key, method: str | None, known: tuple[str, ...]) -> Problems:
    if method is not None and method not in known:
        near = did_you_mean(method, known) or ", expected one of " + ", ".join(known)
        yield key, f'there is no drift method "{method}"{near}'


def _threshold(key: Key, threshold: float | str | None) -> Problems:
    if isinstance(threshold, float) and not 0 < threshold < float("inf"):
        yield key, f'expected a number > 0, "calibrated" or "evidently", got {threshold:g}'


def _performance(key: Key, metric: str, task: Task | None) -> Problems:
    known = performance_of(task) if task else PERFORMANCE
    if metric not in known:
        of = f"of the task {task}" if task else "of performance"
        near = did_you_mean(metric, known) or ", expected one of " + ", ".join(known)
        yield key, f'"{metric}" is no metric {of}{near}'


def _evidently(sections: tuple[EvidentlySection, ...]) -> Problems:
    for index, section in enumerate(sections):
        if section.metric not in EVIDENTLY:
            near = did_you_mean(section.metric, EVIDENTLY) or ", expected one of " + ", ".join(EVIDENTLY)
            yield ("evidently", index, "metric"), f'Evidently has no metric "{section.metric}"{near}'
        elif section in sections[:index]:
            yield ("evidently", index, "metric"), f'"{section.metric}" with these options is there already'


def _trigger(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    if trigger.name in (*BUILT_IN, *LATER_BUILT_IN):
        yield (*key, "name"), f'"{trigger.name}" is the name of a built-in trigger, expected another'
    if trigger.about is not None:
        yield from _about((*key, "about"), trigger, model)
        if trigger.above is None:
            return
    if trigger.action == "rollback" and trigger.metric != "version_regret":
        yield (*key, "action"), '"rollback" goes with metric = "version_regret", expected "alert" or "retrain"'
    if any(getattr(trigger, name) is not None for name in MEASURED):
        yield from _measured(key, trigger, model)
        return
    if trigger.cron is not None and (text := cron.wrong(trigger.cron)):
        yield (*key, "cron"), f'"{trigger.cron}" {text}, expected such as "0 6 1 * *"'
    for name in ("metric", "column", "segment", "method", "clear", "windows"):
        if name in trigger.model_fields_set:
            yield (*key, name), f"goes with {', '.join(MEASURED)}, expected no {name}"


def _about(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    """Yield what is wrong with `about`: it needs the price that a backtest proposed for it beside it."""
    if trigger.metric != "regret" or trigger.action != "retrain" or trigger.windows != Persistence(1, 1):
        yield key, 'goes with metric = "regret" and action = "retrain", expected no about'
    elif trigger.about is not None and not (trigger.about.count and trigger.about.span):
        yield key, f'"{trigger.about}" is not a rate, expected a text such as "4 per year"'
    elif trigger.above is None:
        command = f"driftd backtest --model {model.name} --suggest"
        wanted = f"expected above beside it: `{command}` proposes it"
        yield key, f'"{trigger.about}" says how often, but not at what price, {wanted}'
    elif model.retrain is not None and _rate(trigger.about) > _rate(model.retrain.budget):
        yield key, f'"{trigger.about}" is more than retrain.budget, "{model.retrain.budget}", allows'


def _rate(budget: Budget | None) -> float:
    return budget.count / budget.span.total_seconds() if budget and budget.span else 0.0


def _measured(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    task = model.task
    if not trigger.metric:
        yield (*key, "metric"), 'is missing, expected what the trigger watches, such as "regret"'
        return
    if trigger.metric == "new_rows" and trigger.above is None:
        yield (*key, "metric"), '"new_rows" goes with above, expected such as above = 10000'
    if trigger.metric == "version_regret" and trigger.above is None:
        yield (*key, "metric"), '"version_regret" goes with above, what going back costs, expected such as above = 0.5'
    if trigger.metric not in EVIDENTLY:
        yield from _method((*key, "method"), trigger.method, tuple(METHODS))
    if trigger.metric in EVIDENTLY:
        if trigger.metric not in {section.metric for section in model.evidently}:
            wanted = f"a table [[models.{model.name}.evidently]] that measures it"
            yield (*key, "metric"), f'"{trigger.metric}" is a metric of Evidently, expected {wanted}'
    elif trigger.metric in METHODS:
        wanted = f'metric = "drift" and method = "{trigger.metric}"'
        yield (*key, "metric"), f'"{trigger.metric}" is a drift method, expected {wanted}'
    elif trigger.metric not in _TRIGGERS:
        near = did_you_mean(trigger.metric, _TRIGGERS) or ", expected one of " + ", ".join(_TRIGGERS)
        yield (*key, "metric"), f'there is no metric "{trigger.metric}"{near}'
    elif task and trigger.metric in PERFORMANCE:
        yield from _performance((*key, "metric"), trigger.metric, task)
    elif trigger.metric in ESTIMATES:
        yield from _estimated(key, trigger, task)
    if trigger.drifted and trigger.metric in (*_TRIGGERS, *EVIDENTLY) and trigger.metric not in _JUDGED:
        shown = ", ".join((*(name for name in _JUDGED if name not in ESTIMATES), f"{ESTIMATED}…"))
        yield (*key, "drifted"), f"goes with {shown}, expected above, below, rise or drop"
    for name in ("above", "below"):
        level = getattr(trigger, name)
        priced = name == "above" and trigger.metric in ("regret", "version_regret")
        if level is not None and level.span is not None and not priced:
            yield (*key, name), f'"{level}" is a price, which goes with regret and above, expected a number'


def _estimated(key: Key, trigger: TriggerSection, task: Task | None) -> Problems:
    """Yield what is wrong with a trigger on an estimate: estimates only alert, since labels are still unknown."""
    name = CATALOGUE[trigger.metric].estimate_of
    if task and name not in estimable(task):
        known = ", ".join(ESTIMATED + name for name in estimable(task))
        yield (*key, "metric"), f'"{name}" of a {task} model cannot be estimated, expected {known or "another metric"}'
    if trigger.action == "retrain":
        yield (*key, "action"), f'"{trigger.metric}" is an estimate, which never retrains alone, expected "alert"'


def _fairness(model: ModelSection) -> Problems:
    protected = model.fairness.columns if model.fairness else ()
    if len({*model.columns.segments, *protected}) > MOST_COLUMNS:
        yield ("columns", "segments"), f"expected at most {MOST_COLUMNS} columns, those of fairness among them"
    if model.attributes is not None and not protected:
        table = f"[models.{model.name}.fairness]"
        yield ("attributes",), f"are used by fairness alone, expected a table {table} that names columns"
    if protected and model.task not in (None, "binary"):
        yield ("fairness",), f'compares the answers of binary models, but the task is "{model.task}"'
    for name in model.fairness.comparison if model.fairness else ():
        if name not in protected:
            near = did_you_mean(name, protected) or f", expected one of {', '.join(protected)}"
            yield ("fairness", "comparison", name), f'"{name}" is not among the columns{near}'


def _segment(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    """Yield what is wrong with a trigger on segments or groups: they must be measured."""
    metric, segment = trigger.metric, trigger.segment
    if metric in OF_GROUPS:
        known = model.fairness.columns if model.fairness else ()
        if not known:
            table = f"[models.{model.name}.fairness]"
            yield (*key[:-1], "metric"), f'"{metric}" needs protected columns, expected a table {table}'
            return
    else:
        known = model.columns.segments if metric in PERFORMANCE else ()
    if segment is not None and not any(segment == name or segment.startswith(f"{name}=") for name in known):
        there = " or ".join(f'"{name}", "{name}=VALUE"' for name in known) or "none: the metric has no segments here"
        yield key, f'"{segment}" is not measured, expected {there}'


def _retrain(model: ModelSection, pipelines: dict[str, object]) -> Problems:
    if model.retrain is None:
        for index, trigger in enumerate(model.triggers if "triggers" in model.model_fields_set else ()):
            if trigger.action != "alert":
                yield ("triggers", index, "action"), \
                    f'"{trigger.action}" needs a pipeline, expected a table [models.{model.name}.retrain]'
    elif model.retrain.pipeline not in pipelines and model.retrain.pipeline:
        near = did_you_mean(model.retrain.pipeline, pipelines)
        known = f", expected one of {', '.join(pipelines)}" if pipelines else ", expected [pipelines.NAME]"
        yield ("retrain", "pipeline"), f'there is no pipeline "{model.retrain.pipeline}"{near or known}'
