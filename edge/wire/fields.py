"""A payload's bytes to fields: JSON, a bare text or a picture. Nothing is parsed before its depth is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edge.errors import BadRequest
from edge.wire.chat import ChatRequest
from edge.wire.pictures import data_uri
from edge.wire.text import STRING, check_strings, decoded

DEPTH_MAX = 32
"""How deep a request's JSON may nest: a schema is a few levels, a chat two."""
PROPERTIES = {"prompt": str, "system": str, "id": str, "model": str, "max_tokens": int}
OF_PICTURE = {"detail": str, "max_crops": int}
"""What user properties say of a request whose payload is a picture."""


def picture_fields(payload: bytes, media_type: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """A picture and the user properties beside it as fields; BadRequest where no prompt is among them."""
    known = dict(_read_properties(properties))
    check_strings(known)
    prompt = known.pop("prompt", None)
    if prompt is None:
        raise BadRequest("a picture's prompt is missing: send it as the user property `edge-prompt`", "prompt")
    image = {"url": data_uri(media_type, payload), **{name: known.pop(name) for name in OF_PICTURE if name in known}}
    content = [{"type": "image_url", "image_url": image}, {"type": "text", "text": prompt}]
    return {"messages": [{"role": "user", "content": content}], **known}


def _read_properties(properties: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    kinds = PROPERTIES | OF_PICTURE
    for name, value in properties.items():
        if name in kinds:
            yield name, int(value) if kinds[name] is int and value.isdecimal() and len(value) < 10 else value


def parse_fields(
    payload: bytes, is_plain_text: bool, says_json: bool, content_type: str | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The payload as fields, with a warning for each that is not known. A text that is no JSON object is a prompt.

    Raises BadRequest where it is no text, not the JSON that it says it is, or nests too deep; Unsupported where its
    content type names a charset that is not read.
    """
    text = decoded(payload, content_type)
    if is_plain_text or not text.lstrip().startswith("{"):
        if says_json:
            raise BadRequest("the payload is not a JSON object, though its content type says JSON")
        return {"prompt": text}, ()
    fields = _object(text)
    unknown = sorted(set(fields) - set(ChatRequest.model_fields))
    return fields, tuple(f"the field {name[:64]!r} is not known and was ignored" for name in unknown[:16])


def _object(text: str) -> dict[str, Any]:
    if _depth(text) > DEPTH_MAX:
        raise BadRequest(f"the payload nests deeper than {DEPTH_MAX} levels")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadRequest(f"the payload begins like JSON but is not: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("the payload is JSON, but not an object")
    check_strings(value)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


STRINGS = re.compile(STRING, re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _depth(text: str) -> int:
    """How deep brackets nest that are not in strings; one pass and no recursion."""
    depth = deepest = 0
    for character in STRINGS.sub("", text).encode(errors="replace").translate(None, NO_BRACKETS):
        depth += 1 if character in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
