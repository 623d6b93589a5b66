"""MQTT packets by the byte, well made by chance or not at all (MQTT 5 and 3.1.1, chapters 2 and 3)."""

from __future__ import annotations

import random


def packet(first: int, body: bytes) -> bytes:
    """A control packet: its first byte, its length, its body."""
    return bytes([first]) + block(body)


def block(body: bytes) -> bytes:
    """Bytes behind their length, as a variable byte integer."""
    length, rest = bytearray(), len(body)
    while True:
        rest, low = rest >> 7, rest & 127
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes(length) + body


def string(text: str | bytes) -> bytes:
    """Behind its length in two bytes."""
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(2) + data


NAMES = ["", "a", "b", "a/b", "a/b/c", "+", "#", "a/+", "a/#", "$SYS/x", "$share/g/a", "a/#/b", "/", "ünï/🎉", "x" * 70]
PROPERTIES = [1, 2, 3, 8, 9, 11, *range(17, 20), *range(21, 27), 28, 31, *range(33, 43), 0, 99]
SIZES = {
    **dict.fromkeys((1, 23, 25, 36, 37, 40, 41, 42), 1),
    19: 2,
    33: 2,
    34: 2,
    35: 2,
    2: 4,
    17: 4,
    24: 4,
    39: 4,
    11: 1,
}
WELL = {1: [17, 33, 39, 38], 3: [1, 2, 3, 8, 9, 38], 8: [38], 10: [38], 14: [31, 38], "will": [1, 2, 3, 8, 9, 24, 38]}
"""Properties that fit each packet of a client."""


class Maker:
    """Packets of one version, by chance."""

    def __init__(self, chance: random.Random, version: int) -> None:
        self.chance, self.version = chance, version

    def text(self, value: str | None = None) -> bytes:
        """A string with its length."""
        return string(self.chance.choice(NAMES) if value is None else value)

    def properties(self, kind: int | str) -> bytes:
        """A block, mostly of what fits the packet; nothing in 3.1.1."""
        if self.version == 4:
            return b""
        fitting = WELL.get(kind, [31, 38]) if self.chance.random() < 0.98 else PROPERTIES
        names = self.chance.sample(fitting, self.chance.randrange(min(4, len(fitting)) + 1))
        block = b"".join(bytes([name]) + self._property(name) for name in names)
        return bytes([len(block)]) + block if len(block) < 128 else b"\0"

    def _property(self, name: int) -> bytes:
        if name in SIZES:
            return self.chance.choice([0, *[1] * 30, 2, 60]).to_bytes(SIZES[name])
        return self.text("key") + self.text("value") if name == 38 else self.text(self.chance.choice(["t", "a/b"]))

    def packet(self, kind: int, flags: int, body: bytes) -> bytes:
        """With its fixed header."""
        return packet(kind << 4 | flags, body)

    def connect(self) -> bytes:
        """Few client ids, so that sessions meet; with a Will and names by chance."""
        flags = (
            self.chance.choice([0, 2]) | self.chance.choice([0, 0x04, 0x0C, 0x14, 0x2C]) | self.chance.choice([0, 0xC0])
        )
        body = b"\0\4MQTT" + bytes([self.version, flags]) + self.chance.choice([0, 1, 60]).to_bytes(2)
        body += self.properties(1) + self.text(self.chance.choice(["", *(f"c{number}" for number in range(30))]))
        if flags & 4:
            topic = self.chance.choice([*NAMES[1:5] * 8, *NAMES])
            body += self.properties("will") + self.text(topic) + self.text("gone")
        return self.packet(1, 0, body + (self.text("user") + self.text("password") if flags & 0x80 else b""))

    def publish(self) -> bytes:
        """Of any QoS, small or not, retained or not."""
        qos = self.chance.randrange(3)
        flags = qos << 1 | self.chance.randrange(2) | (8 if qos and self.chance.random() < 0.2 else 0)
        head = self.text(self.chance.choice([*NAMES[1:5], f"t/{self.chance.randrange(200)}"])) + (
            self.id() if qos else b""
        )
        return self.packet(3, flags, head + self.properties(3) + bytes(self.chance.choice([0, 1, 100, 5000, 30_000])))

    def id(self) -> bytes:
        """A packet identifier, of few."""
        return self.chance.randrange(1, 20).to_bytes(2)

    def subscribe(self) -> bytes:
        """To some filters, good and bad."""
        wanted = b"".join(
            self.text() + bytes([self.chance.choice([0, 1, 2])]) for _ in range(self.chance.randrange(1, 4))
        )
        return self.packet(8, 2, self.id() + self.properties(8) + wanted)

    def unsubscribe(self) -> bytes:
        """From some."""
        return self.packet(10, 2, self.id() + self.properties(10) + self.text() + self.text())

    def acknowledge(self) -> bytes:
        """A step of QoS 1 or 2, asked for or not."""
        kind = self.chance.choice([4, 5, 6, 7])
        return self.packet(kind, 2 if kind == 6 else 0, self.id())

    def ping(self) -> bytes:
        """PINGREQ."""
        return b"\xc0\0"

    def foreign(self) -> bytes:
        """What a broker sends, what there is not, or DISCONNECT and AUTH."""
        return self.packet(
            self.chance.choice([0, 2, 9, 11, 13, 14, 15]), 0, self.chance.randbytes(self.chance.randrange(4))
        )

    def any(self) -> bytes:
        """A packet, one in thirty of them spoilt."""
        makers = [self.publish] * 8 + [self.subscribe] * 4 + [self.acknowledge] * 4 + [self.unsubscribe, self.ping]
        data = self.chance.choice(makers if self.chance.random() < 0.99 else [self.foreign, self.connect])()
        return self.spoilt(data) if self.chance.random() < 0.03 else data

    def spoilt(self, data: bytes) -> bytes:
        """Bytes turned, cut out or put in; mostly with a length that is right again."""
        body = bytearray(data[2:] if data[1] < 128 else data[3:])
        for _ in range(self.chance.randrange(1, 4)):
            at = self.chance.randrange(len(body) + 1)
            put = self.chance.choice([b"", b"\0", b"\xff", b"\xff\xff\xff\x7f", self.chance.randbytes(2)])
            body[at : at + self.chance.randrange(3)] = put
        whole = self.packet(
            data[0] >> 4, self.chance.choice([data[0] & 15] * 4 + [self.chance.randrange(16)]), bytes(body)
        )
        return whole if self.chance.random() < 0.8 else whole[: self.chance.randrange(len(whole))]
