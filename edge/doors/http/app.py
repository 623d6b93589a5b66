"""Every path with what answers it, and what a request passes on its way there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge.doors.http import (
    chat,
    completions,
    embeddings,
    health,
    models,
    ollama,
    ollama_embeddings,
    openapi,
    responses,
)
from edge.doors.http.asking import House
from edge.doors.http.entrance import TAKEN_SECONDS, Guarded, Named, NotTaken, Whole
from edge.doors.http.errors import Refused
from edge.doors.http.tokens import Tokens
from edge.errors import Fault

log = logging.getLogger(__name__)


class Way(NamedTuple):
    """A path. answer: what does. summary: a line for /openapi.json."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    summary: str


WAYS = [
    Way("POST", "/v1/chat/completions", chat.answer, "Answer a conversation"),
    Way("POST", "/v1/completions", completions.answer, "Answer a prompt"),
    Way("POST", "/v1/embeddings", embeddings.answer, "Make vectors of texts"),
    Way("POST", "/api/embed", ollama_embeddings.embed, "Make vectors of texts, in Ollama's API"),
    Way("POST", "/api/embeddings", ollama_embeddings.embedding, "Make the vector of a text, in Ollama's older API"),
    Way("GET", "/v1/models", models.listed, "What may be asked"),
    Way("GET", "/v1/models/{model:path}", models.one, "One of these"),
    Way("GET", "/health", health.health, "Whether the model is there"),
    Way("GET", "/health/live", health.live, "Whether the daemon is"),
    Way("GET", "/health/ready", health.ready, "Whether a request is wanted now"),
    Way("GET", "/metrics", health.metrics, "The board's readings, for Prometheus"),
    Way("GET", "/openapi.json", openapi.told, "This document"),
    Way("POST", "/v1/responses", responses.answer, "Answer an input"),
    Way("GET", "/", ollama.running, "Ollama's sign of life"),
    Way("POST", "/api/chat", ollama.chat, "Answer a conversation, in Ollama's API"),
    Way("POST", "/api/generate", ollama.generate, "Answer a prompt, in Ollama's API"),
    Way("GET", "/api/version", ollama.version, "Of Ollama's API"),
    Way("GET", "/api/tags", ollama.tags, "What may be asked"),
    Way("GET", "/api/ps", ollama.loaded, "What is loaded"),
    Way("POST", "/api/show", ollama.show, "What is known of a model"),
    Way("POST", "/api/pull", ollama.pull, "Nothing: the model is there, or cannot be had so"),
    Way("POST", "/api/push", ollama.unchanged, "Refused"),
    Way("POST", "/api/create", ollama.unchanged, "Refused"),
    Way("POST", "/api/copy", ollama.unchanged, "Refused"),
    Way("DELETE", "/api/delete", ollama.unchanged, "Refused"),
    Way("POST", "/api/blobs/{digest}", ollama.unchanged, "Refused"),
]
BESIDE_BYTES = 65_536
"""That a body may have beyond what the wire reads: programs say much that is nothing to a board."""


def app(house: House, tokens: Tokens) -> ASGIApp:
    """All of it."""
    routes = [Route(way.path, way.answer, methods=[way.method]) for way in WAYS]
    handlers = {Refused: _refused, Fault: _fault, HTTPException: _no_such_way, Exception: _unforeseen}
    inner = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    inner.state.house, inner.state.document = house, openapi.document(WAYS)
    whole: ASGIApp = Whole(inner, lambda: body_bytes(house))
    if origins := house.settings.origins:
        whole = CORSMiddleware(whole, origins, allow_methods=["GET", "POST"], allow_headers=["*"], max_age=600)
    return Named(Guarded(whole, house.settings, tokens))


def body_bytes(house: House) -> int:
    """How large a body may be: as a payload on the wire, and what programs say beside."""
    info = house.inside.info()
    return int(max(info.get("payload_bytes", 0), info.get("picture_bytes", 0))) + BESIDE_BYTES


async def _refused(request: Request, refused: Refused) -> Response:
    return refused.response(request.url.path)


async def _fault(request: Request, fault: Fault) -> Response:
    return Refused.of(fault).response(request.url.path)


async def _no_such_way(request: Request, error: HTTPException) -> Response:
    reason = "there is no such path" if error.status_code == 404 else f"{request.method} is not what this path takes"
    response = Refused(
        error.status_code, f"{reason}; /openapi.json has those that there are", name="unknown_url"
    ).response(request.url.path)
    response.headers.update(error.headers or {})
    return response


async def _unforeseen(request: Request, error: Exception) -> Response:
    if isinstance(error, NotTaken):
        log.info("an answer was given up: its reader took nothing for %d s", TAKEN_SECONDS)
    else:
        log.error("a request failed in a way that was not foreseen", exc_info=error)
    return Refused(500, f"this was not foreseen ({type(error).__name__}); the board's log has more").response(
        request.url.path
    )
