"""Telling people: messages through Apprise, and the outgoing sign of life."""

from monitor.notify.deliver import Delivery
from monitor.notify.heartbeat import heartbeat
from monitor.notify.notifier import Messages, Notifier

__all__ = ["Delivery", "Messages", "Notifier", "heartbeat"]
