"""Phi-3.5-vision made small: its config, tokenizer and template, a tower of two layers that count, random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.phi_shape import DATA, VISION, write_config
from export.pipeline import export_bundle
from export.recipe import Limits, Recipe
from export.source import open_source

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "num_hidden_layers": 2,
}
TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
ANY_LOSS = Limits(kl_mean=1e9, top1_agreement=0)


def config() -> dict[str, Any]:
    """The published config with small sizes."""
    made = json.loads((DATA / "configs" / VISION).read_text())
    scaling = {name: value[:8] if isinstance(value, list) else value for name, value in made["rope_scaling"].items()}
    tower = {**made["img_processor"], **TOWER, "image_dim_out": TOWER["hidden_size"]}
    return {**made, **TEXT, "rope_scaling": scaling, "img_processor": tower}


def write(folder: Path) -> Path:
    """The checkpoint."""
    return write_config(folder, config())


def recipe(**changes: Any) -> Recipe:
    """How the small model becomes a bundle: its own weights in float32 unless said otherwise, no questions asked."""
    usual: dict[str, Any] = {"licence": "none", "method": "none", "split_packed": True}
    return Recipe(**{**usual, "prompts": (), "evaluation_tokens": 0, "limits": ANY_LOSS, **changes})


def export(folder: Path, **changes: Any) -> Path:
    """A bundle of it in a folder."""
    source = open_source(write(folder / "checkpoint"))
    return export_bundle(source, recipe(**changes), folder / "bundle", False, lambda *_: None).path
