"""A message to what it asks for: a request or a cancel, and where its answer goes.

MQTT 5 carries response topic, correlation and expiry as properties; MQTT 3.1.1 has the same in the payload
(`response_topic`, `id`, `deadline_ms`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge.errors import BadRequest, TooLarge, Unsupported
from edge.wire.chat import ChatRequest, validated
from edge.wire.fields import parse_fields, picture_fields
from edge.wire.message import JSON, TEXT, Message
from edge.wire.pictures import MEDIA_TYPES
from edge.wire.text import glimpse
from edge.wire.topics import Topics


@dataclass(frozen=True, slots=True)
class Address:
    """Where the answers to a request go, and the names that its asker knows it by."""

    topic: str
    id: str
    client: str | None = None
    correlation_data: bytes | None = None

    @property
    def asker(self) -> str:
        """Who a repeat must come from: the client; of one without a name, where its answers go."""
        return self.client or f" {self.topic}"

    @property
    def share(self) -> str:
        """Whose places it takes, and whose beginnings it may find: the client's; all without a name are one."""
        return self.client or ""

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


def parse_request(message: Message, topics: Topics, payload_bytes_max: int, with_pictures: int = 0) -> Request:
    """A message on a request topic as a Request.

    with_pictures: bytes of a payload that has pictures, beside which it may have as many as any other.
    Raises Fault, which `address_of` tells where to send: nothing of the payload is parsed before its size is known.
    """
    _check_envelope(message, max(payload_bytes_max, with_pictures))
    fields, warnings = _fields(message)
    chat = validated(fields)
    _check_text(message, chat, payload_bytes_max)
    address = address_of(message, topics, fields)
    named = message.response_topic or chat.response_topic
    if named is not None and (refusal := topics.refusal(named, address.client)):
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
    usable = isinstance(named, str) and topics.refusal(named, place.client) is None
    given = fields.get("id")
    known = given if isinstance(given, str) and 0 < len(given) <= 256 else _printable(message.correlation_data)
    topic = str(named) if usable else place.reply
    return Address(topic, known or uuid.uuid4().hex[:12], place.client, message.correlation_data)


def _readable_fields(message: Message) -> dict[str, Any]:
    """The payload's fields where it has any; for answering a request that was refused."""
    if message.media_type in MEDIA_TYPES:
        return dict(message.own_properties)
    return glimpse(message.payload, message.content_type, ("id", "response_topic"))


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
        return picture_fields(message.payload, message.media_type, message.own_properties), ()
    is_plain_text = message.media_type == TEXT
    says_json = bool(message.content_type) and not is_plain_text
    return parse_fields(message.payload, is_plain_text, says_json, message.content_type)


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
