"""Sessions, subscriptions, retained messages and routing: the broker without its sockets and without its clock.

Packets are the mqtt5 library's. Times are seconds on the clock that the caller passes in as `now`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import mqtt5
from mqtt5 import PubAckReasonCode, QoS, RetainHandling, SubAckReasonCode, UnsubAckReasonCode

PACKET_BYTES_MAX = 1 << 20
QUEUE_MAX = 1000
"""Messages kept for a client that is away; the oldest goes first."""
RETAINED_MAX = 10_000
FOR_EVER = 0xFFFFFFFF
PACKET_IDS = 65535


class Link(Protocol):
    """A connection as the core sees it."""

    def send(self, packet: mqtt5.Packet) -> bool:
        """Write a packet; False where its reader takes none that large, for whom it counts as sent."""
        ...

    def close(self, reason: mqtt5.DisconnectReasonCode) -> None:
        """Say why, and end."""


@dataclass
class Stored:
    """A message with the time when it is no longer worth delivering."""

    packet: mqtt5.PublishPacket
    expires: float | None

    def alive(self, now: float) -> bool:
        """Whether it may still be delivered."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True)
class Pending:
    """A message that a client must acknowledge."""

    stored: Stored
    retain: bool


@dataclass
class Session:
    """What the broker keeps of a client, connected or not."""

    client_id: str
    link: Link | None = None
    subscriptions: dict[str, mqtt5.TopicFilter] = field(default_factory=dict)
    waiting: deque[Pending] = field(default_factory=lambda: deque(maxlen=QUEUE_MAX))
    in_flight: dict[int, Pending] = field(default_factory=dict)
    receive_max: int = PACKET_IDS
    expiry_seconds: int = 0
    expires: float | None = None
    will: mqtt5.Will | None = None
    will_due: float | None = None
    ids: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(1, PACKET_IDS + 1)))

    def next_id(self) -> int:
        """A packet identifier that is not in flight."""
        return next(number for number in self.ids if number not in self.in_flight)


