"""The connection against a broker that says what no broker should: read, or let go, and never asked for twice."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from edge.config import Broker
from edge.mqtt.transport import MqttTransport
from edge.mqtt.unacknowledged import KEPT_MAX, SILENT_SECONDS, Unacknowledged
from edge.testing import SimulatedLoop
from edge.wire.message import Delivery, Message
from tests.edge.mqtt.packets import packet, string

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9


def publish(properties: bytes, topic: bytes = b"edge/pi/request", identifier: int = 7, payload: bytes = b"x") -> bytes:
    """A PUBLISH of QoS 1 with properties as they are given; QoS 0 where the identifier is 0."""
    head = string(topic) + (identifier.to_bytes(2) if identifier else b"")
    return packet(0x32 if identifier else 0x30, head + bytes([len(properties)]) + properties + payload)


@dataclass
class ScriptedBroker:
    """A broker that takes one connection at a time, and after its CONNACK says the bytes that it is told to.

    answer: a PUBACK's reason code, None for none. suback: of every subscription. connects: flags of each CONNECT.
    """

    says: list[bytes] = field(default_factory=list)
    connack: bytes = b"\x20\x03\x00\x00\x00"
    answer: int | None = 0
    suback: int = 1
    connects: list[int] = field(default_factory=list)
    heard: list[tuple[int, bytes]] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first, length, shift = (await reader.readexactly(1))[0], 0, 0
                while True:
                    (byte,) = await reader.readexactly(1)
                    length, shift = length | (byte & 127) << shift, shift + 7
                    if byte < 128:
                        break
                self._take(first, await reader.readexactly(length), writer)
        writer.close()

    def _take(self, first: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.heard.append((first >> 4, body))
        if first >> 4 == CONNECT:
            self.connects.append(body[7])
            writer.write(self.connack + b"".join(self.says))
        elif first >> 4 == SUBSCRIBE:
            count = body[3 + body[2] :].count(b"edge/")
            writer.write(packet(SUBACK << 4, body[:2] + b"\0" + bytes([self.suback]) * count))
        elif first >> 4 == PUBLISH and first & 6 and self.answer is not None:
            at = 2 + int.from_bytes(body[:2])
            writer.write(packet(PUBACK << 4, body[at : at + 2] + bytes([self.answer, 0])))

    def acknowledged(self) -> list[int]:
        """Packet identifiers that the other side has acknowledged."""
        return [int.from_bytes(body[:2]) for kind, body in self.heard if kind == PUBACK]


@contextlib.asynccontextmanager
async def connected(broker: ScriptedBroker, **options: Any) -> AsyncIterator[MqttTransport]:
    """A connection to it, up or refused."""
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    protocol = options.pop("protocol", "5")
    made = MqttTransport(Broker(port=broker.port, protocol=protocol), "pi", ["edge/pi/request"], **options)
    made.start()
    try:
        yield made
    finally:
        await made.close()
        server.close()


async def until(what: Callable[[], object], seconds: float = 20) -> None:
    """Return once it is so."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


