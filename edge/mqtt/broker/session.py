"""What the broker keeps of one client, connected or not: its subscriptions, what waits for it, what is in flight."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import mqtt5
from mqtt5 import QoS

from edge.mqtt.broker.acl import Everything
from edge.mqtt.broker.limits import Limits
from edge.mqtt.broker.retained import Stored

FOR_EVER = 0xFFFFFFFF
PACKET_IDS = 65535
QOS = (QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE)
"""The library's QoS by number: its own have no order."""


class Rights(Protocol):
    """What a client may do."""

    def may_read(self, topic: str) -> bool:
        """Whether it may be sent messages of the topic."""
        ...

    def may_write(self, topic: str) -> bool:
        """Whether it may publish on the topic."""
        ...

    def may_subscribe(self, pattern: str) -> bool:
        """Whether there is anything within the filter that it may read."""
        ...


class Link(Protocol):
    """A connection as a session sees it."""

    address: str

    def send(self, packet: mqtt5.Packet) -> bool:
        """Write a packet; False where its reader takes none that large, for whom it counts as sent."""
        ...

    def is_busy(self) -> bool:
        """Whether so much is unsent that what can wait should."""
        ...

    def close(self, reason: mqtt5.DisconnectReasonCode, why: str) -> None:
        """Say why, and end."""
        ...


@dataclass(frozen=True)
class Pending:
    """A message that a client must acknowledge, with its QoS for it."""

    stored: Stored
    retain: bool
    qos: int


@dataclass
class Flight:
    """A message that was sent; `pending` is None once a client has a message of QoS 2 and has to say so once more."""

    qos: int
    pending: Pending | None


@dataclass(eq=False)
class Session:
    """A client's session.

    owner: the user who made it. held: the bytes of what waits and is in flight. again: packet identifiers in flight
    that were not sent over this connection yet. received: packet identifiers of QoS 2 that the client has not released.
    """

    client_id: str
    limits: Limits
    rights: Rights = field(default_factory=Everything)
    owner: str | None = None
    link: Link | None = None
    subscriptions: dict[str, mqtt5.TopicFilter] = field(default_factory=dict)
    waiting: deque[Pending] = field(default_factory=deque)
    in_flight: dict[int, Flight] = field(default_factory=dict)
    again: deque[int] = field(default_factory=deque)
    received: set[int] = field(default_factory=set)
    receive_max: int = PACKET_IDS
    expiry_seconds: int = 0
    expires: float | None = None
    will: mqtt5.Will | None = None
    will_due: float | None = None
    held: int = 0
    taken_over: list[float] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(1, PACKET_IDS + 1)))

    # --- what waits ---

    def is_full(self, weight: int) -> bool:
        """Whether a message of so many bytes is too much beside what is kept."""
        limits = self.limits
        return len(self.waiting) >= limits.queue_messages or self.held + weight > limits.queue_bytes

    def put(self, pending: Pending) -> None:
        """Keep a message until its turn."""
        self.waiting.append(pending)
        self.held += pending.stored.weight

    def drop(self) -> Pending:
        """Take the oldest message that waits."""
        pending = self.waiting.popleft()
        self.held -= pending.stored.weight
        return pending

    def give_up(self) -> Pending:
        """Take the oldest message that waits, or where none does, one that was sent and is not acknowledged."""
        if self.waiting:
            return self.drop()
        packet_id, pending = next((number, each.pending) for number, each in self.in_flight.items() if each.pending)
        self.landed(packet_id)
        return pending

    def drain(self, now: float) -> None:
        """Send again what the last connection left open, then what waits, up to what the client takes at once."""
        window = min(self.receive_max, self.limits.in_flight)
        while self.link and (self.again or self.waiting) and not self.link.is_busy():
            if len(self.in_flight) - len(self.again) >= window:
                return
            if self.again:
                self._send_again(self.again.popleft(), now)
            else:
                self._send(self.drop(), now)

    def _send(self, pending: Pending, now: float) -> None:
        if not pending.stored.alive(now):
            return
        packet_id = next(number for number in self.ids if number not in self.in_flight)
        assert self.link is not None
        if self.link.send(delivery(pending.stored, pending.retain, now, pending.qos, packet_id)):
            self.in_flight[packet_id] = Flight(pending.qos, pending)
            self.held += pending.stored.weight

    def _send_again(self, packet_id: int, now: float) -> None:
        flight = self.in_flight[packet_id]
        assert self.link is not None
        if flight.pending is None:
            self.link.send(mqtt5.PubRelPacket(packet_id))
            return
        pending = flight.pending
        packet = delivery(pending.stored, pending.retain, now, pending.qos, packet_id, duplicate=True)
        if not self.link.send(packet):
            self.landed(packet_id)

    # --- what the client says of what it was sent ---

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK: the client has a message of QoS 1."""
        flight = self.in_flight.get(packet_id)
        if flight and flight.qos == 1:
            self.landed(packet_id)

    def received_once(self, packet_id: int, failed: bool) -> mqtt5.PubRelPacket | None:
        """PUBREC: the client has a message of QoS 2, or does not want it (`failed`); what to answer."""
        flight = self.in_flight.get(packet_id)
        if flight is None or flight.qos != 2:
            return None if failed else mqtt5.PubRelPacket(packet_id, reason_code=_NOT_FOUND)
        if failed:
            self.landed(packet_id)
            return None
        self._release(flight)
        if packet_id in self.again:
            self.again.remove(packet_id)
        return mqtt5.PubRelPacket(packet_id)

    def completed(self, packet_id: int) -> None:
        """PUBCOMP: the client will not take the message for a second one any more."""
        flight = self.in_flight.get(packet_id)
        if flight and flight.qos == 2:
            self.landed(packet_id)

    def landed(self, packet_id: int) -> None:
        """Nothing more is to come of a message that was sent."""
        self._release(self.in_flight.pop(packet_id))
        if packet_id in self.again:
            self.again.remove(packet_id)

    def _release(self, flight: Flight) -> None:
        if flight.pending:
            self.held -= flight.pending.stored.weight
            flight.pending = None


_NOT_FOUND = mqtt5.PubRelReasonCode.PACKET_ID_NOT_FOUND


def delivery(
    stored: Stored, retain: bool, now: float, qos: int = 0, packet_id: int | None = None, duplicate: bool = False
) -> mqtt5.PublishPacket:
    """The packet for one client, its expiry lowered by the time it waited (MQTT 5, 3.3.2.3.3)."""
    packet = stored.packet
    return mqtt5.PublishPacket(
        packet.topic,
        packet.payload,
        qos=QOS[qos],
        retain=retain,
        packet_id=packet_id,
        duplicate=duplicate,
        payload_format_indicator=packet.payload_format_indicator,
        message_expiry_interval=None if stored.expires is None else max(1, round(stored.expires - now)),
        content_type=packet.content_type,
        response_topic=packet.response_topic,
        correlation_data=packet.correlation_data,
        user_properties=packet.user_properties,
    )
