"""Phi-3.5-MoE made small: its own config's words, random weights, real routing, a tokenizer of one letter a token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from export.families.base import Dimensions
from export.families.phimoe import FAMILY
from export.pipeline import export_bundle
from export.recipe import Limits, recipes
from export.source import open_source
from export.source.shards import write_tensors
from tests.export import small_model

CONFIG: dict[str, Any] = {
    "architectures": ["PhiMoEForCausalLM"],
    "model_type": "phimoe",
    "attention_bias": True,
    "lm_head_bias": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "input_jitter_noise": 0.01,
    "router_jitter_noise": 0.01,
    "router_aux_loss_coef": 0.0,
    "output_router_logits": False,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "sliding_window": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "type": "longrope",
        "short_factor": [1.0 + number / 40 for number in range(8)],
        "long_factor": [1.0 + number for number in range(8)],
        "short_mscale": 1.243163121016122,
        "long_mscale": 1.243163121016122,
        "original_max_position_embeddings": 4096,
    },
    "tie_word_embeddings": False,
    "vocab_size": small_model.VOCABULARY,
}
"""What the model's description says of its config; sizes are ours, and so are the factors."""


def make(folder: Path) -> Path:
    """The checkpoint."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_tensors(folder / "model.safetensors", random_weights())
    return small_model.write_tokenizer(folder)


def random_weights() -> dict[str, np.ndarray]:
    """Seeded, in float32; norms around 1."""
    chance, sizes = np.random.default_rng(0), Dimensions.from_config(CONFIG, FAMILY)
    family = FAMILY.routed(sizes.num_experts)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("model.embed_tokens.weight", "lm_head.weight"), (sizes.vocab_size, 64)
    )
    shapes |= {name: (sizes.outside_size(name),) for name in family.outside}
    shapes |= dict.fromkeys(("model.norm.weight", "model.norm.bias"), (64,))
    for index in range(sizes.num_layers):
        shapes |= {f"model.layers.{index}.{name}.weight": sizes.shape_of(name) for name in family.linear}
        shapes |= {f"model.layers.{index}.{name}": sizes.vector_shape(name) for name in family.vectors}
        shapes |= {f"model.layers.{index}.input_layernorm.{kind}": (64,) for kind in ("weight", "bias")}
    drawn = {name: chance.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return {name: 1 + values / 8 if name.endswith("norm.weight") else values / 4 for name, values in drawn.items()}


def export(source: Path, target: Path, **changes: Any) -> Path:
    """Through the family's recipe, with little text to look at."""
    usual = {"context_length": 512, "calibration_tokens": 512, "evaluation_tokens": 128, "prompts": ("Hi",)}
    usual["task_questions"] = 0
    usual["limits"] = Limits(kl_mean=100, top1_agreement=0, kl_added_by_cache=100)
    recipe = recipes()["phimoe"].model_copy(update={**usual, **changes})
    return export_bundle(open_source(source), recipe, target, False, lambda *_: None).path
