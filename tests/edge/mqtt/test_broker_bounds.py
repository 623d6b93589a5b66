"""Whatever a client can make grow has a bound: it is refused with the right code, said once, and nobody suffers."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import time
from collections.abc import Callable

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mqtt.broker.limits import Limits
from edge.mqtt.broker.topics import Tree, covers, matches, overlaps
from tests.clients import V311, User
from tests.conftest import embedded_broker, free_port
from tests.edge.mqtt.raw import Pub, Raw, inside, listening, log_of, resident

pytestmark = pytest.mark.slow

QUOTA, TOO_LARGE, TOPIC_INVALID, FILTER_INVALID, ID_INVALID, PROTOCOL = 0x97, 0x95, 0x90, 0x8F, 0x85, 0x82
MIB = 1 << 20


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    """Return once it is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- retained messages ---


def test_retained_messages_by_count_and_by_bytes(caplog):
    """One too many, or too large for what is left: 0x97 for each, a line for the first; a smaller one fits again."""
    limits = Limits(retained=10, retained_bytes=100_000)
    with listening(limits=limits) as broker, Raw(broker.port, "w") as writer:
        codes = [writer.publish(f"t/{number}", b"x", retain=True) for number in range(20)]
        assert [code == QUOTA for code in codes] == [False] * 10 + [True] * 10
        assert writer.publish("t/1", bytes(95_000), retain=True) == QUOTA
        assert writer.publish("t/1", bytes(50_000), retain=True) != QUOTA
        assert writer.publish("t/2", bytes(50_000), retain=True) == QUOTA
        assert writer.publish("t/1", b"", retain=True) != QUOTA
        assert writer.publish("t/2", bytes(50_000), retain=True) != QUOTA
        assert inside(broker, lambda: broker.core.retained.bytes) <= 100_000
        for number in range(20):
            writer.publish(f"t/{number}", b"", retain=True)
        assert inside(broker, lambda: (len(broker.core.retained), broker.core.retained.bytes)) == (0, 0)
    assert sum("retained messages" in each for each in caplog.messages) == 2  # the first, and how many more


def test_a_refused_retained_message_is_not_delivered_either():
    """0x97 means that nothing was done."""
    with (
        listening(limits=Limits(retained=0)) as broker,
        Raw(broker.port, "w") as writer,
        User(broker.port, "t") as user,
    ):
        assert writer.publish("t", b"x", retain=True) == QUOTA
        assert user.nothing()


def test_properties_count_as_what_they_take(tmp_path):
    """Retained messages of twenty thousand tiny user properties each fill the bound, not the memory; more is 0x95."""
    with embedded_broker(tmp_path) as port, Raw(port, "w") as writer:
        before = resident(tmp_path)
        codes = {writer.publish(f"t/{n}", b"x", retain=True, user_properties=[("", "")] * 20_000) for n in range(40)}
        assert (QUOTA in codes, resident(tmp_path) - before < 60 * MIB) == (True, True)
        writer.send(Pub("t", b"x", user_properties=[("", "")] * 100_000))
        assert writer.last() == TOO_LARGE


# --- what waits ---


