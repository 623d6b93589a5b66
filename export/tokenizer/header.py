"""A GGUF header's tokenizer as the `tokenizer.json` that onnxruntime-genai, `tokenizers` and Transformers read.

What each kind of model reads is in byte_level.py (`gpt2` in GGUF) and sentence_piece.py (`llama`). Meanings of the
keys: llama.cpp's src/llama-vocab.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.errors import UnsupportedError
from export.tokenizer import byte_level, sentence_piece
from export.tokenizer.format import written
from export.tokenizer.vocabulary import HEADER, Vocabulary

__all__ = ["HEADER", "Vocabulary", "tokenizer_files"]

KINDS = {"gpt2": byte_level, "llama": sentence_piece}
OTHERS = {
    "t5": "a unigram model",
    "bert": "a WordPiece model",
    "rwkv": "a greedy trie",
    "plamo2": "a table of suffixes",
    "gemma4": "SentencePiece cut at line feeds",
    "none": "no tokenizer at all",
    "no_vocab": "no tokenizer at all",
}
"""Kinds that are not read, and what they are."""


def tokenizer_files(vocabulary: Vocabulary, chat_template: str) -> dict[str, str]:
    """tokenizer.json and tokenizer_config.json; UnsupportedError naming a kind of tokenizer that is not read."""
    if vocabulary.model not in KINDS:
        what = OTHERS.get(vocabulary.model, "unknown here")
        raise UnsupportedError(
            f"the GGUF tokenizer {vocabulary.model!r} ({what}) is not read; {' and '.join(KINDS)} are,"
            " so export from the Hugging Face folder instead"
        )
    form = KINDS[vocabulary.model]
    return {
        "tokenizer.json": written(form.tokenizer(vocabulary)),
        "tokenizer_config.json": written(_config(vocabulary, form.CLASS, chat_template)),
    }


def _config(vocabulary: Vocabulary, kind: str, chat_template: str) -> Mapping[str, Any]:
    return {
        "tokenizer_class": kind,
        **({"add_prefix_space": False} if kind == byte_level.CLASS else {}),  # SentencePiece's is in tokenizer.json
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_template,
        **vocabulary.named(),
    }
