"""Decide: history + snapshot + now → triggers, episode, verdict. Pure: no I/O, no clock, no log."""

from monitor.decide.decision import Decision, decide
from monitor.decide.episodes import PERSON, TRANSITIONS, person_request, supersede
from monitor.decide.explain import explain
from monitor.decide.guards import GUARDS
from monitor.decide.history import History, remembered
from monitor.decide.messages import note_source, standing
from monitor.decide.regret import FALSE_RETRAINS
from monitor.decide.replay import fires, replay
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN

__all__ = [
    "BROKEN_DATA",
    "FALSE_RETRAINS",
    "GUARDS",
    "PERSON",
    "SOURCE",
    "SOURCE_DOWN",
    "TRANSITIONS",
    "Decision",
    "History",
    "decide",
    "fires",
    "explain",
    "note_source",
    "person_request",
    "remembered",
    "replay",
    "standing",
    "supersede",
]
