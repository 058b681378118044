"""Decide: history + snapshot + now → triggers, episode, verdict. Pure: no I/O, no clock, no log."""

from monitor.decide.chance import Expected, Years, by_chance, drawn_years, together
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
from monitor.decide.fairness import fairness_scores
from monitor.decide.gate import GateVerdict, Outcome, gate
from monitor.decide.guards import GUARDS
from monitor.decide.history import History, remembered
from monitor.decide.messages import note_approval, note_source, standing
from monitor.decide.recovery import NO_RECOVERY, measurable
from monitor.decide.regret import FALSE_RETRAINS
from monitor.decide.replay import Ballot, ballot, fires
from monitor.decide.silences import in_force, silence_words
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN

__all__ = [
    "BROKEN_DATA",
    "FALSE_RETRAINS",
    "GUARDS",
    "NO_RECOVERY",
    "PERSON",
    "SOURCE",
    "SOURCE_DOWN",
    "STANDING",
    "TRANSITIONS",
    "Ballot",
    "Decision",
    "Expected",
    "GateVerdict",
    "History",
    "Outcome",
    "Years",
    "approve",
    "ballot",
    "by_chance",
    "decide",
    "drawn_years",
    "explain",
    "fairness_scores",
    "fires",
    "gate",
    "give_way",
    "in_force",
    "lapse",
    "lapses_at",
    "measurable",
    "note_approval",
    "note_source",
    "person_request",
    "reject",
    "remembered",
    "silence_words",
    "standing",
    "supersede",
    "together",
]
