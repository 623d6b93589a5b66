"""One answer in rounds: the model calls a tool of the board's, the board uses it, the model goes on with the result.

Each call is written down before it is carried out, and what came of it after. So an answer that is begun again, since
an engine or the board has died, goes on where it was, and what was published is not published twice.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

from pydantic import ValidationError

from edge.engine import Finished
from edge.service import journal_file
from edge.service.board_tools import BoardTools, Refused
from edge.service.journal import Journal
from edge.service.journal_file import JournalError
from edge.service.waiting import Waiting
from edge.wire.board_tools import NOT_KNOWN, BoardCall, guidance, with_board_tools
from edge.wire.chat import ALL, ChatRequest
from edge.wire.tools import Call

log = logging.getLogger(__name__)

NONE_FOR_YOU = "board_tools: this board has none for this client"
ANOTHERS = "another board had this request before, and what that one has done is not known, so it is not done here"
AGAIN = "this was called before with the same arguments, and is not done again"
NOT_WRITTEN = "the board cannot write it down, so it was not done"


class Rounds:
    """Of one request. rounds_max: calls that are carried out, after which the model may call no more."""

    def __init__(self, waiting: Waiting, tools: BoardTools, journal: Journal, rounds_max: int) -> None:
        """Raises Fault where the request asks for tools that it may not have."""
        self._waiting, self._tools, self._journal, self._rounds_max = waiting, tools, journal, rounds_max
        chat = waiting.request.chat
        self._offered = tools.offered(waiting.request) if chat.board_tools else []
        self._names = {tool.function.name for tool in self._offered}
        self._own = chat.offered_tools()
        self._ended: list[Finished] = []
        self._is_open = True

    @property
    def _is_last(self) -> bool:
        """Whether the model may call no more: it had its rounds, or calls the same again."""
        calls = self._waiting.calls
        return len(calls) >= self._rounds_max or any(call.is_repeat for call in calls)

    # --- what the engine is asked ---

    def chat(self) -> ChatRequest:
        """The request as the model sees it in the round that comes."""
        chat = self._waiting.request.chat
        return with_board_tools(chat, self._offered, self._waiting.calls) if self._offered else chat

    def guidance(self, chat: ChatRequest) -> tuple[dict[str, Any], bool] | None:
        """What its answer is held to."""
        return guidance(chat, self._own, self._is_last and bool(self._offered))

    # --- what it says ---

    def take(self, piece: str) -> bool:
        """A piece of what the model says; whether it may go out now. What may become a call is held back."""
        waiting = self._waiting
        may_call = bool(self._offered) and not self._is_last
        is_held = may_call and bool(waiting.held or (not waiting.text and piece.startswith("{")))
        (waiting.held if is_held else waiting.text).append(piece)
        return not is_held

    async def goes_on(self, finished: Finished) -> bool:
        """A round has ended. Whether it was a call of a board's tool: that has been carried out then."""
        self._ended.append(finished)
        said, self._waiting.held = "".join(self._waiting.held), []
        call = self._call_in(said) if finished.finish_reason == "stop" else None
        if call is not None:
            await self._carry_out(BoardCall(call.name, call.arguments, said))
            return True
        self._is_open = False
        if finished.finish_reason != "cancelled":
            self._waiting.held = [said] if said else []
        return False

    def _call_in(self, said: str) -> Call | None:
        try:
            call = Call.model_validate_json(said) if said else None
        except ValidationError:
            return None
        return call if call and call.name in self._names else None

    def released(self) -> str:
        """What was held back and was no call after all."""
        said, self._waiting.held = "".join(self._waiting.held), []
        self._waiting.text += [said] if said else []
        return said

    def finished(self) -> Finished:
        """How the answer ended, over all rounds; one that was to go on and did not was cancelled."""
        last = self._ended[-1] if self._ended else Finished("cancelled", 0, 0, 0.0, 0.0)
        sums = {name: sum(getattr(each, name) for each in self._ended) for name in SUMMED}
        warnings = [text for each in self._ended for text in each.warnings]
        chat = self._waiting.request.chat
        if ALL in chat.board_tools and chat.tool_choice != "none" and not self._offered:
            warnings.append(NONE_FOR_YOU)
        reason = "cancelled" if self._is_open else last.finish_reason
        return dataclasses.replace(last, finish_reason=reason, warnings=list(dict.fromkeys(warnings)), **sums)

    # --- what is done ---

    async def resume(self) -> None:
        """See to what an earlier attempt had written down and not come to the end of."""
        for call in self._waiting.calls:
            if call.is_open and self._tools.publishes(call.name):
                call.error = NOT_KNOWN
            elif call.is_open:
                await self._use(call)

    async def _carry_out(self, call: BoardCall) -> None:
        """Write it down, do it, write down what came of it; that it is done once is more than that it is done."""
        calls = self._waiting.calls
        call.is_repeat = any((each.name, each.arguments) == (call.name, call.arguments) for each in calls)
        calls.append(call)
        if call.is_repeat:
            call.error = AGAIN
        elif self._waiting.is_inherited and self._tools.publishes(call.name):
            call.error = ANOTHERS
        elif await self._written() is not None:
            call.error = NOT_WRITTEN
        else:
            await self._use(call)
        self._journal.write(self._calls())
        came = "done" if call.error is None else "not done"
        log.info("request %s called the board's tool %s: %s", self._waiting.request.address.id, call.name, came)

    async def _use(self, call: BoardCall) -> None:
        try:
            call.result = await self._tools.use(call.name, call.arguments)
        except Refused as refused:
            call.error = str(refused)

    def _calls(self) -> journal_file.Write:
        return journal_file.calls(self._waiting.number, self._waiting.calls, self._waiting.keeps)

    async def _written(self) -> JournalError | None:
        told: asyncio.Future[JournalError | None] = asyncio.get_running_loop().create_future()
        self._journal.write(self._calls(), lambda error: None if told.done() else told.set_result(error))
        return await told


SUMMED = ("prompt_tokens", "completion_tokens", "cached_tokens", "prefill_seconds", "decode_seconds")
