"""`/openapi.json`: the paths as a document, with what is certainly taken of each body. docs/wire.md has every field."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge import __version__
from edge.doors.http import schemas
from edge.doors.http.errors import OLLAMA

Schema = dict[str, Any]


class Path(Protocol):
    """What of a path is told."""

    @property
    def method(self) -> str:
        """Its method, in capitals."""
        ...

    @property
    def path(self) -> str:
        """As Starlette has it."""
        ...

    @property
    def summary(self) -> str:
        """A line."""
        ...


def _or_null(schema: Schema) -> Schema:
    """A field that may be null, which is as good as not said."""
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 65_536, "pattern": r"\S"}
COMMON: Schema = {
    "model": _or_null({"type": "string", "maxLength": 256, "description": "the served one; what it is without this"}),
    "max_tokens": _or_null({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
    "temperature": _or_null({"type": "number", "minimum": 0, "maximum": 2}),
    "top_p": _or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    "top_k": _or_null({"type": "integer", "minimum": 0, "maximum": 100_000}),
    "min_p": _or_null({"type": "number", "minimum": 0, "maximum": 1}),
    "presence_penalty": _or_null({"type": "number", "minimum": -2, "maximum": 2}),
    "frequency_penalty": _or_null({"type": "number", "minimum": -2, "maximum": 2}),
    "logit_bias": _or_null(
        {
            "type": "object",
            "maxProperties": 1024,
            "propertyNames": {"pattern": "^[0-9]{1,4}$"},
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
        }
    ),
    "seed": _or_null({"type": "integer", "minimum": -(2**53), "maximum": 2**53}),
    "stop": _or_null(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 256},
                {"type": "array", "maxItems": 8, "items": {"type": "string", "minLength": 1, "maxLength": 256}},
            ]
        }
    ),
    "stream": _or_null({"type": "boolean", "description": "answer with server-sent events"}),
    "n": _or_null({"type": "integer", "minimum": 1, "maximum": 16, "description": "answers to make"}),
    "priority": _or_null({"enum": ["high", "normal", "low"]}),
    "keep": _or_null({"type": "boolean", "description": "false: nothing of it stays on the board"}),
}
TURN: Schema = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["system", "developer", "user", "assistant"]}, "content": TEXT},
    "description": "the parts of a content, pictures, calls and their results are in docs/wire.md",
}
CHAT: Schema = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "messages": {"type": "array", "minItems": 1, "maxItems": 256, "items": TURN},
        "logprobs": _or_null({"type": "boolean"}),
        "top_logprobs": _or_null({"type": "integer", "minimum": 0, "maximum": 20}),
        "response_format": _or_null(
            {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text", "json_object"]}}}
        ),
        **COMMON,
    },
}
PROMPT: Schema = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"anyOf": [TEXT, {"type": "array", "minItems": 1, "maxItems": 1, "items": TEXT}]},
        **COMMON,
    },
}
TEXTS: Schema = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "input": {
            "anyOf": [
                {"type": "string", "maxLength": 65_536},
                {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string", "maxLength": 65_536}},
            ]
        },
        "model": COMMON["model"],
        "encoding_format": _or_null({"enum": ["float", "base64"]}),
        "user": _or_null({"type": "string", "maxLength": 256}),
    },
}
VECTORS: Schema = {"type": "object", "required": ["object", "data", "model", "usage"]}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
ANSWER: Schema = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage", "edge"],
    "properties": {
        "object": {"enum": ["chat.completion", "text_completion"]},
        "choices": {"type": "array", "minItems": 1, "maxItems": 16},
        "usage": {"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"]},
    },
}
MODEL: Schema = {"type": "object", "required": ["id", "object", "created", "owned_by"]}
MODELS: Schema = {"type": "object", "required": ["object", "data"], "properties": {"data": {"items": MODEL}}}
HEALTH: Schema = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
JSON, EVENTS, TEXT_TYPE = "application/json", "text/event-stream", "text/plain"
TAKES = {"/v1/chat/completions": CHAT, "/v1/completions": PROMPT, "/v1/embeddings": TEXTS, **schemas.TAKES}
GIVES: dict[str, Schema] = {
    "/v1/chat/completions": {JSON: {"schema": ANSWER}, EVENTS: {}},
    "/v1/completions": {JSON: {"schema": ANSWER}, EVENTS: {}},
    "/v1/embeddings": {JSON: {"schema": VECTORS}},
    "/v1/models": {JSON: {"schema": MODELS}},
    "/v1/models/{model}": {JSON: {"schema": MODEL}},
    "/health": {JSON: {"schema": HEALTH}},
    "/health/live": {JSON: {"schema": HEALTH}},
    "/health/ready": {JSON: {"schema": HEALTH}},
    "/metrics": {TEXT_TYPE: {}},
    "/openapi.json": {JSON: {}},
    **schemas.GIVES,
}
HEALTH_PATHS = "/health"
KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same request under the same key is answered once, and told again to who asks again",
    "schema": {"type": "string", "pattern": r"^[!-~]{1,200}$"},
}


def document(paths: Iterable[Path]) -> dict[str, Any]:
    """All of them (OpenAPI 3.1)."""
    found: dict[str, Any] = {}
    for each in paths:
        name = re.sub(r"\{(\w+):\w+\}", r"{\1}", each.path)
        found.setdefault(name, {})[each.method.lower()] = operation(name, each.summary)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Edge SLM",
            "version": __version__,
            "description": "docs/http.md says what is taken and why.",
        },
        "paths": found,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def operation(path: str, summary: str) -> dict[str, Any]:
    """One of them."""
    error = schemas.TEXT_ERROR if path.startswith(OLLAMA) else ERROR
    bad: Schema = {"description": "an error", "content": {JSON: {"schema": error}}}
    if path not in GIVES:
        return {"summary": summary, "responses": {"default": {"description": "as the API has it"}}}
    made: dict[str, Any] = {"summary": summary, "responses": {"200": {"description": "done", "content": GIVES[path]}}}
    made["responses"] |= {"4XX": bad, "5XX": bad}
    if path.startswith(HEALTH_PATHS):
        made["responses"]["503"] = {"description": "why not", "content": GIVES[path]}
    names = re.findall(r"\{(\w+)\}", path)
    made["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    if path in TAKES:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": TAKES[path]}}}
        made["parameters"] += [KEY] if len(GIVES[path]) > 1 else []  # an answer, which may be streamed
    return made


async def told(request: Request) -> Response:
    """The document."""
    return JSONResponse(request.app.state.document)
