"""A request as it goes to another server that answers in the board's place, and what comes back; OpenAI's chat API.

Source: its reference, `POST /chat/completions`, as `CompletionCreateParams` and `ChatCompletionChunk` of OpenAI's
Python library, 3.57, have it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge.wire.chat import ChatRequest
from edge.wire.turns import ChatMessage

AS_THEY_ARE = ("temperature", "top_p", "seed")
WHERE_SAID = ("presence_penalty", "frequency_penalty")
NOT_THERE = ("top_k", "min_p", "repetition_penalty", "min_tokens")
"""What the API has no word for."""
OTHER_TOKENS = ("logit_bias", "stop_token_ids")
"""What would mean other tokens there."""


@dataclass(frozen=True)
class Passed:
    """How an answer from elsewhere ended. model: as that server calls it.

    finish_reason: `stop`, `length` or `cancelled`.
    logprobs: a token each, as ours have them; None where none were asked for. tool_calls: in the API's own form.
    """

    finish_reason: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    logprobs: list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)


def fields_of(chat: ChatRequest, model: str, max_tokens: int) -> dict[str, Any]:
    """The body of the request that is sent for one. max_tokens: the board's, where the asker said nothing."""
    fields: dict[str, Any] = {
        "model": model,
        "messages": _messages(chat),
        "max_tokens": chat.max_tokens or max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    fields |= {name: value for name in AS_THEY_ARE if (value := getattr(chat, name)) is not None}
    fields |= {name: value for name in WHERE_SAID if (value := getattr(chat, name))}
    if chat.stop:
        fields["stop"] = chat.stop
    if chat.logprobs:
        fields |= {"logprobs": True, "top_logprobs": chat.top_logprobs}
    return fields | _held(chat)


def ignored(chat: ChatRequest) -> tuple[str, ...]:
    """A warning for each field that cannot be passed."""
    none = (f"{name} was left out: the API of who answered has none" for name in NOT_THERE if _is_said(chat, name))
    others = (f"{name} was left out: who answered has other tokens" for name in OTHER_TOKENS if _is_said(chat, name))
    return (*none, *others)


def _is_said(chat: ChatRequest, name: str) -> bool:
    return bool(getattr(chat, name) != ChatRequest.model_fields[name].default)


def _held(chat: ChatRequest) -> dict[str, Any]:
    """What an answer is held to."""
    fields: dict[str, Any] = {}
    if chat.tools:
        fields["tools"] = [_plain(tool) for tool in chat.tools]
        choice = chat.tool_choice
        fields["tool_choice"] = choice if isinstance(choice, str) else _plain(choice)
    answer = chat.response_format
    if answer.schema_ is not None:
        given = {} if answer.json_schema is None else _plain(answer.json_schema)
        fields["response_format"] = {
            "type": "json_schema",
            "json_schema": {**given, "name": given.get("name") or "answer", "schema": answer.schema_},
        }
    elif answer.type != "text":
        fields["response_format"] = {"type": answer.type}
    return fields


def _messages(chat: ChatRequest) -> list[dict[str, Any]]:
    own = [{"role": "system", "content": chat.system}] if chat.system else []
    if chat.prompt is not None:
        return [*own, {"role": "user", "content": chat.prompt}]
    return [*own, *map(_message, chat.messages)]


def _message(message: ChatMessage) -> dict[str, Any]:
    """A turn; its content is one text where it has no pictures, which every such server takes."""
    content: Any = message.text()
    if message.images():
        content = [part.model_dump(exclude_none=True, exclude={"cache"}) for part in message.content or ()]
    said: dict[str, Any] = {"role": message.role, "content": content if message.content is not None else None}
    if message.tool_calls:
        said["tool_calls"] = [_plain(call) for call in message.tool_calls]
    return said | {name: given for name in ("tool_call_id", "name") if (given := getattr(message, name)) is not None}


def _plain(shape: Any) -> dict[str, Any]:
    plain: dict[str, Any] = shape.model_dump(by_alias=True, exclude_none=True, exclude={"cache"})
    return plain
