"""Bytes as text: by their byte order mark, as UTF-8, by what a page says of itself, at last as Western European."""

from __future__ import annotations

import codecs
import re
import unicodedata

MARKS = (  # UTF-32's first: it begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LAST = "cp1252"
TOLD_WITHIN = 2048
"""Bytes of a page in which it may name its encoding."""
_TOLD = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{2,40})", re.IGNORECASE)
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
"""Controls, soft hyphens, spaces of no width, and what turns the text around it."""
_LINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def decoded(data: bytes, is_page: bool = False) -> tuple[str, str]:
    """The text of some bytes, and as what they were read where that is a guess, else "".

    is_page: whether it is HTML, which may name its encoding. Raises ValueError for what is no text.
    """
    marked = next((name for mark, name in MARKS if data.startswith(mark)), None)
    if marked:
        return clean(data.decode(marked, "replace")), ""
    if b"\0" in data:
        raise ValueError("not text: it has zero bytes")
    try:
        return clean(data.decode("utf-8")), ""
    except UnicodeDecodeError:
        told = _told(data) if is_page else None
    name = told or LAST
    return clean(data.decode(name, "replace")), "" if told else name


def _told(data: bytes) -> str | None:
    """The encoding that a page names, where Python has it and it is one of texts."""
    found = _TOLD.search(data[:TOLD_WITHIN])
    if found is None:
        return None
    try:
        info = codecs.lookup(found[1].decode("ascii"))
        "".encode(info.name)  # raises LookupError where it turns bytes into bytes
    except (LookupError, ValueError):
        return None
    return info.name


def clean(text: str) -> str:
    """Composed characters, lines that end as Unix has them, nothing unseen."""
    text = _UNSEEN.sub("", _LINES.sub("\n", text))
    text = text.encode("utf-8", "replace").decode() if not text.isascii() else text  # a PDF may have half characters
    return unicodedata.normalize("NFC", text.expandtabs(4))
