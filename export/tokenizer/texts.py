"""Texts that were made to differ: seeded mixtures of awkward pieces, lines of documentation, a vocabulary's tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.calibration_text import topics
from export.tokenizer.format import added, vocabulary

SPACES = (
    *(" ", "  ", "   ", "     ", "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r\n", "\r", "\v", "\f", " \n", "\n ", "\t "),
    *"\u00a0\u2003\u2009\u3000\u2028\u2029\u202f\u1680",
)
NUMBERS = "0 1 42 123 1234 12345 3.14 1,000 1e-5 0x1F ½ ² x² Ⅷ ① ٣ ٣٤ １２ 𝟘 百 १२ 10% -7 +1 1:30 v2.0 2024-01-31"
WORDS = (
    "a I the The hello World don't it's I'VE we'll WE'LL he'd 's 'S 'T can’t naïve café cafe\u0301 Å \u212b straße ẞ"
    " İstanbul ıI ſo ﬁn ǅ Ω CamelCase snake_case UPPER of and ing un lowercase"
)
SCRIPTS = (
    "日本語 中文字符 한국어 \u1100\u1161 Привет мир Ελλάδα مرحبا שלום नमस्ते हिन्दी ไทย ภาษา ქართული ᲐᲑ አማርኛ தமிழ்"
    " 𝔸𝕓 𐌰𐌱 𠮷野 ｶﾅ ＡＢ"
)
MARKS = "\u0301\u0300\u20e3\ufe0f\u200d\u200b\u200c\u00ad\ufeff\u2060\u0e33\u202e\ufffd\ue000"
EMOJI = "🙂 👩\u200d🚀 🏳\ufe0f\u200d🌈 🇨🇭 👍🏽 ❤\ufe0f 1\ufe0f\u20e3 ☎ ✓ → ≠ € ™ ♪"
CODE = (
    r"def f(x): return if x=[1, {'a': </div> <br/> // /* */ == != -> :: && || ... -- --- ==== ``` \n \ #include @x $1 ~"
    " ^ ` | _ __ ( ) [ ] { } < > ; : , . ! ? \" ' “ ” … — – 、 。 「 ！"
)
STRANGE = "\x01 \x1b[0m \x7f \x80 ▁ ▁▁ Ġ Ċ ## ##ing <0x41> </w> ï¿½ [INST] <|im_end|> <s> </s> <unk> [UNK] <|x|>"
TOLD_APART = (NUMBERS, WORDS, WORDS, SCRIPTS, EMOJI, CODE, CODE, STRANGE)
GROUPS: tuple[Sequence[str], ...] = (SPACES, SPACES, MARKS, *(each.split(" ") for each in TOLD_APART))
LONG = (
    *("a" * 300, "ab" * 150, "the" * 100, "1" * 60, "é" * 80, "日" * 120, "🙂" * 40, " " * 120, "\n" * 60, "-" * 200),
    *("x\u0301" * 40, "A1" * 90, "\t" * 50, "'s" * 60),
)
LONGEST_MIXTURE = 14


def mixtures(count: int, marks: list[str], seed: int = 0) -> Iterator[str]:
    """Seeded texts of pieces from every group, now and then a control mark of the tokenizer's or a very long word."""
    chance = random.Random(seed)  # noqa: S311 - to draw texts, not secrets
    groups: list[Sequence[str]] = [*GROUPS, *([marks] if marks else [])]
    for number in range(count):
        pieces = [chance.choice(chance.choice(groups)) for _ in range(chance.randint(1, LONGEST_MIXTURE))]
        if number % 40 == 0:
            pieces.insert(chance.randint(0, len(pieces)), chance.choice(LONG))
        yield chance.choice(("", "", "", " ", "\n")).join(pieces)


def lines(count: int) -> list[str]:
    """Lines of Python's documentation topics, evenly spaced, with the white space that they begin with."""
    every = [line for line in topics("evaluation").split("\n") if line.strip()]
    return every[:: max(1, len(every) // count)][:count]


def single_characters() -> Iterator[str]:
    """Each character of the first planes' busiest blocks behind a letter, a digit and a space: its class shows."""
    for start, stop in ((1, 0x250), (0x300, 0x370), (0x2000, 0x2070), (0x2150, 0x218A), (0x3000, 0x3040)):
        for number in range(start, stop):
            character = chr(number)
            yield f"x{character}y 1{character}2  {character}"


def spelled_tokens(told: Mapping[str, Any]) -> Iterator[str]:
    """The tokens of a vocabulary as somebody may type them: byte-level and SentencePiece spellings read as text."""
    return (text for token in vocabulary(told) if (text := _typed(token)) and "\0" not in text)


def _typed(token: str) -> str:
    """What a token stands for, roughly: where it is wrong, the text is one more that was made to differ."""
    if "▁" in token:
        return token.replace("▁", " ")
    is_bytes = all(each in BYTES for each in token)
    return bytes(BYTES[each] for each in token).decode(errors="ignore") if is_bytes else token


def _byte_alphabet() -> dict[str, int]:
    """The characters that byte-level tokenizers write bytes with. Source: GPT-2's encoder.py, bytes_to_unicode."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTES = _byte_alphabet()


def texts(told: Mapping[str, Any], count: int = 2000, seed: int = 0) -> list[str]:
    """Mixtures and as many lines, and single characters; none has a null character, which the service refuses."""
    marks = [each["content"] for each in added(told)]
    every = (*mixtures(count, marks, seed), *lines(count), *single_characters())
    return [text for text in every if text and "\0" not in text]
