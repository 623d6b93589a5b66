"""Phi-3.5-vision made small: its config, tokenizer and template, a tower of two layers that count, random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.phi_shape import DATA, VISION, write_config

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "num_hidden_layers": 2,
}
TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}


def config() -> dict[str, Any]:
    """The published config with small sizes."""
    made = json.loads((DATA / "configs" / VISION).read_text())
    scaling = {name: value[:8] if isinstance(value, list) else value for name, value in made["rope_scaling"].items()}
    tower = {**made["img_processor"], **TOWER, "image_dim_out": TOWER["hidden_size"]}
    return {**made, **TEXT, "rope_scaling": scaling, "img_processor": tower}


def write(folder: Path) -> Path:
    """The checkpoint."""
    return write_config(folder, config())
