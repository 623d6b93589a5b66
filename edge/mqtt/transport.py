"""The connection to the broker, for the daemon and for the client: it comes back by itself, subscribed as before.

paho runs in a thread of its own and hands over bytes, nothing else; everything else happens in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from typing import Any

from edge.config import Broker
from edge.errors import BrokerError, ConfigError
from edge.mqtt import failures
from edge.mqtt.aliases import Aliases
from edge.mqtt.inbox import Inbox
from edge.mqtt.paho_client import PahoClient, ReasonCode, received
from edge.mqtt.unacknowledged import SILENT_SECONDS, Done, Unacknowledged
from edge.wire.message import Delivery, Message, packet_bytes

log = logging.getLogger(__name__)

RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX = 1, 30
SHORT_SECONDS = 3.0
"""A connection that ends sooner may have ended of what it is there for, and the next one of the same."""
SHORT_MAX = 3
"""So many of them in a row are told, and where packets cannot be read, what the broker keeps for us is given up."""
LAST_SECONDS = 2.0
"""For the last message to be taken."""
SUBSCRIBE_SECONDS = 30.0
"""Before a refused subscription is asked for again."""
RECEIVE_MAXIMUM = 65535
"""Where the broker names none (MQTT 5, section 3.2.2.3.3)."""
MAXIMUM_PACKET_SIZE = 268_435_460
"""Likewise: the protocol's own limit (section 2.1.4 and the header)."""
NO_MATCHING_SUBSCRIBERS = 0x10
"""Of a PUBACK (MQTT 5, section 3.4.2.1)."""
PROTOCOL_ERROR = 0x82
"""paho's reason where it ended the connection over what it could not read."""


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
        gives_up: bool = False,
        passing: Sequence[str] = (),
    ) -> None:
        """acknowledges: whether a PUBACK is sent by `acknowledge`, in the order of arrival, and not at once.

        passing: subscriptions with QoS 0, of which the broker is to keep nothing for us while we are away.
        gives_up: whether a refusal is the end, as for a person who asks; a daemon tries again, since it may pass.
        """
        self._settings, self._client_id, self._gives_up = settings, client_id, gives_up
        self._subscriptions = dict.fromkeys(subscriptions, 1) | dict.fromkeys(passing, 0)
        self._left: set[str] = set()
        self.has_session = False
        """Whether the broker had kept something for us, or for who had our client id, at the last connect."""
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self.received: asyncio.Queue[Message | BrokerError] = self._inbox
        self.connected = asyncio.Event()
        self.settled = asyncio.Event()
        """Set once the broker has taken us, or refused us for good."""
        self.refusal: BrokerError | None = None
        self.failure = failures.of_error(None, settings)
        """Why there is no connection, by the last attempt."""
        self.birth: list[Message] = []
        """Published at every connect, before anything else."""
        self.at_connect: Callable[[], None] = lambda: None
        self.at_trouble: Callable[[str], None] = lambda _why: None
        self.receive_maximum, self.maximum_packet_size = RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE
        self._connection = self._short = 0
        self._answered = self._is_closing = self._gives_up_session = False
        self._is_clean = settings.session_expiry_seconds == 0
        self._up_since = 0.0
        self._aliases = Aliases(0)
        self._unacknowledged = Unacknowledged(self._silent)
        self._subscribing: dict[int | None, list[str]] = {}
        self._client = self._configured(client_id, will)
        self._client.manual_ack_set(acknowledges)

    def _configured(self, client_id: str, will: Message | None) -> PahoClient:
        client = PahoClient(self._settings, client_id)
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
        client.failed = self._on_failed
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
        self._client.connect_with(self._settings)

    @property
    def is_connected(self) -> bool:
        """Whether what is published now goes out now."""
        return self.connected.is_set()

    @property
    def is_looping(self) -> bool:
        """Whether connections end again and again soon after they stand, maybe of what is sent over them."""
        return self._short >= SHORT_MAX

    def publish(self, message: Message, done: Done | None = None) -> None:
        """Send a message. done: called in the event loop with what became of one of QoS 1.

        Who gives it sends a lost message anew; without it one is kept until the connection is back.
        """
        if message.qos and not self.is_connected:
            self._loop.call_soon(self._unacknowledged.keep, message, done)
            return
        identifier = self._send(message)
        if message.qos and identifier is not None:
            self._unacknowledged.add(identifier, message, done)
        elif done is not None:
            self._loop.call_soon(done, Delivery.REFUSED)

    def _send(self, message: Message) -> int | None:
        """What a PUBACK will name it by; None where it cannot be sent, now or ever, and would end the connection."""
        if packet_bytes(message) > self.maximum_packet_size:
            log.warning("a message on %a is larger than the broker's %d bytes", message.topic, self.maximum_packet_size)
            return None
        topic, alias = message.topic, None
        if not message.qos and self.is_connected:  # a message of QoS 1 may go out on another connection
            topic, alias = self._aliases.of(topic)
        try:
            return self._client.send(message, topic, alias)
        except (ValueError, TypeError) as error:
            log.error("a message on %a cannot be sent: %s", message.topic, error)
            return None

    def acknowledge(self, message: Message) -> None:
        """Send an arrived message's PUBACK, where it came on this connection: on another it would mean another one."""
        if message.packet_identifier and message.connection == self._connection:
            self._client.ack(message.packet_identifier, message.qos)

    def subscribe(self, topics: Sequence[str]) -> None:
        """Listen to more topics, with QoS 1, now and after each connect."""
        self._subscriptions |= dict.fromkeys(topics, 1)
        self._left -= set(topics)
        if self.is_connected:
            self._subscribe(self._connection, list(topics))

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Listen to some no more; the broker forgets them at the next connect where there is none now."""
        for topic in topics:
            self._subscriptions.pop(topic, None)
        self._left |= set(topics)
        self._unsubscribe()

    def _unsubscribe(self) -> None:
        if self._left and self.is_connected:
            self._client.unsubscribe(sorted(self._left))

    async def close(self, last: Message | None = None, ends_session: bool = False) -> None:
        """Publish a last message, wait until it is out, disconnect. ends_session: the broker keeps nothing for us."""
        if last is not None and self.is_connected:
            gone = asyncio.Event()
            self.publish(last, lambda _delivery: gone.set())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), LAST_SECONDS)
        self._is_closing = True
        (self._client.end_session if ends_session else self._client.disconnect)()
        await asyncio.to_thread(self._client.loop_stop)

    # --- paho's thread: over to the event loop, no more ---

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _on_connect(self, _c: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            return self._soon(self._refused, reason)
        self._connection += 1  # here, so that what arrives from now on is of this one
        return self._soon(self._is_up, flags.session_present, properties)

    def _on_disconnect(self, _c: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._aliases = Aliases(0)
        self._soon(self._is_down, reason, flags.is_disconnect_packet_from_server)

    def _on_connect_fail(self, _c: Any, _data: Any) -> None:
        self._soon(self._tell, failures.of_error(sys.exception(), self._settings))  # paho calls while it handles it

    def _on_message(self, _c: Any, _data: Any, message: Any) -> None:
        self._soon(self._inbox.arrive, received(message, self._connection))

    def _on_publish(self, _c: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._soon(self._taken, mid, reason)

    def _on_subscribe(self, _c: Any, _data: Any, mid: int, reasons: list[ReasonCode], _p: Any) -> None:
        self._soon(self._subscribed, mid, reasons)

    def _on_failed(self, error: Exception) -> None:
        self._soon(self._end, f"the MQTT client failed ({type(error).__name__}: {error}); the log says where")

    # --- the event loop ---

    def _is_up(self, has_session: bool, properties: Any) -> None:
        self._answered, self._up_since, self.has_session = True, self._loop.time(), has_session
        self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", MAXIMUM_PACKET_SIZE)
        self._aliases = Aliases(getattr(properties, "TopicAliasMaximum", 0))
        self._subscribe(self._connection, list(self._subscriptions))
        self.connected.set()
        self._unsubscribe()
        for message in [*self._unacknowledged.kept(), *self.birth]:
            self.publish(message)
        log.info("connected to %s:%d", self._settings.host, self._settings.port)
        self.settled.set()
        self.at_connect()

    def _is_down(self, reason: ReasonCode, is_said: bool) -> None:
        """The connection is gone, or never stood; is_said: by a DISCONNECT of the broker's."""
        was_up, answered, self._answered = self.is_connected, self._answered, False
        self.connected.clear()
        self._client.forget()
        if was_up:
            self._count_short(not is_said and reason.value == PROTOCOL_ERROR)
        self._unacknowledged.lose()
        if is_said and reason.value == failures.SESSION_TAKEN_OVER:
            self._refuse(failures.of_taken_over(self._client_id))
        elif was_up and not self._is_closing:
            self._lost(str(reason))
        elif not (answered or self._is_closing):
            self._tell(failures.of_silence(self._client.last_error, self._settings))

    def _count_short(self, is_unreadable: bool) -> None:
        """Of connections that end of a message that comes again: the next one comes later, at last without it."""
        is_short = self._loop.time() - self._up_since < SHORT_SECONDS
        self._short = self._short + 1 if is_short else 0
        delay = min(RECONNECT_SECONDS_MIN << min(self._short, 5), RECONNECT_SECONDS_MAX)
        self._client.reconnect_delay_set(delay, RECONNECT_SECONDS_MAX)
        self._gives_up_session = self.is_looping and is_unreadable
        self._client.start_clean(self._is_clean or self._gives_up_session)

    def _lost(self, reason: str) -> None:
        if not self.is_looping:
            return log.warning("connection to the broker lost (%s); reconnecting", reason)
        given_up = "; what waits for us there is given up" if self._gives_up_session else ""
        return self._tell(f"{self._short} connections in a row ended soon after they stood ({reason}){given_up}")

    def _refused(self, reason: ReasonCode) -> None:
        self._answered = True
        why = failures.of_refusal(reason.value, str(reason), self._settings)
        if reason.value in failures.OF_REFUSALS:
            return self._refuse(why)
        return self._tell(why)

    def _refuse(self, why: str) -> None:
        """What trying again may not mend: the end for who gives up."""
        return self._end(why) if self._gives_up else self._tell(why)

    def _tell(self, why: str) -> None:
        self.failure = why
        log.warning("%s; trying again", why)
        self.at_trouble(why)

    def _end(self, why: str) -> None:
        self.refusal = BrokerError(why)
        self.received.put_nowait(self.refusal)
        self.settled.set()
        self._client.disconnect()

    def _silent(self) -> None:
        log.warning("the broker has acknowledged nothing for %d s; connecting anew", SILENT_SECONDS)
        self._client.drop()

    def _taken(self, mid: int, reason: ReasonCode) -> None:
        delivery = _delivery(reason)
        message = self._unacknowledged.settle(mid, delivery)
        if message and delivery == Delivery.REFUSED:
            log.warning("the broker refuses a message on %a: %s", message.topic, reason)

    def _subscribe(self, connection: int, topics: list[str]) -> None:
        wanted = [(topic, self._subscriptions[topic]) for topic in topics if topic in self._subscriptions]
        if wanted and connection == self._connection:
            _, mid = self._client.subscribe(wanted)
            self._subscribing[mid] = [topic for topic, _ in wanted]

    def _subscribed(self, mid: int, reasons: list[ReasonCode]) -> None:
        topics = self._subscribing.pop(mid, [])
        refused = {topic: reason for topic, reason in zip(topics, reasons, strict=False) if reason.is_failure}
        if not refused:
            return
        topic, reason = next(iter(refused.items()))
        self._refuse(f"the broker refuses the subscription {topic} ({reason}); check its access list")
        self._loop.call_later(SUBSCRIBE_SECONDS, self._subscribe, self._connection, list(refused))


def _delivery(reason: ReasonCode) -> Delivery:
    if reason.is_failure:
        return Delivery.REFUSED
    return Delivery.UNHEARD if reason.value == NO_MATCHING_SUBSCRIBERS else Delivery.TAKEN


def _send_at_once(_client: Any, _data: Any, opened: Any) -> None:
    """Small packets do not wait for the acknowledgement of the one before, which a kernel may hold back for 40 ms."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
