"""paho-mqtt's client, with what it lacks where a stranger's messages arrive. The only file that imports it.

Whatever a packet holds, paho's thread goes on: a message that it cannot read is acknowledged, since the broker would
send it again at every connect, and any other such packet ends the connection alone.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

# Where dnspython is installed, paho loads it for `connect_srv`, which is not used here: 3 MB of a board's memory.
if "dns" not in sys.modules:
    sys.modules["dns"] = None  # type: ignore[assignment] # which is how the import system is told that there is none
    import paho.mqtt.client as paho

    del sys.modules["dns"]
import paho.mqtt.client as paho
from paho.mqtt import properties as paho_properties
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import Broker
from edge.wire.message import Message

__all__ = ["PacketTypes", "PahoClient", "Properties", "ReasonCode", "received"]
log = logging.getLogger(__name__)

PUBLISH = 0x30
QUEUED_MESSAGES_MAX = 1000


def _wake_up_pair() -> tuple[socket.socket, socket.socket]:
    """What paho's thread is woken with. Its own is a TCP connection to itself, for a moment open to any process."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


def _read_utf8(buffer: bytes, maxlen: int) -> tuple[str, int]:
    """A string and the bytes that it takes. U+FEFF is a character like others (MQTT 5, [MQTT-1.5.4-3])."""
    length = int.from_bytes(buffer[:2])
    if length > min(maxlen, len(buffer)) - 2:
        raise MalformedPacket("a string is cut off")
    text = bytes(buffer[2 : 2 + length]).decode()
    if "\0" in text:
        raise MalformedPacket("a string has a null character ([MQTT-1.5.4-2])")
    return text, length + 2


paho._socketpair_compat = _wake_up_pair
paho_properties.readUTF = _read_utf8


class PahoClient(paho.Client):
    """One client of one broker.

    failed: called in paho's thread where that ends by an error that nobody foresaw. last_error: what the system last
    said of the connection; None where it has said nothing.
    """

    def __init__(self, settings: Broker, client_id: str) -> None:
        self.failed: Callable[[Exception], None] = lambda _error: None
        self.last_error: OSError | None = None
        self.is_v5 = settings.protocol == "5"
        protocol = MQTTProtocolVersion.MQTTv5 if self.is_v5 else MQTTProtocolVersion.MQTTv311
        clean = None if self.is_v5 else settings.session_expiry_seconds == 0
        super().__init__(CallbackAPIVersion.VERSION2, client_id, clean, protocol=protocol)
        self.max_queued_messages_set(QUEUED_MESSAGES_MAX)

    def reconnect(self) -> MQTTErrorCode:
        """Once more, with nothing known of the last connection."""
        self.last_error = None
        return super().reconnect()

    def connect_with(self, settings: Broker) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        options: dict[str, Any] = {}
        if self.is_v5:
            asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it bare
            asked.SessionExpiryInterval = settings.session_expiry_seconds
            asked.ReceiveMaximum = settings.receive_maximum
            options = {"clean_start": settings.session_expiry_seconds == 0, "properties": asked}
        self.connect_async(settings.host, settings.port, settings.keepalive_seconds, **options)
        self.loop_start()

    def start_clean(self, is_clean: bool) -> None:
        """Whether the next connects give up what the broker keeps for us."""
        self._clean_start = self._clean_session = is_clean

    def send(self, message: Message, topic: str, alias: int | None) -> int | None:
        """Publish; what a PUBACK will name it by, None where it was not taken. topic: empty where the alias stands."""
        properties = _publish_properties(message) if self.is_v5 else None
        if properties and alias:
            properties.TopicAlias = alias
        info = self.publish(topic, message.payload, message.qos, message.retain, properties)
        is_taken = info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS or (
            message.qos and info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN
        )
        return info.mid if is_taken else None

    def forget(self) -> None:
        """Let go of the QoS 1 messages that no PUBACK came for; who sent them sends them anew."""
        with self._out_message_mutex:
            self._out_messages.clear()
            self._inflight_messages = 0

    def end_session(self) -> None:
        """Disconnect, and have the broker keep nothing for us (MQTT 5, section 3.14.2.2.2)."""
        ending = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho leaves it bare
        ending.SessionExpiryInterval = 0
        self.disconnect(properties=ending if self.is_v5 else None)

    def drop(self) -> None:
        """End the connection as if the network had; it comes back by itself."""
        connection = self.socket()
        if isinstance(connection, socket.socket):
            connection.shutdown(socket.SHUT_RDWR)

    # --- what paho does not catch ---

    def _packet_handle(self) -> MQTTErrorCode:
        try:
            return super()._packet_handle()
        except Exception as error:  # whatever it is, paho's thread would end of it or the message come again
            return self._unreadable(error)

    def _unreadable(self, error: Exception) -> MQTTErrorCode:
        command, body = self._in_packet["command"], bytes(self._in_packet["packet"])
        topic, identifier = _envelope(command, body)
        if identifier is None:
            log.error("the broker sent a packet that cannot be read (%s); the connection ends", error)
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        log.error("a message on %a cannot be read (%s) and is let go", topic[:256], error)
        if not identifier:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return self._send_puback(identifier) if command & 0x02 else self._send_pubrec(identifier)

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            return super()._sock_recv(bufsize)
        except BlockingIOError:
            raise
        except OSError as error:
            self.last_error = error
            raise

    def _thread_main(self) -> None:
        try:
            super()._thread_main()
        except Exception as error:
            log.exception("the MQTT client ends")
            self.failed(error)


def _envelope(command: int, body: bytes) -> tuple[bytes, int | None]:
    """A PUBLISH's topic and packet identifier, 0 with QoS 0; None where it is too short, or another (MQTT 5, 3.3.2)."""
    if command & 0xF0 != PUBLISH:
        return b"", None
    end = 2 + int.from_bytes(body[:2])
    topic, qos = body[2:end], command >> 1 & 3
    if qos == 0:
        return topic, 0
    identifier = int.from_bytes(body[end : end + 2])
    return topic, identifier if len(body) >= end + 2 and identifier and qos < 3 else None


def received(message: paho.MQTTMessage, connection: int) -> Message:
    """What arrived, on which connection; UnicodeDecodeError where its topic is no text."""
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
