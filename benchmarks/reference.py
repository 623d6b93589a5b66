"""The reference that quantisers are judged on: the default model with its weights moved off their 4-bit grid.

Its published weights are Q4_1: every block of 32 lies on 16 steps, which flatters or punishes a method by accident.
To each such block seeded uniform noise one step wide is added; what comes out is a model of full precision that
still knows its answers.

Figures depend on the draw: in this order of tensors (Transformers' own, layer by layer) rounding to nearest in
symmetric blocks of 32 costs 0.343 nats, in the order of the file 0.395. Compare only what was measured on one
reference.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from export.download import default_cache, fetch
from export.recipe import recipes

SKIPPED = ("GGUF.", "general.architecture", "general.file_type")
"""What the writer says itself."""
LAYER = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")


def dithered() -> Path:
    """The reference as a GGUF file in float32, made once and kept in the cache."""
    path = default_cache() / "smollm2-135m-dithered.gguf"
    if not path.is_file():
        partial = path.with_suffix(".partial")
        write(gguf.GGUFReader(fetch(recipes()["smollm2-135m"])), partial)
        partial.rename(path)
    return path


def write(original: gguf.GGUFReader, path: Path) -> None:
    """The original's header and tensors, noise added to those in Q4_1."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in original.fields.items():
        if not name.startswith(SKIPPED):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], inner)
    chance = np.random.default_rng(0)
    for tensor in sorted(original.tensors, key=lambda each: order(each.name)):
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
            values = values + noise(tensor.data, values.shape, chance)
        writer.add_tensor(tensor.name, values.astype(np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def order(name: str) -> tuple[int, int]:
    """The layer, and the place of a tensor in it; what lies in no layer comes first."""
    parts = name.split(".")
    return (int(parts[1]), LAYER.index(parts[2])) if parts[0] == "blk" else (-1, 0)


def noise(blocks: np.ndarray, shape: tuple[int, ...], chance: np.random.Generator) -> np.ndarray:
    """Uniform, a step of each block wide. A Q4_1 block has 20 bytes, its step the first two in half precision."""
    steps = np.ascontiguousarray(blocks.reshape(-1, 20)[:, :2]).view(np.float16).astype(np.float32)
    return (chance.uniform(-0.5, 0.5, (len(steps), 32)).astype(np.float32) * steps).reshape(shape)
