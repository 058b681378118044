"""Versions: which is in service, how another one takes its place, the registry, callbacks."""
