"""`/v1/embeddings`: vectors of texts, as OpenAI's API tells them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.doors.http.asking import asked_of, fields_of, house_of, reply_to
from edge.doors.http.errors import Refused
from edge.wire.embeddings import numbers

ENCODINGS: dict[str, Callable[[str], Any]] = {"float": numbers, "base64": lambda vector: vector}
IDLE = ("user", "stream")
"""What says nothing here."""


async def answer(request: Request) -> Response:
    """A vector a text, in their order."""
    given = await fields_of(request)
    encoding = "float" if given.get("encoding_format") is None else given["encoding_format"]
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise Refused(400, "encoding_format should be 'float' or 'base64'", "encoding_format")
    reply = await vectors_of(request, {name: value for name, value in given.items() if name not in IDLE})
    return await in_json(lambda: written(reply, encoding))


async def vectors_of(request: Request, fields: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request for vectors, these in base64. Refused where there is none."""
    if fields.get("input") is None:
        raise Refused(400, "input is missing: give a text, or a list of texts", "input")
    wanted = {**fields, "encoding_format": "base64", "stream": False}
    return await reply_to(house_of(request).inside, asked_of(request, wanted, "embd"))


def written(reply: dict[str, Any], encoding: str) -> bytes:
    """The body. A vector is written at a time, so that other threads have their turns in between."""
    made, tokens, as_asked = reply["embeddings"], reply["usage"]["prompt_tokens"], ENCODINGS[encoding]
    data = ",".join(
        json.dumps({"object": "embedding", "index": place, "embedding": as_asked(vector)})
        for place, vector in enumerate(made["vectors"])
    )
    beside = {name: reply[name] for name in ("timings", "energy", "warnings", "slowed") if name in reply}
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    rest = {"object": "list", "model": made["model"], "usage": usage, "edge": beside}
    return f'{{"data":[{data}],{json.dumps(rest)[1:]}'.encode()


async def in_json(write: Callable[[], bytes]) -> Response:
    """A body that takes long to write, written on another thread."""
    return Response(await asyncio.to_thread(write), media_type="application/json")
