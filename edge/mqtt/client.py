"""A client of a board: publishes a request, yields what comes back. What `edge ask` and `edge demo` are made of."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any

from edge.config import Broker
from edge.errors import BrokerError
from edge.mqtt.transport import MqttTransport
from edge.wire.chunks import CHUNK_BYTES, chunks
from edge.wire.message import JSON, Message, dumps
from edge.wire.topics import LEVEL, Topics

CONNECT_SECONDS = 10.0


class Client:
    """One connection of its own; used with `async with`. Raises BrokerError where no broker answers.

    Its name in topics is the user name that it has at the broker, as access lists want it (deploy/mosquitto), else a
    random one.
    """

    def __init__(self, broker: Broker, device: str, extra_topics: tuple[str, ...] = ()) -> None:
        self._client_id = f"ask-{uuid.uuid4().hex[:8]}"
        self.name = broker.username if broker.username and LEVEL.fullmatch(broker.username) else self._client_id
        self.topics = Topics(device)
        self._broker = broker.model_copy(update={"session_expiry_seconds": 0})
        self._subscriptions = [self.topics.reply(self.name), *extra_topics]
        self._transport: MqttTransport | None = None

    async def __aenter__(self) -> Client:
        self._transport = MqttTransport(self._broker, self._client_id, self._subscriptions, gives_up=True)
        self._transport.start()
        try:
            await asyncio.wait_for(self._transport.settled.wait(), CONNECT_SECONDS)
        except TimeoutError:
            await self._transport.close()
            raise BrokerError(f"{self._transport.failure}; name another with --broker HOST[:PORT]") from None
        if self._transport.refusal:
            await self._transport.close()
            raise self._transport.refusal
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

    async def messages(self) -> AsyncIterator[Message]:
        """Everything that arrives on the subscribed topics."""
        assert self._transport is not None
        while True:
            received = await self._transport.received.get()
            if isinstance(received, BrokerError):
                raise received
            yield received

    async def ask(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Publish a request as JSON; yield its messages, the terminal `reply` last."""
        name = str(request.get("id") or uuid.uuid4().hex[:12])
        self.send(dumps({**request, "id": name}), name)
        async for body in self.replies():
            if body.get("id") == name:
                yield body
                if body["type"] == "reply":
                    return

    def send(self, payload: bytes, name: str) -> None:
        """Publish a request's JSON, in chunks where it is large. name: its id."""
        assert self._transport is not None
        if len(payload) <= min(CHUNK_BYTES, self._transport.maximum_packet_size // 2):
            return self.publish(self.topics.request(self.name), payload, JSON)
        topic, is_v5 = self.topics.chunk(self.name), self._broker.protocol == "5"
        for piece, properties in chunks(payload, name, is_v5):
            self._transport.publish(Message(topic, piece, 1, content_type=JSON, user_properties=properties))
        return None

    async def replies(self) -> AsyncIterator[dict[str, Any]]:
        """What arrives, as JSON objects."""
        async for message in self.messages():
            if message.topic != self.topics.reply(self.name) and not message.topic.endswith("/reply"):
                continue
            yield json.loads(message.payload)

    def cancel(self, name: str) -> None:
        """Ask the board to stop one of this client's requests."""
        self.publish(self.topics.cancel(self.name), dumps({"id": name}), JSON)

    def publish(self, topic: str, payload: bytes, content_type: str | None = None) -> None:
        """Publish with QoS 1; answers come to this client's reply topic where the request names no other."""
        assert self._transport is not None
        self._transport.publish(Message(topic, payload, 1, content_type=content_type))
