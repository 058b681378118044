"""The only SQL: what was measured, decided, sent and done by hand, in one database."""

from monitor.store.chain import AuditEntry, Verified
from monitor.store.lineage import Seen
from monitor.store.row_mapping import Accepted, Known, Pause
from monitor.store.store import Store

__all__ = ["Accepted", "AuditEntry", "Known", "Pause", "Seen", "Store", "Verified"]
