"""A checkpoint of Phi-3.5's true shape with seeded random weights, in under 9 GB: what an export must bear.

`python -m benchmarks.phi_shape FOLDER [--layers N] [--vision]` writes it. Config and tokenizer are the published ones.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from export.plan import Plan, plan_of
from export.recipe import Recipe
from export.source.config_only import ConfigSource

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "phi3"
TEXT, VISION = (f"microsoft_Phi-3.5-{kind}-instruct.config.json" for kind in ("mini", "vision"))
LAYER = re.compile(r"model\.layers\.(\d+)\.")
STOPS = [32007, 32001, 32000]
"""Phi-3.5-mini-instruct's eos_token_id in its generation_config.json."""
TEMPLATE = "Phi-3.5-mini-instruct.chat_template.jinja"


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=None, help="fewer layers than the model has")
    parser.add_argument("--vision", action="store_true", help="the model that sees pictures")
    options = parser.parse_args()
    write(options.folder, VISION if options.vision else TEXT, options.layers)


def write(folder: Path, config_file: str = TEXT, layers: int | None = None) -> Path:
    """The checkpoint in `folder`: config, tokenizer, a shard a layer. Written again where it is not whole."""
    config = json.loads((DATA / "configs" / config_file).read_text(encoding="utf-8"))
    config["num_hidden_layers"] = layers or config["num_hidden_layers"]
    return write_config(folder, config)


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    """The checkpoint of a config, which may be smaller than the published one."""
    if (folder / "config.json").is_file() and json.loads((folder / "config.json").read_text()) == config:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_texts(folder)
    index: dict[str, str] = {}
    plan = plan_of(ConfigSource("random", config), Recipe(licence="none", context_length=1))
    for shard, shapes in tqdm(list(shards(plan).items()), desc="random weights", unit="shard"):
        save_file(random_tensors(shapes, seed=len(index)), folder / shard)
        index |= dict.fromkeys(shapes, shard)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    index_file = {"metadata": {"total_size": size}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index_file), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def write_texts(folder: Path) -> None:
    """The published tokenizer and chat template."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DATA / "tokenizer" / name, folder / name)
    shutil.copy(DATA / "tokenizer" / TEMPLATE, folder / "chat_template.jinja")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": STOPS}), encoding="utf-8")


def shards(plan: Plan) -> dict[str, dict[str, tuple[int, ...]]]:
    """By each shard's name, its tensors and their shapes: a layer each, what is no layer's, and a picture tower."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in plan.shapes.items():
        place = LAYER.match(name)
        shard = f"{int(place[1]):02}" if place else "tower" if "vision" in name else "tables"
        found.setdefault(f"model-{shard}.safetensors", {})[name] = shape
    return found


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Norms of ones, matrices of normal values that keep an input's size, small biases, in bfloat16."""
    chance = np.random.default_rng(seed)

    def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if "norm" in name and name.endswith(".weight"):
            return np.ones(shape, np.float32)
        width = 64 if len(shape) == 1 else int(np.prod(shape[1:]))
        return chance.standard_normal(shape, np.float32) / np.float32(np.sqrt(width))

    return {name: values(name, shape).astype(ml_dtypes.bfloat16) for name, shape in shapes.items()}


if __name__ == "__main__":
    main()
