"""What an asker is told: that its request waits, the answer piece by piece, and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from edge.errors import Fault
from edge.wire.message import JSON, PREFIX, Message, dumps, packet_bytes
from edge.wire.request import Address

Kind = Literal["queued", "delta", "reply"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request. cached_tokens: of the prompt, which an earlier text had begun with.

    picture_tokens: of each picture, in their order.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    picture_tokens: tuple[int, ...] = ()

    def body(self) -> dict[str, Any]:
        """As it is told: of pictures only where there are some."""
        body = asdict(self)
        if not self.picture_tokens:
            del body["picture_tokens"]
        return body


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in seconds. first_token_seconds counts from the request's arrival."""

    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    first_token_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: what its one terminal message says.

    finish_reason: `stop`, `length`, `loop`, `tool_calls`, `cancelled`, `deadline` or `error`.
    index: the deltas before it.
    tool_calls: the functions that are called, logprobs: each token's, both in the OpenAI API's form.
    energy: what it took of the board's, None where that is not known. slowed: what the board's governor did to it.
    sources: the pieces of documents that it comes from; None where it was not to come from any.
    answered_by: the server that it was passed to, and why; None where this board answered.
    board_calls: what was called of the board's tools; None where none was asked for.
    embeddings: vectors, with the wire's names; None where none were asked for.
    choices: of several answers each, with the wire's names, the first among them; None where one was asked for.
    """

    code: int
    finish_reason: str
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    index: int = 0
    warnings: tuple[str, ...] = ()
    error: Fault | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] | None = None
    energy: dict[str, Any] | None = None
    slowed: dict[str, Any] | None = None
    sources: list[dict[str, Any]] | None = None
    answered_by: dict[str, Any] | None = None
    board_calls: list[dict[str, Any]] | None = None
    embeddings: dict[str, Any] | None = None
    choices: list[dict[str, Any]] | None = None


def queued(address: Address, place: int, seconds: float) -> Message:
    """Says that a request waits, how many are before it, and when its turn will about be."""
    return _message(address, "queued", {"place": place, "seconds": round(seconds, 1)}, qos=0)


def delta(address: Address, index: int, text: str, choice: int | None = None) -> Message:
    """A piece of the answer. Index counts from 0, so that a reader sees a gap. choice: of several, which this is of.

    QoS 0: a lost piece costs nothing, since the terminal message has the whole text.
    """
    of_which = {} if choice is None else {"choice": choice}
    return _message(address, "delta", {"index": index, **of_which, "text": text}, qos=0)


def terminal(address: Address, outcome: Outcome) -> Message:
    """The one terminal message of a request."""
    body: dict[str, Any] = {
        "code": outcome.code,
        "finish_reason": outcome.finish_reason,
        "text": outcome.text,
        "index": outcome.index,
        "usage": outcome.usage.body(),
        "timings": {name: value and round(value, 4) for name, value in asdict(outcome.timings).items()},
        "energy": outcome.energy,
        "warnings": list(outcome.warnings),
    }
    if outcome.choices is not None:
        body["choices"] = outcome.choices
    if outcome.slowed:
        body["slowed"] = outcome.slowed
    if outcome.answered_by:
        body["answered_by"] = outcome.answered_by
    if outcome.sources is not None:
        body["sources"] = outcome.sources
    if outcome.board_calls is not None:
        body["board_calls"] = outcome.board_calls
    if outcome.embeddings is not None:
        body["embeddings"] = outcome.embeddings
    if outcome.tool_calls:
        body["tool_calls"] = outcome.tool_calls
    if outcome.logprobs is not None:
        body["logprobs"] = {"content": outcome.logprobs}
    if outcome.error is not None:
        known = {"message": outcome.error.message, "param": outcome.error.param}
        body["error"] = known | {"retry_after": outcome.error.retry_after}
    return _message(address, "reply", body, qos=1)


def fitted(reply: Message, maximum_packet_size: int) -> Message:
    """A terminal message that the broker takes: one that is too large goes without its text, and says so.

    Sent as it is, it would end the connection (MQTT 5, section 3.2.2.3.6), and again at every reconnect.
    """
    if packet_bytes(reply) <= maximum_packet_size:
        return reply
    body = json.loads(reply.payload)
    if body.pop("embeddings", None) is not None:
        return replace(reply, payload=dumps({**body, **_without_vectors(maximum_packet_size)}))
    left_out = f"the text was left out: the broker takes {maximum_packet_size} bytes a message; ask for a stream"
    for name in ("logprobs", "sources", "choices"):
        body.pop(name, None)
    return replace(reply, payload=dumps({**body, "text": "", "warnings": [*body["warnings"][:4], left_out]}))


def _without_vectors(maximum_packet_size: int) -> dict[str, Any]:
    """What becomes of a reply that is nothing without its vectors, which no delta has had."""
    text = f"the vectors are more than the {maximum_packet_size} bytes a message that the broker takes"
    error = {"message": f"{text}: ask for fewer at once, or as base64", "param": "input", "retry_after": None}
    return {"code": 413, "finish_reason": "error", "error": error}


def refusal(fault: Fault, warnings: tuple[str, ...] = ()) -> Outcome:
    """The outcome of a request that a fault ended."""
    reasons = {408: "deadline", 499: "cancelled"}
    return Outcome(fault.code, reasons.get(fault.code, "error"), warnings=warnings, error=fault)


def _message(address: Address, kind: Kind, body: dict[str, Any], qos: int) -> Message:
    properties = ((f"{PREFIX}type", kind),)
    return Message(
        address.topic,
        dumps({"type": kind, "id": address.id, **body}),
        qos,
        correlation_data=address.correlation_data,
        content_type=JSON,
        user_properties=properties,
    )
