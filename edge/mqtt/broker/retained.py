"""Retained messages: the last of each topic, as many and as large as the limits say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mqtt5

from edge.mqtt.broker.limits import Limits, weight
from edge.mqtt.broker.topics import matches


@dataclass(frozen=True)
class Stored:
    """A message with the time when it is no longer worth delivering, and the bytes that it takes."""

    packet: mqtt5.PublishPacket
    expires: float | None
    weight: int

    def alive(self, now: float) -> bool:
        """Whether it may still be delivered."""
        return self.expires is None or now < self.expires


def stored(packet: mqtt5.PublishPacket, now: float) -> Stored:
    """A message that has just arrived."""
    expiry = packet.message_expiry_interval
    return Stored(packet, None if expiry is None else now + expiry, weight(packet))


class Retained:
    """What a new subscription is sent."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: dict[str, Stored] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, message: Stored) -> bool:
        """Keep the last message of a topic; an empty one clears it. False, where it is more than fits."""
        topic = message.packet.topic
        old = self._kept.get(topic)
        if not message.packet.payload:
            self._drop(topic)
            return True
        total = self.bytes + message.weight - (old.weight if old else 0)
        if total > self._limits.retained_bytes or (old is None and len(self._kept) >= self._limits.retained):
            return False
        self._kept[topic], self.bytes = message, total
        return True

    def find(self, pattern: str, now: float) -> Iterator[Stored | None]:
        """The messages that a filter takes, and None for each that it does not, so that a long look can be paused.

        One that is replaced meanwhile is left out: whoever subscribed before the look has had the new one.
        """
        for topic, message in list(self._kept.items()):
            is_wanted = self._kept.get(topic) is message and message.alive(now) and matches(pattern, topic)
            yield message if is_wanted else None

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        for topic in [topic for topic, message in self._kept.items() if not message.alive(now)]:
            self._drop(topic)

    def _drop(self, topic: str) -> None:
        old = self._kept.pop(topic, None)
        if old:
            self.bytes -= old.weight
