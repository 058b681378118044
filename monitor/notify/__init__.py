"""Telling people: messages through Apprise, and the outgoing sign of life."""
