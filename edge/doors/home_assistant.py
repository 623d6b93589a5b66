"""Home Assistant finds the board by itself: what there is to show is announced, kept right, and taken back.

Everything goes over the broker that both are at; nothing is published unless `home_assistant.announce` says so.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.config import Settings
from edge.doors import places
from edge.doors.announced import Announced, AnnouncedFile
from edge.doors.discovery import discovery, platforms, shown_of, topic, withdrawn
from edge.wire.asked import Inside
from edge.wire.message import Message

log = logging.getLogger(__name__)

BIRTH = b"online"
"""What Home Assistant says on `<prefix>/status` when it has started."""
BIRTH_SECONDS_MAX = 10.0
"""All boards hear that at once, and should not answer at once (home-assistant.io/integrations/mqtt, "Birth")."""
TAKEN_SECONDS = 10.0
"""After which a broker that is still there has what it was sent."""


def announced_file(settings: Settings) -> AnnouncedFile:
    """Of this board."""
    return AnnouncedFile(places.announced(settings))


def spread() -> float:
    """Seconds to wait after a birth, another number each time."""
    return random.uniform(0, BIRTH_SECONDS_MAX)  # noqa: S311 - nobody gains by guessing it


class HomeAssistant:
    """The door of a board that wants to be found."""

    def __init__(self, settings: Settings, delay: Callable[[], float] = spread) -> None:
        self.subscriptions: Sequence[str] = (f"{settings.home_assistant.prefix}/status",)
        self._settings, self._delay, self._file = settings, delay, announced_file(settings)
        self._topic = topic(settings)
        self._publish: Callable[[Message], None] | None = None
        self._is_up = False
        self._born = asyncio.Event()
        self._message: Message | None = None
        before = self._file.read(self._topic)
        self._elsewhere = before.topic if before and before.topic != self._topic else None
        self._kept = before if before and not self._elsewhere else Announced(topic=self._topic)
        self._shown = dict(self._kept.shown)

    async def run(self, inside: Inside) -> None:
        """Announce anew whenever Home Assistant has started; and at once where the broker was faster than this task."""
        self._publish = inside.publish
        self._send()
        while True:
            await self._born.wait()
            await asyncio.sleep(self._delay())
            self._born.clear()
            self._send()

    def connected(self) -> None:
        """The broker may have lost what it kept."""
        self._is_up = True
        self._send()

    def hear(self, message: Message) -> bool:
        """Home Assistant has started, or goes."""
        if message.topic not in self.subscriptions:
            return False
        if message.payload == BIRTH:
            self._born.set()
        return True

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """What there is to show may have changed."""
        self._shown = shown_of(telemetry, self._shown)
        made = discovery(self._settings, telemetry, self._shown, self._kept.platforms)
        if self._message is None or made.payload != self._message.payload:
            self._message = made
            self._send()

    def _send(self) -> None:
        """What there is to show, to a broker that is there."""
        if self._publish is None or not self._is_up:
            return
        if self._elsewhere:
            self._publish(withdrawn(self._elsewhere))
            self._elsewhere = None
        if self._message is not None:
            self._announce(self._message, self._publish)

    def _announce(self, made: Message, publish: Callable[[Message], None]) -> None:
        """It is written down before."""
        known = self._kept.platforms | platforms(made)
        kept = Announced(topic=self._topic, shown=self._shown, platforms=known)
        if kept != self._kept:
            self._file.write(kept)
            self._kept = kept
        publish(made)
        log.info("announced to Home Assistant on %s", self._topic)


class Withdrawal:
    """The door of a board that an earlier start announced, and that is not to be found any more."""

    subscriptions: Sequence[str] = ()

    def __init__(self, settings: Settings, announced: Announced, taken_seconds: float = TAKEN_SECONDS) -> None:
        self.announced, self._file, self._taken_seconds = announced, announced_file(settings), taken_seconds
        self._heard_of = f"{settings.home_assistant.prefix}/status"
        self._up = asyncio.Event()

    async def run(self, inside: Inside) -> None:
        """Once: what was announced is taken back, and forgotten when the broker has had time to take that."""
        await self._up.wait()
        inside.publish(withdrawn(self.announced.topic))
        log.info("taken back from Home Assistant: %s", self.announced.topic)
        await asyncio.sleep(self._taken_seconds)
        self._file.forget()

    def connected(self) -> None:
        """Now it can be."""
        self._up.set()

    def hear(self, message: Message) -> bool:
        """Births, which the broker still brings to the session that an earlier start made."""
        return message.topic == self._heard_of

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """Nothing."""


def home_assistant(settings: Settings) -> list[HomeAssistant | Withdrawal]:
    """The door that the settings want; none where there is nothing to tell and nothing to take back."""
    if settings.home_assistant.announce:
        return [HomeAssistant(settings)]
    before = announced_file(settings).read(topic(settings))
    return [Withdrawal(settings, before)] if before else []
