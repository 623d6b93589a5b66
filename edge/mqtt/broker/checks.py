"""What the mqtt5 library takes on trust: each packet of a client is walked through before the library reads it.

The library reads text without looking whether it is UTF-8 and panics where it is not, reads properties over their end,
and lets reserved bits, packet identifier 0 and empty lists pass (0.8.0).
Source: MQTT Version 5.0, OASIS, chapters 1.5, 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable

from mqtt5 import DisconnectReasonCode as Reason

from edge.mqtt.broker.limits import PROPERTY_BYTES_MAX, Refused

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 5, 6, 7, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 10, 11, 12, 13, 14, 15
BYTE, TWO, FOUR, VARINT, TEXT, BINARY, PAIR = range(7)
PROPERTIES = {
    **dict.fromkeys((1, 23, 25, 36, 37, 40, 41, 42), BYTE),
    **dict.fromkeys((19, 33, 34, 35), TWO),
    **dict.fromkeys((2, 17, 24, 39), FOUR),
    **dict.fromkeys((3, 8, 18, 21, 26, 28, 31), TEXT),
    **dict.fromkeys((9, 22), BINARY),
    11: VARINT,
    38: PAIR,
}
"""Each property's type by its identifier (MQTT 5, 2.2.2.2)."""
RESPONSE_TOPIC, SUBSCRIPTION_ID, RECEIVE_MAX, TOPIC_ALIAS, USER_PROPERTY, PACKET_SIZE = 8, 11, 33, 35, 38, 39


def malformed(text: str) -> Refused:
    """Bytes that are no MQTT packet."""
    return Refused(Reason.MALFORMED_PACKET, text)


def protocol_error(text: str) -> Refused:
    """A packet that is none here and now."""
    return Refused(Reason.PROTOCOL_ERROR, text)


class Walk:
    """Through a packet's body; Refused where it cannot go on."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.body)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        end = self.at + count
        if end > len(self.body):
            raise malformed("a packet that is cut off")
        taken, self.at = self.body[self.at : end], end
        return taken

    def number(self, size: int) -> int:
        """An integer of so many bytes."""
        return int.from_bytes(self.take(size))

    def varint(self) -> int:
        """A variable byte integer."""
        value, used = varint(self.body, self.at)
        self.at += used
        return value

    def binary(self) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.number(2))

    def text(self) -> str:
        """UTF-8 without a null character (MQTT 5, 1.5.4)."""
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise malformed("a text that is not UTF-8") from None
        if "\0" in text:
            raise malformed("a text with a null character")
        return text

    def packet_id(self) -> None:
        """A packet identifier, which is never 0."""
        if self.number(2) == 0:
            raise malformed("packet identifier 0")

    def properties(self) -> dict[int, int]:
        """A block of properties; those of a fixed size by their identifier."""
        length = self.varint()
        if length > PROPERTY_BYTES_MAX:
            raise Refused(Reason.PACKET_TOO_LARGE, f"{length} bytes of properties, of {PROPERTY_BYTES_MAX} allowed")
        end = length + self.at
        found: dict[int, int] = {}
        while self.at < end:
            name = self.number(1)
            if name in found and name != USER_PROPERTY:
                raise protocol_error(f"property {name} twice")
            found[name] = self._property(name)
        if self.at != end or end > len(self.body):
            raise malformed("properties that go over their end")
        return found

    def _property(self, name: int) -> int:
        kind = PROPERTIES.get(name)
        if kind is None:
            raise malformed(f"property {name}, which there is not")
        if kind in (BYTE, TWO, FOUR):
            return self._fixed(name, kind)
        if kind == VARINT:
            return self.varint()
        if kind == BINARY:
            self.binary()
        elif name == RESPONSE_TOPIC:
            self._response_topic()
        else:
            self.text()
            if kind == PAIR:
                self.text()
        return 0

    def _fixed(self, name: int, kind: int) -> int:
        value = self.number({BYTE: 1, TWO: 2, FOUR: 4}[kind])
        if value > 1 and kind == BYTE:
            raise protocol_error(f"property {name} is {value}")
        if not value and name in (RECEIVE_MAX, PACKET_SIZE):
            raise protocol_error(f"property {name} is 0")
        return value

    def _response_topic(self) -> None:
        if set("+#") & set(self.text()):
            raise protocol_error("a response topic with a wildcard")


def varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer and how many bytes it takes; Refused where it is cut off or has more than four."""
    value = 0
    for used, byte in enumerate(data[at : at + 4]):
        value |= (byte & 127) << (7 * used)
        if byte < 128:
            return value, used + 1
    raise malformed("a length that does not end")


def check(kind: int, flags: int, body: bytes) -> None:
    """Walk through a client's packet, as MQTT 5 has it; Refused where it is none."""
    walk = WALKS.get(kind)
    if walk is None:
        raise protocol_error(f"a packet of type {kind}, which no client sends")
    if kind != PUBLISH and flags != (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0):
        raise malformed("reserved bits that are set")
    way = Walk(body)
    walk(way, flags)
    if not way.is_done:
        raise malformed("a packet that goes on after its end")


def _connect(way: Walk, _flags: int) -> None:
    way.take(7)
    flags = way.number(1)
    if flags & 1 or (flags & 0x38 and not flags & 4) or flags & 0x18 == 0x18:
        raise malformed("flags of a CONNECT that contradict each other")
    way.number(2)
    way.properties()
    way.text()
    if flags & 4:
        way.properties()
        way.text()
        way.binary()
    if flags & 0x80:
        way.text()
    if flags & 0x40:
        way.binary()


def _publish(way: Walk, flags: int) -> None:
    qos = flags >> 1 & 3
    if qos == 3 or (flags & 8 and not qos):
        raise malformed("a QoS that there is not")
    topic = way.text()
    if qos:
        way.packet_id()
    found = way.properties()
    if TOPIC_ALIAS in found:
        raise Refused(Reason.TOPIC_ALIAS_INVALID, "a topic alias, of which none are allowed")
    if SUBSCRIPTION_ID in found:
        raise protocol_error("a subscription identifier from a client")
    if not topic:
        raise protocol_error("a message without a topic")
    way.at = len(way.body)


def _acknowledgement(way: Walk, _flags: int) -> None:
    way.packet_id()
    _reason(way, 0)


def _reason(way: Walk, _flags: int) -> None:
    if not way.is_done:
        way.number(1)
    if not way.is_done:
        way.properties()


def _subscribe(way: Walk, _flags: int) -> None:
    def wanted() -> None:
        way.text()
        if way.number(1) & 0xC0:
            raise malformed("reserved bits of a subscription that are set")

    _list(way, wanted)


def _unsubscribe(way: Walk, _flags: int) -> None:
    _list(way, way.text)


def _list(way: Walk, item: Callable[[], object]) -> None:
    way.packet_id()
    way.properties()
    if way.is_done:
        raise protocol_error("a packet without a topic filter")
    while not way.is_done:
        item()


def _nothing(_way: Walk, _flags: int) -> None:
    """PINGREQ has no body."""


WALKS: dict[int, Callable[[Walk, int], None]] = {
    CONNECT: _connect,
    PUBLISH: _publish,
    **dict.fromkeys((PUBACK, PUBREC, PUBREL, PUBCOMP), _acknowledgement),
    SUBSCRIBE: _subscribe,
    UNSUBSCRIBE: _unsubscribe,
    PINGREQ: _nothing,
    DISCONNECT: _reason,
}
