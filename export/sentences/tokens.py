"""The tokenizer: its file as it is, but for how it cuts and fills, which is the engine's to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.sentences.config import Encoder
from export.source.shards import read_json


def read_tokenizer(folder: Path, encoder: Encoder) -> dict[str, Any]:
    """tokenizer.json, a WordPiece one that puts `[CLS]` before a text and `[SEP]` behind it.

    Raises UnsupportedError for one of another kind, SourceError for tokens that the model has no rows for.
    """
    told = read_json(folder / "tokenizer.json")
    model = told.get("model") or {}
    if model.get("type") != "WordPiece" and "continuing_subword_prefix" not in model:
        raise UnsupportedError(f"tokenizer.json is of the type {model.get('type')!r}; only WordPiece is exported")
    if not isinstance(told.get("post_processor"), dict):
        raise UnsupportedError("tokenizer.json puts nothing before and behind a text; BERT's has a post_processor")
    ids = [*model.get("vocab", {}).values(), *(each.get("id") for each in told.get("added_tokens") or ())]
    if not ids or not all(isinstance(each, int) and 0 <= each < encoder.words for each in ids):
        raise SourceError(f"tokenizer.json has tokens that config.json's vocab_size, {encoder.words}, has no rows for")
    return {**told, "truncation": None, "padding": None}
