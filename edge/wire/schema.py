"""JSON schemas that answers are held to; what no answer could match, and what no grammar can hold to, is told at once.

Whether anything matches is reckoned for each schema that a `$ref` names: at first nothing matches any of them, and that
is mended until it stays, so that a schema which must hold itself for ever is found out. What only a grammar's compiler
can know (patterns, overlaps of `oneOf`) is left to it. Source: JSON Schema 2020-12, its keywords as llguidance 1.9
takes them (`edge/engine/text/guidance.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BeforeValidator

from edge.wire.inhabited import KINDS, Inhabited, Kinds, at, below, types_of

COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
UNSUPPORTED = {
    *("$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef", "if", "then", "else", "not"),
    *("contains", "minContains", "maxContains", "uniqueItems", "unevaluatedItems", "unevaluatedProperties"),
    *("dependencies", "dependentRequired", "dependentSchemas", "propertyNames"),
}
"""What no grammar of llguidance's can hold an answer to."""
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown"}
NAMED = ("properties", "patternProperties")
LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLE = ("items", "additionalItems", "additionalProperties")
"""Where a schema has schemas in it: by their names, in a row, one."""
PARTS_MAX = 4_000
"""Schemas within one."""
ROUNDS_MAX = 16
"""How often all that are referred to are gone over; whoever refers to and fro more than that is believed."""


class Unfit(ValueError):
    """A schema that cannot be used, and why."""


def _usable(value: Any) -> Any:
    return {True: {}, False: {"enum": []}}[value] if isinstance(value, bool) else _whole(value)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


Schema = Annotated[dict[str, Any], BeforeValidator(_usable)]
"""A schema as it is worked with: true and false are schemas, too, and 5.0 is 5."""


def embedded(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema for within another one: what it refers to (`#/$defs/…`) stays its own. name: of its own there."""
    return {"$id": f"urn:edge:{name}", **schema} if '"$ref"' in json.dumps(schema) else schema


def check(schema: dict[str, Any], kind: str | None = None) -> None:
    """Unfit where nothing can match a schema, or nothing of a kind, or where no grammar can hold an answer to it."""
    targets = Form(schema).targets()
    known: dict[str, Kinds] = dict.fromkeys(reversed(targets), frozenset())
    for _ in range(ROUNDS_MAX):
        before = dict(known)
        for pointer in known:
            known[pointer] = Inhabited(known).kinds(targets[pointer])
        if known == before:
            return _check_found(schema, known, kind)
    return None


def _check_found(schema: dict[str, Any], known: dict[str, Kinds], kind: str | None) -> None:
    whole = Inhabited(known)
    found = whole.kinds(schema)
    if not found:
        raise Unfit(f"nothing can match the schema: {whole.reasons[0]}")
    if kind is not None and kind not in found:
        raise Unfit(f"the schema should let an {kind} match")


class Form:
    """Whether a schema is written as it should be."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._has_names = '"$id"' in json.dumps(schema)

    def targets(self) -> dict[str, Any]:
        """Every schema that it refers to, by its pointer; Unfit where one of all is not in order."""
        targets: dict[str, Any] = {}
        count, ahead = 0, [("", self._schema)]
        while ahead:
            place, each = ahead.pop()
            count += 1
            if count > PARTS_MAX:
                raise Unfit(f"the schema has more than {PARTS_MAX} schemas in it")
            _check_form(each, place)
            ahead += parts(each, place)
            pointer = each.get("$ref") if isinstance(each, dict) else None
            if pointer is not None and pointer not in targets and (found := self._target(pointer, place)) is not None:
                targets[pointer] = found
                ahead.append((pointer, found))
        return targets

    def _target(self, pointer: str, place: str) -> Any:
        """What a reference names (RFC 6901); None where that may be elsewhere. Unfit where nothing is there."""
        if not pointer.startswith("#/") and pointer != "#":
            return None
        found: Any = self._schema
        for piece in unquote(pointer).split("/")[1:]:
            name = piece.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            elif self._has_names:  # seen from a schema within this one
                return None
            else:
                raise Unfit(f"{at(place)}$ref names {pointer[:64]!r}, where nothing is")
        return found


def parts(schema: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The schemas right within one, each with its place."""
    if isinstance(schema, bool):
        return
    rows = [(name, schema[name].items()) for name in NAMED if name in schema]
    rows += [(name, enumerate(schema[name])) for name in (*LISTED, *SINGLE) if isinstance(schema.get(name), list)]
    for name, row in rows:
        yield from ((below(place, f"{name}.{str(key)[:64]}"), each) for key, each in row)
    for name in SINGLE:
        if name in schema and not isinstance(schema[name], list):
            yield below(place, name), schema[name]


def _check_form(schema: Any, place: str) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise Unfit(f"{at(place)}a schema should be an object, true or false")
    for name, value in schema.items():
        if name in UNSUPPORTED:
            raise Unfit(f"{at(place)}{name} is not supported")
        if name in FORMS and not FORMS[name][0](value):
            raise Unfit(f"{at(place)}{name} should be {FORMS[name][1]}")
    if "string" in types_of(schema) and schema.get("format", "unknown") not in FORMATS:
        raise Unfit(f"{at(place)}the format {schema['format'][:40]!r} is not supported")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 0


def _is_bound(value: Any) -> bool:
    return _is_number(value) or isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_kinds(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return _are_texts(names) and set(names) <= {*KINDS, "integer"}


FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(COUNTS, (_is_count, "an integer from 0")),
    **dict.fromkeys(("minimum", "maximum"), (_is_number, "a number")),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), (_is_bound, "a number")),
    **dict.fromkeys(("pattern", "format", "$ref"), (lambda value: isinstance(value, str), "a text")),
    **dict.fromkeys(NAMED, (lambda value: isinstance(value, dict), "an object")),
    **dict.fromkeys((*LISTED, "enum"), (lambda value: isinstance(value, list), "a list")),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "required": (_are_texts, "a list of names"),
    "type": (_are_kinds, f"of {', '.join(sorted({*KINDS, 'integer'}))}"),
}
"""What each keyword should have."""
