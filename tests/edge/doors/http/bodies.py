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
