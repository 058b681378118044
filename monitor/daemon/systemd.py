"""Words to systemd over its notification socket; nothing happens when there is none."""

import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Send lines such as "READY=1". A socket that does not answer is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto("\n".join(lines).encode(), address)
