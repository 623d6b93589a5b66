"""HTML: its headings, paragraphs, tables and code, read as it streams by, so that depth costs nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from edge.documents.parts import Document, Part

HEADINGS = {f"h{level}": level for level in range(1, 7)}
ENDS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset"),
        *("figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section"),
        *("summary", "table", "ul"),
    }
)
"""Elements that begin and end a paragraph."""
PASSED_OVER = frozenset(
    ("button", "iframe", "math", "nav", "noscript", "object", "script", "select", "style", "svg", "template")
)
VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))
_SPACE = re.compile(r"\s+")


def html(text: str) -> Document:
    """Of a page; what only leads elsewhere or is not shown is passed over."""
    page = _Page()
    page.feed(text)
    page.close()
    page.end()
    return page.document


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self._words: list[str] = []
        self._level = 0
        """Of the heading that is open; 0 for none."""
        self._over = ""
        """The outermost element that is passed over, and how many of its kind are open in it."""
        self._over_depth = 0
        self._is_title = self._is_kept = False
        """Whether `title` is open; whether lines stay as they are (`pre`)."""
        self._rows = 0
        """Tables that are open: their rows are one block, a line each."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._over:
            self._over_depth += tag == self._over
        elif tag in PASSED_OVER or (tag not in VOID and _is_hidden(attrs)):
            self._over, self._over_depth = tag, 1
        elif tag in HEADINGS:
            self.end()
            self._level = HEADINGS[tag]
        elif tag == "title":
            self._is_title = not self.document.title
        else:
            self._opened(tag)

    def _opened(self, tag: str) -> None:
        if tag == "table":
            self.end()
            self._rows += 1
        elif self._rows:
            self._words.append({"tr": "\n", "td": " | ", "th": " | ", "br": " "}.get(tag, ""))
        elif tag in ENDS and not self._level:
            self.end()
            self._is_kept = tag == "pre"
            self._words += ["- "] if tag == "li" else []
        elif tag == "br":
            self._words.append("\n" if self._is_kept else " ")

    def handle_endtag(self, tag: str) -> None:
        if self._over:
            self._over_depth -= tag == self._over
            self._over = self._over if self._over_depth > 0 else ""
        elif tag == "title":
            self._is_title = False
        elif tag == "table" and self._rows:
            self._rows -= 1
            self.end() if not self._rows else None
        elif tag in HEADINGS or (tag in ENDS and not self._rows and not self._level):
            self.end()

    def handle_data(self, data: str) -> None:
        if self._is_title and not self._over:
            self.document.title = _SPACE.sub(" ", f"{self.document.title}{data}").strip()[:400]
        elif not self._over:
            self._words.append(data if self._is_kept else _SPACE.sub(" ", data))

    def end(self) -> None:
        """What was open is a part."""
        text = "".join(self._words)
        is_block = self._is_kept or "\n" in text
        if not self._is_kept:
            text = "\n".join(line for each in text.split("\n") if (line := _SPACE.sub(" ", each).strip(" |")))
        if text.strip(" -\n"):
            self.document.parts.append(self._part(text, is_block))
        self._words, self._level, self._is_kept = [], 0, False

    def _part(self, text: str, is_block: bool) -> Part:
        if self._level:
            return Part("heading", _SPACE.sub(" ", text).strip()[:200], self._level)
        return Part("block" if is_block else "text", text.strip("\n"))


def _is_hidden(attributes: list[tuple[str, str | None]]) -> bool:
    return any(name == "hidden" or (name == "aria-hidden" and value == "true") for name, value in attributes)
