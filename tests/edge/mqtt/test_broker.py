"""What a broker must do for us: each test runs against the embedded broker and against Mosquitto."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest

from tests.clients import V5, V311, User
from tests.conftest import embedded_broker, free_port

VERSIONS = pytest.mark.parametrize("protocol", [V5, V311], ids=["v5", "v311"])


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_reaches_its_subscriber(broker, protocol, qos):
    """Payload, topic and QoS arrive as they were sent."""
    with User(broker, "a/+/c", protocol=protocol) as reader, User(broker, protocol=protocol) as writer:
        writer.publish("a/b/c", b"\x00payload\xff", qos=qos)
        message = reader.next()
        assert (message.topic, message.payload, message.qos) == ("a/b/c", b"\x00payload\xff", qos)


def test_the_two_versions_understand_each_other(broker):
    """A 3.1.1 client's message reaches a 5 client and the other way round."""
    with User(broker, "x/#", protocol=V5) as new, User(broker, "x/#", protocol=V311) as old:
        old.publish("x/1", "from old")
        assert [new.next().payload, old.next().payload] == [b"from old"] * 2
        new.publish("x/2", "from new", ContentType="text/plain", ResponseTopic="r")
        assert [new.next().payload, old.next().payload] == [b"from new"] * 2


def test_properties_travel_unchanged(broker):
    """Response topic, correlation data, content type and user properties are the writer's."""
    with User(broker, "p") as reader, User(broker) as writer:
        pairs = [("a", "1"), ("a", "2")]
        writer.publish("p", "x", ResponseTopic="r/t", CorrelationData=b"\x01", ContentType="c", UserProperty=pairs)
        properties = reader.next().properties
        assert properties.ResponseTopic == "r/t"
        assert properties.CorrelationData == b"\x01"
        assert properties.ContentType == "c"
        assert properties.UserProperty == pairs


@VERSIONS
def test_retained_messages_wait_and_are_cleared(broker, protocol):
    """The last retained message comes to whoever subscribes later, until an empty one clears it."""
    with User(broker, protocol=protocol) as writer:
        writer.publish("s", "old", retain=True)
        writer.publish("s", "new", retain=True)
        with User(broker, "s", protocol=protocol) as reader:
            message = reader.next()
            assert (message.payload, message.retain) == (b"new", True)
        writer.publish("s", b"", retain=True)
        with User(broker, "s", protocol=protocol) as reader:
            assert reader.nothing()


@VERSIONS
def test_the_will_is_published_when_a_client_vanishes(broker, protocol):
    """A lost connection publishes the Will; a clean disconnect does not."""
    with User(broker, "w", protocol=protocol) as reader:
        with User(broker, protocol=protocol, will=("w", b"gone", 1, False)):
            pass
        assert reader.nothing()
        lost = User(broker, protocol=protocol, will=("w", b"gone", 1, False))
        lost.__enter__()
        lost.vanish()
        assert reader.next().payload == b"gone"


@VERSIONS
def test_a_session_keeps_messages_while_its_client_is_away(broker, protocol):
    """With a session that outlives the connection, QoS 1 messages wait."""
    options = {"protocol": protocol, "client_id": "keeper", "clean": False, "expiry": 60}
    with User(broker, "q", **options) as reader:
        assert not reader.session_present
    with User(broker, protocol=protocol) as writer:
        writer.publish("q", "1")
        writer.publish("q", "2")
    with User(broker, **options) as reader:
        assert reader.session_present
        assert [reader.next().payload, reader.next().payload] == [b"1", b"2"]


def test_a_session_ends_after_its_expiry(broker):
    """A session of one second is gone after two."""
    with User(broker, "q", client_id="brief", clean=False, expiry=1):
        pass
    time.sleep(2.6)
    with User(broker, client_id="brief", clean=False, expiry=1) as again:
        assert not again.session_present


def test_an_expired_message_is_not_delivered(broker):
    """What waited longer than its expiry is dropped; what remains of the time travels on."""
    with User(broker, "e", client_id="sleeper", clean=False, expiry=60):
        pass
    with User(broker) as writer:
        writer.publish("e", "short", MessageExpiryInterval=1)
        writer.publish("e", "long", MessageExpiryInterval=100)
    time.sleep(2.1)
    with User(broker, client_id="sleeper", clean=False, expiry=60) as reader:
        message = reader.next()
        assert message.payload == b"long"
        assert message.properties.MessageExpiryInterval in (97, 98)
        assert reader.nothing()


def test_the_same_client_id_takes_the_session_over(broker, request):
    """The older connection ends; ours says why (0x8E, session taken over), Mosquitto 2.0.11 just closes it."""
    with User(broker, client_id="one", clean=False, expiry=60) as first:
        codes = []
        first.client.on_disconnect = lambda _c, _u, _f, reason, _p: codes.append(reason.value)
        with User(broker, client_id="one", clean=False, expiry=60):
            until = time.monotonic() + 5
            while not codes and time.monotonic() < until:
                time.sleep(0.02)
    closed_bare = 0x80  # paho's name for a connection that ended without a DISCONNECT
    assert codes[0] == (0x8E if "embedded" in request.node.name else closed_bare)


