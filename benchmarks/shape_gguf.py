"""A source of random weights as a GGUF file of the same shape, for llama.cpp to be as fast with as it can."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from benchmarks.random_source import RandomSource
from export.families.base import Dimensions

ARCHITECTURES = {
    "Phi3ForCausalLM": gguf.MODEL_ARCH.PHI3,
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen3ForCausalLM": gguf.MODEL_ARCH.QWEN3,
    "Gemma3ForCausalLM": gguf.MODEL_ARCH.GEMMA3,
}
KINDS = (".weight", ".bias")


def write(path: Path, source: RandomSource) -> Path:
    """The file in float16, once; it has no vocabulary, which llama-bench does not ask for."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    architecture = ARCHITECTURES[source.config["architectures"][0]]
    writer = gguf.GGUFWriter(partial, gguf.MODEL_ARCH_NAMES[architecture])
    _describe(writer, source)
    names = _names(architecture, source)
    for name, theirs in names.items():
        shape, kind = source.shape(name), _kind(source, name)
        writer.add_tensor_info(theirs, shape, kind, int(np.prod(shape)) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name in names:
        writer.write_tensor_data(source.tensor(name).astype(_kind(source, name)))
    writer.close()
    partial.rename(path)
    return path


def _describe(writer: gguf.GGUFWriter, source: RandomSource) -> None:
    """The header that llama.cpp wants; a rope's scaling is left out, which costs it no time."""
    sizes: Dimensions = source.sizes
    context = sizes.rope.original_length or sizes.context_length
    writer.add_context_length(context)
    writer.add_rope_scaling_orig_ctx_len(context)
    writer.add_embedding_length(sizes.hidden_size)
    writer.add_feed_forward_length(sizes.intermediate_size)
    writer.add_block_count(sizes.num_layers)
    writer.add_head_count(sizes.num_heads)
    writer.add_head_count_kv(sizes.num_kv_heads)
    writer.add_key_length(sizes.head_size)
    writer.add_value_length(sizes.head_size)
    writer.add_layer_norm_rms_eps(sizes.rms_norm_eps)
    writer.add_rope_dimension_count(sizes.rope.size)
    writer.add_rope_freq_base(float(source.config.get("rope_theta", 10000.0)))
    writer.add_vocab_size(sizes.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    if window := source.config.get("sliding_window"):
        writer.add_sliding_window(window)


def _names(architecture: gguf.MODEL_ARCH, source: RandomSource) -> dict[str, str]:
    """By its name in Transformers, each tensor's in a file of this kind: as the package `gguf` has them."""
    known = gguf.get_tensor_name_map(architecture, source.sizes.num_layers)
    found = {name: known.get_name(name, KINDS) for name in sorted(source.tensor_names())}
    return {name: theirs for name, theirs in found.items() if theirs}


def _kind(source: RandomSource, name: str) -> np.dtype[np.floating]:
    """Norms are in float32, matrices in float16."""
    return np.dtype(np.float32 if len(source.shape(name)) == 1 else np.float16)
