"""A request from its arrival to its terminal message."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from edge.engine import Choice, Finished, Part
from edge.errors import Fault
from edge.wire import tools
from edge.wire.board_tools import BoardCall
from edge.wire.embeddings import written
from edge.wire.reply import Outcome, Timings, Usage, refusal
from edge.wire.request import Request


@dataclass
class Waiting:
    """A request from its arrival to its terminal message.

    number: the journal's. arrived: on the monotonic clock. digest: of its message. attempts: how often it was begun.
    is_written: whether it is on disk, before which it is not begun. probed, is_probing: when the broker was last
    asked whether somebody listens, and whether it has yet to say so. slowed: the most that the board's governor did to
    it; energy: what it took. answered_by: another server that it was passed to, and passed_calls: what that calls.
    is_forgotten: nothing of it may stay once it is answered, whatever it said of that.
    others: pieces of further answers than the first, by their numbers.
    held: pieces that may become a call of a board's tool; calls: those that were made. is_inherited: another board of
    the fleet had it, which went away for good.
    """

    number: int
    request: Request
    arrived: float
    digest: bytes = b""
    attempts: int = 0
    is_written: bool = False
    text: list[str] = field(default_factory=list)
    others: dict[int, list[str]] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    calls: list[BoardCall] = field(default_factory=list)
    is_inherited: bool = False
    index: int = 0
    started: float | None = None
    first_token: float | None = None
    probed: float = -math.inf
    is_probing: bool = False
    ended_by: Fault | None = None
    is_forgotten: bool = False
    slowed: dict[str, Any] | None = None
    energy: dict[str, Any] | None = None
    answered_by: dict[str, Any] | None = None
    passed_calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def deadline(self) -> float | None:
        """On the monotonic clock."""
        seconds = self.request.deadline_seconds
        return None if seconds is None else self.arrived + seconds

    @property
    def is_beside(self) -> bool:
        """Whether it takes none of the engine's rows."""
        return self.request.chat.input is not None

    @property
    def rows(self) -> int:
        """Of the engine's, that it takes where there are so many."""
        return self.request.chat.rows

    @property
    def rows_to_begin(self) -> int:
        """Of these, that must be free before it is begun."""
        return self.request.chat.rows_to_begin

    @property
    def keeps(self) -> bool:
        """Whether something of it may stay once it is answered."""
        return self.request.chat.keep and not self.is_forgotten

    def restart(self) -> None:
        """Forget what there was of an answer, but not what was done for it."""
        self.text, self.held, self.index, self.started, self.first_token = [], [], 0, None, None
        self.others, self.answered_by = {}, None

    def take(self, piece: str) -> bool:
        """A piece of the answer; it may go out."""
        self.text.append(piece)
        return True

    def take_part(self, part: Part) -> None:
        """A piece of one of several answers."""
        (self.others.setdefault(part.choice, []) if part.choice else self.text).append(part.text)

    def note_slowed(self, slowed: dict[str, Any]) -> None:
        """The governor slows it so much now; what is told is the worst of it."""
        if self.slowed is None or _share(slowed) <= _share(self.slowed):
            self.slowed = slowed

    def outcome(self, finished: Finished) -> Outcome:
        """How an answer that the engine ended is told: complete, or cut short by a cancel or a deadline."""
        ended_by = self.ended_by if finished.finish_reason == "cancelled" else None
        outcome = self._answered(finished.finish_reason) if ended_by is None else refusal(ended_by)
        return replace(
            outcome,
            text="".join(self.text),
            choices=self._choices(outcome.finish_reason, finished),
            usage=Usage(
                finished.prompt_tokens,
                finished.completion_tokens,
                finished.cached_tokens,
                tuple(finished.picture_tokens),
            ),
            logprobs=finished.logprobs,
            sources=finished.sources,
            board_calls=self._board_calls(),
            embeddings=self._embeddings(finished),
            timings=self._timings(finished),
            index=self.index,
            warnings=(*self.request.warnings, *finished.warnings),
            energy=self.energy,
            slowed=self.slowed,
            answered_by=self.answered_by,
        )

    def _embeddings(self, finished: Finished) -> dict[str, Any] | None:
        """Vectors as they were asked for."""
        made = finished.embeddings
        return None if made is None else written(made, self.request.chat.encoding_format)

    def _answered(self, finish_reason: str) -> Outcome:
        """An answer in words, or the call of a function where its text is one."""
        calls = self.passed_calls or self._calls("".join(self.text), 0)
        return Outcome(200, "tool_calls", tool_calls=calls) if calls else Outcome(200, finish_reason)

    def _calls(self, text: str, choice: int) -> list[dict[str, Any]]:
        """The call that one of the answers is."""
        name = f"call-{self.number}-{choice}" if choice else f"call-{self.number}"
        return (tools.called(text, name) or []) if self.request.chat.offered_tools() else []

    def _choices(self, reason: str, finished: Finished | None = None) -> list[dict[str, Any]] | None:
        """Each of several answers as it is told. reason: why one ended that was broken off."""
        count, ends = self.request.chat.answers, (finished.choices if finished else None) or []
        if count == 1:
            return None
        broken = Choice("cancelled", 0)
        return [self._choice(number, end, reason) for number, end in enumerate(ends or [broken] * count)]

    def _choice(self, number: int, end: Choice, reason: str) -> dict[str, Any]:
        text = "".join(self.others.get(number, ()) if number else self.text)
        is_broken = end.finish_reason == "cancelled"
        calls = [] if is_broken else self._calls(text, number)
        why = reason if is_broken else "tool_calls" if calls else end.finish_reason
        body: dict[str, Any] = {"index": number, "finish_reason": why, "text": text}
        body |= {"tool_calls": calls} if calls else {}
        return body | ({"logprobs": {"content": end.logprobs}} if end.logprobs is not None else {})

    def _board_calls(self) -> list[dict[str, Any]] | None:
        """What was called of the board's tools; None where none were asked for."""
        return [call.body() for call in self.calls] if self.request.chat.board_tools else None

    def failure(self, fault: Fault) -> Outcome:
        """How an answer that a fault broke off is told, with what there is of it, and what that took."""
        text = "".join(self.text)
        found = replace(refusal(fault), text=text, index=self.index, energy=self.energy, slowed=self.slowed)
        choices = self._choices(found.finish_reason)
        return replace(found, choices=choices, board_calls=self._board_calls(), answered_by=self.answered_by)

    def _timings(self, finished: Finished) -> Timings:
        started = self.started or self.arrived
        first = None if self.first_token is None else self.first_token - self.arrived
        return Timings(started - self.arrived, finished.prefill_seconds, finished.decode_seconds, first)


def _share(slowed: dict[str, Any]) -> tuple[float, float]:
    """How little it leaves of the time, and of the clock."""
    return slowed["duty"], slowed["clock_cap_hertz"] or math.inf
