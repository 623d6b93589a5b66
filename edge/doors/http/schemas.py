"""What the paths of Ollama's API and `/v1/responses` certainly take, and what they always give, for `/openapi.json`."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
JSON, LINES, EVENTS = "application/json", "application/x-ndjson", "text/event-stream"


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "required": required, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


ONE = _or_null({"const": 1, "description": "a request has one answer"})
TEXT: Schema = {"type": "string", "minLength": 1, "pattern": r"\S"}
NAME: Schema = {"type": "string", "minLength": 1, "description": "with :latest behind it or not"}
NO_TEXT: Schema = {"type": "string", "pattern": r"^$|\S", "description": "an empty one asks nothing"}
WORD: Schema = {"type": "string", "minLength": 1, "maxLength": 256}
STOP: Schema = {"anyOf": [WORD, {"type": "array", "maxItems": 8, "items": WORD}]}
OPTIONS = _object(
    [],
    temperature=_or_null({"type": "number", "minimum": 0, "maximum": 2}),
    top_k=_or_null({"type": "integer", "minimum": 0, "maximum": 100_000}),
    top_p=_or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    min_p=_or_null({"type": "number", "minimum": 0, "maximum": 1}),
    repeat_penalty=_or_null({"type": "number", "minimum": 0.5, "maximum": 2}),
    seed=_or_null({"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1}),
    num_predict=_or_null({"type": "integer", "maximum": 1_000_000}),
    num_ctx=_or_null({"type": "number"}),
    stop=_or_null(STOP),
)
ASKS: dict[str, Schema] = {
    "model": NAME,
    "stream": _or_null({"type": "boolean", "description": "a line a piece; so it is without this"}),
    "format": _or_null({"enum": ["", "json", {}], "description": "or a JSON schema"}),
    "options": _or_null(OPTIONS),
    "keep_alive": _or_null({"type": ["number", "string"]}),
    "think": _or_null({"const": False}),
    "n": ONE,
}
TURN = _object(["role", "content"], role={"enum": ["system", "user", "assistant"]}, content=TEXT)
CHAT = _object(["model"], messages=_or_null({"type": "array", "maxItems": 256, "items": TURN}), **ASKS)
PROMPT = _object(["model"], prompt=_or_null(NO_TEXT), system=_or_null({"type": "string"}), **ASKS)
RESPONSES = _object(
    ["input"],
    input={"anyOf": [TEXT, {"type": "array", "minItems": 1, "maxItems": 256, "items": TURN}]},
    model=_or_null({"type": "string"}),
    instructions=_or_null({"type": "string"}),
    max_output_tokens=_or_null({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
    temperature=_or_null({"type": "number", "minimum": 0, "maximum": 2}),
    top_p=_or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    stream=_or_null({"type": "boolean"}),
    n=ONE,
    store=_or_null({"type": "boolean", "description": "false, whatever is said"}),
)
MODEL = _object(["model"], model=NAME)
TEXTS: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "maxItems": 2048, "items": {"type": "string"}}]}
EMBED = _object(["model"], model=NAME, input=_or_null(TEXTS))
EMBEDDING = _object(["model"], model=NAME, prompt=_or_null({"type": "string"}))
SAID = _object(["model", "created_at", "done", "done_reason"], done={"const": True})
ENTRY = _object(["name", "model", "size", "digest", "details"])
LISTED = _object(["models"], models={"type": "array", "items": ENTRY})
RESPONSE = _object(["id", "object", "status", "output", "usage", "edge"], object={"const": "response"})
TEXT_ERROR = _object(["error"], error={"type": "string"})
TAKES: dict[str, Schema] = {
    "/v1/responses": RESPONSES,
    "/api/chat": CHAT,
    "/api/generate": PROMPT,
    "/api/embed": EMBED,
    "/api/embeddings": EMBEDDING,
    "/api/show": MODEL,
    "/api/pull": MODEL,
}
GIVES: dict[str, Schema] = {
    "/v1/responses": {JSON: {"schema": RESPONSE}, EVENTS: {}},
    "/": {"text/plain": {}},
    "/api/chat": {JSON: {"schema": SAID}, LINES: {}},
    "/api/generate": {JSON: {"schema": SAID}, LINES: {}},
    "/api/embed": {JSON: {"schema": _object(["model", "embeddings", "prompt_eval_count"])}},
    "/api/embeddings": {JSON: {"schema": _object(["embedding"])}},
    "/api/version": {JSON: {"schema": _object(["version"])}},
    "/api/tags": {JSON: {"schema": LISTED}},
    "/api/ps": {JSON: {"schema": LISTED}},
    "/api/show": {JSON: {"schema": _object(["details", "model_info", "capabilities"])}},
    "/api/pull": {JSON: {"schema": _object(["status"])}},
    "/api/push": {},
    "/api/create": {},
    "/api/copy": {},
    "/api/delete": {},
    "/api/blobs/{digest}": {},
}
