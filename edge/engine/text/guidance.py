"""Answers held to a grammar, through llguidance. The only file that imports it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from edge.engine.text.exact import ExactReader
from edge.engine.text.schemas import check
from edge.errors import BadRequest, BundleError, EngineFailed, Unsupported

COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""llguidance's own keyword: no spaces and line breaks between tokens, which small models lose themselves in."""
TEXT_OR = "start: answer | TEXT\nTEXT: /([^{](.|\\n)*)?/\nanswer: "
"""A grammar whose answers are text, unless they begin like JSON: then what is put behind this."""


LIMITS = LLParserLimits(
    max_items_in_row=8000,  # a thousand properties that may be left out; 2,000 are 500 of them
    step_lexer_fuel=100_000,  # 20 ms at the most until it is known what may come next; others wait for it
    max_lexer_states=50_000,  # of 1 to 2 kB each
    verbose_errors=False,
)
PLACE = re.compile(r"at \d+\(\d+\): (failed to compile JSON schema: )?")
"""Where in the grammar an error is, which is not the asker's."""


def grammar(schema: dict[str, Any], may_be_text: bool) -> str:
    """The answers that may be, in llguidance's dialect of Lark: JSON of a schema, or any text not begun with `{`.

    Raises BadRequest where the schema is too much, or nothing can match it.
    """
    told = json.dumps({**schema, **COMPACT})
    check(schema, len(told), param_of(schema, may_be_text))
    return f"{TEXT_OR}%json {told}" if may_be_text else f"start: %json {told}"


def param_of(schema: dict[str, Any], may_be_text: bool) -> str:
    """The field of a request that a schema is from: those of calls are made by edge.wire.tools."""
    calls = schema.get("anyOf") if set(schema) == {"anyOf"} else None
    is_of_calls = all(isinstance(each, dict) and each.get("required") == ["name", "arguments"] for each in calls or ())
    return "tools" if may_be_text or (calls and is_of_calls) else "response_format"


class Vocabulary:
    """What a bundle's tokens spell, which is all that a grammar needs to know of its tokenizer.

    stop_token_ids: those that the vocabulary does not have never come, and are left out. Raises Unsupported where none
    is left, or the tokenizer is one that no grammar can be held to.
    """

    def __init__(self, bundle: Path, size: int, stop_token_ids: list[int]) -> None:
        self._size = size
        stops = [each for each in stop_token_ids if 0 <= each < size]
        if not stops:
            raise Unsupported(
                f"no schema can be followed: the bundle's tokens that end an answer, {stop_token_ids}, are none of its"
                f" {size}; export it anew"
            )
        try:
            self._tokenizer = _read(bundle, size, stops)
        except (ValueError, BundleError) as error:
            raise Unsupported(f"no schema can be followed with the bundle's tokenizer: {error}") from error

    def guide(self, schema: dict[str, Any], may_be_text: bool) -> Guide:
        """A guide for one answer; BadRequest where the schema cannot be followed."""
        told = LLMatcher.grammar_from_lark(grammar(schema, may_be_text))
        guide = Guide(LLMatcher(self._tokenizer, told, log_level=0, limits=LIMITS), self._size)
        try:
            guide.allowed()
        except EngineFailed as error:
            reason = error.message
        else:
            return guide
        raise BadRequest(reason, param_of(schema, may_be_text))


def _read(bundle: Path, size: int, stop_token_ids: list[int]) -> LLTokenizer:
    try:
        return LLTokenizer(str(bundle / "tokenizer.json"), size, stop_token_ids)
    except ValueError:  # a decoder that it does not know; such bundles are served with `tokenizers`
        return LLTokenizer(TokenizerWrapper(_Spelled(bundle, size, stop_token_ids)), size, stop_token_ids)


class _Spelled:
    """A tokenizer as llguidance wants it where it cannot read the file itself: what each token adds to a text."""

    bos_token_id = None

    def __init__(self, bundle: Path, size: int, stop_token_ids: list[int]) -> None:
        self._reader = ExactReader.of(bundle)
        self.eos_token_id = stop_token_ids[0]
        self.tokens = list(self._reader.spellings(size))
        self.special_token_ids = [number for number in range(size) if self._reader.is_special(number)]

    def __call__(self, text: str) -> list[int]:
        return self._reader.encode(text)


class Guide:
    """Which tokens may come next in one answer."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._bits = np.zeros(-(-size // 32), np.uint32)
        self._size = size

    def allowed(self) -> NDArray[np.bool_]:
        """`[vocabulary]`; EngineFailed where nothing may come, or the grammar has become too complex to go on."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check(is_open=bool(self._bits.any()))
        return np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._size).view(np.bool_)

    def take(self, token: int) -> bool:
        """Go on past a token; True where the answer is complete and nothing may follow. EngineFailed as above."""
        self._matcher.consume_token(token)
        is_stopped = bool(self._matcher.is_stopped())
        self._check(is_open=not is_stopped or self._matcher.is_accepting())
        return is_stopped

    def copy(self) -> Guide:
        """Another that goes on from here."""
        return Guide(self._matcher.deep_copy(), self._size)

    def _check(self, is_open: bool) -> None:
        """A matcher that has failed says that it has stopped, as one does that is done."""
        if self._matcher.is_error():
            first, *others = PLACE.sub("", self._matcher.get_error()).split("\n")
            reason = next((each for each in others if each.startswith("error: ")), first)  # a pattern's own
            raise EngineFailed(f"the JSON schema cannot be followed: {reason}")
        if not is_open:
            raise EngineFailed("the JSON schema cannot be followed: no token can come next")
