"""Phi-3.5-mini made small: its own tokenizer and template over random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from benchmarks.phi_shape import DATA, write_texts
from export.families.base import Dimensions
from export.families.phi3 import FAMILY
from export.pipeline import export_bundle
from export.recipe import Limits, recipes
from export.source import open_source

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 4}


def make(folder: Path) -> None:
    """Phi-3.5-mini's config made narrow and two layers deep, its own tokenizer and template, random weights."""
    config = json.loads((DATA / "configs/microsoft_Phi-3.5-mini-instruct.config.json").read_text())
    scaling = {name: value[:8] if isinstance(value, list) else value for name, value in config["rope_scaling"].items()}
    config |= {**SMALL, "num_hidden_layers": 2, "rope_scaling": scaling}
    write_texts(folder)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_weights(Dimensions.from_config(config)), folder / "model.safetensors")


def random_weights(sizes: Dimensions) -> dict[str, np.ndarray]:
    """Seeded, in float32."""
    chance = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("model.embed_tokens.weight", "lm_head.weight"), (32064, 64))
    for index in range(sizes.num_layers):
        shapes |= {f"model.layers.{index}.{name}.weight": sizes.shape_of(name) for name in FAMILY.linear}
        norms = ("input_layernorm", "post_attention_layernorm")
        shapes |= {f"model.layers.{index}.{name}.weight": (64,) for name in norms}
    shapes["model.norm.weight"] = (64,)
    return {name: chance.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def export(folder: Path) -> Path:
    """Through the recipe that ships for it: packed projections apart, mixed bits, the quick method."""
    source, target = folder / "phi", folder / "bundle"
    source.mkdir()
    make(source)
    recipe = recipes()["phi-3.5-mini-instruct"].model_copy(
        update={
            "method": "rtn",
            "context_length": 512,
            "task_questions": 0,
            "limits": Limits(kl_mean=100, top1_agreement=0),
        }
    )
    return export_bundle(open_source(source), recipe, target, False, lambda *_: None).path
