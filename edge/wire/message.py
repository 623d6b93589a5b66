"""One MQTT message with what this project uses of it; the word that everything else here is said with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from pydantic import ConfigDict

from edge.wire.pictures import canonical

JSON = "application/json"
TEXT = "text/plain"
PREFIX = "edge-"
"""Of user properties that mean something here, in either direction."""
HANDED_ON = "handed-on"
"""User property of a request that one board of a fleet has handed on to the others: how often that was done."""
INHERITED = "inherited"
"""The same of one that a board had which went away for good: how many did."""
WIRE_VERSION = 1
"""Of `docs/wire.md`; the next number where a client of the last one would misunderstand."""


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
        """sha256 of what was asked; equal for a message that comes again, be it by way of another board."""
        asked = tuple(pair for pair in self.user_properties if pair[0] not in (HANDED_ON, INHERITED))
        parts = (self.topic, self.response_topic, self.content_type, asked, self.correlation_data)
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
        return canonical((self.content_type or JSON).partition(";")[0].strip())


class Delivery(Enum):
    """What became of a QoS 1 message: the broker has it, has it and knows nobody who wants it, or does not take it.

    lost: its connection ended before the broker said so.
    """

    TAKEN = "taken"
    UNHEARD = "unheard"
    REFUSED = "refused"
    LOST = "lost"


def handed_on_count(message: Message, of: str = HANDED_ON) -> int:
    """How often a request was handed on before it came here; what cannot be read counts as once.

    of: HANDED_ON, or INHERITED for how many boards had it that went away for good.
    """
    for name, value in message.user_properties:
        if name == of:
            return int(value) if value.isascii() and value.isdecimal() and len(value) < 4 else 1
    return 0


def handed_on(message: Message, held_seconds: float, by: str = HANDED_ON) -> Message:
    """A request as it goes to the other boards. held_seconds: for how long it lay here, by which it expires sooner.

    by: HANDED_ON, or INHERITED by the heir of a board.
    """
    others = tuple(pair for pair in message.user_properties if pair[0] != by)
    count = min(handed_on_count(message, by) + 1, 999)
    expiry = message.message_expiry_interval
    return Message(
        message.topic,
        message.payload,
        1,
        False,
        message.response_topic,
        message.correlation_data,
        message.content_type,
        None if expiry is None else max(1, round(expiry - held_seconds)),
        (*others, (by, str(count))),
    )


ENVELOPE_BYTES = 64
"""Of a PUBLISH beyond what it carries: the fixed header, lengths, property identifiers, expiry."""


def packet_bytes(message: Message) -> int:
    """What a message takes as a PUBLISH packet, at most."""
    texts = [message.topic, message.content_type or "", *(part for pair in message.user_properties for part in pair)]
    carried = sum(len(text.encode(errors="replace")) for text in texts) + len(message.correlation_data or b"")
    return carried + len(message.payload) + ENVELOPE_BYTES


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")


def retained(topic: str, body: dict[str, Any], qos: int = 1) -> Message:
    """A message about the device that stays on its topic."""
    return Message(topic, dumps(body), qos, retain=True, content_type=JSON)
