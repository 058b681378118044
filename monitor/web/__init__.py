"""The daemon's HTTP side: metrics, health, status; and, signed, what pipelines and registries tell."""

from monitor.web.app import App
from monitor.web.posts import Posts
from monitor.web.server import WebServer

__all__ = ["App", "Posts", "WebServer"]
