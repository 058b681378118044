"""Asking for retrains: evidence, the outbox and its pipelines, a person's hand on a request, the gate."""
