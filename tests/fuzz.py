"""All of MQTT at a daemon and its broker: well-formed packets must be answered for, spoilt ones must end alone.

Tagged requests have an id and are counted; what is around them is whatever the two versions of the protocol allow, and
on connections of its own what they do not. Seeded.
"""

from __future__ import annotations

import json
import queue
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.clients import User
from tests.edge.mqtt.packets import Maker, block, packet, string

BATCH = 100
"""Packets, after which the tagged ones must have been answered."""
ANSWER_SECONDS = 30.0
TEXTS = ["", "a", "ünï/🎉", "\ufeff", "\ufeffx\ufeff", "\u202e", "x" * 3000, "{}", "%s", " "]
DISPUTED = ["\uffff", "\ufdd0", "\x01\x1f", "\x7f\x9f", "\n"]
"""Strings that MQTT 5 allows (section 1.5.4), and those of them that a broker may end the connection over."""
PAYLOADS = [b"", b"x", b"{", b'{"id": 7}', b"\xef\xbb\xbf{}", b"[" * 99, b"\xff\xfe\x00\x80" * 9]
OWN = ["a", "ü🎉", " ", "...", "x" * 90]
TOPICS = ["edge/test/request/f", "edge/test/request", "edge/test/cancel/f", "edge/test/chunk/f", "edge/test/chunk"]
JSON_TYPES = ["application/json", "application/json; charset=utf-8", None]


@dataclass
class Tally:
    """packets: that were sent. asked: ids of tagged requests that the broker acknowledged. answered: of replies."""

    packets: int = 0
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    @property
    def lost(self) -> set[str]:
        """Acknowledged and never answered."""
        return self.asked - self.answered


class Publisher:
    """Well-formed PUBLISH packets for the daemon, in one version."""

    def __init__(self, chance: random.Random, version: int) -> None:
        self.chance, self.version = chance, version

    def tagged(self, name: str, identifier: int) -> bytes:
        """A request under an id, with whatever properties may be beside it."""
        text = self.chance.choice([*TEXTS[1:6], "x" * self.chance.randrange(1, 2000)])
        fields = {"prompt": f"q{text}", "id": name, "stream": self.chance.random() < 0.3, "max_tokens": 4}
        payload = json.dumps(fields, ensure_ascii=self.chance.random() < 0.5).encode()
        named = "" if self.chance.random() < 0.5 else f"answers/f/{self.chance.choice(OWN)}"
        return self._publish("edge/test/request/f", 1, identifier, self._properties(JSON_TYPES, named), payload)

    def loose(self, identifier: int) -> bytes:
        """Anything on the daemon's topics, of any QoS; few of 2, of which a broker takes no more than 20 at once."""
        qos = 2 if identifier % 12 == 1 else self.chance.choice([0, 1])
        payload = self.chance.choice(
            [b"", b"x", b"{", b'{"id": 7}', self.chance.randbytes(60), b"\xef\xbb\xbf{}", b"[" * 99]
        )
        types = [*JSON_TYPES, "text/plain", "image/png", *TEXTS]
        named = self.chance.choice(["", "answers/f/a", "$SYS/x", "a//b", "answers/g", *TEXTS[2:]])
        return self._publish(self.chance.choice(TOPICS), qos, identifier, self._properties(types, named), payload)

    def _publish(self, topic: str, qos: int, identifier: int, properties: bytes, payload: bytes) -> bytes:
        first = 0x30 | qos << 1 | (8 if qos and self.chance.random() < 0.1 else 0)
        return packet(first, string(topic) + (identifier.to_bytes(2) if qos else b"") + properties + payload)

    def _properties(self, types: list[str | None], named: str) -> bytes:
        """All that a PUBLISH may have, each or not (MQTT 5, section 3.3.2.3); nothing in 3.1.1."""
        if self.version == 4:
            return b""
        kind, chance = self.chance.choice(types), self.chance
        parts = [b"\x02" + chance.choice([60, 3600, 2**32 - 1]).to_bytes(4)]
        parts += [b"\x09" + string(chance.randbytes(chance.choice([0, 1, 16, 2000])))]
        parts += [
            b"\x26" + string(chance.choice(TEXTS)) + string(chance.choice(TEXTS)) for _ in range(chance.randrange(4))
        ]
        parts = [part for part in parts if chance.random() < 0.6]
        parts += [b"\x03" + string(kind)] if kind is not None else []
        parts += [b"\x08" + string(named)] if named else []
        chance.shuffle(parts)
        return block(b"".join(parts))


