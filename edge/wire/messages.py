"""What travels: bytes and MQTT properties to models and back. Pure: no socket, no clock, no file.

`docs/wire.md` is this file in prose. MQTT 5 carries response topic, correlation and expiry as properties;
MQTT 3.1.1 has the same in the payload (`response_topic`, `id`, `deadline_ms`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict

from edge.errors import BadRequest, Fault, TooLarge, Unsupported
from edge.wire import payload
from edge.wire.payload import ChatRequest
from edge.wire.pictures import MEDIA_TYPES
from edge.wire.topics import Topics

JSON = "application/json"
TEXT = "text/plain"
PREFIX = "edge-"
"""Of user properties that mean something here, in either direction."""
WIRE_VERSION = 1
"""Of `docs/wire.md`; the next number where a client of the last one would misunderstand."""
Kind = Literal["queued", "delta", "reply"]


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message with the properties that this project uses; names are MQTT 5's (section 3.3.2.3).

    packet_identifier, duplicate, connection: of one that arrived with QoS 1; the connection is counted by the
    transport, since an identifier means nothing on another one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None
    content_type: str | None = None
    message_expiry_interval: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    packet_identifier: int = 0
    duplicate: bool = False
    connection: int = 0

    def digest(self) -> bytes:
        """sha256 of what was asked; equal for a message that comes again."""
        parts = (self.topic, self.response_topic, self.content_type, self.user_properties, self.correlation_data)
        found = hashlib.sha256(repr(parts).encode())
        found.update(self.payload)
        return found.digest()

    @property
    def own_properties(self) -> dict[str, str]:
        """The user properties that are ours, without their prefix."""
        named = (pair for pair in self.user_properties if pair[0].startswith(PREFIX))
        return {name.removeprefix(PREFIX): value for name, value in named}

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in small letters; JSON where there is none."""
        return (self.content_type or JSON).partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Address:
    """Where the answers to a request go, and the names that its asker knows it by."""

    topic: str
    id: str
    client: str | None = None
    correlation_data: bytes | None = None

    @property
    def asker(self) -> str:
        """Who a repeat must come from: the client, and where its answers go."""
        return f"{self.client or ''} {self.topic}"

    @property
    def names(self) -> set[tuple[str | None, bytes]]:
        """What this request can be called by: its client with its id, and with its correlation data."""
        return {(self.client, name) for name in (self.id.encode(), self.correlation_data) if name}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was understood. warnings: fields of it that were ignored."""

    address: Address
    chat: ChatRequest
    deadline_seconds: float | None = None
    warnings: tuple[str, ...] = ()


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

    finish_reason: `stop`, `length`, `tool_calls`, `cancelled`, `deadline` or `error`. index: the deltas before it.
    tool_calls: the functions that are called, logprobs: each token's, both in the OpenAI API's form.
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


def parse_request(message: Message, topics: Topics, payload_bytes_max: int, with_pictures: int = 0) -> Request:
    """A message on a request topic as a Request.

    with_pictures: bytes of a payload that has pictures, beside which it may have as many as any other.
    Raises Fault, which `address_of` tells where to send: nothing of the payload is parsed before its size is known.
    """
    _check_envelope(message, max(payload_bytes_max, with_pictures))
    fields, warnings = _fields(message)
    chat = payload.validated(fields)
    _check_text(message, chat, payload_bytes_max)
    address = address_of(message, topics, fields)
    named = message.response_topic or chat.response_topic
    if named is not None and (refusal := topics.refusal(named)):
        raise BadRequest(f"response_topic {refusal}", "response_topic")
    milliseconds = chat.deadline_ms
    deadline = milliseconds / 1000 if milliseconds is not None else message.message_expiry_interval
    return Request(address, chat, deadline, warnings)


def _check_envelope(message: Message, payload_bytes_max: int) -> None:
    if message.retain:
        raise BadRequest("a retained request would be answered again at every connect; publish without retain")
    if len(message.payload) > payload_bytes_max:
        raise TooLarge(f"the payload has {len(message.payload)} bytes, but {payload_bytes_max} are allowed")
    known = (JSON, TEXT, *MEDIA_TYPES)
    if message.media_type not in known:
        raise Unsupported(
            f"content type {message.media_type!r} is not understood; send {', '.join(known)}", "content_type"
        )


def _check_text(message: Message, chat: ChatRequest, payload_bytes_max: int) -> None:
    """What a payload has beside its pictures is as bounded as one without any."""
    if message.media_type in MEDIA_TYPES:
        return
    beside = len(message.payload) - sum(len(image.image_url.url) for image in chat.images())
    if beside > payload_bytes_max:
        raise TooLarge(f"the payload has {beside} bytes beside its pictures, but {payload_bytes_max} are allowed")


def address_of(message: Message, topics: Topics, fields: dict[str, Any] | None = None) -> Address:
    """Where answers to a message go: what it names where that may be used, else the client's reply topic."""
    fields = _readable_fields(message) if fields is None else fields
    place = topics.parse(message.topic)
    named = message.response_topic or fields.get("response_topic")
    usable = isinstance(named, str) and topics.refusal(named) is None
    given = fields.get("id")
    known = given if isinstance(given, str) and 0 < len(given) <= 256 else _printable(message.correlation_data)
    topic = str(named) if usable else place.reply
    return Address(topic, known or uuid.uuid4().hex[:12], place.client, message.correlation_data)


