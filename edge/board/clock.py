"""The processor's clock: the steps that it has, and a cap on it, which a small helper of root's sets for us.

The helper (`clock_helper.py`, `systemd/edge-clock.socket`) takes a number of kilohertz in a datagram and forgets it
after LEASE_SECONDS, so that a daemon that is gone slows nobody down.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path

from edge.board.files import DIGITS, Files

log = logging.getLogger(__name__)

POLICIES = "sys/devices/system/cpu/cpufreq"
SOCKET = Path("/run/edge-clock.socket")
LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
"""Between two words to the helper while there is a cap."""
HERTZ = 1000
"""Of the kernel's unit (Documentation/admin-guide/pm/cpufreq.rst)."""


def steps_hertz(files: Files) -> list[int]:
    """The clocks that the fastest cores can have, rising; empty where the kernel does not say."""
    fastest = max(
        files.names(POLICIES, "policy*"), key=lambda each: files.count(f"{each}/cpuinfo_max_freq") or 0, default=None
    )
    listed = files.text(f"{fastest}/scaling_available_frequencies") if fastest else None
    return sorted({int(each) * HERTZ for each in (listed or "").split() if each.isdecimal() and len(each) < DIGITS})


class Clock:
    """A cap that is asked for. address: the helper's socket."""

    def __init__(self, address: Path = SOCKET) -> None:
        self._address = address
        self._asked: int | None = None
        self._told, self._is_deaf = 0.0, False

    @property
    def is_there(self) -> bool:
        """Whether a helper listens, as far as its socket shows."""
        return self._address.is_socket()

    def cap(self, hertz: int | None, seconds: float) -> bool:
        """Have the clock stay below this, None as it was; whether the helper took it. seconds: a monotonic clock's.

        Once a second is not too often: it is told what is new to it, and what it would forget.
        """
        if hertz == self._asked and (hertz is None or seconds - self._told < RENEW_SECONDS):
            return True
        try:
            self._tell(hertz or 0)
        except OSError as error:
            if not self._is_deaf:  # once, however often it is tried
                log.warning("the clock's helper at %s cannot be told: %s", self._address, error)
            self._asked, self._is_deaf = None, True
            return False
        self._asked, self._told, self._is_deaf = hertz, seconds, False
        return True

    def _tell(self, hertz: int) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_UNIX, kind) as channel:
            channel.sendto(str(hertz // HERTZ).encode(), str(self._address))
