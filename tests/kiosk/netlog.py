"""What Chromium's own network log (`--log-net-log`) says of whom it spoke to."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROBE = "2001:4860:4860::8888"
"""Chromium asks the kernel for a route to it, to see whether there is IPv6: a datagram socket that sends nothing."""
LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
SCHEMES = ("http", "https", "ws", "wss")


def foreign(path: Path) -> list[str]:
    """Requests, names and connections that are not of this machine; ValueError where the log is empty.

    A log that was cut off by the browser's end is read up to there.
    """
    names, events = read(path)
    found, own = [], 0
    for event in events:
        kind, params = names[event["type"]], event.get("params") or {}
        if (address := addressed(kind, params)) is None:
            continue
        own += 1
        if not is_local(address) and not (kind == "UDP_CONNECT" and address == PROBE):
            found.append(f"{kind} {address}")
    if not own:
        raise ValueError(f"{path} tells of no request at all")
    return found + [f"UDP_BYTES_SENT {each}" for each in sent_to_strangers(names, events)]


def read(path: Path) -> tuple[dict[int, str], list[dict[str, Any]]]:
    """The names of the kinds of events, by number, and the events."""
    text = path.read_text(encoding="utf-8", errors="replace").rstrip().rstrip(",")
    try:
        log = json.loads(text)
    except ValueError:
        log = json.loads(f"{text}]}}")
    return {number: name for name, number in log["constants"]["logEventTypes"].items()}, log["events"]


def addressed(kind: str, params: dict[str, Any]) -> str | None:
    """The host that an event is about; None where it is about none."""
    if kind in ("URL_REQUEST_START_JOB", "CORS_REQUEST") and "url" in params:
        url = urlsplit(params["url"])
        return url.hostname if url.scheme in SCHEMES else None
    if kind in ("TCP_CONNECT_ATTEMPT", "UDP_CONNECT") and "address" in params:
        return str(params["address"]).rpartition(":")[0].strip("[]")
    if kind == "HOST_RESOLVER_MANAGER_REQUEST" and "host" in params:
        host = str(params["host"])
        return urlsplit(host if "//" in host else f"//{host}").hostname
    return None


def is_local(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL


def sent_to_strangers(names: dict[int, str], events: list[dict[str, Any]]) -> Iterator[str]:
    """What went out of a datagram socket that was connected to somebody else."""
    strange: dict[int, str] = {}
    for event in events:
        kind, params, source = names[event["type"]], event.get("params") or {}, event["source"]["id"]
        if kind == "UDP_CONNECT" and (address := addressed(kind, params)) and not is_local(address):
            strange[source] = address
        elif kind == "UDP_BYTES_SENT" and source in strange:
            yield strange[source]
