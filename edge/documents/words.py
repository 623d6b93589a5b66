"""Words of a text as the index has them: without case, accents, endings; groups of characters where none puts spaces.

Questions go through the same, so that whatever a visitor writes is words, and never syntax of SQLite's.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

FUNCTION_WORDS = Path(__file__).with_name("function_words.txt")
"""Those that are in questions for their grammar."""
WORD_CHARS_MAX = 64
"""Of a longer one its beginning counts."""
STEM_CHARS_MIN = 3
"""Letters that stay when an ending goes."""

_JOINED = "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese, Khmer: syllables of several characters, so that three make a word."""
_IDEOGRAPHS = "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_IDEOGRAPHS += "\U00020000-\U0003ffff"
"""Chinese and Japanese: two characters make a word."""
_ACCENTS = "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
"""And Hebrew points, Arabic vowels."""
_MARKS = f"{_ACCENTS}\u0900-\u0963\u0966-\u0dff"
"""Signs that belong to the letter before them; of India's scripts all that are no punctuation."""
_DROPPED = re.compile(f"[{_ACCENTS}\u0640]+")
"""The last is the stroke that makes an Arabic word longer."""
_WORD = re.compile(f"[{_IDEOGRAPHS}]+|[{_JOINED}]+|(?:(?![{_IDEOGRAPHS}{_JOINED}])[^\\W_][{_MARKS}]*)+")
_IDEOGRAPH, _LETTER_JOINED = re.compile(f"[{_IDEOGRAPHS}]"), re.compile(f"[{_JOINED}]")
_ENDING = re.compile("(?:ations?|ings?|ed|ers?|ies|es|ly|en|e|s|y)$")


def words(text: str) -> list[str]:
    """The words of a text, in order, as often as they come."""
    return [word for found in _WORD.findall(_plain(text)) for word in _parts(found)]


def words_asked(question: str) -> list[str]:
    """The words of a question that say what is asked, each once; all of them where none does."""
    found = list(dict.fromkeys(words(question)))
    return [word for word in found if word not in _grammar()] or found


@cache
def _grammar() -> frozenset[str]:
    lines = FUNCTION_WORDS.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in words(line.partition(":")[2]))


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", _DROPPED.sub("", decomposed))


def _parts(found: str) -> list[str]:
    if _IDEOGRAPH.match(found):
        return _grams(found, 2)
    if _LETTER_JOINED.match(found):
        return _grams(found, 3)
    return [_stem(found[:WORD_CHARS_MAX])]


def _grams(run: str, size: int) -> list[str]:
    return [run[at : at + size] for at in range(max(1, len(run) - size + 1))]


def _stem(word: str) -> str:
    """Without its ending, one of English's or that others share; a false one costs little, since both sides lose it."""
    found = _ENDING.search(word, STEM_CHARS_MIN)
    return word[: found.start()] if found else word