def test_an_absent_clients_queue_by_bytes(caplog):
    """The oldest go; the first is said, and how many went when the client is back."""
    limits = Limits(queue_bytes=100_000)
    kept = {"client_id": "sleeper", "clean": False, "expiry": 60}
    with listening(limits=limits) as broker:
        with User(broker.port, "q", **kept):
            pass
        with User(broker.port) as writer:
            for number in range(30):
                writer.publish("q", str(number).encode() + bytes(10_000))
        assert inside(broker, lambda: broker.core.sessions["sleeper"].held) <= 100_000
        with User(broker.port, **kept) as reader:
            heard = [int(reader.next().payload.rstrip(b"\0")) for _ in range(9)]
            assert (heard, reader.nothing()) == (list(range(21, 30)), True)
    lines = [each for each in caplog.messages if "dropped" in each]
    assert [("one is dropped" in line, "20 more messages for it dropped" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]


def test_all_queues_together(caplog):
    """Where all sessions keep too much, the one that keeps most loses; another's messages stay."""
    limits = Limits(queue_bytes=200_000, queued_bytes=250_000)
    with listening(limits=limits) as broker:
        for name in ("small", "large", "other"):
            with User(broker.port, name, client_id=name, clean=False, expiry=60):
                pass
        with User(broker.port) as writer:
            writer.publish("small", "kept")
            for _ in range(40):
                writer.publish("large", bytes(10_000))
                writer.publish("other", bytes(10_000))
        held = inside(broker, lambda: {name: each.held for name, each in broker.core.sessions.items() if each.held})
        assert sum(held.values()) <= 250_000
        with User(broker.port, client_id="small", clean=False, expiry=60) as reader:
            assert reader.next().payload == b"kept"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_who_does_not_read_fills_no_memory(tmp_path, qos):
    """A hundred megabytes for a reader that takes nothing: others are served, memory stays, the loss is told."""
    with embedded_broker(tmp_path) as port, Raw(port, "slow", receive_max=65535) as slow:
        slow.subscribe("big", qos=qos)
        before = resident(tmp_path)
        with User(port, "small") as bystander, User(port) as writer:
            for number in range(100):
                writer.publish("big", bytes(MIB - 100), qos=max(1, qos))
                writer.publish("small", str(number))
                assert bystander.next().payload == str(number).encode()
        assert resident(tmp_path) - before < 60 * MIB
    assert re.search(r"client 'slow'.*dropped", log_of(tmp_path))


def test_what_waits_for_a_slow_reader_comes_when_it_reads(tmp_path):
    """Messages of QoS 1 over what may be unsent wait in the session, and arrive in order without one missing."""
    with embedded_broker(tmp_path) as port, Raw(port, "slow") as slow, User(port) as writer:
        slow.subscribe("big")
        for number in range(12):
            writer.publish("big", bytes([number]) + bytes(MIB - 100))
        for number in range(12):
            message = slow.next()
            assert message.payload[0] == number
            slow.send(mqtt5.PubAckPacket(message.packet_id))


def test_requests_without_reading_the_answers(tmp_path):
    """Who pings for ever and reads nothing is read no more once too much is unsent; memory stays."""
    with embedded_broker(tmp_path) as port, Raw(port, "pinger") as pinger, User(port, "x") as bystander:
        before = resident(tmp_path)
        pinger.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 200 * MIB:
                sent += pinger.socket.send(mqtt5.PingReqPacket().write() * 30_000)
        assert sent < 200 * MIB
        bystander.publish("x", "served")
        assert bystander.next().payload == b"served"
        assert resident(tmp_path) - before < 60 * MIB


# --- half packets and silence ---


def test_a_connect_that_never_comes():
    """Neither silence nor a byte now and then keeps a stranger; it is ended, and said."""
    with listening(limits=Limits(connect_seconds=0.5)) as broker:
        silent, dripping = (socket.create_connection(("127.0.0.1", broker.port)) for _ in range(2))
        dripping.settimeout(0.05)
        for byte in mqtt5.ConnectPacket("a" * 1000).write():
            try:
                dripping.send(bytes([byte]))
                assert dripping.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            break
        else:
            pytest.fail("a CONNECT of a byte now and then was waited for")
        silent.settimeout(10)
        assert silent.recv(1) == b""
        silent.close()
        dripping.close()


def test_a_packet_that_never_ends():
    """Half a packet is waited for so long and no longer, keep-alive or not; many whole ones in odd pieces are fine."""
    with listening(limits=Limits(packet_seconds=0.5)) as broker:
        with Raw(broker.port, "half") as half:
            half.send(Pub("x", bytes(1000)).write()[:500])
            assert half.last() == 0x8D
        with Raw(broker.port, "pieces") as pieces:
            stream = Pub("x", bytes(101)).write() * 400
            for at in range(0, len(stream), 64):  # never at a packet's end, for longer than half a second
                pieces.socket.sendall(stream[at : at + 64])
                time.sleep(0.002)
            pieces.ping()


def test_all_half_packets_together():
    """Whoever holds most is ended before the bound is passed; whoever holds little goes on."""
    with listening(limits=Limits(held_bytes=2 * MIB)) as broker:
        large = [Raw(broker.port, f"large-{number}") for number in range(5)]
        with Raw(broker.port, "small") as small:
            small.send(Pub("x", bytes(1000)).write()[:500])
            for each in large:
                with contextlib.suppress(ConnectionError):
                    each.send(Pub("x", bytes(MIB - 100)).write()[: 900 << 10])
            until(lambda: inside(broker, lambda: len(broker.doors.connections)) <= 3)
            small.send(Pub("x", bytes(1000)).write()[500:])
            small.ping()
        for each in large:
            each.socket.close()


def test_all_half_frames_together():
    """The same over WebSocket, whose library keeps the half of a frame."""
    with listening(limits=Limits(held_bytes=2 * MIB), websocket_port=0) as broker:
        large = [websocket(broker.websocket_port) for number in range(5)]
        for each in large:
            with contextlib.suppress(ConnectionError):
                each.sendall(b"\x82\xff" + MIB.to_bytes(8) + bytes(4) + bytes(900 << 10))
        until(lambda: inside(broker, lambda: len(broker.doors.connections)) <= 2)
        with User(broker.port, "x") as user:
            user.publish("x", "served")
            assert user.next().payload == b"served"
        for each in large:
            each.close()


def test_a_page_that_does_not_read_fills_no_memory(tmp_path):
    """Over WebSocket, too, unsent messages of QoS 0 are dropped beyond the bound, and the loss is told."""
    port = free_port()
    with embedded_broker(tmp_path, websocket_port=port) as tcp, User(tcp) as writer:
        page = websocket(port)
        packets = mqtt5.ConnectPacket("page").write() + mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("big")]).write()
        page.sendall(b"\x82" + bytes([128 | len(packets)]) + bytes(4) + packets)
        while b"\x90\x04" not in page.recv(4096):
            pass
        before = resident(tmp_path)
        for _ in range(60):
            writer.publish("big", bytes(MIB - 100), qos=0)
        writer.publish("big", "the last")
        assert resident(tmp_path) - before < 60 * MIB
        page.close()
    assert "client 'page' reads too slowly" in log_of(tmp_path)


