"""What a program is told in Ollama's API: a piece of an answer, the end of one, what was wrong.

Times are nanoseconds there. What Ollama has no word for is beside it in `edge`, so that nothing is hidden.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from edge.doors.http.asking import Waits
from edge.doors.http.calls import Kept, words_of
from edge.doors.http.chat import beside, finish_of, likely
from edge.doors.http.errors import Refused
from edge.doors.http.ollama_asked import Understood, asked_name
from edge.wire.message import dumps

Way = Literal["chat", "generate"]
"""Which of its two ways to ask."""
Calls = Sequence[Mapping[str, Any]]
"""Functions that an answer calls, as the OpenAI API has them."""


class Lines:
    """The objects that an answer is told in, a line each; of one that is not streamed the last has it all."""

    media_type = "application/x-ndjson"

    def __init__(self, way: Way, asked: Understood) -> None:
        self._way, self._asked, self._began = way, asked, time.monotonic()
        self._kept = Kept(asked.fields)

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def waits(self, waits: Waits | None) -> Iterable[bytes]:  # noqa: ARG002 - the form's shape
        """A piece without words, since Ollama has no other sign of life."""
        return (line(self._object("", done=False)),)

    def piece(self, text: str, choice: int = 0) -> Iterable[bytes]:  # noqa: ARG002 - there is one
        """More text, unless it may be a call."""
        more = self._kept.by(text)
        return (line(self._object(more, done=False)),) if more else ()

    def end(self, reply: dict[str, Any]) -> Iterator[bytes]:
        """What was kept, and the figures."""
        if calls := reply.get("tool_calls"):
            yield line(self._object("", calls, done=False))
        elif self._kept.text:
            yield line(self._object(self._kept.text, done=False))
        yield line(self._last("", None, reply))

    def broken(self, refused: Refused) -> Iterable[bytes]:
        """A line that says why."""
        return (line({"error": refused.named(asked_name).message}),)

    def whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        """The answer in one."""
        return self._last(words_of(reply), reply.get("tool_calls"), reply)

    def nothing(self) -> dict[str, Any]:
        """The answer to who asks nothing, so that the model is loaded, or goes."""
        reason = "unload" if self._asked.is_unloaded else "load"
        told = self._object("", done=True, done_reason=reason)
        warnings = self._asked.warnings
        return {**told, "edge": {"warnings": list(warnings)}} if warnings else told

    def _last(self, text: str, calls: Calls | None, reply: dict[str, Any]) -> dict[str, Any]:
        reason = "length" if finish_of(reply) == "length" else "stop"
        told = self._object(text, calls, done=True, done_reason=reason)
        told |= figures(reply, time.monotonic() - self._began)
        if (tokens := likely(reply)) is not None:
            told["logprobs"] = tokens["content"]
        return {**told, "edge": {**beside(reply), "warnings": [*self._asked.warnings, *reply["warnings"]]}}

    def _object(self, text: str, calls: Calls | None = None, **more: Any) -> dict[str, Any]:
        said: dict[str, Any] = {"response": text}
        made = {"tool_calls": [_call(*each) for each in enumerate(calls)]} if calls else {}
        if self._way == "chat":
            said, made = {"message": {"role": "assistant", "content": text, **made}}, {}
        return {"model": self._asked.model, "created_at": now(), **said, **made, **more}


def figures(reply: Mapping[str, Any], seconds: float) -> dict[str, int]:
    """Counts, and where the time went; what was waited before it began is what Ollama calls loading."""
    usage, timings = reply["usage"], reply["timings"]
    return {
        "total_duration": nanoseconds(seconds),
        "load_duration": nanoseconds(timings["queue_seconds"]),
        "prompt_eval_count": usage["prompt_tokens"],
        "prompt_eval_duration": nanoseconds(timings["prefill_seconds"]),
        "eval_count": usage["completion_tokens"],
        "eval_duration": nanoseconds(timings["decode_seconds"]),
    }


def nanoseconds(seconds: float) -> int:
    """As Go counts them."""
    return round(seconds * 1e9)


def now() -> str:
    """The time as Ollama writes it (RFC 3339)."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def line(told: Mapping[str, Any]) -> bytes:
    """One object of a stream."""
    return dumps(told) + b"\n"


def _call(index: int, call: Mapping[str, Any]) -> dict[str, Any]:
    """A call with its arguments as an object, which is Ollama's way; what is none is told as it is, under that name."""
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except ValueError:  # of a server behind the board, which nobody held to a schema
        arguments = None
    arguments = arguments if isinstance(arguments, dict) else {"arguments": function["arguments"]}
    return {"id": call["id"], "function": {"index": index, "name": function["name"], "arguments": arguments}}
