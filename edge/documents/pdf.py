"""PDF, by Chromium's reader (PDFium): text by pages, headings by its outline, without the lines that pages repeat."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pypdfium2

from edge.documents.encodings import clean
from edge.documents.parts import Document, Part

PAGES_MAX, CHARS_MAX = 5000, 20_000_000
OUTLINE_MAX, DEPTH_MAX = 10_000, 6
REPEATED = 0.3
"""Share of the pages at whose edge a line stands that belongs to the paper and not to the text."""
PAGES_MIN = 4
"""From which on that can be told."""
SHORT = 0.8
"""Of a page's longest line: a shorter one that ends a sentence ends a paragraph."""
_NUMBER = re.compile(r"[0-9ivxlc]+\b|\W+")
_JOINED = re.compile("[\ufffe\u00ad\x02]\\s*")
"""A hyphen at a line's end that the word itself has not."""
_ENDING = (".", "!", "?", ":", "。", "．", "！", "？", "؟", "।")


def pdf(data: bytes) -> Document:
    """Of a file's bytes. Raises ValueError where it is damaged, locked, too long, or pictures of pages alone."""
    try:
        with pypdfium2.PdfDocument(data) as file:
            if len(file) > PAGES_MAX:
                raise ValueError(f"{len(file)} pages; {PAGES_MAX} are read at most")
            title = clean(file.get_metadata_value("Title")).strip()
            pages = _Pages(_texts(file))
            parts = list(pages.parts(_outline(file)))
    except pypdfium2.PdfiumError as error:
        raise ValueError(f"a PDF that cannot be read ({error})") from error
    if not parts:
        raise ValueError("a PDF without text: pictures of pages would have to be recognised first")
    return Document(title, parts)


def _texts(file: pypdfium2.PdfDocument) -> list[str]:
    texts, chars = [], 0
    for number in range(len(file)):
        page = file[number]
        text = page.get_textpage()
        texts.append(clean(_JOINED.sub("", text.get_text_range())))
        text.close()
        page.close()
        chars += len(texts[-1])
        if chars > CHARS_MAX:
            raise ValueError(f"more than {CHARS_MAX} characters")
    return texts


def _outline(file: pypdfium2.PdfDocument) -> dict[int, list[tuple[int, str]]]:
    """Levels from 1 and titles of what is in the outline, by the page they lead to, from 0."""
    found: dict[int, list[tuple[int, str]]] = {}
    for count, entry in enumerate(file.get_toc(max_depth=DEPTH_MAX)):
        target = entry.get_dest()
        page = target.get_index() if target is not None else None
        title = " ".join(clean(entry.get_title()).split())[:200]
        if page is not None and title:
            found.setdefault(page, []).append((entry.level + 1, title))
        if count >= OUTLINE_MAX:
            break
    return found


class _Pages:
    """Pages as lines, without what every page repeats."""

    def __init__(self, texts: list[str]) -> None:
        self._pages = [[line.rstrip() for line in text.split("\n") if line.strip()] for text in texts]
        edges = Counter(key for page in self._pages for key in {_key(line) for line in (page[:1] + page[-1:])})
        most = REPEATED * len(self._pages) if len(self._pages) >= PAGES_MIN else len(self._pages)
        self._repeated = {key for key, count in edges.items() if count > most or not key}

    def parts(self, outline: dict[int, list[tuple[int, str]]]) -> Iterator[Part]:
        for number, lines in enumerate(self._pages):
            yield from self._page(number + 1, self._inner(lines), outline.get(number, []))

    def _inner(self, lines: list[str]) -> list[str]:
        first = 1 if lines and _key(lines[0]) in self._repeated else 0
        last = 1 if len(lines) > first and _key(lines[-1]) in self._repeated else 0
        return lines[first : len(lines) - last]

    def _page(self, number: int, lines: list[str], headings: list[tuple[int, str]]) -> Iterator[Part]:
        """Paragraphs and headings; a heading that is not found among the lines stands before them."""
        places: dict[int, list[Part]] = {}
        taken: set[int] = set()
        at = 0
        for level, title in headings:
            found = _line_of(title, lines, at)
            at = found + 1 if found is not None else at
            taken |= {found} if found is not None else set()
            places.setdefault(found if found is not None else at, []).append(Part("heading", title, level, number))
        width, paragraph = max(map(len, lines), default=0), list[str]()
        for place, line in enumerate([*lines, ""]):
            ends = place in places or place == len(lines)
            if paragraph and (ends or (paragraph[-1].endswith(_ENDING) and len(paragraph[-1]) < SHORT * width)):
                yield Part("text", "\n".join(paragraph), page=number)
                paragraph = []
            yield from places.get(place, [])
            paragraph += [line] if place not in taken else []


def _key(line: str) -> str:
    """A line as it is on every page, without the page's number."""
    return _NUMBER.sub("", line.lower())


def _line_of(title: str, lines: list[str], first: int) -> int | None:
    """Where a line says what the outline does, with or without a number before it."""
    wanted = "".join(title.lower().split())
    for place in range(first, len(lines)):
        line = "".join(lines[place].lower().split())
        if (
            line == wanted
            or (line.endswith(wanted) and len(line) - len(wanted) <= 12)
            or (wanted.endswith(line) and len(line) > 8)
        ):
            return place
    return None
