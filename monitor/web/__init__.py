"""The daemon's HTTP side: metrics, health, status; reading only."""

from monitor.web.app import App
from monitor.web.server import WebServer

__all__ = ["App", "WebServer"]
