"""What boards have said of themselves so far: kept for whoever looks, bounded whatever a broker brings."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge.commands.boards import LOOK_SECONDS, boards, unknown
from edge.config import Settings
from edge.errors import BrokerError
from edge.mqtt.client import Client, json_object
from edge.wire.message import Message
from edge.wire.topics import LEVEL, Topics

KINDS = ("status", "info", "telemetry", "load", "event")
BOARDS_MAX = 100
BYTES_MAX = 1 << 16
"""Of a message; a whole reading has a few thousand."""
KNOWN_SECONDS = 3.0
"""For a retained status over a slow network; a board that has said nothing by then is not known."""
COURSE_MAX = 60
"""Readings whose temperature is kept."""


@dataclass
class Board:
    """One board. found: its name as `device`, and the last bodies of `status`, `info`, `telemetry`, `load`.

    course: the hottest temperature of the last readings, with when it came. event: the last one. heard: when the last
    reading came; all by the monotonic clock.
    """

    found: dict[str, Any]
    course: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=COURSE_MAX))
    event: tuple[float, dict[str, Any]] | None = None
    heard: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has said how it is."""
        return bool(self.found.get("status"))

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to be waited for."""
        is_away = self.found.get("status", {}).get("state") == "offline"
        return self.is_known and "info" in self.found and (is_away or "telemetry" in self.found)

    def take(self, kind: str, body: dict[str, Any], now: float) -> None:
        """A message of its own."""
        if kind == "event":
            self.event = now, body
            return
        self.found[kind] = body
        if kind == "telemetry":
            self.heard = now
            thermal = body.get("thermal")
            hottest = thermal.get("hottest_celsius") if isinstance(thermal, dict) else None
            if isinstance(hottest, int | float) and not isinstance(hottest, bool) and -100 < hottest < 1000:
                self.course.append((now, float(hottest)))


class Boards:
    """By their names. named: the one that is looked at; None where all are."""

    def __init__(self, named: str | None) -> None:
        self.named = named
        self.known: dict[str, Board] = {} if named is None else {named: Board({"device": named})}
        self.left_out = False
        """Whether there were more than are kept."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Where they tell of themselves."""
        of = Topics(self.named or "+")
        return of.status, of.info, of.telemetry, of.load, of.event

    def all(self) -> list[Board]:
        """In the order of their names."""
        return [board for _, board in sorted(self.known.items())]

    def take(self, message: Message) -> None:
        """What is no message of a board, or too large for one, changes nothing."""
        _, _, rest = message.topic.partition("/")
        name, _, kind = rest.partition("/")
        if kind not in KINDS or not LEVEL.fullmatch(name) or self.named not in (None, name):
            return
        if kind == "status" and not message.payload and self.named is None:
            self.known.pop(name, None)
        body = json_object(message.payload) if len(message.payload) <= BYTES_MAX else None
        if body is not None and self._has_room(name):
            board = self.known.setdefault(name, Board({"device": name}))
            board.take(kind, body, time.monotonic())

    def _has_room(self, name: str) -> bool:
        has = name in self.known or len(self.known) < BOARDS_MAX
        self.left_out = self.left_out or not has
        return has


async def hear(client: Client, boards: Boards, seconds: float, is_enough: Callable[[], bool] = lambda: False) -> int:
    """Take what comes for so long, or until it is enough; how many messages came. BrokerError where that is the end."""
    count = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            if is_enough():
                return count
            async for message in client.messages():
                boards.take(message)
                count += 1
                if is_enough():
                    break
    return count


async def hear_who_is_there(client: Client, seen: Boards, seconds: float) -> None:
    """Take the retained messages of all boards, or of the one that is looked for until it has said how it is."""
    if seen.named is None:
        await hear(client, seen, min(LOOK_SECONDS, seconds))
    else:
        await hear(client, seen, min(KNOWN_SECONDS, seconds), lambda: any(board.is_known for board in seen.all()))


async def check_known(settings: Settings, seen: Boards) -> None:
    """BrokerError where the board that is looked for has not said how it is, or none has."""
    if any(board.is_known for board in seen.all()):
        return
    if seen.named is None:
        raise BrokerError(f"no board is known to the broker {settings.broker.host}:{settings.broker.port}")
    raise BrokerError(unknown(seen.named, await boards(settings)))
