"""`/v1/chat/completions`: a reply of ours as a completion, or as chunks of one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.doors.http.asking import asked_of, choices_of, fields_of, house_of, reply_to, told
from edge.doors.http.calls import Kept, words_of
from edge.doors.http.errors import Refused
from edge.doors.http.events import ServerSent, data, streamed
from edge.wire.choosing import ANSWERS_MAX

FINISH = {"loop": "length"}
"""Ours that OpenAI's API does not know. An answer that was ended because it said the same over and over was cut off, so
that programs which read it as JSON must not take it for whole."""
TOLD = frozenset({"type", "code", "text", "index", "usage", "tool_calls", "logprobs", "choices", "error"})
"""What of a reply an answer has in OpenAI's own form."""


def options_of(fields: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a stream is wanted, and usage in it; they are taken out of the fields, in which `stream` is left."""
    wanted = fields.setdefault("stream", False)
    options = fields.pop("stream_options", None)
    if options is not None and not isinstance(options, dict):
        raise Refused(400, "stream_options should be an object", "stream_options")
    if options is not None and wanted is False:
        raise Refused(400, "stream_options is for streams: say stream, or leave it out", "stream_options")
    has_usage = (options or {}).get("include_usage", False)
    if not isinstance(has_usage, bool):
        raise Refused(400, "stream_options.include_usage should be true or false", "stream_options.include_usage")
    return wanted is True, has_usage


def with_names(messages: Any) -> Any:
    """Turns in which each result of a call says what was called: that API has it in the call's id alone.

    What is no conversation stays as it is, for the wire to say what is wrong with it.
    """
    if not isinstance(messages, list):
        return messages
    called: dict[Any, Any] = {}
    turns: list[Any] = []
    for turn in messages:
        if isinstance(turn, dict):
            called |= dict(_calls(turn.get("tool_calls")))
            name = called.get(str(turn.get("tool_call_id"))) if turn.get("role") == "tool" else None
            turns.append({**turn, "name": name} if name and turn.get("name") is None else turn)
        else:
            turns.append(turn)
    return turns


def _calls(calls: Any) -> Iterator[tuple[str, str]]:
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(name := function.get("name"), str):
            yield str(call.get("id")), name


async def answer(request: Request) -> Response:
    """A completion of a conversation."""
    house, fields = house_of(request), await fields_of(request)
    if "messages" not in fields:
        raise Refused(400, "messages is missing", "messages")
    fields["messages"] = with_names(fields["messages"])
    is_stream, has_usage = options_of(fields)
    asked = asked_of(request, fields, "chatcmpl", has_choices=True)
    model = str(house.about(fields.get("model"))["model"])
    if not is_stream:
        return JSONResponse(completion(asked.id, model, await reply_to(house.inside, asked)))
    return await streamed(told(house.inside, asked), Chunks(asked.id, model, has_usage, kept_of(fields)))


def kept_of(fields: dict[str, Any]) -> list[Kept]:
    """What is kept of each answer that is asked for; of one, where the wire will say that their number is none."""
    count = fields.get("n", 1)
    is_number = isinstance(count, int | float) and 1 <= count <= ANSWERS_MAX
    return [Kept(fields) for _ in range(int(count) if is_number else 1)]


def usage_of(reply: dict[str, Any]) -> dict[str, Any]:
    """Tokens as OpenAI's API counts them."""
    usage = reply["usage"]
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usage["cached_tokens"]},
    }


def beside(reply: dict[str, Any]) -> dict[str, Any]:
    """What a reply tells that OpenAI's API has no place for."""
    found = {name: value for name, value in reply.items() if name not in TOLD}
    return found | {"picture_tokens": reply["usage"]["picture_tokens"]} if "picture_tokens" in reply["usage"] else found


def finish_of(reply: dict[str, Any]) -> str:
    """Why the answer ends, in OpenAI's words."""
    reason = str(reply["finish_reason"])
    return FINISH.get(reason, reason)


def likely(reply: dict[str, Any]) -> dict[str, Any] | None:
    """Logprobs with the bytes of each token, which that API has beside it; None where none were asked for."""
    if "logprobs" not in reply:
        return None
    content = [
        _with_bytes(each) | {"top_logprobs": [_with_bytes(other) for other in each["top_logprobs"]]}
        for each in reply["logprobs"]["content"]
    ]
    return {"content": content, "refusal": None}


def _with_bytes(token: dict[str, Any]) -> dict[str, Any]:
    return {"token": token["token"], "logprob": token["logprob"], "bytes": list(token["token"].encode())}


def completion(name: str, model: str, reply: dict[str, Any]) -> dict[str, Any]:
    """The whole answer."""
    return {
        "id": name,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [_choice(number, each) for number, each in enumerate(choices_of(reply))],
        "usage": usage_of(reply),
        "system_fingerprint": f"edge-{model}",
        "edge": beside(reply),
    }


def _choice(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    """One of the answers."""
    calls, words = answer.get("tool_calls"), words_of(answer)
    message: dict[str, Any] = {"role": "assistant", "content": words or None if calls else words, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    return {"index": number, "message": message, "logprobs": likely(answer), "finish_reason": finish_of(answer)}


class Chunks(ServerSent):
    """The same as a stream. kept: what of each answer's text may be a call, until that is known."""

    def __init__(self, name: str, model: str, has_usage: bool, kept: list[Kept]) -> None:
        self._same = {
            "id": name,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"edge-{model}",
        }
        self._has_usage, self._kept = has_usage, kept

    def _chunk(self, number: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": more.pop("logprobs", None), "finish_reason": finish}
        usage = {"usage": None} if self._has_usage else {}
        return data({**self._same, "choices": [choice], **usage, **more})

    def begin(self) -> Iterable[bytes]:
        """Whose answer it is."""
        for number, kept in enumerate(self._kept):
            content = None if kept.may_call else ""
            yield self._chunk(number, {"role": "assistant", "content": content, "refusal": None})

    def piece(self, text: str, choice: int = 0) -> Iterable[bytes]:
        """More of it, unless it may be a call."""
        more = self._kept[choice].by(text)
        return (self._chunk(choice, {"content": more}),) if more else ()

    def end(self, reply: dict[str, Any]) -> Iterator[bytes]:
        """What was kept, why it ends, what it took."""
        answers = choices_of(reply)
        for number, (answer, kept) in enumerate(zip(answers, self._kept, strict=True)):
            yield from self._last(number, answer, kept)
            told = {"edge": beside(reply)} if number == len(answers) - 1 else {}
            yield self._chunk(number, {}, finish_of(answer), **told)
        if self._has_usage:
            yield data({**self._same, "choices": [], "usage": usage_of(reply)})
        yield data("[DONE]")

    def _last(self, number: int, answer: dict[str, Any], kept: Kept) -> Iterator[bytes]:
        """What was kept of an answer, and its logprobs."""
        if calls := answer.get("tool_calls"):
            yield self._chunk(number, {"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]})
        elif kept.text:
            yield self._chunk(number, {"content": kept.text})
        if (tokens := likely(answer)) is not None:
            yield self._chunk(number, {"content": ""}, logprobs=tokens)
