"""Wyoming's events on a connection. The library's own reader takes payloads of any length; this one does not."""

from __future__ import annotations

import asyncio
from typing import Any

from wyoming.event import Event, async_write_event

from edge.errors import BadRequest, TooLarge
from edge.wire.fields import parse_fields

LINE_BYTES = 16_384
"""Of a header, newline included."""
DATA_BYTES = 65_536
"""Of what follows it."""
TAKEN_SECONDS = 10.0
"""In which a reader must have taken an event."""


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None where the other side has ended. reader: made with `limit=LINE_BYTES`.

    Raises BadRequest where it is no event, TooLarge where it is larger than any that this door has a use for.
    """
    try:
        line = await reader.readuntil(b"\n")
        header = parse_fields(line, is_plain_text=False, says_json=True)
        data = _object(header, "data")
        if length := _length(header, "data_length"):
            data |= parse_fields(await reader.readexactly(length), is_plain_text=False, says_json=True)
        if length := _length(header, "payload_length"):
            await reader.readexactly(length)
    except asyncio.LimitOverrunError as error:
        raise TooLarge(f"an event's header has {LINE_BYTES} bytes at most") from error
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    if not isinstance(kind := header.get("type"), str):
        raise BadRequest("an event's type should be a text", "type")
    return Event(kind, data)


def _object(header: dict[str, Any], name: str) -> dict[str, Any]:
    value = header.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"an event's {name} should be an object", name)
    return dict(value or {})


def _length(header: dict[str, Any], name: str) -> int:
    value = header.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(f"an event's {name} should be a number of bytes", name)
    if value > DATA_BYTES:
        raise TooLarge(f"an event's {name} is {DATA_BYTES} at most", name)
    return value


async def write_event(writer: asyncio.StreamWriter, event: Event) -> None:
    """Send an event. Raises TimeoutError where the other side takes nothing, OSError where it is gone."""
    async with asyncio.timeout(TAKEN_SECONDS):
        await async_write_event(event, writer)
