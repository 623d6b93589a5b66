"""Bytes to packets and back. MQTT 5 is the mqtt5 library's; 3.1.1 is translated to it, byte by byte.

The two versions differ in what is inserted: MQTT 5 has property blocks where 3.1.1 has nothing.
Source: MQTT Version 5.0 and MQTT Version 3.1.1, OASIS, chapters 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import mqtt5
from mqtt5 import DisconnectReasonCode as Reason

from edge.mqtt.broker.checks import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    check,
    malformed,
    protocol_error,
    varint,
)
from edge.mqtt.broker.limits import Limits, Refused

V311, V5 = 4, 5
RETURN_CODES = {0: 0, 0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}
"""MQTT 5 CONNACK reason codes as 3.1.1 return codes."""
UNSUPPORTED_VERSION = 0x84
KEEP_FOR_EVER = b"\x05\x11\xff\xff\xff\xff"
"""A property block with Session Expiry Interval at its largest: what 3.1.1 means by clean session 0."""
ACKNOWLEDGEMENTS = (PUBACK, PUBREC, PUBREL, PUBCOMP)
SIZES_311 = {**dict.fromkeys(ACKNOWLEDGEMENTS, 2), PINGREQ: 0, DISCONNECT: 0}
"""Packets whose body has one length in 3.1.1."""

Made = TypeVar("Made")


class Codec:
    """One connection's bytes; its version is known after CONNECT."""

    def __init__(self, limits: Limits) -> None:
        self._buffer = bytearray()
        self._limits = limits
        self.version = 0

    @property
    def held(self) -> int:
        """Bytes of a packet that is not all there."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[mqtt5.Packet]:
        """The packets that are complete with these bytes; Refused where they cannot be."""
        self._buffer += data
        while (frame := self._frame()) is not None:
            kind, flags, body = frame
            if self.version and kind == CONNECT:
                raise protocol_error("a second CONNECT")
            self.version = self.version or _negotiate(body)
            if self.version == V311:
                body = _to_v5(kind, flags, body)
            check(kind, flags, body)
            yield _ours_only(partial(mqtt5.read, memoryview(_packet(kind, flags, body))))[0]

    def encode(self, packet: mqtt5.Packet) -> bytes:
        """A packet in the connection's version; nothing where 3.1.1 has no such packet."""
        data = _ours_only(packet.write)
        if self.version != V311:
            return data
        length, used = varint(data, 1)
        kind, flags, body = data[0] >> 4, data[0] & 15, data[1 + used : 1 + used + length]
        return b"" if kind == DISCONNECT else _packet(kind, flags, _to_v311(kind, flags, body))

    def _frame(self) -> tuple[int, int, bytes] | None:
        """The next whole packet as its kind, flags and body."""
        buffer = self._buffer
        if buffer and not self.version and buffer[0] != CONNECT << 4:
            raise malformed("the first packet is not CONNECT")
        if len(buffer) < 2 or (len(buffer) < 5 and all(byte > 127 for byte in buffer[1:])):
            return None
        length, used = varint(buffer, 1)
        kind, flags = buffer[0] >> 4, buffer[0] & 15
        most = self._limits.packet_bytes if kind == PUBLISH else self._limits.other_packet_bytes
        if length > most:
            raise Refused(Reason.PACKET_TOO_LARGE, f"a packet of {length} bytes, where {most} are allowed")
        end = 1 + used + length
        if len(buffer) < end:
            return None
        body = bytes(buffer[1 + used : end])
        del buffer[:end]
        return kind, flags, body


def _ours_only(make: Callable[[], Made]) -> Made:
    """What the library makes; whatever it raises, a panic of Rust's too (no Exception), is Refused."""
    try:
        return make()
    except (ValueError, IndexError) as error:
        raise malformed(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise Refused(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "a packet that the codec fails at") from error


def _negotiate(body: bytes) -> int:
    """The version of a CONNECT."""
    if body[:6] == b"\x00\x04MQTT" and len(body) >= 10 and body[6] in (V311, V5):
        return body[6]
    if body[:6] in (b"\x00\x04MQTT", b"\x00\x06MQIs"):
        raise Refused(UNSUPPORTED_VERSION, "neither MQTT 5 nor MQTT 3.1.1")
    raise malformed("neither MQTT 5 nor MQTT 3.1.1")


def _packet(kind: int, flags: int, body: bytes) -> bytes:
    length = bytearray()
    rest = len(body)
    while True:
        rest, low = rest >> 7, rest & 127
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes([kind << 4 | flags]) + length + body


def _head_length(kind: int, flags: int, body: bytes) -> int:
    """Where MQTT 5 has its properties: behind the topic and packet identifier."""
    length = 2 + (int.from_bytes(body[:2]) + (2 if flags & 6 else 0) if kind == PUBLISH else 0)
    if length > len(body):
        raise malformed("a packet that is cut off")
    return length


def _to_v5(kind: int, flags: int, body: bytes) -> bytes:
    if kind == CONNECT:
        return _connect_to_v5(body)
    if SIZES_311.get(kind, len(body)) != len(body):
        raise malformed("a packet that is longer or shorter than its kind")
    if kind in (PUBLISH, SUBSCRIBE, UNSUBSCRIBE):
        at = _head_length(kind, flags, body)
        if kind == SUBSCRIBE:
            _check_options(body[at:])
        return body[:at] + b"\0" + body[at:]
    return body


def _check_options(filters: bytes) -> None:
    """A subscription's options are its QoS alone in 3.1.1; bits that mean something in MQTT 5 are none (3.8.3)."""
    at = 0
    while at + 2 < len(filters):
        at += 2 + int.from_bytes(filters[at : at + 2])
        if filters[at : at + 1] > b"\x03":
            raise malformed("reserved bits of a subscription that are set")
        at += 1


def _connect_to_v5(body: bytes) -> bytes:
    flags = body[7]
    if flags & 0xC0 == 0x40:
        raise malformed("a password without a user name")
    properties = b"\0" if flags & 2 else KEEP_FOR_EVER
    identifier_end = 12 + int.from_bytes(body[10:12])
    if identifier_end > len(body):
        raise malformed("a packet that is cut off")
    will_properties = b"\0" if flags & 4 else b""
    start = body[:6] + bytes([V5]) + body[7:10] + properties
    return start + body[10:identifier_end] + will_properties + body[identifier_end:]


def _to_v311(kind: int, flags: int, body: bytes) -> bytes:
    if kind == CONNACK:
        return bytes([body[0], RETURN_CODES.get(body[1], 3)])
    if kind in (*ACKNOWLEDGEMENTS, UNSUBACK):
        return body[:2]
    if kind not in (PUBLISH, SUBACK):
        return body
    at = _head_length(kind, flags, body)
    length, used = varint(body, at)
    rest = body[at + used + length :]
    return body[:at] + (bytes(min(code, 0x80) for code in rest) if kind == SUBACK else rest)
