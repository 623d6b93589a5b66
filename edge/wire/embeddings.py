"""Vectors of texts: how they are asked for, with the OpenAI API's names, and how they cross the wire."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, StrictStr, model_validator

from edge.errors import BadRequest, NotFound, TooLarge
from edge.wire.shape import Integer, Shape, wrong

TEXTS_MAX = 2048
"""Of one request; the OpenAI API's number."""
VALUES_MAX = {"base64": 1 << 20, "float": 1 << 16}
"""Of all vectors of a reply: 5.6 MB in base64, 0.8 MB as lists, which the daemon must write digit by digit."""
INSTEAD_OF = ("prompt", "messages", "system")
"""What a request with `input` may not have: it would be read, or thought to be."""
BESIDE = {
    *("input", "encoding_format", "dimensions", "model", "id", "response_topic"),
    *("deadline_ms", "priority", "keep", "stream", "keep_alive_seconds"),
}
"""What says something of it."""
TOKENS = "should be a text or a list of texts: token ids are another model's (LangChain: check_embedding_ctx_length)"

Encoding = Literal["float", "base64"]


def _in_a_list(given: Any) -> Any:
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise wrong("should be a text or a list of texts")
    if not 0 < len(given) <= TEXTS_MAX:
        raise wrong(f"should have 1 to {TEXTS_MAX} texts, and has {len(given)}")
    if any(isinstance(each, int | float | list) for each in given):
        raise wrong(TOKENS)
    return given


class ForVectors(Shape):
    """The fields of a request that asks for vectors of texts in place of an answer.

    input: 1 to 2,048 texts. encoding_format: a vector as a list of numbers, or as base64 of little-endian float32.
    dimensions: of a vector; None takes the model's.
    """

    input: Annotated[list[StrictStr], BeforeValidator(_in_a_list)] | None = None
    encoding_format: Encoding = "float"
    dimensions: Annotated[Integer, Field(ge=1, le=8192)] | None = None

    _idle: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _is_asked_alone(self) -> ForVectors:
        for name in INSTEAD_OF if self.input is not None else ():
            if name in self.model_fields_set:
                raise wrong("is one too many beside input: vectors are made of texts alone", name)
        self._idle = tuple(self._that_say_nothing())
        return self

    def _that_say_nothing(self) -> Iterator[str]:
        """A warning for each known field that is about something else than what is asked for."""
        said = self.model_fields_set & set(type(self).model_fields)
        if self.input is None:
            idle = sorted(said & {"encoding_format", "dimensions"})
            yield from (f"the field {name!r} is for input and was ignored" for name in idle)
        else:
            idle = sorted(said - BESIDE)
            yield from (f"the field {name!r} says nothing of vectors and was ignored" for name in idle)


def check(asked: ForVectors, wanted: str | None, model: str, dimensions: int) -> None:
    """That a board can make the vectors that are asked for.

    wanted: the model that the request names. model, dimensions: the board's embedding model, and the values of its
    vectors. Raises NotFound for another model, BadRequest for another length, TooLarge where the reply would be.
    """
    if wanted not in (None, model):
        raise NotFound(f"this board makes vectors with {model}, not {str(wanted)[:100]!r}", "model")
    if asked.dimensions not in (None, dimensions):
        text = f"dimensions should be {dimensions} or left out: {model} makes vectors that cannot be shortened"
        raise BadRequest(text, "dimensions")
    count, most = len(asked.input or ()), VALUES_MAX[asked.encoding_format] // dimensions
    if count > most:
        more = "" if asked.encoding_format == "base64" else "; encoding_format base64 takes more"
        raise TooLarge(f"input has {count} texts, but a reply has room for {most} vectors of {model}{more}", "input")


def written(embeddings: dict[str, Any], encoding: Encoding) -> dict[str, Any]:
    """A reply's `embeddings`, whose vectors come in base64, as they were asked for: as numbers, to float32's digits."""
    if encoding == "base64":
        return embeddings
    return {**embeddings, "vectors": [numbers(vector) for vector in embeddings["vectors"]]}


def numbers(vector: str) -> list[float]:
    """The values of a vector in base64, each the shortest number that is the same float32 again."""
    data = base64.b64decode(vector, validate=True)
    return [float(f"{value:.9g}") for value in struct.unpack(f"<{len(data) // 4}f", data)]
