"""A bundle's chat template and tokenizer: conversations and texts to token ids and back. It needs no model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from edge.bundle import Manifest
from edge.engine.genai.reader import ELSEWHERE, GenaiReader
from edge.engine.text.chat_template import render
from edge.engine.text.exact import ExactReader, is_installed
from edge.engine.text.marks import Marks
from edge.errors import BadRequest, TooLarge


class Tokenizer:
    """Text to token ids and back, by the reader that the bundle's manifest names.

    A model that sees pictures has each piece of text begin with bos_token where its tokenizer says so: its own
    processor encodes piece by piece (`processing_phi3_v.py` on the hub). For others the chat template has the say.
    Raises BundleError where the reader is not installed, or cannot read the bundle's tokenizer.
    """

    def __init__(self, bundle: Path, manifest: Manifest) -> None:
        config = _config(bundle)
        self._bundle, self._marks, self._context = bundle, Marks(bundle), manifest.context_length
        self._template, self._special = manifest.chat_template, special_tokens(config)
        self._reader = self._exact if manifest.tokenizer == "tokenizers" else GenaiReader(bundle)
        begins = manifest.pictures is not None and config.get("add_bos_token", False)
        bos = self._reader.id_of(str(self._special.get("bos_token", ""))) if begins else None
        self._begin = [] if bos is None else [bos]

    @cached_property
    def _exact(self) -> ExactReader:
        """Opened where a text first needs it."""
        return ExactReader.of(self._bundle)

    def _reader_of(self, text: str) -> GenaiReader | ExactReader:
        """The bundle's own, or the exact one where that knows a text's characters and the bundle's does not."""
        return self._exact if ELSEWHERE.search(text) and is_installed() else self._reader

    def encode(self, messages: list[dict[str, str]], places: Mapping[str, list[int]] | None = None) -> list[int]:
        """A conversation's token ids, through the chat template, which alone sets control tokens.

        places: texts that stand for something else, and its tokens; what lies between is encoded piece by piece.
        Raises TooLarge where it is surely longer than the context, BadRequest where the template refuses it.
        """
        text = render(self._template, self._marks.broken(messages), self._special)
        if self._marks.least(text) > self._context:
            raise self._too_large()
        tokens: list[int] = []
        for its in self._parts(text, places or {}):
            tokens += its
            if len(tokens) > self._context:
                raise self._too_large()
        return tokens

    def _parts(self, text: str, places: Mapping[str, list[int]]) -> Iterator[list[int]]:
        """A text's tokens, little by little, so that nothing is encoded in vain behind what is too much."""
        pieces = re.split("(" + "|".join(map(re.escape, places)) + ")", text) if places else [text]
        for piece in filter(None, pieces):
            if piece in places:
                yield places[piece]
            else:
                yield from self._marks.parts(piece, self.ids)

    def _too_large(self) -> TooLarge:
        most = self._context
        return TooLarge(f"the prompt has more than {most} tokens, but the context holds {most} with the answer")

    def ids(self, text: str) -> list[int]:
        """A plain text's token ids; BadRequest where it has a null character, which would cut it off."""
        if "\0" in text:
            raise BadRequest("a text has a null character; send it without", "messages")
        return [*self._begin, *self._reader_of(text).encode(text)]

    def count(self, text: str) -> int:
        """How many tokens a piece of what somebody wrote has, in which no control token is one."""
        (broken,) = self._marks.broken([{"content": text}])
        return sum(map(len, self._marks.parts(broken["content"], self.ids)))

    def text(self, tokens: list[int]) -> str:
        """What some token ids stand for."""
        return self._reader.text(tokens)

    def stream(self) -> Any:
        """A decoder of an answer: its `decode(token_id)` is the text that is certain by then."""
        return self._reader.stream()


def _config(bundle: Path) -> dict[str, Any]:
    path = bundle / "tokenizer_config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
OTHERS = "additional_special_tokens"


def special_tokens(config: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Control tokens as a bundle's tokenizer_config.json spells them, for templates that write them out."""
    extra = config.get("extra_special_tokens")
    names = (*NAMES, *(extra if isinstance(extra, dict) else ()))
    found: dict[str, str | list[str]] = {name: text for name in names if (text := text_of(config.get(name)))}
    others = [text for each in config.get(OTHERS) or [] if (text := text_of(each))]
    return {**found, OTHERS: others} if others else found


def text_of(token: Any) -> str:
    """A token's text, whether it is told as that or with its flags; empty where it is neither."""
    content = token.get("content") if isinstance(token, Mapping) else token
    return content if isinstance(content, str) else ""
