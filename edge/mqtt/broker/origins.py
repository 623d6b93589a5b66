"""Which web pages may open a WebSocket: a browser says where its page is from, and keeps no page from asking.

And under which names files are handed out: a page of a name that its owner leads here would read them as its own.

Source: RFC 6455, 10.2; RFC 6454, 7 (the Origin header).
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

PRIVATE = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".test", ".example", ".invalid")
"""Ends of names that no public name server answers for (RFC 6761, 6762, 8375, 9476, and what routers use)."""


class Origins:
    """The pages that are let in: this machine's own, those of the host that was asked, and whatever was named."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._named = {each.rstrip("/").lower() for each in named}

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of this origin may connect.

        None is a program: browsers always send one. `null` is a page without an origin, a file or a frame of anywhere.
        A page of the same host is let in by number or by a name that is not on the internet: a public name can be made
        to lead here by whoever owns it, so that its pages come from anywhere (DNS rebinding).
        """
        if origin is None or "*" in self._named or origin.lower() in self._named:
            return True
        page, asked = _host(origin), _host(f"http://{host}")
        return page is not None and (_is_here(page) or (page == asked and not _is_public(page)))

    def serves(self, host: str) -> bool:
        """Whether files are handed out to who asks for this host (`name:port`).

        A name that is on the internet is none of ours, unless an origin of it was named. May wait for name servers.
        """
        asked = _host(f"http://{host}")
        if "*" in self._named or asked in {_host(each) for each in self._named} - {None}:
            return True
        return asked is not None and not _is_public(asked)


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.hostname.rstrip(".") if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _is_public(host: str) -> bool:
    """Whether anybody on the internet could own the name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(PRIVATE) and host != _own_name()
    return False


@functools.cache
def _own_name() -> str:
    """Of this machine, with its domain; where name servers are away they are waited for, once."""
    return socket.getfqdn().lower()
