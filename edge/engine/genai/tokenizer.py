"""onnxruntime-genai's tokenizer over a bundle's files; it needs no model."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels phone home otherwise

import onnxruntime_genai as og

from edge.bundle import Manifest
from edge.engine.text.chat_template import render
from edge.engine.text.marks import Marks
from edge.errors import BadRequest, BundleError, TooLarge


class Tokenizer:
    """Text to token ids and back.

    A model that sees pictures has each piece of text begin with bos_token where its tokenizer says so: its own
    processor encodes piece by piece (`processing_phi3_v.py` on the hub). For others the chat template has the say.
    """

    def __init__(self, bundle: Path, manifest: Manifest) -> None:
        config = _config(bundle)
        self._marks, self._context = Marks(bundle), manifest.context_length
        self._template, self._special = manifest.chat_template, special_tokens(config)
        try:
            self._tokenizer = og.Tokenizer(str(bundle))
        except Exception as error:  # genai raises plain RuntimeError for everything
            raise BundleError(f"onnxruntime-genai cannot read the tokenizer of {bundle}: {error}") from error
        begins = manifest.pictures is not None and config.get("add_bos_token", False)
        self._begin = [int(self._tokenizer.to_token_id(self._special["bos_token"]))] if begins else []

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
        return [*self._begin, *self._tokenizer.encode(text).tolist()]

    def text(self, tokens: list[int]) -> str:
        """What some token ids stand for."""
        return str(self._tokenizer.decode(tokens))

    def stream(self) -> Any:
        """A decoder of an answer: its `decode(token_id)` is the text that is certain by then."""
        return self._tokenizer.create_stream()


def _config(bundle: Path) -> dict[str, Any]:
    path = bundle / "tokenizer_config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """bos_token and eos_token as the tokenizer's config spells them, for templates that write them out."""
    found = {}
    for name in ("bos_token", "eos_token"):
        value = config.get(name)
        found[name] = value.get("content", "") if isinstance(value, dict) else value or ""
    return found
