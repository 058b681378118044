"""Accountability: retention, forgetting people, the audit's archive, the governance report."""

from monitor.govern.archive import export
from monitor.govern.forget import Forgotten, forget
from monitor.govern.html import html
from monitor.govern.lineage import Version, versions
from monitor.govern.markdown import markdown
from monitor.govern.report import Report, gather
from monitor.govern.retention import tidy

__all__ = ["Forgotten", "Report", "Version", "export", "forget", "gather", "html", "markdown", "tidy", "versions"]
