"""A bundle's tokenizer read by the library that wrote its format: exact for every kind. Only this file imports it.

The wheel `tokenizers` is optional: bundles whose manifest names it need it, and others take it, where it is there, for
the few characters that onnxruntime-genai's reader has in another class. It opens no connection: a file is all it reads.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.errors import BundleError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MISSING = (
    "the bundle's tokens are read with the library tokenizers, which is not installed here:"
    " `pip install --no-deps 'tokenizers>=0.22,<1'`"
)
NO_SENTENCES = (
    "the bundle's embedding model is read with the library tokenizers, which is not installed here, so that no vectors"
    " are made and documents are found by their words alone: `pip install --no-deps 'tokenizers>=0.22,<1'`"
)
HELD_MAX = 3
"""Tokens that a character may still be begun in: UTF-8 takes four bytes at the most, and a token has one of them."""
UNKNOWN = "\ufffd"
WHOLE = (UNKNOWN, "ï¿½", "<0xEF><0xBF><0xBD>")
"""How tokens end that say U+FFFD itself: as text, in the alphabet of byte-level tokenizers, byte by byte."""
ANCHORS = ("a", "▁a", "A", "▁A", "x", "0")


def is_installed() -> bool:
    """Whether the wheel is there."""
    return importlib.util.find_spec("tokenizers") is not None


def _opened(told: str, missing: str) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise BundleError(missing) from error
    try:
        return Tokenizer.from_str(told)
    except Exception as error:  # it raises plain Exception for everything
        raise BundleError(f"tokenizers cannot read tokenizer.json: {error}") from error


class Read(NamedTuple):
    """What an embedding model reads of a text. is_cut: the text is longer."""

    ids: list[int]
    is_cut: bool


class SentenceReader:
    """Texts to what an embedding model reads. told: a tokenizer.json. tokens_max: of a text, its ends among them.

    Raises BundleError where the text is no tokenizer.json, or the library is missing.
    """

    def __init__(self, told: str, tokens_max: int) -> None:
        self._tokenizer = _opened(told, NO_SENTENCES)
        self._tokenizer.enable_truncation(tokens_max)
        self._tokenizer.no_padding()

    def encode(self, texts: list[str]) -> list[list[int]]:
        """The token ids of each text, cut at its end, with those that the model wants before and behind it."""
        return [each.ids for each in self.read(texts)]

    def read(self, texts: list[str]) -> list[Read]:
        """The same, and of which texts it is not all."""
        return [Read(list(each.ids), bool(each.overflowing)) for each in self._tokenizer.encode_batch_fast(texts)]


class ExactReader:
    """Text to token ids and back, through `tokenizers`. told: a tokenizer.json. Raises BundleError where it is none."""

    def __init__(self, told: str) -> None:
        self._tokenizer = _opened(told, MISSING)
        self._tokenizer.no_truncation()  # Transformers asks for neither
        self._tokenizer.no_padding()
        self._special = {
            number for number, token in self._tokenizer.get_added_tokens_decoder().items() if token.special
        }
        self._anchor = self._found_anchor()

    @classmethod
    def of(cls, bundle: Path) -> ExactReader:
        """A bundle's."""
        return cls((bundle / "tokenizer.json").read_text(encoding="utf-8"))

    def _found_anchor(self) -> list[int]:
        """A token that a piece of text can be set behind, so that it is not read as a text's beginning."""
        for token in ANCHORS:
            number = self.id_of(token)
            if number is not None and self.text([number]) == token.strip("▁"):
                return [number]
        return []

    def encode(self, text: str) -> list[int]:
        """A text's token ids, with nothing put before or behind it."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, tokens: list[int]) -> str:
        """What token ids stand for; control tokens stand for nothing."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def id_of(self, token: str) -> int | None:
        """A token's id; None where there is no such token."""
        number = self._tokenizer.token_to_id(token)
        return None if number is None else int(number)

    def stream(self) -> ExactStream:
        """A decoder of one answer."""
        return ExactStream(self)

    def behind(self, tokens: list[int]) -> str:
        """What tokens stand for where other text is before them."""
        anchor = self._anchor
        return self.text([*anchor, *tokens])[len(self.text(anchor)) :]

    def is_special(self, token: int) -> bool:
        """Whether it stands for no text."""
        return token in self._special

    def is_whole(self, tokens: list[int]) -> bool:
        """Whether tokens that seem to end within a character say U+FFFD itself."""
        return "".join(self._tokenizer.id_to_token(each) or "" for each in tokens).endswith(WHOLE)

    def spellings(self, count: int) -> Iterator[bytes]:
        """What each token adds to a text, in UTF-8: of `count` tokens, empty for those that are none."""
        return (self.behind([number]).encode() for number in range(count))


class ExactStream:
    """An answer token by token, each decoded with three others at most."""

    def __init__(self, reader: ExactReader) -> None:
        self._reader = reader
        self._held: list[int] = []
        self._is_begun = False

    def decode(self, token: int) -> str:
        """The text that is certain by this token: no half characters, and none before the first one is there."""
        if self._reader.is_special(token):
            return ""
        self._held.append(token)
        text = self._read(self._held)
        if text and (not text.endswith(UNKNOWN) or self._reader.is_whole(self._held)):
            return self._said(text, [])
        if len(self._held) <= HELD_MAX:
            return ""
        return self._said(self._read(self._held[:1]), self._held[1:])

    def _read(self, tokens: list[int]) -> str:
        return self._reader.behind(tokens) if self._is_begun else self._reader.text(tokens)

    def _said(self, text: str, held: list[int]) -> str:
        self._held, self._is_begun = held, True
        return text
