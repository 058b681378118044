"""The worker's side of a check: JSON tasks that look at the source and measure one window of it."""

from monitor.observe.tasks import extent, observe, resolve, survey

__all__ = ["extent", "observe", "resolve", "survey"]
