"""What others can see of the daemon: metrics, log, words to systemd."""

from monitor.expose import logs, systemd
from monitor.expose.metrics import Metrics
from monitor.expose.view import View, read_view, view_json

__all__ = ["Metrics", "View", "logs", "read_view", "systemd", "view_json"]
