"""The inside of a door that is tried without a daemon."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from edge.wire.asked import Asked
from edge.wire.message import Message


class MemoryInside:
    """What a door opens to, whose other side is the test (`edge.wire.asked.Inside`).

    told: the bodies that every request gets. asked: what came. left: those whose asker went before the reply.
    """

    def __init__(self, told: Sequence[dict[str, Any]] = ()) -> None:
        self.told = list(told)
        self.published: list[Message] = []
        self.asked: list[Asked] = []
        self.left: list[Asked] = []
        self.about: dict[str, Any] = {}
        self.beside: dict[str, dict[str, Any]] = {}
        self.state: dict[str, Any] = {"accepts": True, "reason": None}

    def publish(self, message: Message) -> None:
        """Keep a message for the test to see."""
        self.published.append(message)

    async def ask(self, asked: Asked) -> AsyncGenerator[dict[str, Any], None]:
        """The same for everyone."""
        self.asked.append(asked)
        is_over = False
        try:
            for body in self.told:
                is_over = body["type"] == "reply"
                yield {**body, "id": asked.id}
        finally:
            if not is_over:
                self.left.append(asked)

    def info(self) -> dict[str, Any]:
        """What the test says."""
        return self.about

    def load(self) -> dict[str, Any]:
        """What the test says."""
        return self.state

    def models(self) -> dict[str, dict[str, Any]]:
        """What the test says."""
        return self.beside
