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
from tests.edge.mqtt.packets import Maker
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
