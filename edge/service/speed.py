"""How fast the board answers, learned from its last answers: one meter for admission and for telemetry.

Nothing is promised before the first answer: until then every estimate is 0 and every request is let in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.wire.chat import ChatRequest
from edge.wire.reply import Outcome
from edge.wire.request import Request

TOKEN_BYTES = 4
"""Of a piece of a document, about; how many pieces a question gets is known when it is its turn."""
CROP_BYTES = 2000
"""A crop of a picture is as much work as so much text: its tokens, and the tower that makes them."""
RECENT = 16
"""Answers that are looked at."""


@dataclass(frozen=True)
class Seen:
    """One answer. prompt_bytes: of the request's texts."""

    prompt_bytes: int
    outcome: Outcome


@dataclass(frozen=True)
class Sums:
    """Over the last answers. prompt_bytes: of their requests' texts.

    decoded_tokens: of those with more than one token: the first comes with the prompt and has no time of its own.
    joules: of those whose energy is known, net; joules_tokens: their tokens.
    """

    answers: int = 0
    prompt_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    decoded_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    joules: float = 0.0
    joules_tokens: int = 0


class OfVectors:
    """How fast vectors are made of texts, over the last requests."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)

    def learn(self, prompt_bytes: int, outcome: Outcome) -> None:
        """One that has its vectors."""
        if outcome.embeddings is not None:
            self._recent.append((prompt_bytes, outcome.timings.prefill_seconds))

    @property
    def seconds_per_byte(self) -> float:
        """Of the texts; 0 before the first."""
        return sum(seconds for _, seconds in self._recent) / max(1, sum(size for size, _ in self._recent))


class Speed:
    """Rates over the last answers."""

    def __init__(
        self, documents_tokens: int = 0, named: Callable[[ChatRequest], str | None] = lambda _chat: None
    ) -> None:
        """documents_tokens: that a question of documents gets of them, at most.

        named: another model than the board's own that a request is for, each of which has rates of its own.
        """
        self._named = named
        self._others: dict[str, Speed] = {}
        self._documents_tokens = documents_tokens
        self._recent: deque[Seen] = deque(maxlen=RECENT)
        self._sums = Sums()
        self._vectors = OfVectors()

    def learn(self, request: Request, outcome: Outcome) -> None:
        """Take an answer into account that the engine ended."""
        if (other := self._other(request)) is not None:
            return other.learn(request, outcome)
        if request.chat.input is not None:
            return self._vectors.learn(self.prompt_bytes(request), outcome)
        if not (outcome.usage.completion_tokens and outcome.usage.prompt_tokens):
            return None
        self._recent.append(Seen(self.prompt_bytes(request), outcome))
        usages = [each.outcome.usage for each in self._recent]
        timings = [each.outcome.timings for each in self._recent]
        self._sums = Sums(
            len(usages),
            sum(each.prompt_bytes for each in self._recent),
            sum(each.prompt_tokens for each in usages),
            sum(each.completion_tokens for each in usages),
            sum(each.completion_tokens for each in usages if each.completion_tokens > 1),
            sum(each.prefill_seconds for each in timings),
            sum(each.decode_seconds for each in timings),
            *_energy(self._recent),
        )
        return None

    def _other(self, request: Request) -> Speed | None:
        name = self._named(request.chat)
        return None if name is None else self._others.setdefault(name, Speed(self._documents_tokens))

    def forget(self) -> None:
        """Another model answers from now on."""
        self._recent.clear()
        self._sums = Sums()
        self._vectors = OfVectors()

    @property
    def seconds_per_byte(self) -> float:
        """Of a prompt; 0 before the first answer, as with all that follow."""
        return self._sums.prefill_seconds / max(1, self._sums.prompt_bytes)

    @property
    def seconds_per_token(self) -> float:
        """Of an answer."""
        return self._sums.decode_seconds / max(1, self._sums.decoded_tokens)

    @property
    def usual_tokens(self) -> float:
        """Of an answer."""
        return self._sums.completion_tokens / max(1, self._sums.answers)

    @property
    def prefill_tokens_per_second(self) -> float | None:
        """Of a prompt; None before the first answer."""
        return _rate(self._sums.prompt_tokens, self._sums.prefill_seconds)

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Of an answer; None before the first of more than one token."""
        return _rate(self._sums.decoded_tokens, self._sums.decode_seconds)

    @property
    def joules_per_token(self) -> float | None:
        """Of an answer, net of what an idle board takes; None before the first of which that is known."""
        return round(self._sums.joules / self._sums.joules_tokens, 3) if self._sums.joules_tokens else None

    def seconds(self, request: Request, max_tokens: int) -> float:
        """What a request will take once it is its turn: its prompt, and an answer as long as they have been."""
        if (other := self._other(request)) is not None:
            return other.seconds(request, max_tokens)
        if request.chat.input is not None:
            return self.prompt_bytes(request) * self._vectors.seconds_per_byte
        length = min(request.chat.max_tokens or max_tokens, self.usual_tokens)
        return self.prompt_bytes(request) * self.seconds_per_byte + length * self.seconds_per_token

    def prompt_bytes(self, request: Request) -> int:
        """Of a conversation's texts, and what documents and pictures are worth; a template's own are in the rate."""
        chat = request.chat
        if chat.input is not None:
            return max(1, sum(len(text.encode(errors="replace")) for text in chat.input))
        text = sum(len(turn["content"].encode()) for turn in chat.conversation())
        crops = sum(picture.crops_max + 1 for picture in chat.pictures())
        found = 0 if chat.documents is None else self._documents_tokens * TOKEN_BYTES
        return max(1, text + CROP_BYTES * crops + found)


def _rate(tokens: int, seconds: float) -> float | None:
    return round(tokens / seconds, 2) if tokens and seconds else None


def _energy(recent: Iterable[Seen]) -> tuple[float, int]:
    """Joules, net, and tokens of the answers of which that is known."""
    told = [(each.outcome.energy or {}, each.outcome.usage.completion_tokens) for each in recent]
    known = [(energy["net_joules"], tokens) for energy, tokens in told if energy.get("net_joules") is not None]
    return sum(joules for joules, _ in known), sum(tokens for _, tokens in known)
