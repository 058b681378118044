"""Asking for retrains: evidence, the outbox and its pipelines, a person's hand on a request, the gate."""

from monitor.retrain.approval import approve, lapse, reject
from monitor.retrain.callback import take_report
from monitor.retrain.evidence import event
from monitor.retrain.gate import Judged, Seen, gate_files, gate_log, stretch_of
from monitor.retrain.hand import resolve, retry
from monitor.retrain.outbox import Outbox, new_dispatch
from monitor.retrain.promotion import (
    approve_promotion,
    as_in_service,
    collect,
    in_service,
    reject_promotion,
    rollback,
)
from monitor.retrain.registry import REGISTRY, Registries

__all__ = [
    "REGISTRY",
    "Judged",
    "Outbox",
    "Registries",
    "Seen",
    "approve",
    "approve_promotion",
    "as_in_service",
    "collect",
    "event",
    "gate_files",
    "gate_log",
    "in_service",
    "lapse",
    "new_dispatch",
    "reject",
    "reject_promotion",
    "resolve",
    "retry",
    "rollback",
    "stretch_of",
    "take_report",
]
