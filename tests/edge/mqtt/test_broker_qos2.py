"""Exactly once: both ways, both versions, over connections that are cut at every step."""

from __future__ import annotations

import mqtt5
import pytest

from tests.clients import V5, V311, User
from tests.conftest import embedded_broker
from tests.edge.mqtt.raw import QOS, Pub, Raw

VERSIONS = pytest.mark.parametrize("protocol", [V5, V311], ids=["v5", "v311"])
KEPT = {"clean_start": False, "session_expiry_interval": 60}


@pytest.fixture
def port(tmp_path):
    """An embedded broker's."""
    with embedded_broker(tmp_path) as port:
        yield port


@VERSIONS
@pytest.mark.parametrize(("published", "wanted", "heard"), [(2, 2, 2), (2, 1, 1), (1, 2, 1), (2, 0, 0), (0, 2, 0)])
def test_a_message_has_the_lower_of_both_qos(broker, protocol, published, wanted, heard):
    """Paho at both ends, against Mosquitto too: the message's QoS, or the subscription's where that is less."""
    with User(broker, "q/#", qos=wanted, protocol=protocol) as reader, User(broker, protocol=protocol) as writer:
        for number in range(20):
            writer.publish("q/x", str(number), qos=published)
        messages = [reader.next() for _ in range(20)]
        assert [(each.payload, each.qos) for each in messages] == [(str(n).encode(), heard) for n in range(20)]
        assert reader.nothing()


@VERSIONS
def test_messages_of_qos_2_wait_for_who_is_away(broker, protocol):
    """In their order, and once."""
    options = {"protocol": protocol, "client_id": "keeper", "clean": False, "expiry": 60, "qos": 2}
    with User(broker, "q", **options):
        pass
    with User(broker, protocol=protocol) as writer:
        for number in range(50):
            writer.publish("q", str(number), qos=2)
    with User(broker, **options) as reader:
        assert [(m.payload, m.qos) for m in (reader.next() for _ in range(50))] == [
            (str(number).encode(), 2) for number in range(50)
        ]
        assert reader.nothing()


def test_connack_says_nothing_against_qos_2(port):
    """Maximum QoS is 2 where CONNACK leaves it out (MQTT 5, 3.2.2.3.4)."""
    with Raw(port, "x") as raw:
        assert raw.connack.max_qos == QOS[2]


@pytest.mark.parametrize("cut_after", ["publish", "pubrec", "pubrel", "pubcomp"])
def test_inbound_once_whatever_is_cut(port, cut_after):
    """The sender's connection is lost at each step, and it goes on from there: the reader hears the message once."""
    message = Pub("q", b"x", qos=QOS[2], packet_id=7)
    again = Pub("q", b"x", qos=QOS[2], packet_id=7, duplicate=True)
    with User(port, "q", qos=2) as reader:
        first = Raw(port, "sender", **KEPT)
        first.send(message)
        if cut_after != "publish":
            assert int(first.next().reason_code) == 0
        else:
            assert reader.next().payload == b"x"  # it has arrived; the PUBREC is lost
        if cut_after in ("pubrel", "pubcomp"):
            first.send(mqtt5.PubRelPacket(7))
            assert int(first.next().reason_code) == 0
        first.socket.close()
        with Raw(port, "sender", **KEPT) as second:
            assert second.connack.session_present
            if cut_after in ("publish", "pubrec"):
                assert int(second.ask(again).reason_code) == 0
                assert int(second.ask(mqtt5.PubRelPacket(7)).reason_code) == 0
            elif cut_after == "pubrel":  # its PUBCOMP was lost, it releases again
                assert int(second.ask(mqtt5.PubRelPacket(7)).reason_code) == 0x92
            if cut_after != "publish":
                assert reader.next().payload == b"x"
            assert reader.nothing()
            assert int(second.ask(message).reason_code) == 0  # released: the identifier is a new message's
            assert reader.next().payload == b"x"


