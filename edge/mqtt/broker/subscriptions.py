"""Who wants which topics: the filters of all sessions, checked, counted and found by topic."""

from __future__ import annotations

import mqtt5
from mqtt5 import RetainHandling, SubAckReasonCode, UnsubAckReasonCode

from edge.mqtt.broker.limits import Limits, filter_weight
from edge.mqtt.broker.session import Session
from edge.mqtt.broker.telling import Telling, shown
from edge.mqtt.broker.topics import Tree, is_strange, valid_filter

GRANTED = (
    SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE,
    SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
    SubAckReasonCode.GRANTED_QOS_EXACTLY_ONCE,
)


class Subscriptions:
    """All subscriptions of all sessions; `bytes` is what they take."""

    def __init__(self, limits: Limits, telling: Telling) -> None:
        self._limits, self._telling = limits, telling
        self._tree: Tree[Session, mqtt5.TopicFilter] = Tree()
        self.bytes = 0

    def find(self, topic: str) -> dict[Session, list[mqtt5.TopicFilter]]:
        """The sessions that want a topic, each with its filters that take it."""
        return self._tree.find(topic)

    def take(
        self, session: Session, packet: mqtt5.SubscribePacket
    ) -> tuple[mqtt5.SubAckPacket, list[mqtt5.TopicFilter]]:
        """Take the filters: the acknowledgement, and those filters for which retained messages are to be sent."""
        codes: list[SubAckReasonCode] = []
        fresh: dict[str, mqtt5.TopicFilter] = {}
        for wanted in packet.topic_filters:
            code = self._complaint(session, wanted.pattern, packet.subscription_id)
            if code is None:
                is_known = self._add(session, wanted)
                code = GRANTED[int(wanted.max_qos)]
                handling = wanted.retain_handling
                is_first = handling == RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS and not is_known
                if handling == RetainHandling.SEND_ALWAYS or is_first:
                    fresh[wanted.pattern] = wanted
            codes.append(code)
        return mqtt5.SubAckPacket(packet.packet_id, codes), list(fresh.values())

    def drop(self, session: Session, packet: mqtt5.UnsubscribePacket) -> mqtt5.UnsubAckPacket:
        """Drop the filters that an UNSUBSCRIBE names."""
        known = [self._remove(session, pattern) for pattern in packet.patterns]
        codes = [UnsubAckReasonCode.SUCCESS if each else UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED for each in known]
        return mqtt5.UnsubAckPacket(packet.packet_id, codes)

    def drop_all(self, session: Session) -> None:
        """Drop whatever a session wants."""
        for pattern in list(session.subscriptions):
            self._remove(session, pattern)

    def _complaint(self, session: Session, pattern: str, identifier: int | None) -> SubAckReasonCode | None:
        """Why a filter is not taken, if it is not."""
        if identifier is not None:
            return SubAckReasonCode.SUBSCRIPTION_IDS_NOT_SUPPORTED
        if pattern.startswith("$share/"):
            return SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if not valid_filter(pattern) or is_strange(pattern, self._limits):
            return SubAckReasonCode.TOPIC_FILTER_INVALID
        who = shown(session.client_id)
        if not session.rights.may_subscribe(pattern):
            text = f"client {who} may not read {shown(pattern)}"
            self._telling.once(who, "subscriptions to what it may not read", text)
            return SubAckReasonCode.NOT_AUTHORIZED
        if pattern not in session.subscriptions and not self._has_room(session, pattern):
            count = len(session.subscriptions)
            text = f"client {who} has {count} subscriptions, all together take {self.bytes} bytes: one more is refused"
            self._telling.once(who, "subscriptions refused", text)
            return SubAckReasonCode.QUOTA_EXCEEDED
        return None

    def _has_room(self, session: Session, pattern: str) -> bool:
        limits = self._limits
        few = len(session.subscriptions) < limits.subscriptions
        return few and self.bytes + filter_weight(pattern) <= limits.subscription_bytes

    def _add(self, session: Session, wanted: mqtt5.TopicFilter) -> bool:
        """Keep a filter; whether there was one of the same pattern."""
        is_known = wanted.pattern in session.subscriptions
        if not is_known:
            self.bytes += filter_weight(wanted.pattern)
        session.subscriptions[wanted.pattern] = wanted
        self._tree.add(wanted.pattern, session, wanted)
        return is_known

    def _remove(self, session: Session, pattern: str) -> bool:
        if session.subscriptions.pop(pattern, None) is None:
            return False
        self._tree.remove(pattern, session)
        self.bytes -= filter_weight(pattern)
        return True
