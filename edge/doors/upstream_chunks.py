"""What comes from a server that speaks OpenAI's chat API: chunks of an answer, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from edge.errors import BadRequest, EngineFailed, Fault, NotFound, TooLarge, Unavailable
from edge.wire.passed import Passed

WORDS_MAX = 300
"""Characters of what a server says of an error."""
RETRY_SECONDS, RETRY_SECONDS_MAX = 10, 3600
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
OURS = {"length": "length", "max_tokens": "length"}


class Chunks:
    """An answer that grows. tell: gets its pieces, and how it ended."""

    def __init__(self, name: str, tell: Callable[[str | Passed], None]) -> None:
        self._name, self._tell = name, tell
        self._reason = self._model = ""
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[dict[str, Any]] | None = None

    def take(self, data: bytes) -> bool:
        """One event's data; True where it is the last. Raises Fault, or ValueError where it cannot be understood."""
        if data == b"[DONE]":
            self._end()
            return True
        self._take(_object(json.loads(data)), "delta")
        return False

    def take_whole(self, answer: Any) -> None:
        """All at once, from a server that does not stream."""
        self._take(_object(answer), "message")
        self._end()

    def _take(self, chunk: dict[str, Any], part: str) -> None:
        if error := chunk.get("error"):
            raise EngineFailed(f"{self._name} failed: {_words(error)}")
        self._model = str(chunk.get("model") or self._model)[:256]
        self._usage = chunk.get("usage") or self._usage
        for choice in (chunk.get("choices") or [])[:1]:  # one was asked for
            said = _object(choice.get(part) or {})
            self._reason = str(choice.get("finish_reason") or self._reason)
            self._note(said, (choice.get("logprobs") or {}).get("content"))
            if text := said.get("content") or said.get("refusal"):
                self._tell(str(text))

    def _note(self, said: dict[str, Any], logprobs: list[dict[str, Any]] | None) -> None:
        """Calls, which come in pieces, and logprobs."""
        for place, call in enumerate(said.get("tool_calls") or []):
            known = self._calls.setdefault(int(call.get("index", place)), _empty_call())
            known["id"] = str(call.get("id") or known["id"])
            for name in known["function"]:
                known["function"][name] += str((call.get("function") or {}).get(name) or "")
        if logprobs:
            self._logprobs = [*(self._logprobs or []), *map(_likely, logprobs)]

    def _end(self) -> None:
        details = self._usage.get("prompt_tokens_details") or {}
        self._tell(
            Passed(
                OURS.get(self._reason, "stop"),
                self._model,
                int(self._usage.get("prompt_tokens") or 0),
                int(self._usage.get("completion_tokens") or 0),
                int(details.get("cached_tokens") or 0),
                self._logprobs,
                [call for _, call in sorted(self._calls.items()) if call["function"]["name"]],
            )
        )


def _empty_call() -> dict[str, Any]:
    return {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}


def _likely(token: dict[str, Any]) -> dict[str, Any]:
    """A token's logprob without its bytes, which ours do not tell."""
    others = [
        {"token": each["token"], "logprob": min(0.0, each["logprob"])} for each in token.get("top_logprobs") or []
    ]
    return {"token": token["token"], "logprob": min(0.0, token["logprob"]), "top_logprobs": others}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an object was expected, not {str(value)[:100]}")
    return value


def fault_of(name: str, status: int, retry_after: str | None, words: bytes) -> Fault:
    """What an asker is told of an HTTP status that is not 200.

    Of a key that is not good the server's own words are left out: they may have the key in them.
    """
    said = f"{name} says {status}: {_words(_json(words))}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return EngineFailed(f"{name} refuses the board's key ({status}): correct the credential upstream_key")
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(said, None, _seconds(retry_after))
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"{said}; are upstream.url and upstream.models right?", "model")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(said)
    if 300 <= status < 400:
        return EngineFailed(f"{name} leads to another address ({status}), which is not followed: correct upstream.url")
    return BadRequest(said) if status in (400, 422) else EngineFailed(said)


def _seconds(retry_after: str | None) -> int:
    """A date is not read: it would want two clocks that agree."""
    text = (retry_after or "").strip()
    return min(max(1, int(text)), RETRY_SECONDS_MAX) if text.isdecimal() and len(text) < 8 else RETRY_SECONDS


def _json(words: bytes) -> Any:
    try:
        return json.loads(words)
    except ValueError:
        return words.decode(errors="replace")


def _words(error: Any) -> str:
    """What a server says of an error, wherever it says it, on one line."""
    while isinstance(error, dict):
        error = error.get("error") or error.get("message") or error.get("detail") or "no reason"
    return " ".join(str(error).split())[:WORDS_MAX] or "no reason"
