"""Asking for retrains: evidence, the outbox and its pipelines, and a person's hand on a request."""

from monitor.retrain.approval import approve, lapse, reject
from monitor.retrain.evidence import event
from monitor.retrain.hand import resolve, retry
from monitor.retrain.outbox import Outbox, new_dispatch

__all__ = ["Outbox", "approve", "event", "lapse", "new_dispatch", "reject", "resolve", "retry"]
