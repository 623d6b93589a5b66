"""A model's control marks in what people wrote: `<|im_end|>` in a question is ten characters, and ends nothing.

A tokenizer takes its marks for control tokens wherever they stand, so that a prompt could forge turns. The chat
template alone may set them: in every text that it is given they are broken behind their first character, and the pieces
are encoded apart.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Ids = list[int]
MARK = re.compile(r"<.*>|\[.*\]", re.DOTALL)
"""What a token that is added to a vocabulary looks like where it is a mark; runs of spaces are added, too."""
ANCHOR = "\n"
"""Before a piece that goes on: some tokenizers put a space before whatever a text begins with."""


class Marks:
    """A bundle's marks."""

    def __init__(self, bundle: Path) -> None:
        known = sorted(marks_of(bundle / "tokenizer.json"), key=len, reverse=True)
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
        first, *others = text.split(self._break)
        return [*encode(first), *(token for piece in others for token in going_on(piece, encode))]

    def whole(self, text: str) -> tuple[str, int]:
        """A text without its breaks, and how many it has."""
        return text.replace(self._break, ""), text.count(self._break)


def going_on(piece: str, encode: Callable[[str], Ids]) -> Ids:
    """The ids of a piece that does not begin its text."""
    before, whole = encode(ANCHOR), encode(ANCHOR + piece)
    return whole[len(before) :] if whole[: len(before)] == before else encode(piece)


def marks_of(tokenizer: Path) -> set[str]:
    """The marks that a tokenizer.json knows: its special tokens, and what else is added and looks like one."""
    added: list[Mapping[str, Any]] = json.loads(tokenizer.read_text(encoding="utf-8")).get("added_tokens") or []
    return {each["content"] for each in added if each.get("special") or MARK.fullmatch(each["content"])} - {""}
