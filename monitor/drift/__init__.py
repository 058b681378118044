"""Drift: how far a column, the predictions or all features together differ from the reference."""
