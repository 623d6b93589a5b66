"""A client of a board: publishes a request, yields what comes back. What `edge ask` and `edge demo` are made of."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any

from edge.config import Broker
from edge.errors import BrokerError, ProtocolError
from edge.mqtt.transport import MqttTransport
from edge.wire.chunks import CHUNK_BYTES, chunks
from edge.wire.message import JSON, WIRE_VERSION, Delivery, Message, dumps
from edge.wire.topics import LEVEL, Topics

CONNECT_SECONDS = 10.0

UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
"""What a reader of somebody else's JSON may run into where it is not as docs/wire.md says."""


class Client:
    """One connection of its own; used with `async with`. Raises BrokerError where no broker answers.

    Its name in topics is the user name that it has at the broker, as access lists want it (deploy/mosquitto), else a
    random one. It knows its board's state, and asks again what it has asked when its own connection was lost.
    """

    def __init__(self, broker: Broker, device: str, extra_topics: tuple[str, ...] = ()) -> None:
        self._client_id = f"ask-{uuid.uuid4().hex[:8]}"
        self.name = broker.username if broker.username and LEVEL.fullmatch(broker.username) else self._client_id
        self.topics = Topics(device)
        self.state: str | None = None
        """The board's, as it last said; None before that."""
        self.at_state: Callable[[str], None] = lambda _state: None
        """Called at each state that it says."""
        self.at_strange: Callable[[str], None] = lambda _why: None
        """Called where something came that cannot be understood and is passed over, with why."""
        self._broker = broker.model_copy(update={"session_expiry_seconds": 0})
        wanted = (self.topics.reply(self.name), self.topics.status, *extra_topics)
        self._subscriptions = list(dict.fromkeys(wanted))
        self._transport: MqttTransport | None = None
        self._asked: tuple[bytes, str] | None = None
        self._was_away = False

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
        self._transport.at_connect = self._back
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

    def _back(self) -> None:
        """The connection is back, but what came meanwhile is not: the board's state says when to ask again."""
        self._was_away = True

    async def messages(self) -> AsyncIterator[Message]:
        """Everything that arrives on the subscribed topics."""
        assert self._transport is not None
        while True:
            received = await self._transport.received.get()
            if isinstance(received, BrokerError):
                raise received
            if received.topic == self.topics.status:
                self._stated(state_of(received.payload))
            yield received

    def _stated(self, state: str | None) -> None:
        if state is None:
            return
        self.state = state
        self.at_state(state)
        if self._was_away and self._asked and state != "offline":  # the same again: it is not answered twice
            self.send(*self._asked)

    async def ask(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Publish a request as JSON; yield its messages, the terminal `reply` last.

        Raises BrokerError where the broker says that nobody listens, and what `replies` raises.
        """
        name = str(request.get("id") or uuid.uuid4().hex[:12])
        self._asked = dumps({**request, "id": name}), name
        self.send(*self._asked)
        async for body in self.replies(name):
            yield body
            if body["type"] == "reply":
                self._asked = None
                return

    async def leave(self, message: Message) -> None:
        """Publish with QoS 1 until the broker has it. BrokerError where it refuses it."""
        assert self._transport is not None
        while True:
            told: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
            self._transport.publish(message, told.set_result)
            if (delivery := await told) is Delivery.REFUSED:
                raise BrokerError(f"the broker refuses a message on {message.topic}: its access list, most likely")
            if delivery is not Delivery.LOST:
                return

    def send(self, payload: bytes, name: str) -> None:
        """Publish a request's JSON, in chunks where it is large. name: its id."""
        assert self._transport is not None
        if len(payload) <= min(CHUNK_BYTES, self._transport.maximum_packet_size // 2):
            request = Message(self.topics.request(self.name), payload, 1, content_type=JSON)
            return self._transport.publish(request, self._delivered)
        topic, is_v5 = self.topics.chunk(self.name), self._broker.protocol == "5"
        for piece, properties in chunks(payload, name, is_v5):
            message = Message(topic, piece, 1, content_type=JSON, user_properties=properties)
            self._transport.publish(message, self._delivered)
        return None

    def _delivered(self, delivery: Delivery) -> None:
        """What became of a request. One that is lost is sent anew once the connection and the board are there."""
        assert self._transport is not None
        where = self.topics.request(self.name)
        if delivery is Delivery.REFUSED:
            self._transport.received.put_nowait(BrokerError(f"the broker does not take a message on {where}"))
        elif delivery is Delivery.UNHEARD and not self._was_away:  # else the board may be on its way back, too
            why = f"no board named {self.topics.device!r} listens: the broker has nobody for {where}"
            self._transport.received.put_nowait(BrokerError(why))

    async def replies(self, name: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """What arrives of a request of some id, or of any. ProtocolError where a reply cannot be understood.

        Each has what its type promises (docs/wire.md): `text` and `index` of a delta, `place` of a queued, and `code`,
        `text`, `index`, `warnings` and, but for 200, `error.message` of a reply.
        """
        async for message in self.messages():
            if message.topic != self.topics.reply(self.name) and not message.topic.endswith("/reply"):
                continue
            if (body := json_object(message.payload)) is None:
                self.at_strange(f"what came on {message.topic} is no JSON object and was passed over")
            elif name in (None, body.get("id")) and (said := self._promised(body)):
                yield said

    def _promised(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """An answer's message with what its type promises; None for a piece that is none: the reply has the whole."""
        kind = body.get("type")
        if kind == "reply":
            return completed(body)
        fields = FIELDS.get(kind) if isinstance(kind, str) else None
        if fields and all(isinstance(body.get(name), of) for name, of in fields.items()):
            return body
        self.at_strange(f"a message of the type {str(kind)[:40]!r} cannot be understood and was passed over")
        return None

    def cancel(self, name: str) -> None:
        """Ask the board to stop one of this client's requests."""
        self.publish(self.topics.cancel(self.name), dumps({"id": name}), JSON)

    def publish(self, topic: str, payload: bytes, content_type: str | None = None) -> None:
        """Publish with QoS 1; answers come to this client's reply topic where the request names no other."""
        assert self._transport is not None
        self._transport.publish(Message(topic, payload, 1, content_type=content_type))


FIELDS: dict[str, dict[str, type]] = {"delta": {"index": int, "text": str}, "queued": {"place": int}}
"""What is needed of each type but `reply`."""


def json_object(payload: bytes) -> dict[str, Any] | None:
    """A JSON object; None where the payload is none, or nests deeper than can be read."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def state_of(payload: bytes) -> str | None:
    """The state that a board's status says; None where it says none."""
    state = (json_object(payload) or {}).get("state")
    return state if isinstance(state, str) else None


def completed(reply: Mapping[str, Any]) -> dict[str, Any]:
    """A terminal message with all that its reader has to look at; ProtocolError where it has no code or no text."""
    for name, kind in (("code", int), ("text", str)):
        if not isinstance(reply.get(name), kind):
            raise ProtocolError(
                f"the board's reply has no {name} that can be read; it may speak another version of the wire than"
                f" ours, which is {WIRE_VERSION}: `edge status` tells"
            )
    warnings, error, index = reply.get("warnings"), reply.get("error"), reply.get("index")
    body = {**reply, "index": index if isinstance(index, int) else 0}
    body["warnings"] = [str(each) for each in warnings] if isinstance(warnings, list) else []
    if reply["code"] != 200:
        told = error if isinstance(error, dict) else {}
        body["error"] = {**told, "message": str(told.get("message", "it does not say why"))}
    return body
