"""Where a door listens: a host and a port, or a unix socket on this board."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

UNIX = "unix:"
HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", re.ASCII)
PATH_BYTES = 95
"""Of a unix socket's path, which the kernel bounds at 107."""


def checked(address: str | None) -> str | None:
    """The same address. ValueError where it is neither HOST:PORT nor unix:/PATH."""
    if address is None:
        return None
    if address.startswith(UNIX):
        if not address.startswith(f"{UNIX}/") or len(address.encode()) > len(UNIX) + PATH_BYTES:
            raise ValueError(f"{address[:120]!r} is not unix: and a whole path of {PATH_BYTES} bytes at most")
    elif not (found := HOST_AND_PORT.fullmatch(address)) or int(found[2]) > 65535:
        raise ValueError(f"{address[:120]!r} is neither HOST:PORT nor unix:/PATH")
    return address


def socket_path(address: str | None) -> Path | None:
    """Of the unix socket; None where it is another address, or none."""
    return Path(address.removeprefix(UNIX)) if address and address.startswith(UNIX) else None


def host_and_port(address: str | None) -> tuple[str, int] | None:
    """The address taken apart; None where there is none, or it is a unix socket."""
    if address is None or socket_path(address):
        return None
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_of_this_board(address: str | None) -> bool:
    """Whether nothing but this board reaches it."""
    place = host_and_port(address)
    if place is None:
        return True
    try:
        return ipaddress.ip_address(place[0]).is_loopback
    except ValueError:
        return place[0] == "localhost"
