"""A payload's bytes to text: what it is encoded in, and what is no text.

Normalised before anything is looked for in it: a byte order mark, a declared charset and the null character behind a C
string are no part of what somebody says.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from email.message import Message as Headers
from itertools import islice
from typing import Any

from edge.errors import BadRequest, Unsupported

MARK = "\ufeff"
NAME_MAX = 64
"""Characters of a field's name that are told back."""
GLIMPSE_BYTES, GLIMPSE_TOKENS = 8 << 20, 20_000
STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
"""A JSON string, as a pattern that looks at each character once."""
TOKEN = re.compile(STRING + r"|[{}\[\]:,]", re.DOTALL)
"""A string, or what stands between strings, numbers and names."""
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""How texts begin that say what they are in (Unicode, section 23.8); longer marks before those that they begin with."""
CHARSETS = {
    "utf-8": "utf-8",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "iso-8859-15": "iso8859-15",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-32": "utf-32",
}
"""Those that a content type may name, and Python's words for them (RFC 2978's registry)."""
ALIASES = {
    "utf8": "utf-8",
    "ascii": "us-ascii",
    "latin1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "cp1252": "windows-1252",
}


def charset_of(content_type: str | None) -> str | None:
    """The charset that a content type names; None where it names none. Unsupported where it is not read."""
    headers = Headers()
    headers["content-type"] = content_type or "text/plain"
    named = headers.get_param("charset")
    if named is None:
        return None
    charset = str(named).strip().lower()
    charset = ALIASES.get(charset, charset)
    if charset not in CHARSETS:
        raise Unsupported(f"the charset {charset[:40]!r} is not read; send {', '.join(CHARSETS)}", "content_type")
    return charset


def decoded(payload: bytes, content_type: str | None = None) -> str:
    """The text of a payload, without marks and without null characters behind it.

    Raises BadRequest where it is no text of its encoding, or has a null character within, and Unsupported where its
    content type names a charset that is not read.
    """
    encoding = encoding_of(payload, content_type)
    try:
        text = payload.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the payload is not {encoding.removesuffix('-sig').upper()} (byte {error.start})") from error
    text = text.removeprefix(MARK).rstrip("\0")
    if "\0" in text:
        raise BadRequest(f"the payload has a null character within (character {text.index(chr(0))}); send it without")
    return text


def encoding_of(payload: bytes, content_type: str | None) -> str:
    """What a text is in: by its mark, by its content type, by its first bytes. Unsupported as `charset_of`."""
    charset = charset_of(content_type)
    marked = next((encoding for mark, encoding in MARKS.items() if payload.startswith(mark)), None)
    return marked or (CHARSETS[charset] if charset else _guessed(payload))


def _guessed(payload: bytes) -> str:
    """UTF-8, but for what begins with two characters of ASCII in 16 or 32 bits (RFC 4627, section 3)."""
    nulls = [byte == 0 for byte in payload[:4]]
    if len(payload) % 4 == 0 and nulls == [False, True, True, True]:
        return "utf-32-le" if len(payload) > 4 else "utf-8"  # else a letter and C's end of it
    if len(payload) % 4 == 0 and nulls == [True, True, True, False]:
        return "utf-32-be"
    if len(payload) % 2 == 0 and nulls in ([False, True, False, True], [False, True]):
        return "utf-16-le"
    if len(payload) % 2 == 0 and nulls in ([True, False, True, False], [True, False]):
        return "utf-16-be"
    return "utf-8"


def check_strings(value: Any) -> None:
    """Every string in a JSON value is text. BadRequest naming what is not: half a surrogate pair, a null character."""
    for place, text in scalars_in(value):
        if not isinstance(text, str):
            continue
        told = place or "a field's name"
        if "\0" in text:
            raise BadRequest(f"{told}: a null character, where texts end in C; send it without", place or None)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadRequest(f"{told}: half a surrogate pair, which is no character", place or None) from None


def check_numbers(value: Any) -> None:
    """Every number in a JSON value is one. BadRequest naming what is not: NaN, Infinity, what is too large a number."""
    for place, number in scalars_in(value):
        if isinstance(number, float) and not math.isfinite(number):
            raise BadRequest(f"{place} should be a number that is finite: no NaN, no Infinity, not 1e999", place)


def scalars_in(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no others and every key, with where it is: `messages.0.content`."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield place, key
            yield from scalars_in(each, f"{place}.{key[:NAME_MAX]}" if place else key[:NAME_MAX])
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from scalars_in(each, f"{place}.{number}")
    else:
        yield place, value


def glimpse(payload: bytes, content_type: str | None, names: tuple[str, ...]) -> dict[str, str]:
    """Strings under some names at the top of a JSON object that may be broken, too deep, or cut off.

    What is looked at is bounded, so that the answer to a refused message costs no more than the message.
    """
    try:
        encoding = encoding_of(payload, content_type)
    except Unsupported:
        encoding = "utf-8"
    text = payload[:GLIMPSE_BYTES].decode(encoding, "replace")
    found: dict[str, str] = {}
    depth, last, key = 0, "", ""
    for token in islice(TOKEN.finditer(text), GLIMPSE_TOKENS):
        mark = token[0]
        if key in names and depth == 1 and mark.startswith('"'):
            found.setdefault(key, _string(mark))
        key = last if mark == ":" and depth == 1 else ""
        last = _string(mark) if mark.startswith('"') and depth == 1 else ""
        depth += (mark in "{[") - (mark in "}]")
    return found


def _string(token: str) -> str:
    """A JSON string's text; nothing where it is none."""
    try:
        return str(json.loads(token))
    except ValueError:
        return ""
