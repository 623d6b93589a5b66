"""What a board is told to do over `edge/<device>/command`, where its operator lets it be told so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from edge.errors import BadRequest
from edge.wire.message import Message

Order = Literal["restart", "unload", "drain", "resume", "update"]


@dataclass(frozen=True, slots=True)
class Command:
    """restart: end the engine and begin it anew, or begin one that is unloaded. unload: end it until a request comes.

    Both once nothing runs. drain: leave the fleet's queue to the other boards; resume, or a start: come back.
    update: have the newest bundle of the served one's name installed and tried.
    """

    order: Order


def parse_command(message: Message) -> Command:
    """A message on the command topic, its bare word. BadRequest where it is none, or kept by the broker."""
    if message.retain:
        raise BadRequest("a retained command would be obeyed again at every connect; publish without retain")
    word = message.payload[:16].decode(errors="replace").strip()
    if word not in get_args(Order):
        raise BadRequest(f"a command is one of these words: {', '.join(get_args(Order))}")
    return Command(cast(Order, word))
