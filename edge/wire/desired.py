"""Which bundle a board is to run, as its operator keeps it at the broker: `edge/<device>/desired`, retained."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import BadRequest
from edge.wire.fields import parse_fields
from edge.wire.message import Message
from edge.wire.shape import first_fault
from edge.wire.topics import LEVEL

BYTES_MAX = 4096
Named = Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Wanted(_Part):
    """A bundle of the board's repository."""

    name: Named
    version: Named | None = Field(default=None, description="null for the channel's newest, when the wish comes")
    channel: Named | None = Field(default=None, description="null for the board's own, store.channel")


class Desired(_Part):
    """`edge/<device>/desired`, or `edge/<fleet>/desired` for all its boards that have none of their own; retained.

    An empty payload is no wish.
    """

    bundle: Wanted
    id: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] | None = Field(
        default=None, description="what the wish is called; another id has a bundle tried again that was rolled back"
    )


def parse_desired(message: Message) -> Desired | None:
    """A wish; None for none. BadRequest where it cannot be understood: names the field."""
    if len(message.payload) > BYTES_MAX:
        raise BadRequest(f"a wish has {BYTES_MAX} bytes at most, this one {len(message.payload)}")
    if not message.payload:
        return None
    fields = parse_fields(message.payload, is_plain_text=False, says_json=True, content_type=message.content_type)
    try:
        return Desired.model_validate(fields)
    except ValidationError as error:
        raise first_fault(error, fields).bare() from None
