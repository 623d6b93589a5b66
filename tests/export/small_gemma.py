"""A Gemma 3 made small: seeded random weights, layers that look back on a few tokens and one on all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from export.families.base import Dimensions
from export.families.gemma3 import FAMILY
from export.pipeline import export_bundle
from export.recipe import Limits, Recipe
from export.source import open_source
from tests.export import small_model

WINDOW = 16
BEHIND = ("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")
CONFIG: dict[str, Any] = {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": small_model.VOCABULARY,
    "max_position_embeddings": 512,
    "sliding_window": WINDOW,
    "sliding_window_pattern": 2,
    "query_pre_attn_scalar": 32,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "hidden_activation": "gelu_pytorch_tanh",
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
TEXTS = Limits(kl_mean=100, kl_added_by_cache=100, top1_agreement=0)
RECIPE = Recipe(
    licence="none",
    context_length=512,
    calibration_tokens=64,
    evaluation_tokens=0,
    prompts=(),
    kv_cache="int8",
    limits=TEXTS,
)


def make(folder: Path, **config: Any) -> Path:
    """The checkpoint as a folder of Transformers 4's."""
    folder.mkdir(parents=True)
    changed = {**CONFIG, **config}
    (folder / "config.json").write_text(json.dumps(changed))
    save_file(random_weights(Dimensions.from_config(changed, FAMILY)), folder / "model.safetensors")
    return small_model.write_tokenizer(folder)


def random_weights(sizes: Dimensions) -> dict[str, np.ndarray]:
    """Seeded, in float32; norms near the 0 that stands for 1, and layers that outweigh what a token brings."""
    chance = np.random.default_rng(0)
    made = {"model.embed_tokens.weight": chance.standard_normal((sizes.vocab_size, sizes.hidden_size)) / 8}
    made["model.norm.weight"] = chance.uniform(-0.5, 0.5, sizes.hidden_size)
    for index in range(sizes.num_layers):
        prefix = f"model.layers.{index}"
        for module in FAMILY.linear:
            rows, columns = sizes.shape_of(module)
            made[f"{prefix}.{module}.weight"] = chance.standard_normal((rows, columns)) / np.sqrt(columns)
        for name in ("input_layernorm.weight", *FAMILY.of({}).vectors):
            made[f"{prefix}.{name}"] = chance.uniform(-0.5, 0.5, sizes.vector_size(name)) + 3 * (name in BEHIND)
    return {name: values.astype(np.float32) for name, values in made.items()}


def export(folder: Path, recipe: Recipe = RECIPE) -> Path:
    """Its quantised bundle."""
    return export_bundle(open_source(make(folder / "gemma")), recipe, folder / "bundle", False, lambda *_: None).path
