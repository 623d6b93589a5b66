"""paho-mqtt as a transport, for the daemon and for the client. The only file that imports it.

paho runs in a thread of its own and hands over bytes, nothing else; everything else happens in the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import Broker
from edge.errors import BrokerError, ConfigError
from edge.wire.message import Message

log = logging.getLogger(__name__)

RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX = 1, 30
QUEUED_MESSAGES_MAX = 1000
PERMANENT = {
    "Bad user name or password",
    "Not authorized",
    "Banned",
    "Bad authentication method",
    "Client identifier not valid",
    "Unsupported protocol version",
}
"""Refusals that trying again does not mend (MQTT 5, section 3.2.2.2)."""
SESSION_TAKEN_OVER = 0x8E
RECEIVE_MAXIMUM = 65535
"""Where the broker names none (MQTT 5, section 3.2.2.3.3)."""
MAXIMUM_PACKET_SIZE = 268_435_460
"""Likewise: the protocol's own limit (section 2.1.4 and the header)."""
NO_MATCHING_SUBSCRIBERS = 0x10
"""Of a PUBACK (MQTT 5, section 3.4.2.1)."""


def _wake_up_pair() -> tuple[socket.socket, socket.socket]:
    """What paho's thread is woken with. Its own is a TCP connection to itself, for a moment open to any process."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


paho._socketpair_compat = _wake_up_pair


class Aliases:
    """Numbers for the topics that are published to again and again, on one connection (MQTT 5, section 3.3.2.3.4)."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._numbers: dict[str, int] = {}

    def of(self, topic: str) -> tuple[str, int | None]:
        """What to publish to, and the alias: a topic with its new number first, then the number alone."""
        if topic in self._numbers:
            return "", self._numbers[topic]
        if not self._maximum:
            return topic, None
        number = len(self._numbers) + 1
        if number > self._maximum:
            number = self._numbers.pop(next(iter(self._numbers)))
        self._numbers[topic] = number
        return topic, number


