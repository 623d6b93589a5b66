"""One answer on its way: its tokens, where its cache lies, and what its next token is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.engine import Finished, Job, Part
from edge.engine.batch.drafting import Draft
from edge.engine.text.loops import LoopGuard
from edge.engine.text.sampling import Sampler, described
from edge.engine.text.scorers import Scorer, weighed
from edge.engine.text.stop_text import StopText
from edge.errors import EngineFailed, Fault

if TYPE_CHECKING:
    from edge.engine.pictures.vision import Seen


class Texts(Protocol):
    """What a row needs of a tokenizer."""

    def text(self, tokens: list[int]) -> str:
        """What token ids stand for."""
        ...

    def stream(self) -> Any:
        """A decoder with `decode(token_id)`."""
        ...


class Guide(Protocol):
    """What a row needs of a grammar."""

    def allowed(self) -> NDArray[np.bool_]:
        """`[vocabulary]`."""
        ...

    def take(self, token: int) -> bool:
        """Go on; True at the end."""
        ...

    def copy(self) -> Guide:
        """Another that goes on from here."""
        ...


class Group(Protocol):
    """Rows that belong together: several answers to one job."""

    def ended(self, row: Row, what: Finished | Fault) -> tuple[list[Row], Finished | Fault | None]:
        """Who leaves where a row ends, and how their job has ended, if it has."""
        ...


class Row:
    """A job and how far it is.

    tokens: of the prompt and the answer so far; seen: how many of them are in the cache; read: how many of these, from
    the first on, are there as reading leaves them. is_long: whether these have the long rotary factors. is_forgotten:
    nothing of it is to be remembered. group: of rows that it belongs to, as the answer of the number `choice`. is_out:
    it has left. places: rows that are kept for it.
    """

    def __init__(
        self,
        job: Job,
        prompt: list[int],
        room: int,
        texts: Texts,
        vocabulary: int,
        stops: set[int],
        guide: Guide | None,
    ) -> None:
        self.job, self.tokens, self.prompt_tokens, self.room = job, prompt, len(prompt), room
        self.tokens_at_most = len(prompt) + room
        self.slot = -1
        self.seen = self.read = 0
        self.cached_tokens = 0
        self.is_long = False
        self.finish_reason: str | None = None
        self.pictures: list[Seen] = []
        self.sources: list[dict[str, Any]] | None = None
        self.warnings: list[str] = []
        self.scorers: list[Scorer] = []
        self.is_forgotten = self.is_out = False
        self.group: Group | None = None
        self.choice, self.places = 0, 1
        self._texts, self._stops, self._guide = texts, stops, guide
        self._sampler = Sampler(job, prompt, vocabulary, stops)
        self._stream, self._stop_text = texts.stream(), StopText(job.stop)
        self._loop = LoopGuard(texts.text, job.must_match) if job.loop_guard else None
        self._logprobs: list[dict[str, Any]] | None = None if job.top_logprobs is None else []
        self._draft: Draft | None = None
        self._begun = self._first_token = time.monotonic()

    @property
    def unread(self) -> int:
        """Tokens that are not in the cache; one where the answer has begun."""
        return len(self.tokens) - self.seen

    def next_slice(self, limit: int) -> list[int]:
        """The next tokens to be read, at most so many; with the one before, which is read anew, where one is left.

        Sums over one row come out in another order than over several, and an answer is not to hang on how its prompt
        was cut. The place of a picture is not read anew: that might mean to look at it.
        """
        if self.unread == 1 and self.seen and self.tokens[self.seen - 1] >= 0:
            self.seen -= 1
        return self.tokens[self.seen : self.seen + limit]

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def is_to_look(self) -> bool:
        """Whether a picture of it is still to be looked at."""
        return any(each.features is None and each.end > self.seen for each in self.pictures)

    def unseen(self, count: int) -> Seen | None:
        """The first picture among the next tokens to be read that was not looked at."""
        return next((each for each in self._near(count) if each.features is None), None)

    def features(self, count: int) -> NDArray[np.float32] | None:
        """What stands in the places of pictures among the next tokens, `[places, width]`; None where there are none."""
        parts = [each.part(self.seen, self.seen + count) for each in self._near(count)]
        return np.concatenate(parts) if parts else None

    def _near(self, count: int) -> Iterator[Seen]:
        """The pictures that have places among the next tokens."""
        stop = self.seen + count
        return (each for each in self.pictures if each.start < stop and each.end > self.seen)

    def begin(self) -> None:
        """Its time starts now."""
        self._begun = self._first_token = time.monotonic()

    def begin_answer(self) -> None:
        """Its first token is there."""
        self._first_token = time.monotonic()

    def told(self, text: str) -> str | Part:
        """A piece of the answer as an event has it."""
        return text if self.group is None else Part(self.choice, text)

    def ended(self, what: Finished | Fault) -> tuple[list[Row], Finished | Fault | None]:
        """Who leaves where this one ends, and how the job has ended, if it has."""
        return ([self], what) if self.group is None else self.group.ended(self, what)

    @property
    def seconds_since_first(self) -> float:
        """Since its first token."""
        return time.monotonic() - self._first_token if self.completion_tokens else 0.0

    def take(self, logits: NDArray[np.float32]) -> str:
        """Choose the next token; the text that is certain by it. Sets `finish_reason` where it is the last.

        Raises EngineFailed where the logits are not numbers, where a scorer fails, or the grammar gives up.
        """
        told = logits.copy() if self._logprobs is not None else logits
        logits = weighed(self.scorers, self.tokens, logits)
        try:
            token = self._sampler.choose(logits, self._guide.allowed() if self._guide else None)
        except ValueError as error:
            raise EngineFailed(str(error)) from error
        if not self.completion_tokens:
            self.begin_answer()
        self.tokens.append(token)
        self._describe(told, token)
        return self._text_of(token)

    def _text_of(self, token: int) -> str:
        if token in self._stops:
            self.finish_reason = "stop"
            return self._stop_text.flush()
        text = self._stop_text.push(self._stream.decode(token))
        is_complete = self._guide is not None and self._guide.take(token)
        if self._stop_text.stopped or is_complete:
            self.finish_reason = "stop"
        elif self._loop is not None and self._loop.take(token):
            self.finish_reason = "loop"
        elif self.completion_tokens >= self.room:
            self.finish_reason = "length"
        return text + self._stop_text.flush() if self.finish_reason else text

    def _describe(self, logits: NDArray[np.float32], token: int) -> None:
        if self._logprobs is not None and token not in self._stops:
            count = self.job.top_logprobs or 0
            self._logprobs.append(described(lambda one: self._texts.text([one]), logits, token, count))

    def guess(self, room: int) -> list[int]:
        """What may come next, at most `room` tokens, by what the text says already."""
        if self._draft is None:
            self._draft = Draft(self.tokens)
        return self._draft.guess(self.tokens, min(room, self.room_to_guess))

    @property
    def room_to_guess(self) -> int:
        """Tokens that can be guessed: the answer has room for one behind them."""
        return self.room - self.completion_tokens - 1

    @property
    def said_again(self) -> float:
        """Share of guesses by what was said that was right lately, 0 to 1."""
        return self._draft.rightness if self._draft is not None else 0.0

    def learn(self, guessed: int, right: int) -> None:
        """How many tokens of a guess were right."""
        if self._draft is not None:
            self._draft.learn(guessed, right, len(self.tokens))

    def finished(self, reason: str) -> Finished:
        """How it ended."""
        now = time.monotonic()
        first = self._first_token if self.completion_tokens else now
        return Finished(
            reason,
            self.prompt_tokens,
            self.completion_tokens,
            first - self._begun,
            now - first,
            self.cached_tokens,
            self._logprobs,
            [each.tokens for each in self.pictures],
            self.sources,
            self.warnings,
        )
