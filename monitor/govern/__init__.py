"""Accountability: retention, forgetting people, the audit's archive, the governance report."""
