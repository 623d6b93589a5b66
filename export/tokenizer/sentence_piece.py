"""A SentencePiece BPE tokenizer (`llama` in GGUF: Llama 2, TinyLlama, Mistral, Phi-3), made of pieces and scores.

SentencePiece joins the neighbours whose piece has the highest score; `tokenizers` joins the pair that comes first in a
list. So every pair that makes a piece is listed, in the order of the pieces' scores; pairs of one piece by the numbers
of their halves, as Transformers' own conversion lists them (`generate_merges`), so that the published lists come out.
Source: Kudo and Richardson, SentencePiece, arXiv:1808.06226, and its bpe_model.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.tokenizer.vocabulary import BYTE, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, Vocabulary

CLASS = "LlamaTokenizer"
SPACE = "▁"
BYTES = 256
NOT_STRIPPED = ("<unk>", "<s>", "<|endoftext|>")
"""Of Phi-3's added tokens those that leave the white space behind them; the format has no word for it, so llama.cpp
lists them by name too."""


def tokenizer(vocabulary: Vocabulary) -> dict[str, Any]:
    """tokenizer.json's object. Raises SourceError where pieces are missing, UnsupportedError where none can be told."""
    pieces = vocabulary.pieces()
    _check(vocabulary, pieces)
    space = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prefix = [{"type": "Prepend", "prepend": SPACE}] if vocabulary.adds_space else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if vocabulary.adds_space else []
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(vocabulary, number, token) for number, token in vocabulary.added().items()],
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, space]},
        "pre_tokenizer": None,
        "post_processor": vocabulary.frame(adds_bos=True),
        "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": vocabulary.tokens[vocabulary.ids["unknown"]],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": _model_pieces(vocabulary, pieces),
            "merges": list(vocabulary.merges) or _merges(vocabulary, pieces),
        },
    }


def _check(vocabulary: Vocabulary, pieces: Mapping[str, int]) -> None:
    if "unknown" not in vocabulary.ids:
        raise SourceError("the GGUF header names no unknown token (tokenizer.ggml.unknown_token_id)")
    missing = [text for text in (f"<0x{byte:02X}>" for byte in range(BYTES)) if text not in pieces]
    if missing and BYTE in vocabulary.types:
        raise SourceError(f"the GGUF header's tokens lack {missing[0]}, and so cannot spell every text")
    parts = _parts(vocabulary, pieces)
    for number, token in enumerate(vocabulary.tokens):
        if vocabulary.types[number] == UNUSED and any(_pairs(token, parts)):
            raise UnsupportedError(
                f"the GGUF header joins pieces to {token!r}, which it calls unused; `tokenizers` cannot take it apart"
                " again, so export from the Hugging Face folder instead"
            )
    scores = {vocabulary.scores[number] for number in pieces.values() if vocabulary.types[number] == NORMAL}
    if len(scores) <= 1 < len(pieces) and not vocabulary.merges:
        raise UnsupportedError(
            "the GGUF header gives every piece the same score, so that nobody can tell what is joined first;"
            " export from the Hugging Face folder instead"
        )


def _added(vocabulary: Vocabulary, number: int, token: str) -> dict[str, Any]:
    """An added token; Phi-3's swallow the white space behind them."""
    return {
        "id": number,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": vocabulary.architecture in ("phi3", "phimoe") and token not in NOT_STRIPPED,
        "normalized": False,
        "special": vocabulary.types[number] != USER_DEFINED,
    }


def _model_pieces(vocabulary: Vocabulary, pieces: Mapping[str, int]) -> dict[str, int]:
    """The model's own pieces; a token added behind them is the added tokens' affair."""
    kinds = vocabulary.types
    last = max((number for number in pieces.values() if kinds[number] in (NORMAL, BYTE, UNKNOWN)), default=0)
    return {token: number for token, number in pieces.items() if number <= last}


def _merges(vocabulary: Vocabulary, pieces: Mapping[str, int]) -> list[str]:
    """Every pair of pieces that makes a piece, as `left right`, the highest score first."""
    found: list[tuple[float, str]] = []
    parts = _parts(vocabulary, pieces)
    for token, number in parts.items():
        pairs = sorted(_pairs(token, parts), key=lambda pair: (parts[pair[0]], parts[pair[1]]))
        found += [(vocabulary.scores[number], f"{left} {right}") for left, right in pairs]
    return [pair for _, pair in sorted(found, key=lambda each: -each[0])]


def _parts(vocabulary: Vocabulary, pieces: Mapping[str, int]) -> dict[str, int]:
    """The model's pieces that are joined, and made by joining; one with a blank is found as it stands (Gemma's)."""
    return {
        token: number
        for token, number in _model_pieces(vocabulary, pieces).items()
        if vocabulary.types[number] in (NORMAL, USER_DEFINED) and " " not in token
    }


def _pairs(token: str, parts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The ways to cut a piece into two pieces."""
    for place in range(1, len(token)):
        left, right = token[:place], token[place:]
        if left in parts and right in parts:
            yield left, right
