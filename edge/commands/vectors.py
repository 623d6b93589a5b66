"""`edge ask --embed`: texts in, a line of JSON for the vector of each out, in their order."""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from edge.commands.answering import ANSWERING, ASKING, given
from edge.commands.inputs import from_stdin
from edge.errors import ConfigError, ProtocolError
from edge.mqtt.client import UNREADABLE
from edge.wire.embeddings import numbers

TEXTS_AT_ONCE, BYTES_AT_ONCE = 128, 128 << 10
"""Of a request: some 270 KB of vectors come back, which brokers take, and half of what a board reads goes out."""
SHOWN: dict[str, Any] = {"image": [], "detail": None, "json_schema": None, "json_object": False}
"""Options that say nothing of a vector and are no field by themselves, each with what it is where nobody says it."""


def requests_for(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The payloads that ask for all vectors. ConfigError where there is no text, or an option that answers have."""
    idle = [name for name, unsaid in SHOWN.items() if getattr(options, name) != unsaid]
    for name in [*idle, *given(options, ANSWERING)]:
        no = "no-" if getattr(options, name) is False else ""
        raise ConfigError(f"--{no}{name.replace('_', '-')} says nothing of vectors: leave it out beside --embed")
    same = {"encoding_format": "base64", "stream": False, **given(options, ASKING)}
    return [{"id": uuid.uuid4().hex[:12], "input": some, **same} for some in in_requests(texts_of(options))]


def texts_of(options: argparse.Namespace) -> list[str]:
    """Those on the command line, or the lines of standard input. ConfigError where there is none."""
    if options.prompt is not None and options.embed:
        raise ConfigError("--embed has texts, and there is a question beside it: say all texts behind --embed")
    texts: list[str] = options.embed or ([] if options.prompt is None else [options.prompt])
    if texts in ([], ["-"]):
        texts = from_stdin().splitlines()
    if not texts:
        raise ConfigError("there is no text: give some behind --embed, or pipe them in, one a line")
    return texts


def in_requests(texts: list[str]) -> Iterator[list[str]]:
    """Texts in their order, as many together as one request should have."""
    some: list[str] = []
    size = 0
    for text in texts:
        length = len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))
        if some and (len(some) == TEXTS_AT_ONCE or size + length > BYTES_AT_ONCE):
            yield some
            some, size = [], 0
        some.append(text)
        size += length
    yield some


def lines(reply: Mapping[str, Any], first: int, count: int) -> list[str]:
    """A line for each vector of a reply. first: the place of the first text among all; count: how many were asked for.

    Raises ProtocolError where the reply has not as many, or what is no vector.
    """
    try:
        vectors = [numbers(vector) for vector in reply["embeddings"]["vectors"]]
    except UNREADABLE:
        vectors = []
    if len(vectors) != count or not all(vectors):
        raise ProtocolError(f"the board's reply has {len(vectors)} vectors that can be read, not {count}")
    return [json.dumps({"index": first + place, "embedding": vector}) for place, vector in enumerate(vectors)]