class MqttTransport:
    """A connection that comes back by itself, subscribed as before.

    Messages that arrive are put in `received`. A refusal for good ends up there as a BrokerError.
    """

    def __init__(
        self,
        settings: Broker,
        client_id: str,
        subscriptions: Sequence[str],
        will: Message | None = None,
        acknowledges: bool = False,
    ) -> None:
        """acknowledges: whether a PUBACK is sent by `acknowledge`, in the order of arrival, and not at once."""
        self._settings = settings
        self._subscriptions = list(subscriptions)
        self._loop = asyncio.get_running_loop()
        self._v5 = settings.protocol == "5"
        self.received: asyncio.Queue[Message | BrokerError] = asyncio.Queue()
        self.connected = asyncio.Event()
        self.settled = asyncio.Event()
        """Set once the broker has taken us, or refused us for good."""
        self.refusal: BrokerError | None = None
        self.failure = f"no MQTT broker answers at {settings.host}:{settings.port}"
        """Why there is no connection, by the last attempt."""
        self.birth: list[Message] = []
        """Published at every connect, before anything else."""
        self.at_connect: Callable[[], None] = lambda: None
        self.receive_maximum, self.maximum_packet_size = RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE
        self._connection = 0
        self._aliases = Aliases(0)
        self._unacknowledged: dict[int, Callable[[bool], None]] = {}
        self._client = self._configured(client_id, will)
        self._client.manual_ack_set(acknowledges)

    def _configured(self, client_id: str, will: Message | None) -> paho.Client:
        protocol = MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311
        clean = None if self._v5 else self._settings.session_expiry_seconds == 0
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=protocol)
        client.max_queued_messages_set(QUEUED_MESSAGES_MAX)
        client.reconnect_delay_set(RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX)
        if self._settings.username is not None:
            secret = self._settings.password
            client.username_pw_set(self._settings.username, secret.get_secret_value() if secret else None)
        if self._settings.tls_ca is not None:
            client.tls_set_context(self._tls())
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = _send_at_once
        return client

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=str(settings.tls_ca))
            if settings.tls_certificate is not None:
                context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"broker.tls_ca, tls_certificate or tls_key cannot be used: {error}") from error
        return context

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        options: dict[str, Any] = {}
        if self._v5:
            options["clean_start"] = self._settings.session_expiry_seconds == 0
            options["properties"] = _connect_properties(self._settings)
        self._client.connect_async(
            self._settings.host, self._settings.port, self._settings.keepalive_seconds, **options
        )
        self._client.loop_start()

    @property
    def is_connected(self) -> bool:
        """Whether what is published now goes out now."""
        return self.connected.is_set()

    def publish(self, message: Message, acknowledged: Callable[[bool], None] | None = None) -> None:
        """Send a message, or keep it until the connection is back.

        acknowledged: called in the event loop when the broker has a QoS 1 message, with False where it says that
        nobody subscribes to it.
        """
        properties = _publish_properties(message) if self._v5 else None
        topic = message.topic
        if properties and not message.qos and self.is_connected:  # a message of QoS 1 may go out on another connection
            topic, alias = self._aliases.of(topic)
            if alias:
                properties.TopicAlias = alias
        info = self._client.publish(topic, message.payload, message.qos, message.retain, properties)
        if acknowledged:  # paho's thread cannot be told before this loop goes on
            self._unacknowledged[info.mid] = acknowledged

    def acknowledge(self, message: Message) -> None:
        """Send an arrived message's PUBACK, where it came on this connection: on another it would mean another one."""
        if message.packet_identifier and message.connection == self._connection:
            self._client.ack(message.packet_identifier, message.qos)

    async def close(self, last: Message | None = None) -> None:
        """Publish a last message, wait until it is out, disconnect."""
        if last is not None and self._client.is_connected():
            properties = _publish_properties(last) if self._v5 else None
            info = self._client.publish(last.topic, last.payload, last.qos, last.retain, properties)
            await asyncio.to_thread(info.wait_for_publish, 2)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _on_connect(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            return self._refused(reason)
        self._connection += 1
        self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)
        self._aliases = Aliases(getattr(properties, "TopicAliasMaximum", 0))
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", MAXIMUM_PACKET_SIZE)
        if self._subscriptions:
            self._client.subscribe([(topic, 1) for topic in self._subscriptions])
        for message in self.birth:
            self.publish(message)
        log.info("connected to %s:%d", self._settings.host, self._settings.port)
        self._loop.call_soon_threadsafe(self._is_up)
        return None

    def _is_up(self) -> None:
        self.connected.set()
        self.settled.set()
        self.at_connect()

    def _on_publish(self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._loop.call_soon_threadsafe(self._taken, mid, reason)

    def _taken(self, mid: int, reason: ReasonCode) -> None:
        acknowledged = self._unacknowledged.pop(mid, None)
        if acknowledged:
            if reason.is_failure:
                log.warning("the broker refuses an answer: %s", reason)
            acknowledged(reason.value != NO_MATCHING_SUBSCRIBERS)

    def _on_subscribe(self, _c: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _p: Any) -> None:
        for topic, reason in zip(self._subscriptions, reasons, strict=False):
            if reason.is_failure:
                log.error("the broker refuses the subscription %s: %s", topic, reason)

    def _refused(self, reason: ReasonCode) -> None:
        text = f"{self._settings.host}:{self._settings.port} refuses us: {reason}"
        if str(reason) not in PERMANENT:
            log.warning("%s; trying again", text)
            return
        self._client.disconnect()
        self._end(BrokerError(f"{text}; check broker.username and its password"))

    def _on_disconnect(self, _c: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._aliases = Aliases(0)
        self._loop.call_soon_threadsafe(self.connected.clear)
        if reason.value == SESSION_TAKEN_OVER and reason.packetType == PacketTypes.DISCONNECT:
            self._client.disconnect()
            self._end(BrokerError("another client connected with our client id; is a second daemon running?"))
        elif reason.is_failure:
            log.warning("connection to the broker lost (%s); reconnecting", reason)

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self.failure = (
            f"no MQTT broker answers at {self._settings.host}:{self._settings.port}{_reason(sys.exception())}"
        )
        log.warning("%s; trying again", self.failure)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._put(_received(message, self._connection))

    def _end(self, error: BrokerError) -> None:
        self.refusal = error
        self._put(error)
        self._loop.call_soon_threadsafe(self.settled.set)

    def _put(self, item: Message | BrokerError) -> None:
        self._loop.call_soon_threadsafe(self.received.put_nowait, item)


def _reason(error: BaseException | None) -> str:
    """What the system says of a connection that failed; paho calls back while it handles that error."""
    return f" ({error})" if error else ""


def _send_at_once(_client: paho.Client, _data: Any, opened: Any) -> None:
    """Small packets do not wait for the acknowledgement of the one before, which a kernel may hold back for 40 ms."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _connect_properties(settings: Broker) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it bare
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.receive_maximum
    return properties


def _publish_properties(message: Message) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it bare
    if message.content_type is not None:
        properties.ContentType = message.content_type
        properties.PayloadFormatIndicator = int(_is_text(message.payload))
    if message.response_topic is not None:
        properties.ResponseTopic = message.response_topic
    if message.correlation_data is not None:
        properties.CorrelationData = message.correlation_data
    if message.message_expiry_interval is not None:
        properties.MessageExpiryInterval = message.message_expiry_interval
    if message.user_properties:
        properties.UserProperty = list(message.user_properties)
    return properties


def _is_text(payload: bytes) -> bool:
    """Whether a payload is UTF-8; a chunk of a text may be cut within a character (MQTT 5, section 3.3.2.3.2)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _received(message: paho.MQTTMessage, connection: int) -> Message:
    found = message.properties
    return Message(
        message.topic,
        bytes(message.payload),
        message.qos,
        message.retain,
        getattr(found, "ResponseTopic", None),
        getattr(found, "CorrelationData", None),
        getattr(found, "ContentType", None),
        getattr(found, "MessageExpiryInterval", None),
        tuple(getattr(found, "UserProperty", ())),
        message.mid if message.qos else 0,
        message.dup,
        connection,
    )
