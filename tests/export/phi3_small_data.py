"""What MLX-LM makes of small Phi-3-smalls of random weights: the logits that tests hold the export to.

    pip install mlx-lm==0.32.2 "mlx[cpu]==0.32.4"
    python -m tests.export.phi3_small_data

Its `models/phi3small.py` runs as it is. It is fed a token at a time, with its cache: of a text that is read at once it
sees the right blocks only where the length is a multiple of a block. Its list of tokens that stand for nothing is for
the published vocabulary, and is left out where the vocabulary is small.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.export import small_phi3_small

LOGITS = small_phi3_small.DATA / "logits.npz"
LENGTH = 320
KEPT = {"its vocabulary": (slice(-64, None), np.r_[0:40, 100250:100280, 100340:100352])}
"""Of a large vocabulary: positions and tokens that are kept."""


def logits(config: dict[str, Any], weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """Float32 `[tokens, vocabulary]`."""
    import mlx.core as mx
    from mlx_lm.models import phi3small
    from mlx_lm.models.cache import KVCache

    model = phi3small.Model(phi3small.ModelArgs.from_dict(config))
    if config["vocab_size"] < 100352:
        model._dummy_tokenizer_ids = mx.array([], mx.int32)
    model.load_weights([(name, mx.array(values)) for name, values in weights.items()])
    cache = [KVCache() for _ in model.layers]
    found = [np.array(model(mx.array([[token]]), cache)[0, 0]) for token in tokens]
    return np.stack(found)


def main() -> None:
    """Write logits.npz."""
    made = {}
    for kind in small_phi3_small.KINDS:
        config = small_phi3_small.config_of(kind)
        found = logits(config, small_phi3_small.random_weights(config), small_phi3_small.text_of(config, LENGTH))
        rows, columns = KEPT.get(kind, (slice(None), slice(None)))
        made[kind] = found[rows][:, columns]
    np.savez_compressed(LOGITS, **made)


if __name__ == "__main__":
    main()
