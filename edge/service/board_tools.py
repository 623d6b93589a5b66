"""The tools of `[tools]`: who may have which used, and what using one does. Nothing else is done.

A call's arguments are checked here, whatever a grammar has already seen to: what a model says decides at most which of
the declared topics and texts is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from edge.config import Tool
from edge.config.tools import EVERYBODY, is_level
from edge.errors import BadRequest, NotFound
from edge.service.clock import now
from edge.service.protocols import Transport
from edge.wire.board_tools import NOT_KNOWN
from edge.wire.chat import ALL, ChatRequest
from edge.wire.matching import mismatch
from edge.wire.message import Delivery, Message, dumps
from edge.wire.request import Request
from edge.wire.tools import Function, NamedTool
from edge.wire.tools import Tool as Offered
from edge.wire.topics import UNUSABLE, unusable

PUBACK_SECONDS = 5.0
"""How long the broker has to say that it took what was published."""
PAYLOAD_BYTES_MAX = 4096
"""Of what is published."""
HEARD_BYTES_MAX = 1024
"""Of a topic's payload: so much is kept, and told to the model."""
TOLD: dict[Delivery, str] = {
    Delivery.TAKEN: "done",
    Delivery.UNHEARD: "done, but nobody listens there now",
}


class Refused(Exception):
    """A call that is not carried out, or of which it is not known whether it was; why, for model and asker."""


class BoardTools:
    """All of them. transport: over which they are used."""

    def __init__(self, tools: Mapping[str, Tool], transport: Transport) -> None:
        self._tools, self._transport = dict(tools), transport
        self._heard: dict[str, bytes] = {}
        self._topics = set(topics_of(tools.values()))
        self._telemetry: Mapping[str, Any] = {}
        self._told_at = 0.0

    # --- what comes in ---

    def hear(self, message: Message) -> bool:
        """Keep the last of a topic that a tool reads, an empty payload being none; whether it is such a topic."""
        if message.topic not in self._topics:
            return False
        self._heard.pop(message.topic, None)
        if message.payload:
            self._heard[message.topic] = message.payload[: HEARD_BYTES_MAX + 1]
        return True

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """The body of the telemetry message that is published now."""
        self._telemetry, self._told_at = telemetry, now()

    # --- who may ---

    def offered(self, request: Request) -> list[Offered]:
        """What a model may call for a request.

        NotFound where it names what there is not, or not for its client; BadRequest where one of its own tools has such
        a name, or the one that must be called is none of both.
        """
        chat, client = request.chat, request.address.client
        allowed = [name for name, tool in self._tools.items() if EVERYBODY in tool.clients or client in tool.clients]
        names = list(dict.fromkeys(allowed if ALL in chat.board_tools else chat.board_tools))
        is_forced = chat.tool_choice == "required" and not (names or chat.tools)
        if missing := [name for name in names if name not in allowed] or [ALL] * is_forced:
            there = f"it has {', '.join(allowed)}" if allowed else "it has none"
            raise NotFound(f"this board has no tool {missing[0]!r} for this client; {there}", "board_tools")
        _check_names(chat, names)
        return [] if chat.tool_choice == "none" else [_offered(name, self._tools[name]) for name in names]

    def publishes(self, name: str) -> bool:
        """Whether using it changes something."""
        return name in self._tools and self._tools[name].kind == "publish"

    # --- what is done ---

    async def use(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Use one; what came of it, in words. Raises Refused."""
        tool = self._tools.get(name)
        if tool is None:
            raise Refused(f"there is no tool {name!r} any more")
        if (why := mismatch(dict(arguments), tool.parameters)) is not None:
            raise Refused(why)
        if tool.kind == "publish":
            return await self._publish(message_of(tool, arguments))
        if tool.kind == "retained":
            return self._read(tool.topic_of(arguments))
        return self._value(arguments.get("value", tool.values[0]))

    async def _publish(self, message: Message) -> str:
        if not self._transport.is_connected:
            raise Refused("there is no connection to the broker, so nothing was published")
        if not message.qos:
            self._transport.publish(message)
            return "sent"
        told: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._transport.publish(message, lambda delivery: None if told.done() else told.set_result(delivery))
        try:
            delivery = await asyncio.wait_for(told, PUBACK_SECONDS)
        except TimeoutError:
            raise Refused(f"the broker did not say within {PUBACK_SECONDS:g} s that it took it: {NOT_KNOWN}") from None
        if delivery is Delivery.LOST:
            raise Refused(f"the connection to the broker broke: {NOT_KNOWN}")
        if delivery is Delivery.REFUSED:
            raise Refused("the broker refused it")
        return TOLD[delivery]

    def _read(self, topic: str) -> str:
        heard = self._heard.get(topic)
        if heard is None:
            raise Refused("nothing is on its topic")
        text = heard[:HEARD_BYTES_MAX].decode(errors="replace")
        return UNUSABLE.sub(" ", text) + ("…" if len(heard) > HEARD_BYTES_MAX else "")

    def _value(self, path: str) -> str:
        found: Any = self._telemetry
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is None:
            raise Refused(f"the board does not know its {path}")
        return f"{path}: {dumps(found).decode()} ({now() - self._told_at:.0f} s ago)"


def topics_of(tools: Iterable[Tool]) -> list[str]:
    """What the board listens to for them."""
    return sorted({topic for tool in tools if tool.kind == "retained" for topic in tool.topics})


def message_of(tool: Tool, arguments: Mapping[str, Any]) -> Message:
    """What a call publishes, whose arguments are as the tool's `parameters` have them. Refused where it may not be."""
    for name in tool.placeholders:
        if not is_level(str(arguments[name])):
            raise Refused(f"{name} should be within one level of a topic")
    topic = tool.topic_of(arguments)
    if (why := unusable(topic)) is not None:
        raise Refused(f"its topic {why}")
    only = tool.payload[0] if isinstance(tool.payload, list) else None
    said = arguments.get("payload", only)
    payload = said.encode(errors="replace") if isinstance(said, str) else dumps(said)
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise Refused(f"payload has {len(payload)} bytes, but {PAYLOAD_BYTES_MAX} are allowed")
    return Message(topic, payload, tool.qos, tool.retain)


def _check_names(chat: ChatRequest, names: Collection[str]) -> None:
    """names: of the board's tools that it may have used."""
    own = [tool.function.name for tool in chat.tools]
    for number, name in enumerate(own):
        if name in names:
            raise BadRequest(f"{name} is the name of one of the board's tools, too", f"tools.{number}.function.name")
    choice = chat.tool_choice
    if isinstance(choice, NamedTool) and choice.function.name not in (*own, *names):
        fault = f"{choice.function.name} is none of the tools that are offered"
        raise BadRequest(fault, "tool_choice.function.name")


def _offered(name: str, tool: Tool) -> Offered:
    function = Function(name=name, description=tool.description, parameters=tool.parameters)
    return Offered(type="function", function=function)
