"""Decide: history + snapshot + now → triggers, episode, verdict. Pure: no I/O, no clock, no log."""
