"""What a client without rights tries under the shipped access list: to ask, answer, stop or be heard as another.

Eve may use her own name; `me` is whom she wants to reach, `test` is the board. Each attempt is what she publishes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from edge.wire.chunks import chunks


@dataclass(frozen=True)
class Attempt:
    """What it is called, where it is published, and what with."""

    name: str
    topic: str
    payload: Any
    properties: dict[str, Any] = field(default_factory=dict)
    retain: bool = False


def asked(name: str, topic: str = "edge/test/request/eve", **fields: Any) -> Attempt:
    """A request whose fields try something."""
    return Attempt(name, topic, {"prompt": name, "id": "forged", "stream": False, **fields})


def answered_on(topic: str) -> Attempt:
    """A request whose Response Topic is another's."""
    properties = {"ResponseTopic": topic, "CorrelationData": b"r"}
    return Attempt(f"an answer on {topic}", "edge/test/request/eve", {"prompt": "x", "id": "forged"}, properties)


def in_chunks() -> Attempt:
    """An upload whose whole request answers another."""
    ((piece, head),) = chunks(json.dumps({"prompt": "x", "id": "forged"}).encode(), "u1", in_properties=True)
    properties = {"ResponseTopic": "answers/me/1", "UserProperty": list(head)}
    return Attempt("an upload for another's answers", "edge/test/chunk/eve", piece, properties)


REPLY = {"type": "reply", "id": "mine", "code": 200, "text": "forged"}
ATTEMPTS = [
    asked("a request in another's name", "edge/test/request/me"),
    Attempt("a cancel in another's name", "edge/test/cancel/me", {"id": "mine"}),
    Attempt("a cancel of another's request", "edge/test/cancel/eve", {"id": "mine"}),
    Attempt("a chunk in another's name", "edge/test/chunk/me", b"x"),
    Attempt("an answer on the board's topic", "edge/test/reply/me", REPLY),
    Attempt("an answer on another's own topic", "answers/me/1", REPLY),
    Attempt("the same on `response`", "response/me/1", REPLY),
    Attempt("the same on `reply`", "reply/me", REPLY),
    Attempt("the board's status", "edge/test/status", {"state": "offline"}, retain=True),
    *map(answered_on, ("answers/me/1", "response/me", "reply/me/x", "edge/test/reply/me", "edge/test/reply")),
    *map(
        answered_on,
        ("edge/other/reply/me", "edge/test/status", "answers/eve/../me", "answers/ME/1", "answers/me\ufeff"),
    ),
    asked("a response topic in the payload", response_topic="answers/me/1"),
    Attempt(
        "one of each",
        "edge/test/request/eve",
        {"prompt": "x", "response_topic": "answers/me/1"},
        {"ResponseTopic": "answers/eve"},
    ),
    Attempt(
        "one in a payload that is broken", "edge/test/request/eve", b'{"response_topic": "answers/me/1", "id": "mine", '
    ),
    Attempt(
        "one in a payload that is too large",
        "edge/test/request/eve",
        b'{"response_topic":"answers/me/1","prompt":"' + b"x" * 270_000,
    ),
    Attempt(
        "one beside a picture",
        "edge/test/request/eve",
        b"\xff\xd8",
        {"ContentType": "image/jpeg", "UserProperty": [("edge-response_topic", "answers/me/1")]},
    ),
    Attempt(
        "one that is kept", "edge/test/request/eve", {"prompt": "x"}, {"ResponseTopic": "answers/me/1"}, retain=True
    ),
    in_chunks(),
]
