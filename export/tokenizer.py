"""A GGUF header's tokenizer as the `tokenizer.json` that onnxruntime-genai and Transformers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from export.errors import SourceError, UnsupportedError

HEADER = ("model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "padding_token_id")
CONTROL = 3
"""A control token's type in GGUF (gguf.TokenType.CONTROL)."""
BYTE_LEVEL: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def _split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


GPT2 = _split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
PRE_TOKENIZERS: dict[str, list[dict[str, Any]]] = {
    "smollm": [_split(r"\p{N}"), GPT2, BYTE_LEVEL],
    "gpt-2": [GPT2, BYTE_LEVEL],
}
"""How text is cut before merging, by the name GGUF gives it (llama.cpp's llama-vocab.cpp lists the expressions).

Every cut is spelled out, because the engine reads the format's shorter `Digits` and `use_regex` differently where
a number follows white space: `tokenizers` keeps the two line feeds of "\\n\\n1" together, the engine does not.
"""


def from_gguf(header: Mapping[str, Any], chat_template: str) -> dict[str, str]:
    """tokenizer.json and tokenizer_config.json of a byte-level BPE header; UnsupportedError for another kind."""
    if header["model"] != "gpt2" or header["pre"] not in PRE_TOKENIZERS:
        kind = f"{header['model']}/{header['pre']}"
        raise UnsupportedError(f"the GGUF tokenizer {kind} is not read; export from the Hugging Face folder instead")
    tokens = header["tokens"]
    if not tokens or not header["merges"]:
        raise SourceError("the GGUF header has no tokens or no merges")
    special = [index for index, kind in enumerate(header["token_type"]) if kind == CONTROL]
    return {
        "tokenizer.json": _dump(_tokenizer(tokens, header["merges"], special, PRE_TOKENIZERS[header["pre"]])),
        "tokenizer_config.json": _dump(_config(header, chat_template)),
    }


def _tokenizer(tokens: list[str], merges: list[str], special: list[int], cuts: list[dict[str, Any]]) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": tokens[index], **flags} for index in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def _config(header: Mapping[str, Any], chat_template: str) -> dict[str, Any]:
    tokens = header["tokens"]
    named = {f"{name}_token": header[f"{field}_token_id"] for name, field in _NAMES.items()}
    return {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_template,
        **{name: tokens[index] for name, index in named.items() if index is not None},
    }


_NAMES = {"bos": "bos", "eos": "eos", "pad": "padding"}


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
