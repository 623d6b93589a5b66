"""Bytes to packets and back. MQTT 5 is the mqtt5 library's; 3.1.1 is translated to it, byte by byte.

The two versions differ in what is inserted: MQTT 5 has property blocks where 3.1.1 has nothing.
Source: MQTT Version 5.0 and MQTT Version 3.1.1, OASIS, chapters 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import mqtt5

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 10, 11, 14
V311, V5 = 4, 5
RETURN_CODES = {0: 0, 0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}
"""MQTT 5 CONNACK reason codes as 3.1.1 return codes."""
KEEP_FOR_EVER = b"\x05\x11\xff\xff\xff\xff"
"""A property block with Session Expiry Interval at its largest: what 3.1.1 means by clean session 0."""


class MalformedPacket(ValueError):
    """The bytes are no MQTT packet, or one larger than allowed."""


class Codec:
    """One connection's bytes; its version is known after CONNECT."""

    def __init__(self, packet_bytes_max: int) -> None:
        self._buffer = bytearray()
        self._packet_bytes_max = packet_bytes_max
        self.version = 0

    def feed(self, data: bytes) -> Iterator[mqtt5.Packet]:
        """The packets that are complete with these bytes; MalformedPacket where they cannot be."""
        self._buffer += data
        while (frame := self._frame()) is not None:
            kind, flags, body = frame
            if kind == CONNECT and not self.version:
                self.version = self._negotiate(body)
            if not self.version:
                raise MalformedPacket("the first packet is not CONNECT")
            if self.version == V311:
                body = _to_v5(kind, flags, body)
            try:
                packet, _ = mqtt5.read(memoryview(_packet(kind, flags, body)))
            except (ValueError, IndexError) as error:
                raise MalformedPacket(str(error)) from error
            yield packet

    def encode(self, packet: mqtt5.Packet) -> bytes:
        """A packet in the connection's version; nothing where 3.1.1 has no such packet."""
        data = packet.write()
        if self.version != V311:
            return data
        length, used = _varint(data, 1)
        kind, flags, body = data[0] >> 4, data[0] & 15, data[1 + used : 1 + used + length]
        return b"" if kind == DISCONNECT else _packet(kind, flags, _to_v311(kind, flags, body))

    def _frame(self) -> tuple[int, int, bytes] | None:
        """The next whole packet as its kind, flags and body."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        try:
            length, used = _varint(buffer, 1)
        except IndexError:
            return None
        if length > self._packet_bytes_max:
            raise MalformedPacket(f"a packet of {length} bytes, but {self._packet_bytes_max} are allowed")
        end = 1 + used + length
        if len(buffer) < end:
            return None
        kind, flags, body = buffer[0] >> 4, buffer[0] & 15, bytes(buffer[1 + used : end])
        del buffer[:end]
        return kind, flags, body

    @staticmethod
    def _negotiate(body: bytes) -> int:
        if body[:6] != b"\x00\x04MQTT" or len(body) < 10 or body[6] not in (V311, V5):
            raise MalformedPacket("neither MQTT 5 nor MQTT 3.1.1")
        return body[6]


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer and how many bytes it takes; IndexError where it is cut off."""
    value = 0
    for used in range(4):
        byte = data[at + used]
        value |= (byte & 127) << (7 * used)
        if byte < 128:
            return value, used + 1
    raise MalformedPacket("a length of more than four bytes")


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
    if kind != PUBLISH:
        return 2
    return 2 + int.from_bytes(body[:2]) + (2 if flags & 6 else 0)


def _to_v5(kind: int, flags: int, body: bytes) -> bytes:
    if kind == CONNECT:
        return _connect_to_v5(body)
    if kind in (PUBLISH, SUBSCRIBE, UNSUBSCRIBE):
        at = _head_length(kind, flags, body)
        return body[:at] + b"\0" + body[at:]
    return body


def _connect_to_v5(body: bytes) -> bytes:
    flags = body[7]
    properties = b"\0" if flags & 2 else KEEP_FOR_EVER
    identifier_end = 12 + int.from_bytes(body[10:12])
    will_properties = b"\0" if flags & 4 else b""
    start = body[:6] + bytes([V5]) + body[7:10] + properties
    return start + body[10:identifier_end] + will_properties + body[identifier_end:]


def _to_v311(kind: int, flags: int, body: bytes) -> bytes:
    if kind == CONNACK:
        return bytes([body[0], RETURN_CODES.get(body[1], 3)])
    if kind in (PUBACK, UNSUBACK):
        return body[:2]
    if kind not in (PUBLISH, SUBACK):
        return body
    at = _head_length(kind, flags, body)
    length, used = _varint(body, at)
    rest = body[at + used + length :]
    return body[:at] + (bytes(min(code, 0x80) for code in rest) if kind == SUBACK else rest)
