"""One client's connection, from CONNECT to its end: packets in, the core's answers out."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

import mqtt5
from mqtt5 import ConnAckReasonCode, DisconnectReasonCode, PubCompReasonCode, PubRecReasonCode, QoS

from edge.mqtt.broker.checks import protocol_error
from edge.mqtt.broker.codec import UNSUPPORTED_VERSION, V5, V311, Codec
from edge.mqtt.broker.core import FAILED, Core
from edge.mqtt.broker.limits import Refused
from edge.mqtt.broker.pipes import Pipe
from edge.mqtt.broker.session import Session
from edge.mqtt.broker.telling import shown, where
from edge.mqtt.broker.topics import valid_topic

TURN_SECONDS = 0.002
"""How long one connection's packets are handled before the others have their turn."""
OLD_VERSION = b"\x20\x02\x00\x01"
"""A 3.1.1 CONNACK: unacceptable protocol version. It is what clients of older versions understand, too."""


class Doors(Protocol):
    """Where connections come in: who is new, and what all of them hold."""

    def connected(self, connection: Connection) -> None:
        """A stranger has become a client."""

    def grown(self, count: int) -> None:
        """A connection may hold so many bytes more than before."""


class Connection:
    """What a session calls its link."""

    def __init__(self, core: Core, pipe: Pipe, doors: Doors) -> None:
        self._core, self._pipe, self._doors = core, pipe, doors
        self._limits, self._telling = core.limits, core.telling
        self._codec = Codec(core.limits)
        self._session: Session | None = None
        self._packet_bytes_max: int | None = None
        self._keep_alive: float | None = None
        self._will_wanted = True
        self._expiry_seconds: int | None = None
        self._ended = ""
        self._heard = self._turn = time.monotonic()
        self._half_since: float | None = self._heard
        self.address = pipe.address

    # --- from the first byte to the last ---

    async def run(self) -> None:
        """Serve the connection until either side ends it; whatever goes wrong ends it alone."""
        try:
            await self._serve()
        except Refused as error:
            self._refuse(error)
        except TimeoutError:
            self.close(DisconnectReasonCode.KEEP_ALIVE_TIMEOUT, self._silence())
        except OSError:
            self._ended = self._ended or "the connection was lost"
        except Exception as error:
            self._telling.line("faults", f"{self._name()}: a fault of ours, {where(error)}", logging.ERROR)
            self.close(DisconnectReasonCode.UNSPECIFIED_ERROR, "a fault of ours")
        finally:
            await self._leave()

    async def _serve(self) -> None:
        chunks = self._pipe.chunks()
        while True:
            async with asyncio.timeout_at(self._deadline()):
                try:
                    data = await anext(chunks)
                except StopAsyncIteration:
                    self._ended = self._ended or "it closed the connection"
                    return
            self._heard = self._turn = time.monotonic()
            if not await self._take_all(data):
                return
            async with asyncio.timeout(self._limits.packet_seconds):
                await self._pipe.drained()

    async def _take_all(self, data: bytes) -> bool:
        """Act on the packets that are complete with these bytes; False where one ends the connection."""
        is_complete = False
        for packet in self._codec.feed(data):
            is_complete = True
            if not await self._take(packet):
                return False
            await self._give_way()
        self._doors.grown(self._codec.held)
        if self._session and (is_complete or not self._codec.held):
            self._half_since = None
        if self._codec.held and self._half_since is None:
            self._half_since = self._heard
        return True

    def _deadline(self) -> float | None:
        """Until when something must arrive: CONNECT, the rest of a packet, any sign of life (MQTT 5, 3.1.2.10)."""
        wait = self._limits.packet_seconds if self._session else self._limits.connect_seconds
        half = None if self._half_since is None else self._half_since + wait
        alive = None if self._keep_alive is None else self._heard + self._keep_alive
        times = [each for each in (half, alive) if each is not None]
        return min(times) if times else None

    def _silence(self) -> str:
        if self._session is None:
            return f"no CONNECT within {self._limits.connect_seconds:g} s"
        if self._pipe.unsent() > self._limits.unsent_bytes:
            return f"it took nothing for {self._limits.packet_seconds:g} s"
        if self._codec.held:
            return f"a packet was not complete after {self._limits.packet_seconds:g} s"
        return f"silent for {self._keep_alive:g} s, one and a half times its keep-alive"

    async def _give_way(self) -> None:
        """Let others have their turn after a while."""
        if time.monotonic() - self._turn > TURN_SECONDS:
            await asyncio.sleep(0)
            self._turn = time.monotonic()

    async def _leave(self) -> None:
        session = self._session
        if session is not None:
            text = f"client {shown(session.client_id)} disconnected: {self._ended or 'the broker stops'}"
            self._telling.line("disconnected", text)
            self._core.disconnect(session, self, time.monotonic(), self._will_wanted, self._expiry_seconds)
        self._pipe.close()
        await self._pipe.closed()

    def _refuse(self, error: Refused) -> None:
        """Answer what is not taken, in the words of where the connection is."""
        if self._session is not None:
            self.close(DisconnectReasonCode(error.reason), str(error))
            return
        self._telling.line("refused", f"refused {self.address} ({self._pipe.carrier}): {error}", logging.WARNING)
        if self._codec.version:
            self._write(mqtt5.ConnAckPacket(reason_code=ConnAckReasonCode(error.reason)))
        elif error.reason == UNSUPPORTED_VERSION:
            self._pipe.write(OLD_VERSION)

    def _name(self) -> str:
        return f"client {shown(self._session.client_id)}" if self._session else self.address

    # --- a session's link ---

    def send(self, packet: mqtt5.Packet) -> bool:
        """Write a packet unless its reader is too slow for one it can miss; False where it takes none that large."""
        if isinstance(packet, mqtt5.PublishPacket) and packet.qos == QoS.AT_MOST_ONCE and self.is_busy():
            text = f"{self._name()} reads too slowly: messages of QoS 0 for it are dropped"
            self._telling.once(self._name().removeprefix("client "), "messages of QoS 0 dropped", text)
            return True
        data = self._codec.encode(packet)
        if self._packet_bytes_max is not None and len(data) > self._packet_bytes_max:
            return False
        self._pipe.write(data)
        self._doors.grown(len(data))
        return True

    def _write(self, packet: mqtt5.Packet) -> None:
        self._pipe.write(self._codec.encode(packet))

    def is_busy(self) -> bool:
        """Whether so much is unsent that what can wait should."""
        return self._pipe.unsent() > self._limits.unsent_bytes

    def held(self) -> int:
        """Bytes that this connection holds: half packets, and what its reader has not taken."""
        return self._codec.held + self._pipe.held() + self._pipe.unsent()

    def close(self, reason: DisconnectReasonCode, why: str) -> None:
        """Say why, where the client's version can hear it, and end the connection."""
        if not self._ended:
            self._ended = why
            if self._session is not None:
                self._write(mqtt5.DisconnectPacket(reason_code=reason))
            elif reason != DisconnectReasonCode.SERVER_SHUTTING_DOWN:
                self._telling.line("refused", f"refused {self.address} ({self._pipe.carrier}): {why}", logging.WARNING)
        self._pipe.close()

    @property
    def is_ended(self) -> bool:
        """Whether nothing more is taken, and only what was said last is on its way."""
        return bool(self._ended)

    def abort(self, why: str) -> None:
        """End the connection at once."""
        self._ended = self._ended or why
        self._pipe.abort()

    # --- packets ---

    async def _take(self, packet: mqtt5.Packet) -> bool:
        """Act on a packet; False where it ends the connection."""
        if self._ended:
            return False
        now = time.monotonic()
        session = self._session
        if isinstance(packet, mqtt5.ConnectPacket):
            await self._connect(packet)
        elif session is None:
            raise protocol_error("a packet before CONNECT")
        elif isinstance(packet, mqtt5.PublishPacket):
            self._publish(packet, session, now)
        elif isinstance(packet, mqtt5.SubscribePacket):
            await self._subscribe(packet, session, now)
        elif isinstance(packet, mqtt5.UnsubscribePacket):
            self.send(self._core.subscriptions.drop(session, packet))
        elif isinstance(packet, mqtt5.PingReqPacket):
            self.send(mqtt5.PingRespPacket())
        elif isinstance(packet, mqtt5.DisconnectPacket):
            return self._disconnect(packet, session)
        else:
            self._acknowledge(packet, session)
            session.drain(now)
        return True

    async def _connect(self, packet: mqtt5.ConnectPacket) -> None:
        user = await self._admitted(packet)
        now = time.monotonic()
        if self._ended:
            return
        self._packet_bytes_max = packet.max_packet_size
        self._keep_alive = packet.keep_alive * 1.5 or None
        self._half_since = None
        session, answer = self._core.connect(packet, self, user, now)
        self._session = session
        self._doors.connected(self)
        who = f"client {shown(session.client_id)} (user {shown(user)})"
        version = "5" if self._codec.version == V5 else "3.1.1"
        self._telling.line("connected", f"{who} connected from {self.address}, MQTT {version}, {self._pipe.carrier}")
        self._telling.flush(shown(session.client_id))
        self._write(answer)
        self._core.resume(session, now)

    async def _admitted(self, packet: mqtt5.ConnectPacket) -> str | None:
        """The user who connects; Refused where names or password are not taken."""
        if packet.authentication_method is not None:
            raise Refused(ConnAckReasonCode.BAD_AUTHENTICATION_METHOD, "an authentication method")
        most = self._limits.name_chars
        if len(packet.client_id) > most or len(packet.username or "") > most:
            raise Refused(ConnAckReasonCode.CLIENT_ID_NOT_VALID, f"a client id or user name of over {most} characters")
        if not packet.client_id and not packet.clean_start and self._codec.version == V311:
            raise Refused(ConnAckReasonCode.CLIENT_ID_NOT_VALID, "a session to be kept without a client id")
        try:
            return await self._core.access.login(packet.username, packet.password)
        except Refused as error:
            raise Refused(error.reason, f"client {shown(packet.client_id)}: {error}") from error

    def _publish(self, packet: mqtt5.PublishPacket, session: Session, now: float) -> None:
        if not valid_topic(packet.topic):
            raise Refused(DisconnectReasonCode.TOPIC_NAME_INVALID, "a message on a topic with a wildcard")
        if packet.packet_id is None:
            self._core.publish(packet, session, now)
        elif packet.qos == QoS.AT_LEAST_ONCE:
            code = self._core.publish(packet, session, now)
            self.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=code))
        else:
            code = self._core.publish_once(packet, packet.packet_id, session, now)
            self.send(mqtt5.PubRecPacket(packet.packet_id, reason_code=PubRecReasonCode(int(code))))

    async def _subscribe(self, packet: mqtt5.SubscribePacket, session: Session, now: float) -> None:
        """Acknowledge, then send what is retained, however much that is, in turn with what others want."""
        answer, fresh = self._core.subscriptions.take(session, packet)
        self.send(answer)
        for wanted in fresh:
            for _ in self._core.send_retained(session, wanted, now):
                await self._give_way()
                if session.link is not self:
                    return

    def _acknowledge(self, packet: mqtt5.Packet, session: Session) -> None:
        """A step of QoS 1 or 2, of messages from us or from the client."""
        if isinstance(packet, mqtt5.PubAckPacket):
            session.acknowledged(packet.packet_id)
        elif isinstance(packet, mqtt5.PubRecPacket):
            release = session.received_once(packet.packet_id, int(packet.reason_code) >= FAILED)
            if release:
                self.send(release)
        elif isinstance(packet, mqtt5.PubCompPacket):
            session.completed(packet.packet_id)
        elif isinstance(packet, mqtt5.PubRelPacket):
            known = packet.packet_id in session.received
            session.received.discard(packet.packet_id)
            code = PubCompReasonCode.SUCCESS if known else PubCompReasonCode.PACKET_ID_NOT_FOUND
            self.send(mqtt5.PubCompPacket(packet.packet_id, reason_code=code))

    def _disconnect(self, packet: mqtt5.DisconnectPacket, session: Session) -> bool:
        if packet.session_expiry_interval and not session.expiry_seconds:
            raise protocol_error("a session that was to end is to be kept")
        self._expiry_seconds = packet.session_expiry_interval
        self._will_wanted = packet.reason_code != DisconnectReasonCode.NORMAL_DISCONNECTION
        self._ended = f"it said goodbye ({int(packet.reason_code):#04x})" if self._will_wanted else "it said goodbye"
        return False
