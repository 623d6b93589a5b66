"""Answers held to a grammar, through llguidance. The only file that imports it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from edge.errors import BadRequest, EngineFailed

COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""llguidance's own keyword: no spaces and line breaks between tokens, which small models lose themselves in."""
TEXT_OR = "start: answer | TEXT\nTEXT: /([^{](.|\\n)*)?/\nanswer: "
"""A grammar whose answers are text, unless they begin like JSON: then what is put behind this."""


def grammar(schema: dict[str, Any], may_be_text: bool) -> str:
    """The answers that may be, in llguidance's dialect of Lark: JSON of a schema, or any text not begun with `{`."""
    json_of_schema = f"%json {json.dumps({**schema, **COMPACT})}"
    return f"{TEXT_OR}{json_of_schema}" if may_be_text else f"start: {json_of_schema}"


class Vocabulary:
    """What a bundle's tokens spell, which is all that a grammar needs to know of its tokenizer."""

    def __init__(self, bundle: Path, size: int, stop_token_ids: list[int]) -> None:
        self._size = size
        self._tokenizer = LLTokenizer(str(bundle / "tokenizer.json"), size, stop_token_ids)

    def guide(self, schema: dict[str, Any], may_be_text: bool) -> Guide:
        """A guide for one answer; BadRequest where the schema cannot be followed."""
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(grammar(schema, may_be_text)), log_level=0)
        if matcher.is_error():
            raise BadRequest(f"the JSON schema cannot be followed: {matcher.get_error()}", "response_format")
        return Guide(matcher, self._size)


class Guide:
    """Which tokens may come next in one answer."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._bits = np.zeros(-(-size // 32), np.uint32)
        self._size = size

    def allowed(self) -> NDArray[np.bool_]:
        """`[vocabulary]`; EngineFailed where the grammar has become too complex to go on."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        if self._matcher.is_error():
            raise EngineFailed(f"the grammar cannot be followed further: {self._matcher.get_error()}")
        return np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._size).view(np.bool_)

    def take(self, token: int) -> bool:
        """Go on past a token; True where the answer is complete and nothing may follow."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())
