"""A folder of sentence-transformers to what a bundle has of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from itertools import cycle, takewhile
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.bundle import SENTENCE_GRAPH, SENTENCE_TOKENIZER, SentenceModel
from edge.engine.text.exact import SentenceReader
from export.calibration_text import topics
from export.errors import FidelityError
from export.naming import name_of
from export.quantize import Format, round_to_nearest
from export.runtime import Runner, open_graph
from export.sentences.config import Encoder, read_encoder
from export.sentences.graph import INPUTS, OUTPUT, draw, in_floats
from export.sentences.rounding import InBlocks, Seen
from export.sentences.tokens import read_tokenizer
from export.sentences.weights import EMBEDDINGS, Weights

TABLE_BLOCKS = (128, 64, 32, 16)
"""Of the table of words: the first that the width is a multiple of."""
LICENCE_MAX = 64
FORMAT = "1"
"""Changes where the same folder becomes a model whose vectors cannot be compared with those of before."""
TEXTS, CHARACTERS = 64, (1000, 500, 1000, 100, 1000, 30)
"""How many texts are looked at, and how long they are in turn."""
Half = Literal["calibration", "evaluation"]
COSINE_MIN = 0.99


def make(source: Path, bundle: Path, rounds: bool = True) -> SentenceModel:
    """Write a bundle's embedding model into its folder; what the manifest says of it.

    rounds: False keeps floats, four times as large, for comparing. Raises SourceError for a folder that lacks or
    garbles something, UnsupportedError for a model of another kind; each names file and key.
    """
    encoder = read_encoder(source)
    tokenizer = read_tokenizer(source, encoder)
    weights = Weights(source, encoder)
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    model = rounded(encoder, weights, text) if rounds else draw(encoder, weights, in_floats)
    (bundle / SENTENCE_GRAPH).parent.mkdir(exist_ok=True)
    (bundle / SENTENCE_GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    (bundle / SENTENCE_TOKENIZER).write_text(text, encoding="utf-8")
    said = {"name": name_of(source), "licence": licence_of(source), "source": source_of(weights, text, encoder)}
    return SentenceModel(dimensions=encoder.width, tokens_max=encoder.tokens_max, **said)


def source_of(weights: Weights, tokenizer: str, encoder: Encoder) -> str:
    """sha256 in hex of all that a vector depends on, but for how this machine's sums have rounded the weights."""
    parts = [FORMAT, weights.checksum(), hashlib.sha256(tokenizer.encode()).hexdigest(), repr(encoder)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def licence_of(source: Path) -> str:
    """What the head of a model card (README.md) says; empty where there is none."""
    try:
        lines = (source / "README.md").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    head = takewhile(lambda line: line.strip() != "---", lines[1:] if lines and lines[0].strip() == "---" else ())
    said = next((line for line in head if line.startswith("license:")), "license:")
    return said.removeprefix("license:").strip().strip("'\"")[:LICENCE_MAX]


def rounded(encoder: Encoder, weights: Weights, tokenizer: str) -> onnx.ModelProto:
    """The model in 8 bits. Raises FidelityError where it says other things than in floats."""
    floats = draw(encoder, weights, in_floats, watched=True)
    run, reader = open_graph(floats), SentenceReader(tokenizer, encoder.tokens_max)
    reads = [output.name for output in floats.graph.output if output.name != OUTPUT]
    seen: dict[str, Seen] = {}
    for feeds in batches(reader, "calibration"):
        for name, values in zip(reads, run(reads, feeds), strict=True):
            seen.setdefault(name, Seen.of(values.shape[-1])).add(values[0])
    words = weights.tensor(f"{EMBEDDINGS}.word_embeddings.weight")
    block = next(size for size in TABLE_BLOCKS if encoder.width % size == 0)
    model = draw(encoder, weights, InBlocks(seen), round_to_nearest(words, Format(8, block)))
    check_near(run, open_graph(model), reader)
    return model


def batches(reader: SentenceReader, half: Half) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Evenly spaced texts of the documentation's half, long ones and short ones, each as the graph is fed with it."""
    text = topics(half)
    starts = np.linspace(0, len(text) - max(CHARACTERS), TEXTS).astype(int)
    for start, length in zip(starts, cycle(CHARACTERS), strict=False):
        ids = np.array(reader.encode([text[start : start + length]]), np.int64)
        yield dict(zip(INPUTS, (ids, np.ones_like(ids)), strict=True))


def check_near(floats: Runner, rounded: Runner, reader: SentenceReader) -> None:
    """Vectors of texts that nothing was calibrated on point where those of the floats do."""
    pairs = [[run([OUTPUT], feeds)[0][0] for run in (floats, rounded)] for feeds in batches(reader, "evaluation")]
    least = min(float(np.dot(*pair)) for pair in pairs)
    print(
        f"edge-export: cosine of the embedding model's vectors in 8 bits to those in floats: {least:.4f} or more",
        file=sys.stderr,
    )
    if not least > COSINE_MIN:
        raise FidelityError(
            f"the embedding model lost too much in 8 bits: cosine {least:.4f}, not {COSINE_MIN} or more"
        )
