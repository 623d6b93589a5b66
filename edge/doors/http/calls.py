"""What of an answer's text is told at once, where it may be the call of a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def words_of(reply: Mapping[str, Any]) -> str:
    """The text of an answer without its call: a board's is the text itself, another server's comes beside it."""
    text = str(reply["text"])
    return "" if reply.get("tool_calls") and text.startswith("{") else text


class Kept:
    """An answer with tools is a call where it begins with `{`, which nobody can know before its end."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """fields: of the request, as docs/wire.md has them. may_call: whether what comes may still be a call."""
        self.may_call = bool(fields.get("tools")) and fields.get("tool_choice") != "none"
        self.text = ""
        """What was not told."""

    def by(self, piece: str) -> str:
        """What may be told once a piece has come."""
        if self.may_call and (self.text or piece.startswith("{")):
            self.text += piece
            return ""
        self.may_call = False
        return piece
