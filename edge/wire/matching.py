"""JSON schemas that a board's own tools are called by: few keywords, closed objects, so that we check a call ourselves.

A grammar holds the model to them as well (`edge/engine/text/guidance.py`), but what is sent into the world must not
hang on an engine. A pattern is about the whole text here, whether it is anchored or not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

ALWAYS = {"type", "enum", "const", "title", "description"}
KEYWORDS: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set(),
}
"""What a schema may have beside those of every kind, by its `type`."""


def whole(pattern: str) -> str:
    """A pattern that is about the whole text, as JSON Schema writes it."""
    bare = pattern.removeprefix("^")
    is_anchored = bare.endswith("$") and not bare.endswith("\\$")
    return f"^(?:{bare[:-1] if is_anchored else bare})$"


def closed(schema: Any, place: str = "") -> dict[str, Any]:
    """A schema with nothing open: no other properties, patterns about the whole text.

    Every one within says its `type`, one of the above, or its values. ValueError where it has what is not taken here.
    """
    if not isinstance(schema, dict):
        raise ValueError(f"{_at(place)}a schema should be an object")
    kind = schema.get("type")
    if kind is None and not ({"enum", "const"} & set(schema)):
        raise ValueError(f"{_at(place)}say its type, one of {', '.join(KEYWORDS)}, or its values (enum)")
    if kind is not None and (not isinstance(kind, str) or kind not in KEYWORDS):
        raise ValueError(f"{_at(place)}type should be one of {', '.join(KEYWORDS)}")
    if strange := sorted(set(schema) - ALWAYS - KEYWORDS.get(kind or "", set())):
        raise ValueError(f"{_at(place)}{strange[0]} is not taken in a tool's schema{f' of an {kind}' if kind else ''}")
    return schema | dict(_parts(schema, place))


def _parts(schema: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """What is put in place of a schema's own keywords."""
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError) as error:
            raise ValueError(f"{_at(place)}pattern: {error}") from error
        yield "pattern", whole(schema["pattern"])
    if "items" in schema:
        yield "items", closed(schema["items"], _below(place, "items"))
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties", False) is not False or not isinstance(properties, dict):
            raise ValueError(f"{_at(place)}an object names its properties, and has no others")
        yield "properties", {name: closed(each, _below(place, name)) for name, each in properties.items()}
        yield "additionalProperties", False


def mismatch(value: Any, schema: Mapping[str, Any], place: str = "") -> str | None:
    """Why a JSON value is not what a closed schema asks for; None where it is."""
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        return f"{_at(place)}should be one of {', '.join(str(each) for each in schema['enum'])}"[:400]
    if "const" in schema and not _same(value, schema["const"]):
        return f"{_at(place)}should be {schema['const']}"[:400]
    kind = schema.get("type")
    if kind is not None and kind not in _kinds_of(value):
        return f"{_at(place)}should be of the type {kind}"
    if isinstance(value, dict):
        return _of_object(value, schema, place) if kind else None
    if isinstance(value, list):
        return _of_array(value, schema, place) if kind else None
    return _of_text(value, schema, place) if isinstance(value, str) else _of_number(value, schema, place)


def _kinds_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int | float):
        is_whole = isinstance(value, int)
        return {"integer", "number"} if is_whole else {"number"} if math.isfinite(value) else set()
    kinds: dict[type, str] = {str: "string", dict: "object", list: "array"}
    return {kinds.get(type(value), "null")}


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], place: str) -> str | None:
    properties = schema.get("properties", {})
    for name in value:
        if name not in properties:
            return f"{_at(place)}has the property {name[:64]!r}, which there is not"
    for name in schema.get("required", ()):
        if name not in value:
            return f"{_at(_below(place, name))}is missing"
    found = (mismatch(value[name], properties[name], _below(place, name)) for name in value)
    return next((why for why in found if why), None)


def _of_array(value: list[Any], schema: Mapping[str, Any], place: str) -> str | None:
    if why := _outside(len(value), schema, "minItems", "maxItems"):
        return f"{_at(place)}{why}"
    items = schema.get("items")
    found = (mismatch(each, items, _below(place, str(number))) for number, each in enumerate(value) if items)
    return next((why for why in found if why), None)


def _of_text(value: str, schema: Mapping[str, Any], place: str) -> str | None:
    if why := _outside(len(value), schema, "minLength", "maxLength"):
        return f"{_at(place)}{why}"
    pattern = schema.get("pattern")
    if pattern is not None and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        return f"{_at(place)}should match {pattern[:200]}"
    return None


def _of_number(value: Any, schema: Mapping[str, Any], place: str) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    why = _outside(value, schema, "minimum", "maximum") if is_number else None
    return why and f"{_at(place)}{why}"


def _outside(size: float, schema: Mapping[str, Any], least: str, most: str) -> str | None:
    low, high = schema.get(least, -math.inf), schema.get(most, math.inf)
    return None if low <= size <= high else f"is {size}, and {least} is {low}, {most} {high}"


def _at(place: str) -> str:
    return f"{place} " if place else ""


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