def test_no_local_keeps_own_messages_away(broker):
    """A subscription with No Local does not get its own client's messages."""
    from paho.mqtt.subscribeoptions import SubscribeOptions

    with User(broker) as user, User(broker) as other:
        user.client.subscribe("n", options=SubscribeOptions(qos=1, noLocal=True))
        user.granted.get(timeout=5)
        user.publish("n", "own")
        other.publish("n", "other")
        assert user.next().payload == b"other"
        assert user.nothing()


def test_publishing_without_a_reader_says_so(broker):
    """The PUBACK's reason is 0x10, no matching subscribers."""
    with User(broker) as writer:
        number = writer.publish("nobody/here", "x")
        until = time.monotonic() + 5
        while number not in writer.acks and time.monotonic() < until:
            time.sleep(0.02)
        assert writer.acks[number].value == 0x10


def test_receive_maximum_holds_messages_back(broker):
    """No more unacknowledged messages are sent than the client takes; the rest follow as it acknowledges."""
    with User(broker, "m", client_id="slow", clean=False, expiry=60):
        pass
    with User(broker) as writer:
        for number in range(10):
            writer.publish("m", str(number))
    slow = User(broker, client_id="slow", clean=False, expiry=60, receive_maximum=2)
    slow.client.manual_ack_set(True)
    with slow:
        first = [slow.next(), slow.next()]
        assert slow.nothing()
        for message in first:
            slow.client.ack(message.mid, message.qos)
        assert [slow.next().payload, slow.next().payload] == [b"2", b"3"]


def test_an_unacknowledged_message_comes_again(broker):
    """After a lost connection it is sent again, marked as a duplicate."""
    first = User(broker, "d", client_id="dup", clean=False, expiry=60)
    first.client.manual_ack_set(True)
    first.__enter__()
    with User(broker) as writer:
        writer.publish("d", "x")
    assert not first.next().dup
    first.vanish()
    with User(broker, client_id="dup", clean=False, expiry=60) as again:
        message = again.next()
        assert (message.payload, message.dup) == (b"x", True)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\xff\x01",
        b"\x30\x05\x00\x01aXX",
        b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00",
        b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00\x82\x02\x00\x00",
        bytes(64),
    ],
    ids=["http", "endless length", "publish first", "version 9", "empty subscribe", "zeros"],
)
def test_garbage_ends_the_connection_and_nothing_else(broker, data):
    """A stream that is no MQTT is closed; other clients do not notice."""
    with User(broker, "g") as reader:
        with socket.create_connection(("127.0.0.1", broker), timeout=15) as stream:
            stream.sendall(data)
            with contextlib.suppress(OSError):  # a reset is an end as well
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(4096):
                    pass
        reader.publish("g", "still here")
        assert reader.next().payload == b"still here"


@VERSIONS
def test_websocket_carries_the_same_protocol(tmp_path: Path, protocol):
    """A WebSocket client and a TCP client exchange messages through the embedded broker."""
    websocket_port = free_port()
    with (
        embedded_broker(tmp_path, websocket_port=websocket_port) as port,
        User(websocket_port, "ws", protocol=protocol, transport="websockets") as page,
        User(port) as writer,
    ):
        writer.publish("ws", "x" * 70_000)
        assert len(page.next().payload) == 70_000


def test_the_embedded_broker_listens_on_loopback_only(tmp_path: Path):
    """Unless told otherwise, no other machine can reach it."""
    with embedded_broker(tmp_path) as port:
        lines = Path("/proc/net/tcp").read_text().splitlines()
        mine = [line.split()[1] for line in lines if line.split()[1].endswith(f":{port:04X}") and " 0A " in line]
        assert mine == [f"0100007F:{port:04X}"]


def test_a_stopping_broker_says_so(tmp_path):
    """An MQTT 5 client is told 0x8B, server shutting down, before its connection ends (MQTT 5, 3.14.2.1).

    Mosquitto 2.0 just closes; a client of ours lives with either.
    """
    with embedded_broker(tmp_path) as port:
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(bytes.fromhex("101000044d5154540502003c000003") + b"bye")
        assert client.recv(100)[0] == 0x20
    with client:
        client.settimeout(5)
        assert client.recv(100)[:3].hex() == "e0018b"
        assert client.recv(100) == b""


def test_a_message_too_large_for_its_reader_counts_as_sent(tmp_path):
    """It is left out, and takes no place of the reader's Receive Maximum (MQTT 5, section 3.1.2.11.4)."""
    with embedded_broker(tmp_path) as port, User(port) as writer:
        reader = User(port, "m", receive_maximum=1, connect_properties={"MaximumPacketSize": 1000})
        with reader:
            for payload in ("x" * 2000, "y" * 2000, "z"):
                writer.publish("m", payload)
            assert reader.next().payload == b"z"