def _readable_fields(message: Message) -> dict[str, Any]:
    """The payload's fields where it has any; for answering a request that was refused."""
    if message.media_type in MEDIA_TYPES:
        return dict(message.own_properties)
    try:
        return _fields(message)[0] if len(message.payload) < 1 << 16 else {}
    except Fault:
        return {}


def _printable(data: bytes | None) -> str | None:
    """Correlation data as an id that can be read: its text where it is text, else its hex."""
    if not data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.hex()
    return text if text.isprintable() and len(text) <= 256 else data.hex()


def _fields(message: Message) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The payload as fields, with a warning for each that is not known."""
    if message.media_type in MEDIA_TYPES:
        return payload.picture_fields(message.payload, message.media_type, message.own_properties), ()
    is_plain_text = message.media_type == TEXT
    return payload.parse_fields(message.payload, is_plain_text, bool(message.content_type) and not is_plain_text)


class Cancel(NamedTuple):
    """Which request shall stop: its client's level in the topic, and its id or correlation data."""

    client: str | None
    name: bytes


def parse_cancel(message: Message, topics: Topics) -> Cancel:
    """The request that a cancel means; BadRequest where it names none.

    The request is named by correlation data, by `{"id": …}` or by the bare id as text.
    """
    client = topics.parse(message.topic).client
    if message.correlation_data:
        return Cancel(client, message.correlation_data)
    if len(message.payload) > 4096:
        raise BadRequest("a cancel holds an id, no more")
    fields, _ = _fields(message)
    name = fields.get("id", fields.get("prompt"))
    if not isinstance(name, str) or not name.strip():
        raise BadRequest("a cancel names its request: correlation data, an id field, or the bare id", "id")
    return Cancel(client, name.strip().encode())


def queued(address: Address, place: int, seconds: float) -> Message:
    """Says that a request waits, how many are before it, and when its turn will about be."""
    return _message(address, "queued", {"place": place, "seconds": round(seconds, 1)}, qos=0)


def delta(address: Address, index: int, text: str) -> Message:
    """A piece of the answer. Index counts from 0, so that a reader sees a gap.

    QoS 0: a lost piece costs nothing, since the terminal message has the whole text.
    """
    return _message(address, "delta", {"index": index, "text": text}, qos=0)


def reply(address: Address, outcome: Outcome) -> Message:
    """The one terminal message of a request."""
    body: dict[str, Any] = {
        "code": outcome.code,
        "finish_reason": outcome.finish_reason,
        "text": outcome.text,
        "index": outcome.index,
        "usage": outcome.usage.body(),
        "timings": {name: value and round(value, 4) for name, value in asdict(outcome.timings).items()},
        "warnings": list(outcome.warnings),
    }
    if outcome.tool_calls:
        body["tool_calls"] = outcome.tool_calls
    if outcome.logprobs is not None:
        body["logprobs"] = {"content": outcome.logprobs}
    if outcome.error is not None:
        known = {"message": outcome.error.message, "param": outcome.error.param}
        body["error"] = known | {"retry_after": outcome.error.retry_after}
    return _message(address, "reply", body, qos=1)


ENVELOPE_BYTES = 64
"""Of a PUBLISH beyond what it carries: the fixed header, lengths, property identifiers, expiry."""


def packet_bytes(message: Message) -> int:
    """What a message takes as a PUBLISH packet, at most."""
    texts = [message.topic, message.content_type or "", *(part for pair in message.user_properties for part in pair)]
    carried = sum(len(text.encode()) for text in texts) + len(message.correlation_data or b"")
    return carried + len(message.payload) + ENVELOPE_BYTES


def fitted(reply: Message, maximum_packet_size: int) -> Message:
    """A terminal message that the broker takes: one that is too large goes without its text, and says so.

    Sent as it is, it would end the connection (MQTT 5, section 3.2.2.3.6), and again at every reconnect.
    """
    if packet_bytes(reply) <= maximum_packet_size:
        return reply
    body = json.loads(reply.payload)
    left_out = f"the text was left out: the broker takes {maximum_packet_size} bytes a message; ask for a stream"
    body.pop("logprobs", None)
    return replace(reply, payload=dumps({**body, "text": "", "warnings": [*body["warnings"][:4], left_out]}))


def code_of(reply: Message) -> int:
    """The code of a terminal message that `reply` made."""
    return int(json.loads(reply.payload)["code"])


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


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")


def retained(topic: str, body: dict[str, Any], qos: int = 1) -> Message:
    """A message about the device that stays on its topic."""
    return Message(topic, dumps(body), qos, retain=True, content_type=JSON)
