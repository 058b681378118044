"""Silences: their times make sense, and what they silence is there."""

from collections.abc import Iterator

from monitor.config import cron
from monitor.config.composition_rules import BUILT_IN, LATER_BUILT_IN
from monitor.config.keys import Key, did_you_mean
from monitor.config.sections import Config, SilenceSection

Problems = Iterator[tuple[Key, str]]


def check(config: Config) -> Problems:
    """Yield what is wrong with each silence."""
    for index, silence in enumerate(config.silences):
        key = ("silences", index)
        if silence.cron is not None and (text := cron.wrong(silence.cron)):
            yield (*key, "cron"), f'"{silence.cron}" {text}, expected such as "0 22 * * *"'
        if silence.since and silence.until and silence.since >= silence.until:
            yield (*key, "until"), "is not after since, expected a later moment"
        if silence.model is not None and silence.model not in config.models:
            near = did_you_mean(silence.model, config.models) or f", expected one of {', '.join(config.models)}"
            yield (*key, "model"), f'there is no model "{silence.model}"{near}'
        elif silence.trigger is not None:
            yield from _silenced(key, silence, config)


def _silenced(key: Key, silence: SilenceSection, config: Config) -> Problems:
    models = [config.models[silence.model]] if silence.model else list(config.models.values())
    known = (*BUILT_IN, *LATER_BUILT_IN, *(trigger.name for model in models for trigger in model.triggers))
    if silence.trigger not in known:
        near = did_you_mean(str(silence.trigger), known) or f", expected one of {', '.join(dict.fromkeys(known))}"
        yield (*key, "trigger"), f'there is no trigger "{silence.trigger}"{near}'
    if silence.maintenance:
        yield (*key, "trigger"), "a maintenance window is of a whole model, expected no trigger"
