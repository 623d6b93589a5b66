"""Documents cut into pieces that can stand by themselves: at headings, at paragraphs, at sentences, in that order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edge.documents.parts import Document, Part

CHARS = 900
"""That a piece is filled up to."""
CHARS_BLOCK = 1500
"""To which a table or code stays whole."""
CHARS_SMALL = 80
"""A section shorter than this goes on in the next one that is no further out."""
HEADING_CHARS_MAX = 300
BETWEEN = " > "
_SENTENCE = re.compile(r"(?<=[.!?؟।。．！？;；])[\s]*(?=\S)|\n")


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece before it has a number."""

    heading: str
    page: int | None
    text: str


def cut(document: Document) -> Iterator[Cut]:
    """Its pieces, in order; the same for the same document."""
    cutter = _Cutter(document.title)
    for part in document.parts:
        if part.kind == "heading":
            yield from cutter.head(part)
        else:
            yield from cutter.take(part)
    yield from cutter.end()


class _Cutter:
    def __init__(self, title: str) -> None:
        self._title = title
        self._open: list[tuple[int, str]] = []
        """Headings above what comes next, with their levels."""
        self._above: list[tuple[int, str]] = []
        """Those above all of the piece that is begun."""
        self._texts: list[str] = []
        self._chars = 0
        self._page: int | None = None

    def head(self, part: Part) -> Iterator[Cut]:
        """A heading. What was before it is a piece, unless that is small and the heading no further out."""
        is_within = self._texts and self._chars < CHARS_SMALL and self._above and part.level >= self._above[-1][0]
        if not is_within:
            yield from self.end()
        self._open = [*(each for each in self._open if each[0] < part.level), (part.level, part.text)]
        if is_within:
            self._widen()
            self._add(part.text, part.page)

    def _widen(self) -> None:
        """Have a begun piece stand under the headings alone that it shares with what comes."""
        shared = [mine for mine, theirs in zip(self._above, self._open, strict=False) if mine == theirs]
        if shared != self._above:
            self._texts.insert(0, self._above[-1][1])
            self._above = shared

    def take(self, part: Part) -> Iterator[Cut]:
        """A paragraph, a table or code."""
        whole = CHARS_BLOCK if part.kind == "block" else CHARS
        for text in [part.text] if len(part.text) <= whole else _torn(part.text, CHARS):
            if self._texts and self._chars + len(text) > CHARS:
                yield from self.end()
            self._add(text, part.page)

    def _add(self, text: str, page: int | None) -> None:
        if not self._texts:
            self._above, self._page = self._open, page
        self._texts.append(text)
        self._chars += len(text) + 2

    def end(self) -> Iterator[Cut]:
        """What is there so far."""
        text = "\n\n".join(self._texts).strip("\n")
        self._texts, self._chars = [], 0
        if text.strip():
            names = dict.fromkeys(name for _, name in self._above if name != self._title)
            yield Cut(BETWEEN.join(names)[:HEADING_CHARS_MAX], self._page, text)


def _torn(text: str, most: int) -> Iterator[str]:
    """A long paragraph in parts of about the same length: at sentences' ends, else at spaces, else anywhere."""
    count = -(-len(text) // most)
    aim, begun = len(text) / count, ""
    for sentence in _sentences(text, most):
        if begun and (len(begun) + len(sentence) > most or len(begun) >= aim):
            yield begun.strip("\n")
            begun = ""
        begun += sentence
    if begun.strip():
        yield begun.strip("\n")


def _sentences(text: str, most: int) -> Iterator[str]:
    begin = 0
    for end in [*(found.end() for found in _SENTENCE.finditer(text)), len(text)]:
        while end - begin > most:
            space = text.rfind(" ", begin + most // 2, begin + most)
            middle = space + 1 if space >= 0 else begin + most
            yield text[begin:middle]
            begin = middle
        yield text[begin:end]
        begin = end
