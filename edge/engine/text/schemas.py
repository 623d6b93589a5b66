"""What a JSON schema would have its compiler do, reckoned before that begins: much is asked with few characters.

llguidance bounds most of its work itself (`LLParserLimits`). What it does not bound is here, with a limit each: figures
in brackets are what it took on a core of an AMD EPYC. Beyond some 1,300 levels of references its recursion ends the
process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from edge.errors import BadRequest

CHARACTERS_MAX = 131_072
"""Of the schema as JSON (0.3 s)."""
STRING_CHARACTERS_MAX = 16_384
"""Of one string in it; the first step of an answer goes through all of a constant (15 ms)."""
PAIRS_MAX = 1_000_000
"""Properties of an object are set against each other: a thousand of one object (0.1 s), fewer where there are more."""
PATTERN_PAIR = 250
"""Pairs of properties that a pair of `patternProperties` is like."""
MULTIPLES_MAX = 100_000
"""`multipleOf` has a state for each remainder, all of them together (0.2 s; a million takes 6)."""
NESTED_MAX = 64
LEVELS_MAX = 512
"""Of the schema and of every part that is referred to, together."""
ROUNDS_MAX = 8
"""Looks at parts that refer to each other, until it is known which have an end."""


def check(schema: dict[str, Any], characters: int, param: str) -> None:
    """Raise BadRequest where a schema is too much, or where no answer that has an end can match it.

    characters: of the schema as JSON.
    """
    levels = _Levels()
    _limit(characters, CHARACTERS_MAX, "characters", param)
    levels.measure(schema)
    _limit(levels.of[id(schema)], NESTED_MAX, "levels", param)
    parts = list(_parts(schema))
    strings = [text for part in parts for text in _strings(part)]
    _limit(max(map(len, strings), default=0), STRING_CHARACTERS_MAX, "characters in one string", param)
    _limit(sum(map(_pairs, parts)), PAIRS_MAX, "pairs of properties", param)
    _limit(sum(map(_multiple, parts)), MULTIPLES_MAX, "remainders of multipleOf", param)
    referred = {each: resolved(schema, each) for part in parts if isinstance(each := part.get("$ref"), str)}
    depth = sum(levels.of.get(id(each), levels.of[id(schema)]) for each in referred.values())
    _limit(levels.of[id(schema)] + depth, LEVELS_MAX, "levels of references", param)
    if not _Ends(referred).has_end(schema):
        raise BadRequest("the JSON schema cannot be followed: it asks for itself without an end", param)


def _limit(found: int, most: int, what: str, param: str) -> None:
    if found > most:
        raise BadRequest(f"the JSON schema is too much: {found} {what}, but {most} are followed", param)


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object within a schema."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
        left += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


class _Levels:
    """How deep objects and arrays are nested, by what `id` says of them."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def measure(self, value: Any, above: int = 0) -> int:
        """Of one value, as far as the limit."""
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        deepest = max((self.measure(each, above + 1) for each in inner), default=0) if above <= NESTED_MAX else 0
        if isinstance(value, dict | list):
            self.of[id(value)] = deepest + 1
            return deepest + 1
        return 0


def _strings(part: Mapping[str, Any]) -> Iterator[str]:
    """Those that may become parts of an answer: names, constants, patterns."""
    yield from part
    for name, value in part.items():
        if name not in ("title", "description", "$comment"):
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _pairs(part: Mapping[str, Any]) -> int:
    names = {*_object(part, "properties"), *(each for each in _array(part, "required") if isinstance(each, str))}
    return len(names) ** 2 + PATTERN_PAIR * len(_object(part, "patternProperties")) ** 2


def _multiple(part: Mapping[str, Any]) -> int:
    """The remainders that a multipleOf has: of its digits, where it is no whole number."""
    value = part.get("multipleOf")
    if not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    whole = Decimal(str(value)).normalize()
    return abs(int(whole.scaleb(max(0, -int(whole.as_tuple().exponent)))))


def _object(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = part.get(name)
    return value if isinstance(value, dict) else {}


def _array(part: Mapping[str, Any], name: str) -> list[Any]:
    value = part.get(name)
    return value if isinstance(value, list) else []


def resolved(schema: Any, reference: str) -> Any:
    """What `#/a/b` refers to (RFC 6901); None where that is nothing, or is in another form."""
    first, *names = reference.split("/")
    found = schema if first == "#" else None
    for name in (each.replace("~1", "/").replace("~0", "~") for each in names):
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


class _Ends:
    """Which schemas have an answer with an end, as far as references go: `{"$ref": "#"}` has none."""

    def __init__(self, referred: Mapping[str, Any]) -> None:
        self._ended: set[str] = set()
        waiting = list(referred)
        for _ in range(ROUNDS_MAX):
            before = len(self._ended)
            for name in (*waiting, *reversed(waiting)):
                if name not in self._ended and self.has_end(referred[name]):
                    self._ended.add(name)
            if len(self._ended) == before:
                return
        self._ended |= set(waiting)  # it would take too long to know

    def has_end(self, schema: Any) -> bool:
        """Whether whatever it asks for in any case has one."""
        if not isinstance(schema, dict):
            return True
        reference, needed = schema.get("$ref"), [*_array(schema, "allOf"), *self._inner(schema)]
        choices = [each for name in ("anyOf", "oneOf") if (each := _array(schema, name))]
        is_ended = not isinstance(reference, str) or reference in self._ended
        return is_ended and all(map(self.has_end, needed)) and all(any(map(self.has_end, each)) for each in choices)

    def _inner(self, schema: dict[str, Any]) -> list[Any]:
        """What must be within, where the type says that it has anything within."""
        kind, least = schema.get("type"), schema.get("minItems")
        properties, first = _object(schema, "properties"), _array(schema, "prefixItems")
        fields = [properties.get(each) for each in _array(schema, "required") if isinstance(each, str)]
        count = int(least) if isinstance(least, int | float) else 0
        items = [*first[:count], *([schema.get("items")] if count > len(first) else [])]
        return [*(fields if kind == "object" else ()), *(items if kind == "array" else ())]