class Core:
    """All sessions and all retained messages."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self._retained: dict[str, Stored] = {}
        self._anonymous = itertools.count(1)

    # --- connections ---

    def connect(self, packet: mqtt5.ConnectPacket, link: Link, now: float) -> tuple[Session, mqtt5.ConnAckPacket]:
        """A client's session, new or taken up again, and the answer to its CONNECT."""
        assigned = None if packet.client_id else f"auto-{next(self._anonymous)}"
        client_id = packet.client_id or str(assigned)
        session = self.sessions.get(client_id)
        if session and session.link:
            self._take_over(session, now)
        present = session is not None and not packet.clean_start and self.sessions.get(client_id) is session
        if session is None or not present:
            session = self.sessions[client_id] = Session(client_id)
        session.link, session.will, session.will_due, session.expires = link, packet.will, None, None
        session.receive_max = packet.receive_max or PACKET_IDS
        session.expiry_seconds = packet.session_expiry_interval
        return session, mqtt5.ConnAckPacket(
            session_present=present,
            assigned_client_id=assigned,
            max_qos=QoS.AT_LEAST_ONCE,
            max_packet_size=PACKET_BYTES_MAX,
            shared_subscription_available=False,
            subscription_id_available=False,
        )

    def resume(self, session: Session, now: float) -> None:
        """Send again what the client did not acknowledge, then what waited; after its CONNACK."""
        for packet_id, pending in list(session.in_flight.items()):
            again = _delivery(pending.stored, pending.retain, now, packet_id, duplicate=True)
            if session.link and not session.link.send(again):
                del session.in_flight[packet_id]
        self._drain(session, now)

    def disconnect(self, session: Session, link: Link, now: float, with_will: bool) -> None:
        """The connection is gone; the session stays as long as it asked to, its Will waits out its delay."""
        if session.link is not link:
            return
        session.link = None
        if not with_will:
            session.will = None
        if session.will:
            session.will_due = now + min(session.will.will_delay_interval, session.expiry_seconds)
        session.expires = None if session.expiry_seconds == FOR_EVER else now + session.expiry_seconds
        self.expire(now)

    def expire(self, now: float) -> None:
        """Publish Wills that are due, forget sessions and retained messages whose time is over."""
        for session in list(self.sessions.values()):
            if session.will and session.will_due is not None and now >= session.will_due:
                self._publish_will(session, now)
            if session.link is None and session.expires is not None and now >= session.expires:
                del self.sessions[session.client_id]
        self._retained = {topic: stored for topic, stored in self._retained.items() if stored.alive(now)}

    def _take_over(self, session: Session, now: float) -> None:
        """The same client connected again: the older connection ends."""
        link = session.link
        if link:
            link.close(mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER)
            self.disconnect(session, link, now, with_will=True)

    def _publish_will(self, session: Session, now: float) -> None:
        will, session.will, session.will_due = session.will, None, None
        if will:
            packet = mqtt5.PublishPacket(
                will.topic,
                will.payload or b"",
                qos=will.qos,
                retain=will.retain,
                payload_format_indicator=will.payload_format_indicator,
                message_expiry_interval=will.message_expiry_interval,
                content_type=will.content_type,
                response_topic=will.response_topic,
                correlation_data=will.correlation_data,
                user_properties=will.user_properties,
                packet_id=1 if will.qos != QoS.AT_MOST_ONCE else None,
            )
            self.publish(packet, session, now)

    # --- messages ---

    def publish(self, packet: mqtt5.PublishPacket, sender: Session, now: float) -> PubAckReasonCode:
        """Keep it where it is retained, hand it to whoever subscribed."""
        expiry = packet.message_expiry_interval
        stored = Stored(packet, None if expiry is None else now + expiry)
        if packet.retain and not self._retain(stored):
            return PubAckReasonCode.QUOTA_EXCEEDED
        matched = False
        for session in self.sessions.values():
            found = [each for name, each in session.subscriptions.items() if matches(name, packet.topic)]
            found = [each for each in found if not (each.no_local and session is sender)]
            if found:
                matched = True
                retain = packet.retain and any(each.retain_as_published for each in found)
                self._deliver(session, stored, _effective_qos(packet, found), retain, now)
        return PubAckReasonCode.SUCCESS if matched else PubAckReasonCode.NO_MATCHING_SUBSCRIBERS

    def acknowledge(self, session: Session, packet_id: int, now: float) -> None:
        """The client has a message: the next may go out."""
        session.in_flight.pop(packet_id, None)
        self._drain(session, now)

    def subscribe(self, session: Session, packet: mqtt5.SubscribePacket, now: float) -> mqtt5.SubAckPacket:
        """Take the filters and send what is retained for them, after the acknowledgement is on its way."""
        codes, fresh = [], []
        for wanted in packet.topic_filters:
            if wanted.pattern.startswith("$share/"):
                codes.append(SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
            elif not valid_filter(wanted.pattern):
                codes.append(SubAckReasonCode.TOPIC_FILTER_INVALID)
            else:
                known = wanted.pattern in session.subscriptions
                session.subscriptions[wanted.pattern] = wanted
                codes.append(_granted(wanted))
                handling = wanted.retain_handling
                if handling == RetainHandling.SEND_ALWAYS or (
                    handling == RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS and not known
                ):
                    fresh.append(wanted)
        acknowledgement = mqtt5.SubAckPacket(packet.packet_id, codes)
        if session.link:
            session.link.send(acknowledgement)
        self._send_retained(session, fresh, now)
        return acknowledgement

    def unsubscribe(self, session: Session, packet: mqtt5.UnsubscribePacket) -> mqtt5.UnsubAckPacket:
        """Drop the filters."""
        known = [session.subscriptions.pop(pattern, None) is not None for pattern in packet.patterns]
        codes = [UnsubAckReasonCode.SUCCESS if each else UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED for each in known]
        return mqtt5.UnsubAckPacket(packet.packet_id, codes)

    def _retain(self, stored: Stored) -> bool:
        """Keep the last message of a topic; an empty one clears it. False where there are too many topics."""
        topic = stored.packet.topic
        if not stored.packet.payload:
            self._retained.pop(topic, None)
            return True
        if topic not in self._retained and len(self._retained) >= RETAINED_MAX:
            return False
        self._retained[topic] = stored
        return True

    def _send_retained(self, session: Session, filters: list[mqtt5.TopicFilter], now: float) -> None:
        for wanted in filters:
            for topic, stored in list(self._retained.items()):
                if stored.alive(now) and matches(wanted.pattern, topic):
                    self._deliver(session, stored, _effective_qos(stored.packet, [wanted]), True, now)

    def _deliver(self, session: Session, stored: Stored, qos: QoS, retain: bool, now: float) -> None:
        """Send now, or keep for later where the client is away or has enough in flight."""
        if qos == QoS.AT_MOST_ONCE:
            if session.link:
                session.link.send(_delivery(stored, retain, now))
            return
        session.waiting.append(Pending(stored, retain))
        self._drain(session, now)

    def _drain(self, session: Session, now: float) -> None:
        """Send what waits, up to the client's Receive Maximum."""
        while session.link and session.waiting and len(session.in_flight) < session.receive_max:
            pending = session.waiting.popleft()
            if pending.stored.alive(now):
                packet_id = session.next_id()
                if session.link.send(_delivery(pending.stored, pending.retain, now, packet_id)):
                    session.in_flight[packet_id] = pending


def _effective_qos(packet: mqtt5.PublishPacket, filters: list[mqtt5.TopicFilter]) -> QoS:
    """1 where both the message and a subscription want an acknowledgement, else 0 (the library's QoS has no order)."""
    wanted = any(each.max_qos != QoS.AT_MOST_ONCE for each in filters)
    return QoS.AT_LEAST_ONCE if wanted and packet.qos != QoS.AT_MOST_ONCE else QoS.AT_MOST_ONCE


def _granted(wanted: mqtt5.TopicFilter) -> SubAckReasonCode:
    if wanted.max_qos == QoS.AT_MOST_ONCE:
        return SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE
    return SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE


def _delivery(
    stored: Stored, retain: bool, now: float, packet_id: int | None = None, duplicate: bool = False
) -> mqtt5.PublishPacket:
    """The packet for one client, its expiry lowered by the time it waited (MQTT 5, 3.3.2.3.3).

    packet_id: of a message that the client must acknowledge; None for QoS 0.
    """
    packet = stored.packet
    return mqtt5.PublishPacket(
        packet.topic,
        packet.payload,
        qos=QoS.AT_MOST_ONCE if packet_id is None else QoS.AT_LEAST_ONCE,
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


def valid_filter(pattern: str) -> bool:
    """Whether + and # stand where they may (MQTT 5, 4.7.1)."""
    levels = pattern.split("/")
    whole = all(level in ("+", "#") or not set("+#") & set(level) for level in levels)
    return bool(pattern) and whole and "#" not in levels[:-1]


def matches(pattern: str, topic: str) -> bool:
    """Whether a filter takes a topic; a wildcard at the front never takes a `$` topic (MQTT 5, 4.7.2)."""
    if pattern == topic:
        return True
    wanted, found = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(found) or level not in ("+", found[index]):
            return False
    return len(wanted) == len(found)