def websocket(port: int) -> socket.socket:
    """A WebSocket whose frames are the test's."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    lines = [
        "GET / HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
    ]
    lines += [f"Sec-WebSocket-Key: {'A' * 22}==", "Sec-WebSocket-Protocol: mqtt"]
    made.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    assert b" 101 " in made.recv(4096)
    return made


def test_strangers_make_room():
    """Sixty-four wait to connect, however many come: the oldest goes, and a client among them gets in."""
    with listening() as broker:
        strangers = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(300)]
        with Raw(broker.port, "client") as client:
            client.ping()
            assert inside(broker, lambda: len(broker.doors.connections)) <= 70
        for each in strangers:
            each.close()


# --- counts ---


def test_connections_and_sessions():
    """One too many of either: 0x97, code 3 in 3.1.1. Who was connected, and who has a session, comes in again."""
    kept = {"clean_start": False, "session_expiry_interval": 60}
    with listening(limits=Limits(connections=3, sessions=2)) as broker:
        port, clients = broker.port, [Raw(broker.port, name, **kept) for name in ("a", "b")]
        assert int(Raw(port, "c", **kept).connack.reason_code) == QUOTA
        clients.append(Raw(port, "brief"))
        assert int(Raw(port, "d").connack.reason_code) == QUOTA
        old = socket.create_connection(("127.0.0.1", port))
        old.sendall(bytes.fromhex("100d00044d5154540402003c0001") + b"e")
        assert old.recv(4) == bytes.fromhex("20020003")
        old.close()
        again = Raw(port, "a", **kept)
        assert (int(again.connack.reason_code), again.connack.session_present) == (0, True)
        for each in (*clients, again):
            each.socket.close()


def test_a_session_lasts_no_longer_than_the_bound():
    """CONNACK says how long; a session of 3.1.1 that asks to last for ever ends, too."""
    with listening(limits=Limits(session_seconds=1)) as broker:
        with Raw(broker.port, "new", clean_start=False, session_expiry_interval=0xFFFFFFFF) as new:
            assert new.connack.session_expiry_interval == 1
        with User(broker.port, protocol=V311, client_id="old", clean=False):
            assert "old" in inside(broker, lambda: set(broker.core.sessions))
        until(lambda: not inside(broker, lambda: broker.core.sessions))


def test_the_expiry_that_a_client_says_goodbye_with():
    """DISCONNECT may change it, but not give one to a session that had none (MQTT 5, 3.14.2.2.2)."""
    goodbye = mqtt5.DisconnectPacket(session_expiry_interval=60)
    with listening() as broker:
        with Raw(broker.port, "short") as short:
            short.send(goodbye)
            assert short.last() == PROTOCOL
        with Raw(broker.port, "ends", session_expiry_interval=60) as ends:
            ends.send(mqtt5.DisconnectPacket(session_expiry_interval=0))
            assert ends.last() is None
        assert inside(broker, lambda: set(broker.core.sessions)) == set()


def test_subscriptions_by_count_and_by_what_they_take(caplog):
    """0x97 for one too many of a session, and for deep ones that take too much; one that goes gives room."""
    with listening(limits=Limits(subscriptions=10, subscription_bytes=50_000)) as broker:
        with Raw(broker.port, "a") as one, Raw(broker.port, "b") as other:
            assert [one.subscribe(f"t/{number}") for number in range(12)] == [1] * 10 + [QUOTA] * 2
            assert one.subscribe("t/3") == 1
            assert QUOTA in [other.subscribe("/".join("+" * 90) + f"/{number}") for number in range(9)]
            one.ask(mqtt5.UnsubscribePacket(2, ["t/3", "t/4", "t/3"]))
            assert one.subscribe("u/1") == 1
            assert inside(broker, lambda: broker.core.subscriptions.bytes) <= 50_000
        until(lambda: inside(broker, lambda: broker.core.subscriptions.bytes) == 0)
        assert inside(broker, lambda: broker.core.subscriptions.find("t/1")) == {}
    assert sum("subscriptions refused" in each or "one more is refused" in each for each in caplog.messages) == 4


def test_topics_too_long_or_too_deep():
    """0x90 for a message, 0x8F for a filter, and the connection goes on."""
    with listening() as broker, Raw(broker.port, "a") as client:
        for topic in ("x" * 5000, "/" * 300):
            assert client.publish(topic, b"x") == TOPIC_INVALID
            assert client.subscribe(topic) == FILTER_INVALID
        assert client.publish("x" * 4000, b"x") == 0x10


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        ({"will": mqtt5.Will("w", payload=bytes(30_000))}, TOO_LARGE),
        ({"will": mqtt5.Will("w", payload=bytes(10_000))}, 0),
        ({"will": mqtt5.Will("w", user_properties=[("a", "b")] * 1000)}, TOO_LARGE),
        ({"will": mqtt5.Will("x" * 5000)}, TOPIC_INVALID),
        ({"username": "u" * 2000}, ID_INVALID),
        ({"client_id": "c" * 2000}, ID_INVALID),
        ({"authentication_method": "SCRAM"}, 0x8C),
    ],
)
def test_a_connect_that_is_too_much(connect, code):
    """Its CONNACK says which: a Will too large or on no topic, a name too long, a method that there is not."""
    with listening() as broker, Raw(broker.port, **{"client_id": "c", **connect}) as client:
        assert int(client.connack.reason_code) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x30\x81\x80\x40" + bytes(10), TOO_LARGE),
        (b"\x82\x81\x80\x08" + bytes(10), TOO_LARGE),
        (Pub("t", b"", topic_alias=3).write(), 0x94),
        (Pub("", b"", topic_alias=3).write(), 0x94),
        (mqtt5.ConnectPacket("again").write(), PROTOCOL),
        (mqtt5.AuthPacket().write(), PROTOCOL),
        (mqtt5.PingRespPacket().write(), PROTOCOL),
        (mqtt5.ConnAckPacket().write(), PROTOCOL),
        (b"\x82\x03\0\1\0", PROTOCOL),
        (b"\xa2\x03\0\1\0", PROTOCOL),
        (Pub("t", b"", subscription_ids=[3]).write(), PROTOCOL),
        (b"\x30\x06\0\1t\x08\x08\0", 0x81),
        (b"\x30\x08\0\1t\4\x08\0\1#", PROTOCOL),
        (b"\x30\x04\0\1+\0", TOPIC_INVALID),
        (b"\x30\x04\0\1\xff\0", 0x81),
        (b"\x30\x04\0\1\0\0", 0x81),
        (b"\x30\x06\0\3\xed\xa0\x80\0", 0x81),
        (b"\x38\x04\0\1t\0", 0x81),
        (b"\x36\x06\0\1t\0\1\0", 0x81),
        (b"\x32\x06\0\1t\0\0\0", 0x81),
        (b"\x82\x07\0\1\0\0\1t\x81", 0x81),
        (b"\x82\x07\0\1\0\0\1t\3", 0x81),
        (b"\x80\x07\0\1\0\0\1t\1", 0x81),
        (b"\x40\x02\0\0", 0x81),
        (b"\xc0\x01\0", 0x81),
        (b"\x00\x00", PROTOCOL),
        (b"\xe0\x02\x77\0", 0x81),
    ],
)
def test_a_packet_that_is_none(tmp_path, data, code):
    """DISCONNECT says why and the connection ends; another client is served, and there is no traceback."""
    with embedded_broker(tmp_path) as port, User(port, "x") as bystander:
        with Raw(port, "bad") as bad:
            bad.send(data)
            assert bad.last() == code
        bystander.publish("x", "served")
        assert bystander.next().payload == b"served"
    assert "client 'bad' disconnected: " in log_of(tmp_path)
    assert "fault" not in log_of(tmp_path)
    assert "raceback" not in log_of(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x06\0\1\0\1t\4",
        b"\x32\x05\0\1t\0\0",
        b"\x40\x03\0\1\0",
        b"\x30\x03\0\5t",
        b"\xf0\0",
        b"\xe0\1\0",
        b"\x30\4\0\2\xc3\x28",
    ],
    ids=["no local", "id 0", "long ack", "cut off", "auth", "long goodbye", "no utf-8"],
)
def test_a_packet_that_is_none_in_the_older_version(tmp_path, data):
    """3.1.1 has no word for why; the connection ends, its Will is published."""
    connect = b"\x00\x04MQTT\x04\x06\x00\x3c\x00\x01e\x00\x01w\x00\x04gone"
    with embedded_broker(tmp_path) as port, User(port, "w") as bystander:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as bad:
            bad.sendall(b"\x10" + bytes([len(connect)]) + connect)
            assert bad.recv(4) == bytes.fromhex("20020000")
            bad.sendall(data)
            assert bad.recv(4) == b""
        assert bystander.next().payload == b"gone"


def test_other_versions_are_told(tmp_path):
    """MQTT 3.1 and a version 6: return code 1, unacceptable protocol version. HTTP is closed without a word."""
    with embedded_broker(tmp_path) as port:
        for head, answer in (
            (b"\x00\x06MQIsdp\x03", bytes.fromhex("20020001")),
            (b"\x00\x04MQTT\x06", bytes.fromhex("20020001")),
            (b"\x00\x04MQTX\x05", b""),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as old:
                body = head + b"\x02\x00\x3c\x00\x01x"
                old.sendall(b"\x10" + bytes([len(body)]) + body)
                assert old.recv(10) == answer


# --- the log ---


def test_names_cannot_forge_lines(tmp_path):
    """Line ends, escapes and marks that turn text round, in client id, user name and topic, stay within a line."""
    evil = "x\r\nERROR forged\x1b[2J\u2028\u202eforged"
    with embedded_broker(tmp_path) as port:
        with Raw(port, evil, username=evil) as client:
            client.publish("/" * 300 + evil, b"x")
        with Raw(port, "y" * 1000) as client:
            client.ping()
    log = log_of(tmp_path)
    assert not any(line.startswith("ERROR") or "forged" in line[:10] for line in log.splitlines())
    assert not set("\r\x1b\u2028\u202e") & set(log)
    assert r"client 'x\r\nERROR forged\x1b[2J\u2028\u202eforged'" in log
    assert max(map(len, log.splitlines())) < 500


def test_the_log_of_a_life(tmp_path):
    """Who connected, from where, with what; who left, and why."""
    port = free_port()
    with embedded_broker(tmp_path, websocket_port=port) as tcp:
        with Raw(tcp, "new", username="ann", keep_alive=1) as new:
            address = "{}:{}".format(*new.socket.getsockname())
            assert new.last() == 0x8D
        with User(port, client_id="page", protocol=V311, transport="websockets"):
            pass
        with Raw(tcp, "lost"):
            pass
        until(lambda: "client 'lost' disconnected" in log_of(tmp_path))
    log = log_of(tmp_path)
    assert f"INFO client 'new' (user 'ann') connected from {address}, MQTT 5, TCP" in log
    assert "INFO client 'new' disconnected: silent for 1.5 s, one and a half times its keep-alive" in log
    assert re.search(r"INFO client 'page' \(user none\) connected from 127.0.0.1:\d+, MQTT 3.1.1, WebSocket", log)
    assert "INFO client 'page' disconnected: it said goodbye" in log
    assert "INFO client 'lost' disconnected: it closed the connection" in log


def test_the_log_is_no_flood(tmp_path):
    """A thousand strangers with bad packets and a thousand new ids: some lines of each, and how many are left out."""
    with embedded_broker(tmp_path) as port:
        for number in range(500):
            with Raw(port) as bad:
                bad.send(b"GET / HTTP/1.1\r\n\r\n")
            with Raw(port, f"id-{number}") as client:
                client.send(Pub("/" * 300, b"x"))
        until(lambda: "were left out" in log_of(tmp_path))
    assert len(log_of(tmp_path).splitlines()) < 700


# --- topics, against what they mean ---

LEVELS = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.tuples(st.lists(st.one_of(LEVELS, st.just("+")), max_size=4), st.sampled_from([[], ["#"]])).map(
    lambda parts: "/".join(parts[0] + parts[1])
)
ALL = ["/".join(each) for n in range(1, 6) for each in itertools.product(["a", "b", "", "$x"], repeat=n)]


@given(st.dictionaries(FILTERS.filter(bool), st.integers(), max_size=8), TOPICS)
def test_the_tree_finds_what_matches(filters, topic):
    """The same as asking each filter, after some were removed as well."""
    tree: Tree[str, int] = Tree()
    for pattern, value in filters.items():
        tree.add(pattern, "client", value)
    gone = list(filters)[::2]
    for pattern in gone:
        tree.remove(pattern, "client")
    left = {pattern: value for pattern, value in filters.items() if pattern not in gone}
    found = sorted(tree.find(topic).get("client", []))
    assert found == sorted(value for pattern, value in left.items() if matches(pattern, topic))
    for pattern in left:
        tree.remove(pattern, "client")
    assert tree._root.below == {}


@given(FILTERS.filter(bool), FILTERS.filter(bool))
def test_overlap_and_cover_mean_what_they_say(one, other):
    """Against every topic of up to five levels of four names."""
    mine, theirs = ({topic for topic in ALL if topic and matches(each, topic)} for each in (one, other))
    assert overlaps(one, other) == bool(mine & theirs)
    assert not covers(one, other) or theirs <= mine
