"""A Phi-3-small checkpoint in a Llama's words.

There one matrix holds, group by group of heads, their queries, their key and their value; in another the channels of
the gate and those that it opens take turns. A product is the same whatever order its rows are in, so that each part is
read by its rows. Source: the hub's modeling_phi3_small.py, `_split_heads` and `gegelu`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from export.families.base import Dimensions
from export.quantize import Format, Quantized
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource
from export.tokenizer.ranks import CONTROL, IDLE

GROUPED, TURNS = "self_attn.query_key_value", "mlp.up_proj"
NAMES = {
    **{f"self_attn.{part}_proj": GROUPED for part in "qkv"},
    "self_attn.o_proj": "self_attn.dense",
    "mlp.gate_proj": TURNS,
    "mlp.up_proj": TURNS,
}
"""By a module of ours, the checkpoint's."""
LAST_NORM, THEIR_LAST_NORM = "model.norm", "model.final_layernorm"
UNUSED = "lm_head.bias"
"""A bias that no checkpoint has: it keeps tokens from being chosen that stand for nothing."""
NEVER = -1e9
"""What is added to the logit of such a token. The checkpoint's code has the lowest float in its place."""
END = "<|end|>"
"""With which its chat template ends every message."""


class RegroupedSource(WrappedSource):
    """Another source, its parts by their rows; the logits' divisor is in the weights of the norm before them."""

    def __init__(self, inner: Source, sizes: Dimensions, divisor: float) -> None:
        """divisor: of the logits."""
        super().__init__(inner)
        self._sizes, self._rows, self._divisor = sizes, _rows(sizes), np.float32(divisor)
        self._last = lru_cache(maxsize=1)(inner.tensor)
        """Parts of one tensor are asked for one after the other."""

    @property
    def stop_token_ids(self) -> list[int]:
        """With the token that ends a message, where the vocabulary is the published one."""
        ends = {CONTROL[END]} if self._sizes.vocab_size > max(CONTROL.values()) else set()
        return sorted({*super().stop_token_ids, *ends})

    def _place(self, name: str) -> tuple[str, NDArray[np.int64] | None]:
        """The checkpoint's tensor and the rows of it, None for all."""
        module, _, kind = name.rpartition(".")
        if module == LAST_NORM:
            return f"{THEIR_LAST_NORM}.{kind}", None
        layer = ".".join(module.split(".")[:3])
        own = module.removeprefix(f"{layer}.")
        return (f"{layer}.{NAMES[own]}.{kind}", self._rows.get(own)) if own in NAMES else (name, None)

    def tensor_names(self) -> set[str]:
        """Those of the parts, and the bias that is made up."""
        return {ours for name in super().tensor_names() for ours in _ours(name)} | {UNUSED}

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; a part's, as far as the whole has its rows."""
        if name == UNUSED:
            return (self._sizes.vocab_size,)
        there, rows = self._place(name)
        height, *rest = super().shape(there)
        return (height if rows is None else int((rows < height).sum()), *rest)

    def tensor(self, name: str) -> Floats:
        """A tensor, or a part's rows of it."""
        if name == UNUSED:
            return unused(self._sizes.vocab_size)
        there, rows = self._place(name)
        values = super().tensor(there) if rows is None else self._last(there)[rows]
        return values / self._divisor if name.startswith(LAST_NORM) else values

    def stored_format(self, name: str) -> Format | None:
        """A whole's; None for a part: blocks are not taken apart."""
        there, rows = self._place(name)
        return super().stored_format(there) if rows is None else None

    def stored_blocks(self, name: str) -> Quantized | None:
        """None for a part."""
        there, rows = self._place(name)
        return super().stored_blocks(there) if rows is None else None

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number, those of a whole looked at once."""
        super().check_values(dict.fromkeys(self._place(name)[0] for name in names if name != UNUSED))


def unused(vocabulary: int) -> Floats:
    """What is added to each token's logit, float32 `[vocabulary]`."""
    made = np.zeros(vocabulary, np.float32)
    made[[token for token in IDLE if token < vocabulary]] = NEVER
    return made


def _rows(sizes: Dimensions) -> dict[str, NDArray[np.int64]]:
    """By its module, the rows of a part in the tensor that holds it."""
    queries = sizes.num_heads // sizes.num_kv_heads
    heads = np.arange(sizes.num_kv_heads * (queries + 2) * sizes.head_size)
    groups = heads.reshape(sizes.num_kv_heads, queries + 2, sizes.head_size)
    turns = np.arange(2 * sizes.intermediate_size)
    return {
        "self_attn.q_proj": groups[:, :queries].ravel(),
        "self_attn.k_proj": groups[:, queries].ravel(),
        "self_attn.v_proj": groups[:, queries + 1].ravel(),
        "mlp.gate_proj": turns[::2],
        "mlp.up_proj": turns[1::2],
    }


def _ours(name: str) -> list[str]:
    """A tensor of the checkpoint by our names: its parts', or the one that it has."""
    module, _, kind = name.rpartition(".")
    if module == THEIR_LAST_NORM:
        return [f"{LAST_NORM}.{kind}"]
    layer = ".".join(module.split(".")[:3])
    parts = [own for own, whole in NAMES.items() if f"{layer}.{whole}" == module]
    return [f"{layer}.{part}.{kind}" for part in parts] or [name]
