"""A model's control marks in what people wrote: `<|im_end|>` in a question is ten characters, and ends nothing.

A tokenizer takes its marks for control tokens wherever they stand, so that a prompt could forge turns. The chat
template alone may set them: in every text that it is given they are broken behind their first character, and the pieces
are encoded apart.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

Ids = list[int]
MARK = re.compile(r"<.*>|\[.*\]", re.DOTALL)
"""What a token that is added to a vocabulary looks like where it is a mark; runs of spaces are added, too."""
ANCHOR, ANCHOR_OF_SPACE = "\n", "a"
"""Before a piece that goes on: some tokenizers put a space before whatever a text begins with. White space must not be
before white space, with which it would be one token."""
SLICE_CHARACTERS = 1024
"""A tokenizer takes a time that grows with the square of a word: a quarter minute for a quarter million letters."""
CUT = re.compile(r".*[^\W_](?=\s)", re.DOTALL)
"""As far as the last white space behind a letter or a digit."""


class Marks:
    """A bundle's marks. longest: characters of a text that one token may stand for, infinite where none can say."""

    def __init__(self, bundle: Path) -> None:
        told = _told(bundle / "tokenizer.json")
        known = sorted(_marks(told), key=len, reverse=True)
        self.longest = _longest(told)
        self._mark = re.compile("|".join(map(re.escape, known))) if known else None
        self._break = f"<break {uuid.uuid4().hex}>"  # nobody can guess it, so that no text can say it

    def broken(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """A conversation whose texts have no mark in one piece."""
        if self._mark is None or not any(self._mark.search(turn["content"]) for turn in messages):
            return messages
        return [{**turn, "content": self._broken(turn["content"])} for turn in messages]

    def _broken(self, text: str) -> str:
        assert self._mark
        pieces, start = [], 0
        while found := self._mark.search(text, start):  # from within, since marks may overlap
            pieces.append(text[start : found.start() + 1])
            start = found.start() + 1
        return self._break.join([*pieces, text[start:]])

    def encoded(self, text: str, encode: Callable[[str], Ids]) -> Ids:
        """The ids of a text with breaks in it; encode: of one without."""
        return list(chain.from_iterable(self.parts(text, encode)))

    def parts(self, text: str, encode: Callable[[str], Ids]) -> Iterator[Ids]:
        """The same, a slice at a time, each encoded when it is asked for."""
        pieces = chain.from_iterable(map(self.sliced, text.split(self._break)))
        yield encode(next(pieces))
        for piece in pieces:
            yield going_on(piece, encode)

    def sliced(self, text: str) -> Iterator[str]:
        """A long text in slices, cut where no tokenizer of ours joins anything, as long as there is such a place."""
        start = 0
        while len(text) - start > SLICE_CHARACTERS:
            found = CUT.match(text, start, start + SLICE_CHARACTERS)
            stop = self._beside_mark(text, start, found.end() if found else start + SLICE_CHARACTERS)
            yield text[start:stop]
            start = stop
        yield text[start:]

    def _beside_mark(self, text: str, start: int, stop: int) -> int:
        """A place for a cut; where it would be in a mark of the template, before that."""
        found = self._mark.finditer(text, start + 1, stop + SLICE_CHARACTERS) if self._mark else ()
        return next((each.start() for each in found if each.start() < stop < each.end()), stop)

    def least(self, text: str) -> float:
        """How many tokens a text with breaks in it has at the least."""
        breaks = text.count(self._break)
        return breaks + (len(text) - breaks * len(self._break)) / self.longest


def going_on(piece: str, encode: Callable[[str], Ids]) -> Ids:
    """The ids of a piece that does not begin its text."""
    anchor = ANCHOR_OF_SPACE if piece[:1].isspace() else ANCHOR
    before, whole = encode(anchor), encode(anchor + piece)
    return whole[len(before) :] if whole[: len(before)] == before else encode(piece)


def marks_of(tokenizer: Path) -> set[str]:
    """The marks that a tokenizer.json knows: its special tokens, and what else is added and looks like one."""
    return _marks(_told(tokenizer))


def _told(tokenizer: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(tokenizer.read_text(encoding="utf-8"))
    return told


def _marks(told: Mapping[str, Any]) -> set[str]:
    added: list[Mapping[str, Any]] = told.get("added_tokens") or []
    return {each["content"] for each in added if each.get("special") or MARK.fullmatch(each["content"])} - {""}


def _longest(told: Mapping[str, Any]) -> float:
    """Of the longest token, where texts are not made shorter before they are cut into tokens."""
    model, normalizer = told.get("model", {}), told.get("normalizer")
    swallows = model.get("fuse_unk") and not model.get("byte_fallback")
    if model.get("type") != "BPE" or swallows or not (normalizer is None or _is_lengthening(normalizer)):
        return math.inf
    added = (each["content"] for each in told.get("added_tokens") or [])
    return max(map(len, chain(model["vocab"], added)), default=math.inf)


def _is_lengthening(normalizer: Mapping[str, Any]) -> bool:
    if normalizer["type"] == "Sequence":
        return all(map(_is_lengthening, normalizer["normalizers"]))
    pattern = normalizer.get("pattern", {}).get("String")
    is_longer = pattern is not None and len(pattern) <= len(normalizer["content"])
    return normalizer["type"] == "Prepend" or (normalizer["type"] == "Replace" and is_longer)
