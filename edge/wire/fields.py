"""A payload's bytes to fields: JSON, a bare text or a picture. Nothing is parsed before its depth is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, StrictBool, StrictStr, ValidationError, model_validator

from edge.errors import BadRequest
from edge.wire.chat import ChatRequest, Index, Name, Tokens, check_lengths
from edge.wire.message import PREFIX
from edge.wire.parts import Crops
from edge.wire.pictures import Detail, data_uri
from edge.wire.shape import Shape, first_fault, warnings_of
from edge.wire.text import STRING, check_numbers, check_strings, decoded

DEPTH_MAX = 32
"""How deep a request's JSON may nest: a schema is a few levels, a chat two."""
DIGITS_MAX = 308
"""Of an integer: with more it is larger than any float, and Python takes long over it."""
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
"""A number as JSON has it (RFC 8259, section 6)."""


def number_in(text: Any) -> Any:
    """The number that a user property is, by JSON's rules; the text where it is none."""
    return _parsed(text) if isinstance(text, str) and NUMBER.fullmatch(text) else text


def _truth_in(text: Any) -> Any:
    """The boolean that a user property is, as JSON writes it; the text where it is none."""
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


class PictureProperties(Shape):
    """What user properties say of a request whose payload is a picture."""

    model_config = ConfigDict(alias_generator=lambda name: f"{PREFIX}{name}")

    prompt: StrictStr
    system: StrictStr | None = None
    id: Name | None = None
    model: StrictStr | None = None
    max_tokens: Annotated[Tokens | None, BeforeValidator(number_in)] = None
    max_completion_tokens: Annotated[Tokens | None, BeforeValidator(number_in)] = None
    documents: Index | None = None
    keep: Annotated[StrictBool | None, BeforeValidator(_truth_in)] = None
    detail: Detail | None = None
    max_crops: Annotated[Crops | None, BeforeValidator(number_in)] = None

    @model_validator(mode="after")
    def _has_one_length(self) -> PictureProperties:
        check_lengths(self.max_tokens, self.max_completion_tokens, f"{PREFIX}max_completion_tokens")
        return self


def picture_fields(
    payload: bytes, media_type: str, properties: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A picture and the user properties beside it as fields, with a warning for each property that is not known.

    properties: without their prefix. Raises BadRequest where one is wrong, or no prompt is among them.
    """
    if "prompt" not in properties:
        missing = f"{PREFIX}prompt"
        raise BadRequest(f"a picture's prompt is missing: send it as the user property `{missing}`", missing)
    given = {f"{PREFIX}{name}": value for name, value in properties.items()}
    check_strings(given)
    try:
        known = PictureProperties.model_validate(given)
    except ValidationError as error:
        fault = first_fault(error, given)
    else:
        return _with_picture(data_uri(media_type, payload), known), warnings_of(known)
    raise fault


def _with_picture(url: str, known: PictureProperties) -> dict[str, Any]:
    image = {"url": url, "detail": known.detail, "max_crops": known.max_crops}
    content = [{"type": "image_url", "image_url": image}, {"type": "text", "text": known.prompt}]
    beside = {name: getattr(known, name) for name in PictureProperties.model_fields if name in ChatRequest.model_fields}
    return {**beside, "prompt": None, "messages": [{"role": "user", "content": content}]}


def parse_fields(
    payload: bytes, is_plain_text: bool, says_json: bool, content_type: str | None = None
) -> dict[str, Any]:
    """The payload as fields. A text that is no JSON object is a prompt.

    Raises BadRequest where it is no text, not the JSON that it says it is, or nests too deep; Unsupported where its
    content type names a charset that is not read.
    """
    text = decoded(payload, content_type)
    if is_plain_text or not text.lstrip().startswith("{"):
        if says_json:
            raise BadRequest("the payload is not a JSON object, though its content type says JSON")
        return {"prompt": text}
    return _object(text)


def _object(text: str) -> dict[str, Any]:
    if _depth(text) > DEPTH_MAX:
        raise BadRequest(f"the payload nests deeper than {DEPTH_MAX} levels")
    try:
        value = _parsed(text)
    except ValueError as error:
        raise BadRequest(f"the payload begins like JSON but is not: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("the payload is JSON, but not an object")
    check_strings(value)
    check_numbers(value)
    return value


def _parsed(text: str) -> Any:
    """A JSON value, in which what is no finite number is an infinite one, so that `check_numbers` can say where."""
    return json.loads(text, parse_int=_integer, parse_constant=float)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= DIGITS_MAX else math.inf


STRINGS = re.compile(STRING, re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _depth(text: str) -> int:
    """How deep brackets nest that are not in strings; one pass and no recursion."""
    depth = deepest = 0
    for character in STRINGS.sub("", text).encode(errors="replace").translate(None, NO_BRACKETS):
        depth += 1 if character in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
