"""What clients may take of this machine, all of it at once: every number that the broker refuses by.

Bytes are what is kept in memory, with what Python adds to it (`weight`), not what was on the wire.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import mqtt5

MESSAGE_BYTES, PAIR_BYTES, LEVEL_BYTES = 700, 150, 450
"""What Python adds to a message, to one of its user properties, and to a level of a subscription's filter."""


PROPERTY_BYTES_MAX = 128 << 10
"""A packet's block of properties: they take a hundred times as long to read as a payload of their size."""


class Refused(Exception):
    """A packet or a connection that is not taken; the text is for the log.

    reason: an MQTT 5 reason code; CONNACK and DISCONNECT number them alike (MQTT 5, 2.4).
    """

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = int(reason)


@dataclass(frozen=True)
class Limits:
    """Upper bounds; whoever fills them all has the broker hold about 250 MiB.

    connections: that have connected. strangers: that have not yet, the oldest makes room. websockets: of both.
    held_bytes: half packets and unsent bytes of all connections; whoever holds most is ended first.
    unsent_bytes: of one connection; QoS 0 is dropped beyond, QoS 1 and 2 wait in the session, nothing more is read.
    page_bytes, document_bytes: of a file that is handed out; page_seconds: for that.
    sessions: that outlive their connection, for session_seconds at most. in_flight: to one client, before it
    acknowledges; receive_max: from one client, QoS 2. queue_*: what one session keeps for its client; queued_bytes: all
    sessions together.
    """

    connections: int = 500
    strangers: int = 64
    websockets: int = 100
    held_bytes: int = 64 << 20
    unsent_bytes: int = 4 << 20
    packet_bytes: int = 1 << 20
    other_packet_bytes: int = 128 << 10
    sessions: int = 1000
    session_seconds: int = 7 * 86400
    subscriptions: int = 1000
    subscription_bytes: int = 16 << 20
    queue_messages: int = 1000
    queue_bytes: int = 16 << 20
    queued_bytes: int = 64 << 20
    in_flight: int = 100
    receive_max: int = 500
    retained: int = 10_000
    retained_bytes: int = 16 << 20
    will_bytes: int = 16 << 10
    topic_levels: int = 200
    topic_chars: int = 4096
    name_chars: int = 1024
    connect_seconds: float = 10.0
    packet_seconds: float = 60.0
    close_seconds: float = 3.0
    page_bytes: int = 8 << 20
    document_bytes: int = 64 << 20
    page_seconds: float = 300.0


def weight(message: mqtt5.PublishPacket | mqtt5.Will) -> int:
    """The bytes that keeping a message takes."""
    texts = (message.topic, message.payload, message.content_type, message.response_topic, message.correlation_data)
    pairs = message.user_properties
    return (
        MESSAGE_BYTES
        + sum(sys.getsizeof(text) for text in texts if text is not None)
        + sum(PAIR_BYTES + sys.getsizeof(name) + sys.getsizeof(value) for name, value in pairs)
    )


def filter_weight(pattern: str) -> int:
    """The bytes that keeping a subscription takes, with its place in the tree."""
    return sys.getsizeof(pattern) + MESSAGE_BYTES + LEVEL_BYTES * (pattern.count("/") + 1)
