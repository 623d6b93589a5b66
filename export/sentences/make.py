"""A folder of sentence-transformers to what a bundle has of it."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path

from edge.bundle import SENTENCE_GRAPH, SENTENCE_TOKENIZER, SentenceModel
from export.naming import name_of
from export.quantize import Format, round_to_nearest
from export.sentences.config import Encoder, read_encoder
from export.sentences.graph import draw, in_floats
from export.sentences.rounding import in_blocks
from export.sentences.tokens import read_tokenizer
from export.sentences.weights import EMBEDDINGS, Weights

TABLE_BLOCKS = (128, 64, 32, 16)
"""Of the table of words: the first that the width is a multiple of."""
LICENCE_MAX = 64


def make(source: Path, bundle: Path, rounds: bool = True) -> SentenceModel:
    """Write a bundle's embedding model into its folder; what the manifest says of it.

    rounds: False keeps floats, four times as large, for comparing. Raises SourceError for a folder that lacks or
    garbles something, UnsupportedError for a model of another kind; each names file and key.
    """
    encoder = read_encoder(source)
    tokenizer = read_tokenizer(source, encoder)
    weights = Weights(source, encoder)
    words = weights.tensor(f"{EMBEDDINGS}.word_embeddings.weight")
    if rounds:
        table = round_to_nearest(words, Format(8, _block(encoder)))
        model = draw(encoder, weights, in_blocks, table)
    else:
        model = draw(encoder, weights, in_floats)
    (bundle / SENTENCE_GRAPH).parent.mkdir(exist_ok=True)
    (bundle / SENTENCE_GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (bundle / SENTENCE_TOKENIZER).write_text(text, encoding="utf-8")
    said = {"name": name_of(source), "licence": licence_of(source)}
    return SentenceModel(dimensions=encoder.width, tokens_max=encoder.tokens_max, **said)


def licence_of(source: Path) -> str:
    """What the head of a model card (README.md) says; empty where there is none."""
    try:
        lines = (source / "README.md").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    head = takewhile(lambda line: line.strip() != "---", lines[1:] if lines and lines[0].strip() == "---" else ())
    said = next((line for line in head if line.startswith("license:")), "license:")
    return said.removeprefix("license:").strip().strip("'\"")[:LICENCE_MAX]


def _block(encoder: Encoder) -> int:
    return next(size for size in TABLE_BLOCKS if encoder.width % size == 0)