@pytest.mark.parametrize("cut_after", ["publish", "pubrec", "pubrel", "pubcomp"])
def test_outbound_once_whatever_is_cut(port, cut_after):
    """The reader's connection is lost at each step: the broker goes on from there, with PUBLISH or with PUBREL."""
    first = Raw(port, "reader", **KEPT)
    assert first.subscribe("q", qos=2) == 2
    with User(port) as writer:
        writer.publish("q", "x", qos=2)
    message = first.next()
    assert (message.qos, message.duplicate) == (QOS[2], False)
    if cut_after != "publish":
        release = first.ask(mqtt5.PubRecPacket(message.packet_id))
        assert isinstance(release, mqtt5.PubRelPacket)
    if cut_after in ("pubrel", "pubcomp"):
        first.send(mqtt5.PubCompPacket(message.packet_id))
        first.ping()
    first.socket.close()
    with Raw(port, "reader", **KEPT) as second:
        if cut_after == "publish":
            repeated = second.next()
            assert (repeated.packet_id, repeated.duplicate, repeated.payload) == (message.packet_id, True, b"x")
            assert isinstance(second.ask(mqtt5.PubRecPacket(message.packet_id)), mqtt5.PubRelPacket)
        elif cut_after == "pubrec":
            released = second.next()
            assert (type(released), released.packet_id) == (mqtt5.PubRelPacket, message.packet_id)
        second.send(mqtt5.PubCompPacket(message.packet_id), mqtt5.PingReqPacket())
        assert isinstance(second.next(), mqtt5.PingRespPacket)


def test_a_message_that_its_reader_refuses_ends_there(port):
    """A PUBREC with a failure frees the place in the reader's Receive Maximum (MQTT 5, 4.9); no PUBREL follows."""
    with Raw(port, "reader", receive_max=1) as reader, User(port) as writer:
        reader.subscribe("q", qos=2)
        writer.publish("q", "one", qos=2)
        writer.publish("q", "two", qos=2)
        first = reader.next()
        second = reader.ask(mqtt5.PubRecPacket(first.packet_id, reason_code=mqtt5.PubRecReasonCode.UNSPECIFIED_ERROR))
        assert second.payload == b"two"
        assert int(reader.ask(mqtt5.PubRecPacket(999)).reason_code) == 0x92


def test_a_lower_receive_maximum_holds_for_what_is_sent_again(port):
    """A client that comes back and takes less at once is sent no more than that."""
    first = Raw(port, "reader", **KEPT)
    first.subscribe("q", qos=2)
    with User(port) as writer:
        for number in range(5):
            writer.publish("q", str(number), qos=2)
    for _ in range(5):
        first.next()
    first.socket.close()
    with Raw(port, "reader", receive_max=2, **KEPT) as second:
        early = [second.next(), second.next()]
        assert isinstance(second.ask(mqtt5.PingReqPacket()), mqtt5.PingRespPacket)
        second.ask(mqtt5.PubRecPacket(early[0].packet_id))
        third = second.ask(mqtt5.PubCompPacket(early[0].packet_id))
        assert (third.payload, third.duplicate) == (b"2", True)


def test_who_never_releases_is_ended(port):
    """Over 500 messages of QoS 2 that are not released: 0x93, receive maximum exceeded; CONNACK had told it."""
    with Raw(port, "sender") as sender:
        assert sender.connack.receive_max == 500
        for number in range(1, 502):
            sender.send(Pub("q", b"", qos=QOS[2], packet_id=number))
        assert sender.last() == 0x93


def test_a_wrong_acknowledgement_does_not_free_a_message(port):
    """PUBACK for a message of QoS 2 and PUBREC for one of QoS 1 leave them open."""
    with Raw(port, "reader", **KEPT) as reader, User(port) as writer:
        reader.subscribe("q", qos=2)
        writer.publish("q", "x", qos=2)
        message = reader.next()
        reader.send(mqtt5.PubAckPacket(message.packet_id))
        reader.ping()
    with Raw(port, "reader", **KEPT) as again:
        assert again.next().duplicate
