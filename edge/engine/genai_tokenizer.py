"""onnxruntime-genai's tokenizer over a bundle's files; it needs no model."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels phone home otherwise

import onnxruntime_genai as og

from edge.chat import render
from edge.errors import BundleError


class Tokenizer:
    """Text to token ids and back."""

    def __init__(self, bundle: Path, chat_template: str) -> None:
        self._template, self._special = chat_template, special_tokens(bundle)
        try:
            self._tokenizer = og.Tokenizer(str(bundle))
        except Exception as error:  # genai raises plain RuntimeError for everything
            raise BundleError(f"onnxruntime-genai cannot read the tokenizer of {bundle}: {error}") from error

    def encode(self, messages: list[dict[str, str]], places: Mapping[str, list[int]] | None = None) -> list[int]:
        """A conversation's token ids, through the chat template.

        places: texts that stand for something else, and its tokens; what lies between is encoded piece by piece.
        """
        text = render(self._template, messages, self._special)
        if not places:
            return self._ids(text)
        pieces = re.split("(" + "|".join(map(re.escape, places)) + ")", text)
        return [token for piece in pieces if piece for token in places.get(piece) or self._ids(piece)]

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).tolist()  # type: ignore[no-any-return]

    def text(self, tokens: list[int]) -> str:
        """What some token ids stand for."""
        return str(self._tokenizer.decode(tokens))

    def stream(self) -> Any:
        """A decoder of an answer: its `decode(token_id)` is the text that is certain by then."""
        return self._tokenizer.create_stream()


def special_tokens(bundle: Path) -> dict[str, str]:
    """bos_token and eos_token as the tokenizer's config spells them, for templates that write them out."""
    path = bundle / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = {}
    for name in ("bos_token", "eos_token"):
        value = config.get(name)
        found[name] = value.get("content", "") if isinstance(value, dict) else value or ""
    return found
