"""Thousands of packets of both versions, well made and mutated, at the broker: it serves on, within its bounds."""

from __future__ import annotations

import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from edge.mqtt.broker.codec import Codec
from edge.mqtt.broker.limits import Limits, Refused, filter_weight, weight
from tests.clients import V5, V311, User
from tests.edge.mqtt.raw import inside, listening

LIMITS = Limits(
    connections=40,
    strangers=10,
    sessions=12,
    subscriptions=20,
    subscription_bytes=200_000,
    queue_messages=20,
    queue_bytes=60_000,
    queued_bytes=300_000,
    in_flight=10,
    receive_max=10,
    retained=50,
    retained_bytes=100_000,
    held_bytes=4 << 20,
    unsent_bytes=256 << 10,
    close_seconds=0.5,
    connect_seconds=2,
)
NAMES = ["", "a", "b", "a/b", "a/b/c", "+", "#", "a/+", "a/#", "$SYS/x", "$share/g/a", "a/#/b", "/", "ünï/🎉", "x" * 70]
PROPERTIES = [
    1,
    2,
    3,
    8,
    9,
    11,
    17,
    18,
    19,
    21,
    22,
    23,
    24,
    25,
    26,
    28,
    31,
    33,
    34,
    35,
    36,
    37,
    38,
    39,
    40,
    41,
    42,
    0,
    99,
]
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
        data = (self.chance.choice(NAMES) if value is None else value).encode()
        return len(data).to_bytes(2) + data

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
        length, rest = bytearray(), len(body)
        while True:
            rest, low = rest >> 7, rest & 127
            length.append(low | (128 if rest else 0))
            if not rest:
                return bytes([kind << 4 | flags]) + length + body

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


def life(chance: random.Random) -> Iterator[bytes]:
    """What one connection sends, in pieces that keep no packet together."""
    maker = Maker(chance, chance.choice([4, 5]))
    connect = maker.connect() if chance.random() < 0.95 else maker.spoilt(maker.connect())
    stream = connect + b"".join(maker.any() for _ in range(chance.randrange(60)))
    while stream:
        count = chance.choice([1, 7, 1000, 1 << 16])
        yield stream[:count]
        stream = stream[count:]


def play(port: int, chance: random.Random) -> socket.socket | None:
    """Send a connection's life; it stays open unread, or is read to its end once it is half closed."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    is_reader = chance.random() < 0.8
    made.settimeout(10 if is_reader else 0)
    try:
        for piece in life(chance):
            made.sendall(piece)
        if is_reader:
            made.shutdown(socket.SHUT_WR)
            while made.recv(1 << 16):
                pass
    except TimeoutError:
        raise  # the broker neither reads nor ends the connection
    except OSError:
        pass
    if is_reader:
        made.close()
    return None if is_reader else made


def check_bounds(broker) -> None:
    """Everything that is kept is within its bound, and is what its counters say."""
    core, limits = broker.core, LIMITS
    sessions = list(core.sessions.values())
    assert sum(1 for each in sessions if each.link) <= limits.connections
    assert sum(1 for each in sessions if each.expiry_seconds) <= limits.sessions
    assert sum(each.held for each in sessions) <= limits.queued_bytes
    for each in sessions:
        in_flight = [flight.pending for flight in each.in_flight.values() if flight.pending]
        assert each.held == sum(pending.stored.weight for pending in [*each.waiting, *in_flight]) <= limits.queue_bytes
        assert len(each.waiting) <= limits.queue_messages
        assert len(each.in_flight) <= limits.in_flight
        assert len(each.received) <= limits.receive_max
        assert len(each.subscriptions) <= limits.subscriptions
    patterns = [pattern for each in sessions for pattern in each.subscriptions]
    assert core.subscriptions.bytes == sum(map(filter_weight, patterns)) <= limits.subscription_bytes
    kept = core.retained._kept.values()
    assert core.retained.bytes == sum(weight(each.packet) for each in kept) <= limits.retained_bytes
    assert len(kept) <= limits.retained
    assert len(broker.doors._strangers) <= limits.strangers
    assert sum(each.held() for each in broker.doors.connections) <= limits.held_bytes


@pytest.mark.parametrize("seed", range(4))
def test_a_bystander_is_served_throughout(seed, caplog, capfd):
    """Some 2000 packets a seed: every round trip of two clients works, nothing is over its bound, no fault is ours."""
    caplog.set_level(logging.INFO)
    chance, still_open = random.Random(seed), []
    with listening(limits=LIMITS) as broker:
        with User(broker.port, "by/5", qos=2) as new, User(broker.port, "by/4", protocol=V311, qos=1) as old:
            for number in range(150):
                still_open += [made for made in [play(broker.port, chance)] if made]
                while len(still_open) > 15 or (still_open and chance.random() < 0.2):
                    still_open.pop(chance.randrange(len(still_open))).close()
                if number % 10 == 0:
                    new.send("by/4", str(number), qos=2)
                    old.send("by/5", str(number), qos=2)
                    assert [new.next().payload, old.next().payload] == [str(number).encode()] * 2
                    inside(broker, lambda: check_bounds(broker))
        for each in still_open:
            each.close()
        until = time.monotonic() + 20
        while inside(broker, lambda: broker.doors.connections):
            assert time.monotonic() < until
        assert {each.protocol for each in (new.client, old.client)} == {V5, V311}
        inside(broker, lambda: check_bounds(broker))
    assert not [each for each in caplog.messages if "fault" in each]
    assert not [each for each in caplog.records if each.exc_info or each.name == "asyncio"]
    assert capfd.readouterr().err == ""


def test_the_codec_refuses_and_does_nothing_else(capfd):
    """Twenty thousand packets, most of them spoilt: each is read or Refused; the library never panics."""
    chance, outcomes = random.Random(0), Counter()
    for _ in range(20_000):
        version = chance.choice([4, 5])
        maker, codec = Maker(chance, version), Codec(LIMITS)
        data = maker.connect() if chance.random() < 0.2 else maker.any()
        data = maker.spoilt(data) if len(data) > 2 and chance.random() < 0.7 else data
        codec.version = 0 if data[:1] == b"\x10" else version
        try:
            for packet in codec.feed(data):
                outcomes[type(packet).__name__] += 1
        except Refused as error:
            outcomes[error.reason] += 1
    assert len(outcomes) > 12
    assert capfd.readouterr().err == ""
