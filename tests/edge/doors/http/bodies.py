"""Replies of the wire, and JSON of any kind."""

from __future__ import annotations

from hypothesis import strategies as st

REPLY = {
    "type": "reply",
    "id": "q1",
    "code": 200,
    "finish_reason": "stop",
    "text": "Hello world",
    "index": 2,
    "usage": {"prompt_tokens": 37, "completion_tokens": 12, "cached_tokens": 30},
    "timings": {"queue_seconds": 0.5, "prefill_seconds": 0.1, "decode_seconds": 0.2, "first_token_seconds": 0.7},
    "energy": None,
    "warnings": [],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ABOUT = {
    "version": "0.1.0",
    "wire_version": 1,
    "model": "scripted",
    "model_version": "1",
    "family": "llama",
    "provider": "cpu",
    "capabilities": ["text", "json_schema"],
    "context_length": 2048,
    "max_tokens": 512,
    "max_tokens_ceiling": None,
    "priority_ceiling": "high",
    "sampling": {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
    "payload_bytes": 262_144,
}
"""Of a board, as its info message has it."""
DELTAS = [
    {"type": "delta", "id": "q1", "index": number, "text": text} for number, text in enumerate(["Hello", " world"])
]
ANSWER = [*DELTAS, REPLY]
"""What is told of an answer in two pieces."""
CALLED = '{"name": "add_two_numbers", "arguments": {"a": 3, "b": 4}}'
CALL = [
    {"type": "delta", "id": "q1", "index": 0, "text": CALLED[:9]},
    {"type": "delta", "id": "q1", "index": 1, "text": CALLED[9:]},
    {
        **REPLY,
        "finish_reason": "tool_calls",
        "text": CALLED,
        "tool_calls": [
            {
                "id": "call-7",
                "type": "function",
                "function": {"name": "add_two_numbers", "arguments": '{"a": 3, "b": 4}'},
            }
        ],
    },
]
"""What is told of one that calls a function."""
WORDS_AND_CALL = [DELTAS[0], DELTAS[1], {**CALL[-1], "text": "Hello world"}]
"""The same of another server behind the board, which may say something beside its call."""


def fault(code: int, message: str, param: str | None = None, retry_after: int | None = None) -> dict[str, object]:
    """A reply that is no answer."""
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    error = {"message": message, "param": param, "retry_after": retry_after}
    return {**REPLY, "code": code, "finish_reason": "error", "text": "", "usage": nothing, "error": error}
