"""Decide: history + snapshot + now → triggers, episode, verdict. Pure: no I/O, no clock, no log."""

from monitor.decide.decision import Decision, decide
from monitor.decide.episodes import (
    PERSON,
    STANDING,
    TRANSITIONS,
    approve,
    give_way,
    lapse,
    lapses_at,
    person_request,
    reject,
    supersede,
)
from monitor.decide.explain import explain
from monitor.decide.guards import GUARDS
from monitor.decide.history import History, remembered
from monitor.decide.messages import note_approval, note_source, standing
from monitor.decide.regret import FALSE_RETRAINS
from monitor.decide.replay import fires, replay
from monitor.decide.silences import in_force, silence_words
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN

__all__ = [
    "BROKEN_DATA",
    "FALSE_RETRAINS",
    "GUARDS",
    "PERSON",
    "SOURCE",
    "SOURCE_DOWN",
    "STANDING",
    "TRANSITIONS",
    "Decision",
    "History",
    "approve",
    "decide",
    "explain",
    "fires",
    "give_way",
    "in_force",
    "lapse",
    "lapses_at",
    "note_approval",
    "note_source",
    "person_request",
    "reject",
    "remembered",
    "replay",
    "silence_words",
    "standing",
    "supersede",
]
