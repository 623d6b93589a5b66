"""A byte-level BPE tokenizer (`gpt2` in GGUF: GPT-2, SmolLM2, Llama 3, Mistral's tekken, Phi-4), made of its merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.tokenizer.cuts import CUTS, Cuts
from export.tokenizer.format import Told
from export.tokenizer.spelling import BYTE_LEVEL, split
from export.tokenizer.vocabulary import USER_DEFINED, Vocabulary

CLASS = "GPT2Tokenizer"


def tokenizer(vocabulary: Vocabulary) -> dict[str, Any]:
    """tokenizer.json's object. Raises UnsupportedError where its cuts are not known, SourceError where it is broken."""
    cuts, pieces = _cuts(vocabulary.pre), vocabulary.pieces()
    if not vocabulary.merges:
        raise SourceError("the GGUF header has no merges (tokenizer.ggml.merges)")
    unknown = next((pair for pair in vocabulary.merges if _is_broken(pair, pieces)), None)
    if unknown is not None:
        raise SourceError(f"the GGUF header merges {unknown!r}, which are no two of its tokens that make a third")
    return merging(
        cuts,
        [_added(vocabulary, number, token) for number, token in vocabulary.added().items()],
        pieces,
        list(vocabulary.merges),
        vocabulary.frame(cuts.adds_bos),
    )


def merging(
    cuts: Cuts, added: Sequence[Told], pieces: Mapping[str, int], merges: Sequence[Any], frame: Told | None
) -> dict[str, Any]:
    """tokenizer.json's object of such a tokenizer.

    added: the tokens that no text is cut within. pieces: numbers by how bytes are spelled. frame: what is put around.
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added),
        "normalizer": {"type": "NFC"} if cuts.composes else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*map(split, cuts.expressions), BYTE_LEVEL]},
        "post_processor": frame,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": cuts.ignores_merges,
            "vocab": dict(pieces),
            "merges": list(merges),
        },
    }


def _cuts(pre: str) -> Cuts:
    if pre in ("None", "default"):
        raise UnsupportedError(
            "the GGUF header does not say how its tokenizer cuts text (tokenizer.ggml.pre), as old converters did not;"
            " convert the model again, or export from its Hugging Face folder"
        )
    if pre not in CUTS:
        raise UnsupportedError(
            f"the GGUF tokenizer gpt2/{pre} is not read; known are {', '.join(sorted(CUTS))},"
            " so export from the Hugging Face folder instead"
        )
    return CUTS[pre]


def _is_broken(pair: str, pieces: Mapping[str, int]) -> bool:
    left, _, right = pair.partition(" ")
    return left not in pieces or right not in pieces or left + right not in pieces


def _added(vocabulary: Vocabulary, number: int, token: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": token, **flags, "special": vocabulary.types[number] != USER_DEFINED}
