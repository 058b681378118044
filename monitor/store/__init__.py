"""The only SQL: what was measured, decided, sent and done by hand, in one database."""

from monitor.store.rows import Accepted, AuditEntry, Known, Pause
from monitor.store.store import Store

__all__ = ["Accepted", "AuditEntry", "Known", "Pause", "Store"]