class Line:
    """A raw connection that reads on: the packet identifiers that the broker acknowledged, and whether it has ended."""

    def __init__(self, port: int, version: int, name: str) -> None:
        self.acknowledged: dict[int, int] = {}
        self.has_ended = False
        self._version = version
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        head = b"\0\4MQTT" + bytes([version, 2]) + b"\0\x3c" + (b"\0" if version == 5 else b"")
        self.socket.sendall(packet(0x10, head + string(name)))
        self._stream = self.socket.makefile("rb")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while first := self._stream.read(1):
                body = self._stream.read(self._length())
                if first[0] >> 4 == 4:
                    self.acknowledged[int.from_bytes(body[:2])] = body[2] if len(body) > 2 else 0
                elif first[0] >> 4 == 5:
                    self.socket.sendall(packet(0x62, body[:2]))
        except (OSError, IndexError):
            pass
        self.has_ended = True

    def _length(self) -> int:
        value = shift = 0
        while True:
            byte = self._stream.read(1)[0]
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    def send(self, data: bytes) -> None:
        """Send, or note that the other side has gone."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.has_ended = True

    def close(self) -> None:
        """End it."""
        self.socket.close()


def fuzz(port: int, version: int, count: int, seed: int = 0) -> Tally:
    """So many packets through the broker at a port to the daemon `test` behind it."""
    tally, chance = Tally(), random.Random(seed)
    with User(port, "edge/test/reply/#", "answers/#") as listener:
        listener.wait_online()
        while tally.packets < count:
            one_batch(port, version, chance, listener, tally)
    return tally


def one_batch(port: int, version: int, chance: random.Random, listener: User, tally: Tally) -> None:
    """Well-formed packets on connections that come back, spoilt ones on others; then all answers are waited for."""
    publisher, left = Publisher(chance, version), BATCH * 9 // 10
    while left:
        left -= one_line(Line(port, version, f"fuzz{tally.packets}"), publisher, left, tally)
    tally.packets += sum(spoil(port, version, chance))
    until = time.monotonic() + ANSWER_SECONDS
    while tally.lost and time.monotonic() < until:
        take(listener, tally)


def one_line(line: Line, publisher: Publisher, count: int, tally: Tally) -> int:
    """Packets until the broker ends the connection or there are enough; how many were sent."""
    names: dict[int, str] = {}
    sent = 0
    while sent < count and not line.has_ended:
        sent += 1
        tally.packets += 1
        if sent % 6 == 0:
            names[sent] = f"t{tally.packets}"
        data = publisher.tagged(names[sent], sent) if sent in names else publisher.loose(sent)
        line.send(data)
    until = time.monotonic() + ANSWER_SECONDS
    while not (line.acknowledged.keys() >= names.keys() or line.has_ended) and time.monotonic() < until:
        time.sleep(0.001)
    tally.asked |= {name for identifier, name in names.items() if line.acknowledged.get(identifier, 255) < 0x80}
    line.close()
    return sent


def spoil(port: int, version: int, chance: random.Random) -> Iterator[int]:
    """Connections that send what is spoilt, or out of place, and are ended; how many packets each."""
    maker = Maker(chance, version)
    for _ in range(BATCH // 20):
        packets = [maker.connect(), *(maker.any() for _ in range(chance.randrange(3))), maker.spoilt(maker.any())]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as made:
            try:
                made.sendall(b"".join(packets))
                made.shutdown(socket.SHUT_WR)
                while made.recv(1 << 16):
                    pass
            except OSError:
                pass
        yield len(packets)


def take(listener: User, tally: Tally) -> None:
    """What the daemon has said meanwhile."""
    try:
        body = json.loads(listener.next(0.05).payload)
    except (queue.Empty, ValueError):
        return
    if isinstance(body, dict) and body.get("type") == "reply":
        tally.answered.add(str(body["id"]))
