"""Sessions and routing: the broker without its sockets and without its clock.

Packets are the mqtt5 library's. Times are seconds on the clock that the caller passes in as `now`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial

import mqtt5
from mqtt5 import ConnAckReasonCode as Answer
from mqtt5 import DisconnectReasonCode, PubAckReasonCode, QoS

from edge.mqtt.broker.access import Access
from edge.mqtt.broker.delivering import Delivering
from edge.mqtt.broker.limits import Limits, Refused, weight
from edge.mqtt.broker.retained import Retained, Stored, stored
from edge.mqtt.broker.session import PACKET_IDS, Link, Pending, Session
from edge.mqtt.broker.subscriptions import Subscriptions
from edge.mqtt.broker.telling import Telling, shown
from edge.mqtt.broker.topics import is_strange, valid_topic

FAILED = 0x80
"""Reason codes from here on are failures."""
CHASE_COUNT, CHASE_SECONDS = 5, 60.0
"""So many take-overs of one client id within so long are two clients that share it."""


class Core:
    """All sessions and all retained messages."""

    def __init__(
        self, limits: Limits | None = None, access: Access | None = None, telling: Telling | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.access = access or Access()
        self.telling = telling or Telling()
        self.sessions: dict[str, Session] = {}
        self.retained = Retained(self.limits)
        self.subscriptions = Subscriptions(self.limits, self.telling)
        self._delivering = Delivering(self.limits, self.telling, self.sessions)

    # --- connections ---

    def connect(
        self, packet: mqtt5.ConnectPacket, link: Link, user: str | None, now: float
    ) -> tuple[Session, mqtt5.ConnAckPacket]:
        """A client's session, new or taken up again, and the answer to its CONNECT; Refused where there is none."""
        assigned = None if packet.client_id else f"auto-{secrets.token_hex(8)}"
        client_id = packet.client_id or str(assigned)
        old = self.sessions.get(client_id)
        if old and self.access.has_passwords and old.owner != user:
            raise Refused(Answer.CLIENT_ID_NOT_VALID, f"client id {shown(client_id)} is user {shown(old.owner)}'s")
        self._admit(packet, old)
        if old and old.link:
            self._take_over(old, link, now)
        session = self.sessions.get(client_id)
        if session and packet.clean_start:
            self._end(session, now)
            session = None
        present = session is not None
        if session is None:
            session = self.sessions[client_id] = Session(client_id, self.limits)
            session.taken_over = old.taken_over if old else []
        session.owner, session.rights = user, self.access.rights(user, client_id)
        return session, self._open(session, packet, link, present, assigned)

    def _open(
        self, session: Session, packet: mqtt5.ConnectPacket, link: Link, present: bool, assigned: str | None
    ) -> mqtt5.ConnAckPacket:
        session.link, session.will, session.will_due, session.expires = link, packet.will, None, None
        session.receive_max = packet.receive_max or PACKET_IDS
        session.expiry_seconds = min(packet.session_expiry_interval, self.limits.session_seconds)
        if session.will and not session.rights.may_write(session.will.topic):
            session.will = None
            who = shown(session.client_id)
            self.telling.once(who, "Wills not kept", f"client {who} may not publish its Will, which is not kept")
        is_less = session.expiry_seconds != packet.session_expiry_interval
        return mqtt5.ConnAckPacket(
            session_present=present,
            assigned_client_id=assigned,
            session_expiry_interval=session.expiry_seconds if is_less else None,
            receive_max=self.limits.receive_max,
            max_packet_size=self.limits.packet_bytes,
            shared_subscription_available=False,
            subscription_id_available=False,
        )

    def _admit(self, packet: mqtt5.ConnectPacket, old: Session | None) -> None:
        """Refused where there is no room, or a Will that cannot be kept."""
        limits, others = self.limits, [each for each in self.sessions.values() if each is not old]
        if sum(1 for each in others if each.link) >= limits.connections:
            raise Refused(Answer.QUOTA_EXCEEDED, f"{limits.connections} clients are connected")
        lasting = sum(1 for each in others if each.expiry_seconds)
        if packet.session_expiry_interval and lasting >= limits.sessions:
            raise Refused(Answer.QUOTA_EXCEEDED, f"{limits.sessions} sessions are kept")
        will = packet.will
        if will and (not valid_topic(will.topic) or is_strange(will.topic, limits)):
            raise Refused(Answer.TOPIC_NAME_INVALID, "the topic of its Will")
        if will and weight(will) > limits.will_bytes:
            raise Refused(
                Answer.PACKET_TOO_LARGE, f"a Will of {weight(will)} bytes, where {limits.will_bytes} are allowed"
            )

    def resume(self, session: Session, now: float) -> None:
        """Send again what the client did not acknowledge, then what waited; after its CONNACK."""
        session.again.clear()
        session.again.extend(session.in_flight)
        session.drain(now)

    def disconnect(
        self, session: Session, link: Link, now: float, with_will: bool, expiry_seconds: int | None = None
    ) -> None:
        """The connection is gone; the session stays as long as it asked to, its Will waits out its delay."""
        if session.link is not link:
            return
        session.link = None
        if expiry_seconds is not None and session.expiry_seconds:
            session.expiry_seconds = min(expiry_seconds, self.limits.session_seconds)
        if not with_will:
            session.will = None
        if session.will:
            session.will_due = now + min(session.will.will_delay_interval, session.expiry_seconds)
        session.expires = now + session.expiry_seconds
        self._settle(session, now)

    def expire(self, now: float) -> None:
        """Publish Wills that are due, forget what is over, go on with whoever was too slow."""
        for session in list(self.sessions.values()):
            self._settle(session, now)
            self._delivering.guarded(session, partial(session.drain, now))
        self.retained.expire(now)

    def _settle(self, session: Session, now: float) -> None:
        if session.will_due is not None and now >= session.will_due:
            self._publish_will(session, now)
        if session.link is None and session.expires is not None and now >= session.expires:
            self._end(session, now)

    def _end(self, session: Session, now: float) -> None:
        """Forget a session; a Will that waits for its end is published (MQTT 5, 3.1.2.5)."""
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        self.subscriptions.drop_all(session)
        lost = len(session.waiting) + sum(1 for flight in session.in_flight.values() if flight.pending)
        if lost and session.expiry_seconds:
            self.telling.line("lost", f"the session of client {shown(session.client_id)} ended with {lost} messages")
        self.telling.flush(shown(session.client_id))
        self._publish_will(session, now)

    def _take_over(self, session: Session, link: Link, now: float) -> None:
        """The same client connected again: the older connection ends."""
        old, who = session.link, shown(session.client_id)
        assert old is not None
        self.telling.line("taken over", f"client {who} at {link.address} takes over from {old.address}")
        session.taken_over = [when for when in session.taken_over if now - when < CHASE_SECONDS] + [now]
        if len(session.taken_over) >= CHASE_COUNT:
            text = f"client {who}: two clients with this id take each other's place again and again"
            self.telling.once(who, "take-overs in turn", f"{text} ({old.address}, {link.address})")
        old.close(DisconnectReasonCode.SESSION_TAKEN_OVER, f"taken over by {link.address}")
        self.disconnect(session, old, now, with_will=True)

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
        """Keep it where it is retained, hand it to whoever subscribed; or why not."""
        message = stored(packet, now)
        refusal = self._refusal(packet, sender) or self._retain(message, sender)
        if refusal is not None:
            return refusal
        matched = False
        for session, filters in self.subscriptions.find(packet.topic).items():
            wanted = [each for each in filters if not (each.no_local and session is sender)]
            if wanted and session.rights.may_read(packet.topic):
                matched = True
                retain = packet.retain and any(each.retain_as_published for each in wanted)
                self._delivering.deliver(session, Pending(message, retain, _qos(packet, wanted)), now)
        return PubAckReasonCode.SUCCESS if matched else PubAckReasonCode.NO_MATCHING_SUBSCRIBERS

    def publish_once(
        self, packet: mqtt5.PublishPacket, packet_id: int, sender: Session, now: float
    ) -> PubAckReasonCode:
        """Publish a message of QoS 2, but not one that was and that its sender has not released (MQTT 5, 4.3.3)."""
        if packet_id in sender.received:
            return PubAckReasonCode.SUCCESS
        most = self.limits.receive_max
        if len(sender.received) >= most:
            raise Refused(DisconnectReasonCode.RECEIVE_MAX_EXCEEDED, f"over {most} messages of QoS 2 are not released")
        code = self.publish(packet, sender, now)
        if int(code) < FAILED:
            sender.received.add(packet_id)
        return code

    def _refusal(self, packet: mqtt5.PublishPacket, sender: Session) -> PubAckReasonCode | None:
        who = shown(sender.client_id)
        if is_strange(packet.topic, self.limits):
            text = f"client {who} published on a topic too long or too deep: {shown(packet.topic)}"
            self.telling.once(who, "messages on topics too long or too deep", text)
            return PubAckReasonCode.TOPIC_NAME_INVALID
        if not sender.rights.may_write(packet.topic):
            text = f"client {who} may not publish on {shown(packet.topic)}"
            self.telling.once(who, "messages that it may not publish", text)
            return PubAckReasonCode.NOT_AUTHORIZED
        return None

    def _retain(self, message: Stored, sender: Session) -> PubAckReasonCode | None:
        if not message.packet.retain or self.retained.put(message):
            return None
        who, kept = shown(sender.client_id), f"{len(self.retained)} retained messages of {self.retained.bytes} bytes"
        text = f"client {who}: there are {kept} already; its own on {shown(message.packet.topic)} is refused"
        self.telling.once(who, "retained messages refused", text)
        return PubAckReasonCode.QUOTA_EXCEEDED

    def send_retained(self, session: Session, wanted: mqtt5.TopicFilter, now: float) -> Iterator[None]:
        """Send what is retained for a filter, a look at one message at a time."""
        for message in self.retained.find(wanted.pattern, now):
            if message and session.rights.may_read(message.packet.topic):
                self._delivering.deliver(session, Pending(message, True, _qos(message.packet, [wanted])), now)
            yield


def _qos(packet: mqtt5.PublishPacket, filters: list[mqtt5.TopicFilter]) -> int:
    """The lower of the message's and of what the subscriptions allow at most."""
    return min(int(packet.qos), max(int(each.max_qos) for each in filters))
