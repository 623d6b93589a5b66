"""Which kinds of checkpoint were held to Transformers' own forward pass: a table, and a test walks it.

`make trace-test` makes a small random checkpoint of every row in each version's own spelling, exports it in floats, and
compares logits (tests/export/test_held.py). So a row that no test holds cannot be here, and a bundle whose kind is
no row says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from export.families.base import Family

VERSIONS = ("transformers 4.57", "transformers 5")
"""Those that `make trace-test` installs."""


@dataclass(frozen=True)
class Variant:
    """What of a checkpoint changes the graph or its tables, other than sizes.

    rope: the kind of rotary scaling, in Transformers' words. grouped: several query heads share one of keys.
    tied: head and embedding are one table. own_head_size: heads are not as wide as hidden size over heads.
    partial: a part of each head is turned. window: layers slide, by a window narrower than the positions.
    packed: query, key and value are one matrix, gate and up are one. biased: products have biases that the family's
    need not have, those of attention or of the MLP. head_biased: the head has one.
    capped: scores or logits are bent towards a cap.
    """

    family: str
    rope: str = "default"
    grouped: bool = False
    tied: bool = False
    own_head_size: bool = False
    partial: bool = False
    window: bool = False
    packed: bool = False
    biased: bool = False
    mlp_biased: bool = False
    head_biased: bool = False
    capped: bool = False

    def __str__(self) -> str:
        """Its name in a sentence and in a test."""
        has = [each.name for each in fields(self)[2:] if getattr(self, each.name)]
        return "-".join([self.family, self.rope, *has])


def variant_of(family: Family, config: Mapping[str, Any]) -> Variant:
    """The kind of a checkpoint whose config was read and found right, in Transformers' 4 or 5 spelling."""
    config = {**family.defaults, **config}
    words, _ = family.own(config)
    heads, positions = int(config["num_attention_heads"]), int(config["max_position_embeddings"])
    width = int(config["hidden_size"]) // heads
    rope = words.get("rope_parameters") or words.get("rope_scaling") or {}
    kind = str(rope.get("rope_type") or rope.get("type") or "default")
    share = rope.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0
    slides = bool(config.get("use_sliding_window", True))
    return Variant(
        family=family.name,
        rope=family.ropes.get(kind, kind),
        grouped=int(config.get("num_key_value_heads") or heads) != heads,
        tied=bool(config.get("tie_word_embeddings", False)),
        own_head_size=int(config.get("head_dim") or width) != width,
        partial=float(share) != 1.0,
        window=slides and int(config.get("sliding_window") or positions) < positions,
        packed=bool(family.packed),
        biased="attention_bias" in {**family.biases, **family.missing} and bool(config.get("attention_bias")),
        mlp_biased="mlp_bias" in family.biases and bool(config.get("mlp_bias")),
        head_biased="lm_head_bias" in family.missing and bool(config.get("lm_head_bias")),
        capped=any(config.get(key) is not None for key in CAPS),
    )


def _rows(family: str, ropes: str, **more: tuple[bool, ...]) -> list[Variant]:
    """Every combination of the ropes, shared keys, a tied head, and what is named."""
    either = {"grouped": EITHER, "tied": EITHER, **more}
    return [
        Variant(family, rope, **dict(zip(either, values, strict=True)))
        for rope in ropes.split()
        for values in product(*either.values())
    ]


CAPS = ("attn_logit_softcapping", "final_logit_softcapping")
EITHER = (False, True)
HELD: tuple[Variant, ...] = (
    *_rows("llama", "default linear dynamic llama3 yarn longrope", own_head_size=EITHER),
    *_rows("llama", "default llama3", biased=(True,), mlp_biased=EITHER),
    *_rows("llama", "default", mlp_biased=(True,)),
    *_rows("mistral", "default yarn", own_head_size=EITHER, window=EITHER),
    *_rows("qwen2", "default yarn", window=EITHER),
    *_rows("qwen3", "default yarn", own_head_size=EITHER, window=EITHER),
    *_rows("qwen3", "default", biased=(True,)),
    *_rows("smollm3", "default yarn", window=EITHER),
    *_rows("smollm3", "default", biased=(True,), mlp_biased=EITHER),
    *_rows("phimoe", "default longrope_scaled", biased=(True,), head_biased=(True,)),
    Variant("phimoe"),
    Variant("phimoe", biased=True),
    Variant("phimoe", "longrope_scaled", window=True, head_biased=True),
    *_rows("phi3", "default longrope", partial=EITHER, window=EITHER, packed=EITHER),
    *_rows("gemma2", "default", own_head_size=(True,), window=EITHER, capped=(True,)),
    Variant("gemma2", grouped=True, tied=True, own_head_size=True, window=True),
    *_rows("gemma3", "default linear", own_head_size=(True,), window=EITHER),
    Variant("gemma3"),
    Variant("gemma3", "linear", grouped=True, tied=True, window=True),
)
"""Each held to both versions, but for those of `FOUR_ALONE`."""
ELSEWHERE: Mapping[Variant, tuple[str, ...]] = {
    Variant("phi3small", grouped=grouped, tied=True): ("mlx-lm 0.32",) for grouped in EITHER
}
"""Kinds that Transformers has no class of, and whose logits they were held to (tests/export/test_phi3_small.py)."""
FOUR_ALONE = ("longrope_scaled",)
"""Kinds of rope that are read as Transformers 4.57 and the checkpoint's own code read them. Of a text longer than
the original length 5 turns by the short factors all the same, with the scale of the long ones."""


def held_to(variant: Variant) -> list[str]:
    """Those that a kind of checkpoint was held to, versions of Transformers mostly; none where no test holds it."""
    if variant in ELSEWHERE:
        return list(ELSEWHERE[variant])
    versions = VERSIONS[:1] if variant.rope in FOUR_ALONE else VERSIONS
    return list(versions) if variant in HELD else []
