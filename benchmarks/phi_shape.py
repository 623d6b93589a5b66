"""A checkpoint of Phi-3.5-mini's true shape with seeded random weights, in under 8 GB: what an export must bear.

`python -m benchmarks.phi_shape FOLDER [--layers N]` writes it. Config and tokenizer are the published ones.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from export.families.base import Dimensions
from export.families.phi3 import FAMILY

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "phi3"
CONFIG = "microsoft_Phi-3.5-mini-instruct.config.json"
STOPS = [32007, 32001, 32000]
"""Phi-3.5-mini-instruct's eos_token_id in its generation_config.json."""


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=None, help="fewer layers than the model has")
    options = parser.parse_args()
    write(options.folder, options.layers)


def write(folder: Path, layers: int | None = None) -> Path:
    """The checkpoint in `folder`: config, tokenizer, a shard a layer. Written again where it is not whole."""
    config = json.loads((DATA / "configs" / CONFIG).read_text(encoding="utf-8"))
    config["num_hidden_layers"] = layers or config["num_hidden_layers"]
    if (folder / "config.json").is_file() and json.loads((folder / "config.json").read_text()) == config:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_texts(folder)
    index: dict[str, str] = {}
    sizes = Dimensions.from_config(config)
    for shard, shapes in tqdm(list(shards(sizes)), desc="random weights", unit="shard"):
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
    shutil.copy(DATA / "tokenizer" / "Phi-3.5-mini-instruct.chat_template.jinja", folder / "chat_template.jinja")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": STOPS}), encoding="utf-8")


def shards(sizes: Dimensions) -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
    """Shard by shard, the tensors and their shapes."""
    tables = dict.fromkeys(("model.embed_tokens.weight", "lm_head.weight"), (sizes.vocab_size, sizes.hidden_size))
    yield "model-tables.safetensors", {**tables, "model.norm.weight": (sizes.hidden_size,)}
    for index in range(sizes.num_layers):
        prefix = f"model.layers.{index}"
        norms = (f"{prefix}.{kind}.weight" for kind in ("input_layernorm", "post_attention_layernorm"))
        matrices = {f"{prefix}.{module}.weight": sizes.shape_of(module) for module in FAMILY.linear}
        yield f"model-{index:02}.safetensors", {**dict.fromkeys(norms, (sizes.hidden_size,)), **matrices}


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Norms of ones, matrices of normal values that keep an input's size, in bfloat16."""
    chance = np.random.default_rng(seed)

    def values(shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return np.ones(shape, np.float32)
        return chance.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[1]))

    return {name: values(shape).astype(ml_dtypes.bfloat16) for name, shape in shapes.items()}


if __name__ == "__main__":
    main()
