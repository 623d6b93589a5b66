"""What kinds of values can match a JSON schema at all: texts, numbers, objects and so on.

Reckoned so that a kind which is left out surely has no value that matches; one that is named may still have none, where
patterns and the like must agree, which only a grammar's compiler knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

KINDS = frozenset({"null", "boolean", "object", "array", "number", "string"})
Kinds = frozenset[str]


class Inhabited:
    """known: the kinds that match what each `$ref` names, as far as that is known. reasons: why something has none."""

    def __init__(self, known: Mapping[str, Kinds]) -> None:
        self._known = known
        self.reasons: list[str] = []

    def kinds(self, schema: Any, place: str = "") -> Kinds:
        """Those that a schema leaves; none where nothing can match it, and why is among the reasons."""
        if isinstance(schema, bool):
            return KINDS if schema else self._none(place, "nothing may be here")
        mark = len(self.reasons)
        found = self._own(schema, place)
        for number, each in enumerate(schema.get("allOf", ())):
            found &= self.kinds(each, below(place, f"allOf.{number}"))
        for name in ("anyOf", "oneOf"):
            if name in schema:
                found &= self._any(schema[name], below(place, name))
        if "$ref" in schema:
            found &= self._known.get(schema["$ref"], KINDS) or self._none(
                place, f"what {schema['$ref'][:64]!r} names holds itself without an end, or nothing matches it"
            )
        if found:
            del self.reasons[mark:]
        elif len(self.reasons) == mark:
            self._none(place, "no value has all that is asked for")
        return found

    def _none(self, place: str, reason: str) -> Kinds:
        self.reasons.append(f"{at(place)}{reason}")
        return frozenset()

    def _any(self, schemas: list[Any], place: str) -> Kinds:
        found = [self.kinds(each, below(place, str(number))) for number, each in enumerate(schemas)]
        return frozenset().union(*found) or self._none(place, "none of these can match")

    def _own(self, schema: dict[str, Any], place: str) -> Kinds:
        """What its own keywords leave, whatever others it refers to."""
        found = types_of(schema)
        if "enum" in schema or "const" in schema:
            found = frozenset(kind_of(each) for each in literals(schema)) or self._none(
                place,
                "enum has no value" if schema.get("enum") == [] else "no value of enum or const is as it should be",
            )
        checks: dict[str, Callable[[dict[str, Any], str], str | None]] = {
            "string": lambda schema, _place: crossed(schema, "minLength", "maxLength"),
            "number": lambda schema, _place: crossed_numbers(schema),
            "array": self._no_array,
            "object": self._no_object,
        }
        for kind in found & set(checks):
            if reason := checks[kind](schema, place):
                self._none(place, reason)
                found -= {kind}
        return found

    def _no_array(self, schema: dict[str, Any], place: str) -> str | None:
        least, items = schema.get("minItems", 0), schema.get("items", True)
        first = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        needed = first[:least] + [rest] * (least > len(first))
        for number, each in enumerate(needed):
            if not self.kinds(each, below(place, f"items.{number}")):
                return f"item {number} is needed, and nothing can be there"
        return crossed(schema, "minItems", "maxItems")

    def _no_object(self, schema: dict[str, Any], place: str) -> str | None:
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        is_open = bool(schema.get("patternProperties"))
        required = dict.fromkeys(schema.get("required", ()))
        for name in required:
            if name not in properties and is_open:
                continue
            if not self.kinds(properties.get(name, others), below(place, f"properties.{name[:64]}")):
                return f"the property {name[:64]!r} is required, and nothing can be there"
        most = schema.get("maxProperties", math.inf)
        if len(required) > most:
            return f"{len(required)} properties are required, and maxProperties is {most}"
        if others is False and not is_open and schema.get("minProperties", 0) > len(properties):
            return "minProperties is more than its properties are"
        return crossed(schema, "minProperties", "maxProperties")


def types_of(schema: dict[str, Any]) -> Kinds:
    """The kinds that its `type` names; all where it has none."""
    return frozenset("number" if name == "integer" else name for name in _type_names(schema))


def _type_names(schema: dict[str, Any]) -> list[str]:
    names = schema.get("type", list(KINDS))
    return [names] if isinstance(names, str) else list(names)


def literals(schema: dict[str, Any]) -> Iterator[Any]:
    """The values that its enum and const leave, of its type, length and size."""
    given = schema.get("enum", ())
    if "const" in schema:
        const = schema["const"]
        given = [const] if "enum" not in schema or any(_same(const, each) for each in given) else []
    types, is_whole = types_of(schema), "number" not in _type_names(schema)
    for each in given:
        kind = kind_of(each)
        if kind not in types or (isinstance(each, float) and is_whole and not each.is_integer()):
            continue
        least, most = _bounds(schema, kind == "string")
        if kind not in ("string", "number") or least <= (len(each) if kind == "string" else each) <= most:
            yield each


def _bounds(schema: dict[str, Any], of_text: bool) -> tuple[float, float]:
    names = ("minLength", "maxLength") if of_text else ("minimum", "maximum")
    return schema.get(names[0], -math.inf), schema.get(names[1], math.inf)


def kind_of(value: Any) -> str:
    """What a JSON value is, in JSON Schema's words; integers are numbers."""
    if isinstance(value, bool):
        return "boolean"
    kinds: dict[type, str] = {str: "string", dict: "object", list: "array", type(None): "null"}
    return kinds.get(type(value), "number")


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def crossed(schema: dict[str, Any], least: str, most: str) -> str | None:
    """That a lower bound is above the upper one."""
    low, high = schema.get(least, 0), schema.get(most, math.inf)
    return f"{least} is {low}, {most} is {high}" if low > high else None


def crossed_numbers(schema: dict[str, Any]) -> str | None:
    """That no number, or no whole one where it must be whole, is between the bounds."""
    low, is_above = _bound(schema, "minimum", "exclusiveMinimum", max, -math.inf)
    high, is_below = _bound(schema, "maximum", "exclusiveMaximum", min, math.inf)
    if "number" not in _type_names(schema) and math.isfinite(low) and math.isfinite(high):
        low = math.floor(low) + 1 if is_above else math.ceil(low)
        high = math.ceil(high) - 1 if is_below else math.floor(high)
        is_above = is_below = False
    if low > high or (low == high and (is_above or is_below)):
        return "no number is between its bounds"
    return None


def _bound(
    schema: dict[str, Any], name: str, exclusive: str, choose: Callable[..., float], none: float
) -> tuple[float, bool]:
    """A bound, and whether it is itself left out; `exclusive` is a boolean in draft 4."""
    own, other = schema.get(name, none), schema.get(exclusive, none)
    if isinstance(other, bool):
        return own, other
    bound = choose(own, other)
    return bound, bound == other and exclusive in schema


def at(place: str) -> str:
    """How a reason begins that is about a place."""
    return f"{place[-200:]}: " if place else ""


def below(place: str, name: str) -> str:
    """A place within a place."""
    return f"{place}.{name}" if place else name
