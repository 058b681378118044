"""Drift: how far a column, the predictions or all features together lie from the reference."""
