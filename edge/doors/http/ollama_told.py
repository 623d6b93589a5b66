"""What a program is told in Ollama's API: a piece of an answer, the end of one, what was wrong.

Times are nanoseconds there. What Ollama has no word for is beside it in `edge`, so that nothing is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

Form = Literal["chat", "generate"]
"""Which of its two ways to ask."""
BESIDE = ("timings", "energy", "slowed", "sources", "warnings")
"""What of a reply Ollama's API has no word for."""


def piece(form: Form, model: str, text: str, calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A piece of an answer. calls: functions that it calls, as the OpenAI API has them."""
    return {"model": model, "created_at": now(), **_said(form, text, calls), "done": False}


def nothing(form: Form, model: str, reason: Literal["load", "unload"], warnings: tuple[str, ...]) -> dict[str, Any]:
    """The answer to who asks nothing, so that a model is loaded, or goes."""
    told = {"model": model, "created_at": now(), **_said(form, "", None), "done": True, "done_reason": reason}
    return {**told, "edge": {"warnings": list(warnings)}} if warnings else told


def end(
    form: Form, model: str, reply: Mapping[str, Any], warnings: tuple[str, ...], text: str, seconds: float
) -> dict[str, Any]:
    """The end of an answer. text: what was not told of it before; seconds: since it was asked for."""
    calls = reply.get("tool_calls") if text else None
    said = _said(form, "" if calls else text, calls)
    done = {"done": True, "done_reason": "length" if reply["finish_reason"] == "length" else "stop"}
    told = {"model": model, "created_at": now(), **said, **done, **figures(reply, seconds)}
    if reply.get("logprobs"):
        told["logprobs"] = reply["logprobs"]["content"]
    beside = {name: reply[name] for name in BESIDE if reply.get(name) is not None}
    return {**told, "edge": {**beside, "warnings": [*warnings, *reply["warnings"]]}}


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
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _said(form: Form, text: str, calls: list[dict[str, Any]] | None) -> dict[str, Any]:
    if form == "generate":
        return {"response": text}
    message: dict[str, Any] = {"role": "assistant", "content": text}
    return {"message": {**message, "tool_calls": [_call(*each) for each in enumerate(calls)]} if calls else message}


def _call(index: int, call: Mapping[str, Any]) -> dict[str, Any]:
    """A call with its arguments as an object, which is Ollama's way."""
    function = call["function"]
    arguments = json.loads(function["arguments"])
    return {"id": call["id"], "function": {"index": index, "name": function["name"], "arguments": arguments}}
