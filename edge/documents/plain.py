"""Plain text, and Markdown and reStructuredText as far as their headings, code and tables go, by lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from edge.documents.parts import Document, Part

TITLE_CHARS_MAX = 200
INDENT = 4
_HASHES = re.compile(r"(#{1,6})\s+(\S.*?)[\s#]*$")
_UNDERLINE = re.compile(r"([=\-~^\"'*+#`:.<>_])\1{2,}\s*$")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_TABLE = re.compile(r"\s*[|+][^\n]*[|+]\s*$|\s*=+( +=+)+\s*$")
_PICTURE = re.compile(r"!\[([^\[\]\n]{0,300})\]\([^()\n]{0,2000}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\([^()\n]{0,2000}\)")
_MARKED = re.compile(r"[*_`]+")


def markdown(text: str) -> Document:
    """Of Markdown: links as their words, headings without their marks."""
    return _document(_without_front(text), is_markdown=True)


def plain(text: str) -> Document:
    """Of text whose headings, if it has any, are underlined with one sign throughout, as reStructuredText has them."""
    return _document(text, is_markdown=False)


def _document(text: str, is_markdown: bool) -> Document:
    document = Document(parts=list(_Lines(text, is_markdown).parts()))
    first = document.parts[0] if document.parts else None
    if first is not None and first.kind == "heading":
        document.title = first.text
    return document


def _without_front(text: str) -> str:
    """Without the settings that some put before a page, between two lines of `---`."""
    if not text.startswith("---\n"):
        return text
    end = text.find("\n---\n", 3, 20_000)
    return text if end < 0 else text[end + 5 :]


class _Lines:
    """Where one is in a text's lines."""

    def __init__(self, text: str, is_markdown: bool) -> None:
        self._lines = text.split("\n")
        self._is_markdown = is_markdown
        self._levels: list[str] = []
        """Signs of underlines, the outermost first."""

    def parts(self) -> Iterator[Part]:
        at, paragraph = 0, list[str]()
        while at < len(self._lines):
            heading, after = self._heading(at) if not paragraph else (None, at)
            if heading is None and self._is_markdown:
                heading, after = self._hashes(at)
            block_end = at if heading else self._fenced(at)
            if heading or block_end > at or not self._lines[at].strip():
                yield from _paragraphs(paragraph, self._is_markdown)
                paragraph = []
            if heading:
                yield heading
                at = after
            elif block_end > at:
                yield Part("block", "\n".join(self._lines[at:block_end]).strip("\n"))
                at = block_end
            else:
                paragraph += [self._lines[at].rstrip()] if self._lines[at].strip() else []
                at += 1
        yield from _paragraphs(paragraph, self._is_markdown)

    def _hashes(self, at: int) -> tuple[Part | None, int]:
        line = self._lines[at]
        found = _HASHES.match(line[:1000]) if line.startswith("#") else None
        return (Part("heading", _title(found[2], True), len(found[1])), at + 1) if found else (None, at)

    def _heading(self, at: int) -> tuple[Part | None, int]:
        """A line with another below it, or with one above it, too, that has one sign only, and where it ends."""
        over = self._sign(at)
        title_at = at + 1 if over else at
        if title_at + 1 >= len(self._lines):
            return None, at
        title, sign = self._lines[title_at].strip(), self._sign(title_at + 1)
        is_long = len(self._lines[title_at + 1].rstrip()) + 2 >= min(len(title), 8)
        if not title or not sign or not is_long or (over and over != sign) or len(title) > TITLE_CHARS_MAX:
            return None, at
        if self._sign(title_at) or title.startswith(("|", "-", "*", "+ ", ">")):
            return None, at
        if self._is_markdown and sign not in "=-":
            return None, at
        return Part("heading", _title(title, self._is_markdown), self._level(over * 2 or sign)), title_at + 2

    def _sign(self, at: int) -> str:
        """The sign that a line has alone, three times or more; else ""."""
        line = self._lines[at]
        found = _UNDERLINE.match(line) if line[:1] and len(line) <= 1000 else None
        return found[1] if found else ""

    def _level(self, sign: str) -> int:
        if self._is_markdown:
            return 1 if sign.startswith("=") else 2
        if sign not in self._levels:
            self._levels.append(sign)
        return self._levels.index(sign) + 1

    def _fenced(self, at: int) -> int:
        """Where code between fences ends that begins here; `at` where none does."""
        found = _FENCE.match(self._lines[at]) if self._is_markdown else None
        if not found:
            return at
        for end in range(at + 1, len(self._lines)):
            if self._lines[end].strip().startswith(found[1]) and not self._lines[end].strip().strip(found[1][0]):
                return end + 1
        return len(self._lines)


def _paragraphs(lines: list[str], is_markdown: bool) -> Iterator[Part]:
    """Lines without an empty one among them, tables apart."""
    for is_table, run in groupby(lines, lambda line: bool(_TABLE.match(line[:1000]))):
        text = "\n".join(run)
        is_code = all(line.startswith(" " * INDENT) for line in text.split("\n"))
        if is_markdown and not is_code:
            text = _LINK.sub(r"\1", _PICTURE.sub(r"\1", text))
        if text.strip():
            yield Part("block" if is_table or is_code else "text", text)


def _title(text: str, is_markdown: bool) -> str:
    if is_markdown:
        text = _MARKED.sub("", _LINK.sub(r"\1", _PICTURE.sub(r"\1", text)))
    return " ".join(text.split())[:TITLE_CHARS_MAX]
