"""A document as its reader gives it: parts in their order, headings among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Part:
    """A heading, a paragraph, or what must not be torn: a table, a piece of code.

    level: of a heading, from 1, the outermost. page: of a PDF, from 1.
    """

    kind: Literal["heading", "text", "block"]
    text: str
    level: int = 0
    page: int | None = None


@dataclass(slots=True)
class Document:
    """What was read of a file. title: "" where it has none of its own."""

    title: str = ""
    parts: list[Part] = field(default_factory=list)
