"""What a file of Phi-3.5-MoE has otherwise: a layer's experts in one tensor, and no word of what scales its angles.

As llama.cpp's conversion/phi.py writes it (PhiMoeModel). It is read as the model that was trained, with LayerNorms and
its sparse mixer; llama.cpp itself computes another (docs/decisions/0086).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from export.errors import UnsupportedError
from export.families.base import EXPERTS
from export.families.phimoe import EXPERTS_MOST
from export.families.rope import ORIGINAL
from export.source.gguf.header import Header, Stored
from export.source.gguf.keys import Keys

ARCHITECTURE = "phimoe"
STACKED = {"ffn_gate_exps.weight": "w1", "ffn_down_exps.weight": "w2", "ffn_up_exps.weight": "w3"}
"""A layer's tensors of all experts, and what an expert's own is called."""
PUBLISHED = {(131072, 4096): 1.243163121016122}
"""By context and original context, the `short_mscale` and `long_mscale` of Phi-3.5-MoE's published config."""
SAME = 1e-6
"""Of two scales, one of which was stored in 32 bits."""


def config(header: Header, keys: Keys) -> Mapping[str, Any]:
    """How many experts there are, how many a token goes to, and whether the head has biases."""
    return {
        "num_local_experts": keys.needed(f"{ARCHITECTURE}.expert_count"),
        "num_experts_per_tok": keys.needed(f"{ARCHITECTURE}.expert_used_count"),
        "lm_head_bias": "output.bias" in header.tensors,
    }


def scales(header: Header, context: int, original: int, said: float) -> dict[str, float]:
    """What cosines and sines are multiplied with. said: the file's `rope.scaling.attn_factor`.

    The converter reckons that from the two lengths, whatever the config has. Raises UnsupportedError where it did, and
    the lengths are of no published model.
    """
    ratio = context / original if original > 0 else 0.0
    reckoned = math.sqrt(1 + math.log(ratio) / math.log(original)) if min(ratio, original) > 1 else 1.0
    scale = PUBLISHED.get((context, original)) if math.isclose(said, reckoned, rel_tol=SAME) else said
    if scale is None:
        raise UnsupportedError(
            f"{header.path} has factors of long rope for {context} tokens, but not the short_mscale and long_mscale of"
            " its config; export the model from its Hugging Face folder"
        )
    return {"short_mscale": scale, "long_mscale": scale, ORIGINAL: original}


def apart(name: str, stored: Stored) -> Iterator[tuple[str, Stored]]:
    """Each expert's matrix under Transformers' name, where a tensor is of all of a layer; nothing where it is not."""
    block, number, part = [*name.split(".", 2), "", ""][:3]
    if block != "blk" or not (number.isascii() and number.isdigit()) or part not in STACKED:
        return
    if len(stored.shape) != 3 or stored.shape[0] > EXPERTS_MOST:
        raise UnsupportedError(f"the tensor {name} has the shape {stored.shape}, which is none of a layer's experts")
    for expert, rows in enumerate(stored.data):
        named = f"model.layers.{int(number)}.{EXPERTS}{expert}.{STACKED[part]}.weight"
        yield named, Stored(stored.kind, stored.shape[1:], rows)
