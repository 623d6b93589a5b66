"""sd_notify(3): tell the service manager how we are. Silent where no manager listens."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 120.0
"""Without a word for so long, a start has come to a halt."""
STATUS_CHARACTERS = 1000


class Notifier:
    """Sends to `$NOTIFY_SOCKET`; every call does nothing where that is not set."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @property
    def watchdog_seconds(self) -> float | None:
        """The longest silence the manager bears; None where it watches nothing (sd_watchdog_enabled(3))."""
        owner, interval = os.environ.get("WATCHDOG_PID"), os.environ.get("WATCHDOG_USEC")
        if not self._address or not interval or (owner and int(owner) != os.getpid()):
            return None
        return int(interval) / 1e6

    def ready(self, status: str) -> None:
        """Start-up is over."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={_line(status)}")

    def starting(self, status: str) -> None:
        """Work goes on: do not give up for PATIENCE_SECONDS from now; to be said again and again."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(PATIENCE_SECONDS * 1e6)}\nSTATUS={_line(status)}")

    def watchdog(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        """We are on the way out."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(self._address)
                channel.sendall(text.encode(errors="replace"))
        except OSError as error:  # what the manager is not told is no reason to end
            log.warning("systemd could not be told how we are: %s", error)


def _line(status: str) -> str:
    """A status without line ends, which would end it, and no longer than a datagram takes."""
    return " ".join(status.split())[:STATUS_CHARACTERS]
