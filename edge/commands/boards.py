"""Which boards a broker knows, for whoever asked for one that it does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from edge.commands.logs import visible
from edge.config import Settings
from edge.errors import EdgeError
from edge.mqtt.client import Client, state_of
from edge.wire.topics import LEVEL, Topics

LOOK_SECONDS = 1.0
"""Retained messages come as soon as one subscribes."""
NAMES_MAX = 12
READY = ("online", "unloaded")
"""States of a board that answers who asks now; an unloaded one loads its model first."""


def unknown(device: str, found: Mapping[str, str]) -> str:
    """That a broker does not know a board, and those that it does; or that the board was not heard in time."""
    if device in found:
        return f"the board {device} was not heard in time; it is {visible(found[device])}"
    names = [f"{name} ({visible(state)})" for name, state in sorted(found.items())]
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    others = f"those on it are {', '.join(names[:NAMES_MAX])}{more}" if names else "it shows no other either"
    return f"no board named {device} is known to this broker; {others}"


async def boards(settings: Settings) -> dict[str, str]:
    """States by names; of a connection of its own, since some brokers end one that may not look around."""
    found: dict[str, str] = {}
    topics = Topics("+")
    with contextlib.suppress(TimeoutError, EdgeError):
        async with Client(settings.broker, settings.device, (topics.status,)) as client:
            async with asyncio.timeout(LOOK_SECONDS):
                async for message in client.messages():
                    name, state = message.topic.split("/")[1], state_of(message.payload)
                    if LEVEL.fullmatch(name) and state:
                        found[name] = state
    return found
