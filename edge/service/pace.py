"""How fast the board answers, learned from its last answers; what a request will take, and when its turn will come.

Nothing is promised before the first answer: until then every estimate is 0 and every request is let in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.wire.messages import Outcome, Request

CROP_BYTES = 2000
"""A crop of a picture is as much work as so much text: its tokens, and the tower that makes them."""
RECENT = 16
"""Answers that are looked at."""


@dataclass(frozen=True)
class Seen:
    """One answer. prompt_bytes: of the request's texts."""

    prompt_bytes: int
    outcome: Outcome


class Pace:
    """Rates over the last answers."""

    def __init__(self) -> None:
        self._recent: deque[Seen] = deque(maxlen=RECENT)
        self.seconds_per_byte = 0.0
        """Of a prompt."""
        self.seconds_per_token = 0.0
        """Of an answer."""
        self.usual_tokens = 0.0
        """Of an answer."""

    def learn(self, request: Request, outcome: Outcome) -> None:
        """Take an answer into account that the engine ended."""
        if not (outcome.usage.completion_tokens and outcome.usage.prompt_tokens):
            return
        self._recent.append(Seen(prompt_bytes(request), outcome))
        timings = [each.outcome.timings for each in self._recent]
        tokens = sum(each.outcome.usage.completion_tokens for each in self._recent)
        self.seconds_per_byte = sum(each.prefill_seconds for each in timings) / sum(
            each.prompt_bytes for each in self._recent
        )
        self.seconds_per_token = sum(each.decode_seconds for each in timings) / tokens
        self.usual_tokens = tokens / len(self._recent)

    def seconds(self, request: Request, max_tokens: int) -> float:
        """What a request will take once it is its turn: its prompt, and an answer as long as they have been."""
        length = min(request.chat.max_tokens or max_tokens, self.usual_tokens)
        return prompt_bytes(request) * self.seconds_per_byte + length * self.seconds_per_token


def prompt_bytes(request: Request) -> int:
    """Of all texts of a conversation, and what its pictures are worth; a template's own are in the rate."""
    text = sum(len(turn["content"].encode()) for turn in request.chat.conversation())
    return max(1, text + CROP_BYTES * sum(picture.crops_max + 1 for picture in request.chat.pictures()))
