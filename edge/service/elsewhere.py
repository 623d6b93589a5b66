"""What is passed to another server, by the operator's rules, and told in each reply; nothing where none is set."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal

from edge.config import Limits
from edge.config import Upstream as Settings
from edge.engine import Finished
from edge.errors import Fault, NotFound, Unsupported
from edge.service.clock import now
from edge.service.models import adapter_of
from edge.service.protocols import Upstream
from edge.service.seat import Seat
from edge.service.waiting import Waiting
from edge.wire.chat import ChatRequest
from edge.wire.passed import Passed, fields_of, ignored
from edge.wire.request import Request

BOARDS_OWN = ("documents", "board_tools", "scorers")
"""What nobody else has."""

Why = Literal["asked", "model", "length", "hot"]


class Elsewhere:
    """One board's upstream, which may be none.

    seat: what the board's own models are. is_hot: whether the board is too hot to take more.
    """

    def __init__(self, settings: Settings, limits: Limits, upstream: Upstream | None, seat: Seat) -> None:
        self._settings, self._limits, self._upstream, self._seat = settings, limits, upstream, seat
        self.is_hot: Callable[[], bool] = lambda: False
        self._passed: Counter[str] = Counter()
        self._failed = 0

    def reason(self, request: Request) -> Why | None:
        """Why a request is passed before it is tried here; None where it is the board's own.

        Raises Fault where it asks to be passed and may not be, or for a model that is nowhere.
        """
        chat = request.chat
        if self._is_asked(chat):
            self._check_asked(request)
            return "asked"
        try:
            adapter_of(chat.model, self._seat.manifest_for(chat), self._seat.names)
        except NotFound:
            if not (self._may(request, "model") and chat.model in self._settings.models):
                raise
            return "model"
        return "hot" if self._may(request, "hot") and self.is_hot() else None

    def rescues(self, request: Request, fault: Fault) -> Why | None:
        """Why a request is passed that has failed here: it is longer than the context."""
        return "length" if fault.code == 413 and self._may(request, "length") else None

    def _is_asked(self, chat: ChatRequest) -> bool:
        return chat.upstream is True or (chat.model or "").startswith(f"{self._settings.name}/")

    def _check_asked(self, request: Request) -> None:
        chat = request.chat
        if chat.upstream is False:
            raise Unsupported("the model is another server's, and upstream is false", "upstream")
        if not self._may(request, "asked"):
            raise Unsupported("this board passes nothing on that is asked so ([upstream] of its settings)", "upstream")
        for name in BOARDS_OWN:
            if getattr(chat, name):
                raise Unsupported(f"{name} are this board's own: what asks for them is not passed on", name)
        if chat.rows > 1:
            name = "num_beams" if chat.num_beams > 1 else "n"
            raise Unsupported(f"what asks for more than one text ({name}) is not passed on", name)
        if (model := self._model(chat)) not in self._settings.models:
            there = ", ".join(self._settings.models)
            raise NotFound(f"{self._settings.name} is asked for {there} alone, not {model[:100]!r}", "model")

    def _may(self, request: Request, why: Why) -> bool:
        """Whether a rule holds for a request: one that keeps nothing, or has documents, must ask for it itself."""
        chat, settings = request.chat, self._settings
        if self._upstream is None or why not in settings.when or chat.upstream is False:
            return False
        is_known = not settings.clients or (request.address.client or "") in settings.clients
        is_own = chat.rows > 1 or any(getattr(chat, name) for name in BOARDS_OWN)
        return is_known and (why == "asked" or (chat.keep and not is_own))

    def _model(self, chat: ChatRequest) -> str:
        named = (chat.model or "").removeprefix(f"{self._settings.name}/")
        is_own = named in ("", self._seat.manifest.name)
        return self._settings.models[0] if is_own else named

    async def generate(self, waiting: Waiting, why: Why) -> AsyncGenerator[str | Finished, None]:
        """Pieces of the answer, then how it finished; raises Fault. The reply names who has it in any case."""
        assert self._upstream
        chat = waiting.request.chat
        waiting.answered_by = {"name": self._settings.name, "model": self._model(chat), "reason": why}
        self._passed[why] += 1
        began = first = now()
        try:
            fields = fields_of(chat, self._model(chat), self._limits.max_tokens)
            async with aclosing(self._upstream.generate(waiting.number, fields)) as said:
                async for piece in said:
                    if isinstance(piece, Passed):
                        waiting.answered_by["model"] = piece.model or self._model(chat)
                        waiting.passed_calls = piece.tool_calls
                        yield _finished(piece, ignored(chat), first - began, now() - first)
                        return
                    first = now() if first == began else first
                    yield piece
        except Fault:
            self._failed += 1
            raise

    def cancel(self, number: int) -> None:
        """Have one end soon."""
        if self._upstream is not None:
            self._upstream.cancel(number)

    def reading(self) -> Mapping[str, Any]:
        """For telemetry: how much was passed, and why; nothing where there is no upstream."""
        if self._upstream is None:
            return {}
        return {
            "upstream": {
                "name": self._settings.name,
                "requests": dict(self._passed),
                "failed": self._failed,
                "sent_bytes": self._upstream.sent_bytes,
                "received_bytes": self._upstream.received_bytes,
            }
        }


def _finished(passed: Passed, warnings: tuple[str, ...], prefill_seconds: float, decode_seconds: float) -> Finished:
    return Finished(
        passed.finish_reason,
        passed.prompt_tokens,
        passed.completion_tokens,
        prefill_seconds,
        decode_seconds,
        passed.cached_tokens,
        passed.logprobs,
        warnings=list(warnings),
    )
