"""The only SQL: what was measured, decided, sent and done by hand, in one database."""

from monitor.store.audit import AuditEntry
from monitor.store.chain import Verified
from monitor.store.configurations import Accepted
from monitor.store.lineage import Seen
from monitor.store.pauses import Pause
from monitor.store.store import Store
from monitor.store.windows import Known

__all__ = ["Accepted", "AuditEntry", "Known", "Pause", "Seen", "Store", "Verified"]
