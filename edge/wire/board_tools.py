"""Tools of the board's own, which it uses itself for a model: what is called, what came of it, and how a model is told.

A call and what it gave are turns of the conversation, as those of the asker's own tools are (`tools.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.wire import tools as functions
from edge.wire.chat import ChatRequest
from edge.wire.tools import Tool
from edge.wire.turns import ChatMessage

NOT_KNOWN = "it is not known whether this was done: the board broke down in between; it is not done again"
WORDS: tuple[dict[str, Any], bool] = ({"type": "string"}, True)
"""What holds an answer to any text that does not begin as a call does: small models like to say a call again."""


@dataclass
class BoardCall:
    """One call of a board's tool, which has a result or an error once it is done.

    said: as the model wrote it. is_repeat: it was called before with the same arguments, so that it is not done again,
    and the model is not even told of it.
    """

    name: str
    arguments: dict[str, Any]
    said: str
    result: str | None = None
    error: str | None = None
    is_repeat: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it was written down, and nothing yet of what came of it."""
        return self.result is None and self.error is None

    def body(self) -> dict[str, Any]:
        """As the asker is told."""
        came = {"error": self.error or NOT_KNOWN} if self.result is None else {"result": self.result}
        return {"name": self.name, "arguments": self.arguments, **came}

    def turns(self) -> list[ChatMessage]:
        """As the model is told: what it said, and what came of it."""
        came = f"error: {self.error}" if self.result is None else self.result
        told = {"role": "tool", "name": self.name, "content": came}
        return [ChatMessage.model_validate(each) for each in ({"role": "assistant", "content": self.said}, told)]


def with_board_tools(chat: ChatRequest, tools: Sequence[Tool], calls: Sequence[BoardCall]) -> ChatRequest:
    """A request as the model sees it in its next round: with the board's tools, and with what was called so far.

    Where a call was forced, the first is it; from then on the model decides.
    """
    every = [*chat.tools, *tools]
    if not calls:
        return chat.model_copy(update={"tools": every})
    turns = chat.messages or [ChatMessage.model_validate({"role": "user", "content": chat.prompt})]
    said = [turn for call in calls if not call.is_repeat for turn in call.turns()]
    offered = functions.offered(every, chat.tool_choice)
    changes = {"tools": offered, "tool_choice": "auto", "prompt": None, "messages": [*turns, *said]}
    return chat.model_copy(update=changes)


def guidance(chat: ChatRequest, own: Sequence[Tool], is_last: bool) -> tuple[dict[str, Any], bool] | None:
    """What the next answer is held to, as `ChatRequest.guidance` says it. own: the asker's, the last round's alone."""
    if not is_last:
        return chat.guidance()
    return chat.model_copy(update={"tools": list(own)}).guidance() or WORDS
