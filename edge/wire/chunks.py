"""Requests too large for one message, in chunks: how they are sent and what each says.

`edge/service/uploads.py` puts them together.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, StrictStr, ValidationError

from edge.errors import BadRequest, TooLarge
from edge.wire.fields import number_in, parse_fields
from edge.wire.message import JSON, PREFIX, Message, dumps
from edge.wire.shape import Integer, Shape, first_fault
from edge.wire.topics import Topics

CHUNK_BYTES = 96 << 10
"""Of a payload in one chunk: less than brokers commonly take, in base64 too."""


class ChunkHead(Shape):
    """What a chunk says of itself and of the whole."""

    upload: Annotated[StrictStr, Field(min_length=1, max_length=64)]
    index: Annotated[Integer, Field(ge=0, lt=65536)]
    count: Annotated[Integer, Field(ge=1, le=65536)]
    total: Annotated[Integer, Field(ge=1)]
    sha256: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a request that is too large for one message.

    client, upload: whose it is, and which of theirs. index: from 0 to count - 1. total, sha256: of the whole payload.
    request: the message that the whole will be, without its payload; of the first chunk. asker: for a refusal.
    """

    client: str | None
    upload: str
    index: int
    count: int
    total: int
    sha256: str
    data: bytes
    request: Message
    asker: Message

    @property
    def key(self) -> tuple[str | None, str]:
        """What the chunks of an upload have in common."""
        return self.client, self.upload


def parse_chunk(message: Message, topics: Topics, bytes_max: int) -> Chunk:
    """A message on a chunk topic: MQTT 5's user properties beside bytes, or the same fields in JSON with base64.

    Raises Fault where it is neither.
    """
    if message.retain:
        raise BadRequest("a retained chunk would come again at every connect; publish without retain")
    if len(message.payload) > bytes_max:
        raise TooLarge(f"the chunk has {len(message.payload)} bytes, but {bytes_max} are allowed")
    place = topics.parse(message.topic)
    head, data = _head_and_data(message.payload, message.own_properties)
    of_chunk = {f"{PREFIX}{name}" for name in ChunkHead.model_fields}
    others = tuple(pair for pair in message.user_properties if pair[0] not in of_chunk)
    request = replace(
        message, topic=place.request, payload=b"", packet_identifier=0, duplicate=False, user_properties=others
    )
    asker = replace(request, payload=dumps({"id": head.upload}), content_type=JSON, user_properties=())
    said = {name: getattr(head, name) for name in ChunkHead.model_fields}
    return Chunk(place.client, **said, data=data, request=request, asker=asker)


def _head_and_data(payload: bytes, properties: Mapping[str, str]) -> tuple[ChunkHead, bytes]:
    """A chunk's head and bytes: from user properties and the payload, or both from JSON; BadRequest where neither."""
    fields: dict[str, Any] = {name: properties[name] for name in ChunkHead.model_fields if name in properties}
    fields |= {name: number_in(fields[name]) for name in ("index", "count", "total") if name in fields}
    data, prefix = payload, PREFIX if fields else ""
    if not fields:
        fields = parse_fields(payload, is_plain_text=False, says_json=True)
        data = _from_base64(fields.pop("data", None))
    try:
        return ChunkHead.model_validate(fields), data
    except ValidationError as error:
        fault = first_fault(error, fields, prefix)
    raise fault


def _from_base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"a chunk's data is not base64: {error}", "data") from error


def chunks(whole: bytes, upload: str, in_properties: bool) -> Iterator[tuple[bytes, tuple[tuple[str, str], ...]]]:
    """A payload in chunks, each with its user properties; without them (MQTT 3.1.1) the same is in JSON."""
    pieces = [whole[start : start + CHUNK_BYTES] for start in range(0, len(whole), CHUNK_BYTES)]
    same = {"upload": upload, "count": len(pieces), "total": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    for index, piece in enumerate(pieces):
        head = {**same, "index": index}
        if in_properties:
            yield piece, tuple((f"{PREFIX}{name}", str(value)) for name, value in head.items())
        else:
            yield dumps({**head, "data": base64.b64encode(piece).decode()}), ()
