"""The only SQL: what was measured, decided, sent and done by hand, in one database."""

from monitor.store.audit import AuditEntry, Verified
from monitor.store.configurations import Accepted
from monitor.store.lineage import Seen
from monitor.store.requests import LEASE
from monitor.store.silences import Pause
from monitor.store.snapshots import Known
from monitor.store.store import Store

__all__ = ["LEASE", "Accepted", "AuditEntry", "Known", "Pause", "Seen", "Store", "Verified"]