USER_PROPERTY = b"\x26"
TAKEN = {
    "a byte order mark in a user property": USER_PROPERTY + string(b"k") + string("\ufeffv".encode()),
    "one in the content type": b"\x03" + string("\ufefftext/plain".encode()),
    "one in the response topic": b"\x08" + string("answers/\ufeff".encode()),
    "characters that are none": USER_PROPERTY + string("\uffff\ufdd0".encode()) + string("\x01\x7f\x9f".encode()),
    "empty strings": USER_PROPERTY + string(b"") + string(b""),
    "many subscription identifiers": b"\x0b\x01\x0b\xff\x7f",
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_well_formed_is_taken(name):
    """Strings that MQTT 5 allows (section 1.5.4) arrive, whatever paho thinks of them."""

    async def work() -> None:
        broker = ScriptedBroker([publish(TAKEN[name])])
        async with connected(broker) as it:
            message = await asyncio.wait_for(it.received.get(), 10)
            assert message.payload == b"x"
            await until(lambda: broker.acknowledged() == [7])
            assert len(broker.connects) == 1

    asyncio.run(work())


LET_GO = {
    "a null in a string": publish(USER_PROPERTY + string(b"k") + string(b"a\0b")),
    "a string that is no UTF-8": publish(USER_PROPERTY + string(b"k") + string(b"\xff\xfe")),
    "a surrogate": publish(USER_PROPERTY + string(b"k") + string(b"\xed\xa0\x80")),
    "a topic that is no UTF-8": publish(b"", topic=b"edge/pi/request/\xff"),
    "a property that does not exist": publish(b"\x7f\x00"),
    "a property of another packet": publish(b"\x21\x00\x01"),
    "the same property twice": publish(b"\x01\x01\x01\x01"),
    "a string that ends later than the properties": publish(USER_PROPERTY + b"\xff\xff" + b"k"),
    "properties that end later than the packet": packet(0x32, string(b"a") + b"\x00\x07" + b"\x7f" + b"\x26"),
    "a length that has no end": packet(0x32, string(b"a") + b"\x00\x07" + b"\xff\xff\xff\xff\xff"),
    "QoS 0, broken": publish(b"\x7f\x00", identifier=0),
}


@pytest.mark.parametrize("name", LET_GO)
def test_a_message_that_cannot_be_read_is_let_go(name):
    """It is acknowledged, so that it does not come again at every connect, and what follows arrives."""

    async def work() -> None:
        broker = ScriptedBroker([LET_GO[name], publish(b"", identifier=8)])
        async with connected(broker, acknowledges=True) as it:
            message = await asyncio.wait_for(it.received.get(), 10)
            it.acknowledge(message)
            await until(lambda: 8 in broker.acknowledged())
            assert message.packet_identifier == 8
            assert broker.acknowledged() == ([8] if "QoS 0" in name else [7, 8])
            assert len(broker.connects) == 1

    asyncio.run(work())


BROKEN = {
    "a packet of no kind": b"\xf0\x00",
    "a topic longer than its packet": packet(0x32, b"\xff\xff" + b"x"),
    "QoS 3": packet(0x36, string(b"a") + b"\x00\x07\x00"),
    "a reason that does not exist": packet(0x40, b"\x00\x01\x55\x00"),
    "a length of five bytes": b"\x32\xff\xff\xff\xff\xff\x01",
    "an empty SUBACK": packet(0x90, b"\x00"),
    "another's SUBACK code": packet(0x90, b"\x00\x01\x00\x55"),
}


@pytest.mark.slow
def test_a_loop_of_connections_is_told_and_broken():
    """Packets that end each connection: later each time, told after three, and then without what the broker kept."""

    async def one(name: str) -> None:
        broker, told = ScriptedBroker([BROKEN[name]]), []
        async with connected(broker) as it:
            it.at_trouble = told.append
            await until(lambda: len(broker.connects) >= 4, 60)
            assert [bool(flags & 2) for flags in broker.connects[:4]] == [False, False, False, True], name
            broker.says = []
            await until(lambda: it.is_connected, 60)
        assert "3 connections in a row" in told[0], name

    async def work() -> None:
        await asyncio.gather(*map(one, BROKEN))

    asyncio.run(work())


def test_a_refusal_is_passing_for_a_daemon_and_the_end_for_a_person():
    """A CONNACK that says no, and a client id that another took."""

    async def work() -> None:
        broker = ScriptedBroker(connack=b"\x20\x03\x00\x87\x00")
        async with connected(broker) as daemon, connected(broker, gives_up=True) as person:
            await asyncio.wait_for(person.settled.wait(), 10)
            assert "refuses us: Not authorized; check broker.username" in str(person.refusal)
            await until(lambda: "refuses us" in daemon.failure)
            broker.connack = b"\x20\x03\x00\x00\x00"
            await asyncio.wait_for(daemon.settled.wait(), 20)
        taken_over = ScriptedBroker(says=[b"\xe0\x02\x8e\x00"])
        async with connected(taken_over) as daemon, connected(taken_over, gives_up=True) as person:
            await until(lambda: person.refusal)
            assert "another client connected with our client id 'pi'" in str(person.refusal)
            await until(lambda: "another client" in daemon.failure)
            taken_over.says = []
            await until(lambda: daemon.is_connected)

    asyncio.run(work())


def test_a_refused_subscription_is_told():
    """To who can act on it: a person is told and it ends, a daemon's log and manager say that it is deaf."""

    async def work() -> None:
        broker, told = ScriptedBroker(suback=0x87), []
        async with connected(broker) as daemon, connected(broker, gives_up=True) as person:
            daemon.at_trouble = told.append
            await until(lambda: told and person.refusal)
            assert "refuses the subscription edge/pi/request (Not authorized)" in told[0]

    asyncio.run(work())


@pytest.mark.parametrize(
    ("answer", "delivery"),
    [(0, Delivery.TAKEN), (0x10, Delivery.UNHEARD), (0x87, Delivery.REFUSED), (0x97, Delivery.REFUSED)],
)
def test_what_became_of_a_message(answer, delivery):
    """By its PUBACK's reason code."""

    async def work() -> None:
        async with connected(ScriptedBroker(answer=answer)) as it:
            await asyncio.wait_for(it.settled.wait(), 10)
            told: asyncio.Queue[Delivery] = asyncio.Queue()
            it.publish(Message("a", b"x", 1), told.put_nowait)
            assert await asyncio.wait_for(told.get(), 10) is delivery

    asyncio.run(work())


def test_what_was_under_way_is_lost_and_what_nobody_asks_for_is_kept():
    """A connection ends with two messages unacknowledged: one's sender is told, the other goes out on the next."""

    async def work() -> None:
        broker, told = ScriptedBroker(answer=None), []
        async with connected(broker) as it:
            await asyncio.wait_for(it.settled.wait(), 10)
            it.publish(Message("mine", b"x", 1), told.append)
            it.publish(Message("theirs", b"y", 1))
            await until(lambda: [kind for kind, _ in broker.heard].count(PUBLISH) == 2)
            broker.answer = 0
            it._client.drop()
            await until(lambda: [kind for kind, _ in broker.heard].count(PUBLISH) == 3)
            assert told == [Delivery.LOST]
            assert b"theirs" in broker.heard[-1][1] or b"theirs" in broker.heard[-2][1]

    asyncio.run(work())


def test_a_message_that_can_never_be_sent_is_refused():
    """One larger than the broker takes, and one on a topic that is none: neither ends the connection."""

    async def work() -> None:
        broker = ScriptedBroker(connack=b"\x20\x08\x00\x00\x05\x27\x00\x00\x01\x00")
        async with connected(broker) as it:
            await asyncio.wait_for(it.settled.wait(), 10)
            told: asyncio.Queue[Delivery] = asyncio.Queue()
            for message in (Message("a", b"x" * 300, 1), Message("a/#", b"x", 1), Message("\ud800", b"x", 1)):
                it.publish(message, told.put_nowait)
                assert await asyncio.wait_for(told.get(), 10) is Delivery.REFUSED
            it.publish(Message("a", b"x", 1), told.put_nowait)
            assert await asyncio.wait_for(told.get(), 10) is Delivery.TAKEN
            assert len(broker.connects) == 1

    asyncio.run(work())


def test_a_broker_that_acknowledges_nothing_is_left():
    """After a while without a PUBACK while one is due; never while there is none to wait for."""

    async def work() -> None:
        silent: list[float] = []
        loop = asyncio.get_running_loop()
        it = Unacknowledged(lambda: silent.append(loop.time()))
        it.add(1, Message("a", b"", 1), None)
        await asyncio.sleep(SILENT_SECONDS / 2)
        it.add(2, Message("a", b"", 1), None)
        it.settle(1, Delivery.TAKEN)
        await asyncio.sleep(SILENT_SECONDS - 1)
        assert silent == []
        await asyncio.sleep(2)
        assert silent == [SILENT_SECONDS * 1.5]
        it.lose()
        await asyncio.sleep(SILENT_SECONDS * 2)
        assert len(silent) == 1
        for number in range(KEPT_MAX + 2):
            it.keep(Message(str(number), b"", 1), None)
        assert [message.topic for message in it.kept()][:1] == ["2"]

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(work())


def test_the_client_does_not_load_what_it_does_not_use():
    """The library would load dnspython where it is installed, 3 MB of it; whoever wants that still gets it."""
    program = """
import sys
import edge.mqtt.paho_client
assert not [name for name in sys.modules if name.split(".")[0] == "dns"]
import dns.resolver
"""
    pytest.importorskip("dns")
    subprocess.run([sys.executable, "-c", program], check=True)
