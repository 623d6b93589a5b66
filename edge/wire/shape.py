"""One rule for every field of a request, at every level: `docs/wire.md` has it under "How fields are read".

Null is as good as not said, what is not known is ignored and told, a number is a number however it is written, and
what is wrong is told by its place in the request as its asker wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from edge.errors import BadRequest
from edge.wire.text import NAME_MAX

INNER = "\0"
"""What a piece of a place begins with that is pydantic's own and in no request, where no text has this character."""
WARNINGS_MAX = 16
SAYS = {
    "missing": "is missing",
    "int_type": "should be an integer",
    "float_type": "should be a number",
    "string_type": "should be a text",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
}
"""What pydantic finds wrong, without the words of its own trade."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, Field(strict=True), BeforeValidator(_whole)]
"""5, 5.0 or 5e0; no text and no boolean."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""An integer or a fraction; no text and no boolean."""


class Shape(BaseModel):
    """What everything in a request is made of."""

    model_config = ConfigDict(extra="allow")  # kept until `ignored` has told of it

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_said(cls, value: Any) -> Any:
        return {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else value

    def ignored(self, place: str = "") -> Iterator[str]:
        """The place of each field, here and within, that is not known; it is forgotten with that."""
        unknown = self.model_extra or {}
        yield from (_joined(place, name) for name in unknown)
        unknown.clear()
        for name, known in type(self).model_fields.items():
            yield from _ignored_in(getattr(self, name), _joined(place, known.alias or name))


def _ignored_in(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Shape):
        yield from value.ignored(place)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _ignored_in(each, _joined(place, number))


def _joined(place: str, piece: str | int) -> str:
    return f"{place}.{str(piece)[:NAME_MAX]}" if place else str(piece)[:NAME_MAX]


def warnings_of(shape: Shape) -> tuple[str, ...]:
    """A line for each field that is not known; where there are many, how many more."""
    places = sorted(shape.ignored())
    lines = [f"the field {place!r} is not known and was ignored" for place in places[:WARNINGS_MAX]]
    more = len(places) - len(lines)
    return (*lines, f"other fields that are not known and were ignored: {more}") if more else tuple(lines)


def wrong(reason: str, *place: str | int) -> PydanticCustomError:
    """What a validator raises. place: of the field that should change, seen from what is validated."""
    return PydanticCustomError("wrong", "{reason}", {"reason": reason, "place": place})


def first_fault(error: ValidationError, given: Any, prefix: str = "") -> BadRequest:
    """The first thing that pydantic found wrong, told by its place. given: what was validated. prefix: of its names."""
    first = error.errors(include_url=False, include_input=False)[0]
    within = first.get("ctx", {}).get("place", ())
    param = ""
    for piece in _as_written((*first["loc"], *within), given):
        param = _joined(param, piece) if param else f"{prefix}{str(piece)[:NAME_MAX]}"
    reason = SAYS.get(first["type"]) or re.sub(r"^\w+ should", "should", first["msg"])
    reason = reason.replace(" after validation", "")
    return BadRequest(f"{param} {reason}" if param else reason, param or None)


def _as_written(place: tuple[str | int, ...], given: Any) -> Iterator[str | int]:
    """The pieces of a place that its asker wrote: a text that is taken for a list of one has no number 0."""
    for piece in place:
        if str(piece).startswith(INNER):
            continue
        if not isinstance(given, dict | list):
            return
        yield piece
        given = _within(given, piece)


def _within(given: dict[Any, Any] | list[Any], piece: str | int) -> Any:
    if isinstance(given, dict):
        return given.get(piece)
    return given[piece] if isinstance(piece, int) and piece < len(given) else None
