"""Ollama's `/api/embed` and the older `/api/embeddings`: vectors of texts.

Source: `EmbedRequest` and `EmbeddingRequest` in `api/types.go` of ollama/ollama, of August 2026.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.doors.http.asking import fields_of, house_of
from edge.doors.http.embeddings import in_json, vectors_of
from edge.doors.http.errors import Refused
from edge.doors.http.ollama_asked import seconds_of
from edge.wire.embeddings import numbers

LATEST = ":latest"
"""The tag that Ollama gives a model which has none."""
IDLE = ("options", "keep_alive", "truncate")
"""What a board has its own mind about, or has other words for; `truncate` is heeded here."""
NANOSECONDS = 1_000_000_000
CUT = "only the first "
"""How the warning begins that not all of a text was read."""


async def embed(request: Request) -> Response:
    """A vector a text; none for no text, which is how programs have a model loaded."""
    given = await fields_of(request)
    if given.get("input") in (None, "", []):
        name = _there(request, given)
        return JSONResponse({"model": name, "embeddings": [], "prompt_eval_count": 0})
    reply = await vectors_of(request, {**_beside(given), "input": given["input"]})
    if given.get("truncate") is False and any(warning.startswith(CUT) for warning in reply["warnings"]):
        raise Refused(400, "the input length exceeds the context length: say truncate, or send less", "input")
    return await in_json(lambda: written(given, reply))


async def embedding(request: Request) -> Response:
    """The vector of one text, which is called its prompt."""
    given = await fields_of(request)
    prompt = "" if given.get("prompt") is None else given["prompt"]
    if not isinstance(prompt, str):
        raise Refused(400, "prompt should be a text", "prompt")
    if not prompt and _there(request, given):
        return JSONResponse({"embedding": []})
    reply = await vectors_of(request, {**_beside(given), "input": prompt})
    return JSONResponse({"embedding": numbers(reply["embeddings"]["vectors"][0])})


def written(given: Mapping[str, Any], reply: dict[str, Any]) -> bytes:
    """The body. A vector is written at a time, so that other threads have their turns in between."""
    vectors = ",".join(json.dumps(numbers(vector)) for vector in reply["embeddings"]["vectors"])
    seconds = reply["timings"]["queue_seconds"] + reply["timings"]["prefill_seconds"]
    rest = {
        "model": _named(given),
        "total_duration": int(seconds * NANOSECONDS),
        "load_duration": 0,
        "prompt_eval_count": reply["usage"]["prompt_tokens"],
    }
    return f'{{"embeddings":[{vectors}],{json.dumps(rest)[1:]}'.encode()


def _beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """What goes on to the wire as it is, with the model as the board calls it."""
    fields = {name: value for name, value in given.items() if name not in (*IDLE, "input", "prompt")}
    if (keep_alive := given.get("keep_alive")) is not None:
        fields["keep_alive_seconds"] = seconds_of(keep_alive)
    return {**fields, "model": _named(given).removesuffix(LATEST)}


def _there(request: Request, given: Mapping[str, Any]) -> str:
    """The model that is named, which must be there though nothing is asked of it."""
    name, makers = _named(given), [each for each in house_of(request).abouts if "embeddings" in each]
    own = {each["embeddings"]["model"] for each in makers}
    if name.removesuffix(LATEST) not in own | {each["model"] for each in makers[1:]}:
        raise Refused(404, f"model {name[:100]!r} not found", "model")
    return name


def _named(given: Mapping[str, Any]) -> str:
    name = given.get("model")
    if not isinstance(name, str) or not name:
        raise Refused(400, "model is required", "model")
    return name
