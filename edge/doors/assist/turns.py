"""What was said before in a conversation: Home Assistant sends its name and the last sentence alone."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

TURNS = 8
"""Of a conversation, questions and answers, that are told to the model again."""
CHARACTERS = 4_000
"""Of these together."""
CONVERSATIONS = 32
"""That are kept, the ones that went on last."""
SECONDS = 300.0
"""After which one is forgotten, which is Home Assistant's own bound."""

Turn = dict[str, str]


@dataclass
class Conversation:
    """The turns so far, and when the last was."""

    turns: list[Turn]
    at: float


class Conversations:
    """Those of all who ask, in memory alone. A conversation is known by its asker and its name together."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kept: OrderedDict[tuple[str, str], Conversation] = OrderedDict()

    def before(self, asker: str, name: str | None) -> list[Turn]:
        """What was said, the oldest first; nothing where there is no name."""
        self._forget()
        found = self._kept.get((asker, name)) if name else None
        return list(found.turns) if found else []

    def add(self, asker: str, name: str | None, question: str, answer: str) -> None:
        """A question that has its answer."""
        if not name or not answer:
            return
        said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        turns = _bounded([*self.before(asker, name), *said])
        self._kept[asker, name] = Conversation(turns, self._now())
        self._kept.move_to_end((asker, name))
        self._forget()

    def _forget(self) -> None:
        """The oldest are first."""
        while self._kept and (len(self._kept) > CONVERSATIONS or self._is_over(next(iter(self._kept.values())))):
            self._kept.popitem(last=False)

    def _is_over(self, conversation: Conversation) -> bool:
        return self._now() - conversation.at > SECONDS


def _bounded(turns: list[Turn]) -> list[Turn]:
    """The last ones, a question first."""
    turns = turns[-TURNS:]
    while _characters(turns) > CHARACTERS:
        turns = turns[2:]
    return turns


def _characters(turns: Iterable[Turn]) -> int:
    return sum(len(turn["content"]) for turn in turns)
