"""Small random checkpoints that Transformers itself makes and saves, and what tests change in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.export import small_model
from tests.export.beside import quiet, transformers_version

HEADS, KV_HEADS, HEAD, INNER, LAYERS, POSITIONS = 4, 2, 16, 80, 2, 128
HIDDEN = HEADS * HEAD
SIZES: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "num_hidden_layers": LAYERS,
    "vocab_size": small_model.VOCABULARY,
    "max_position_embeddings": POSITIONS,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CLASSES = {
    "llama": "Llama",
    "phi3": "Phi3",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "smollm3": "SmolLM3",
}
Config = dict[str, Any]
REMOVED = object()
"""Stands for a key that is taken out."""


def is_five() -> bool:
    """Whether Transformers is the fifth."""
    return transformers_version() == "transformers 5"


def checkpoint(folder: Path, kind: str = "llama", **config: Any) -> Path:
    """A seeded random checkpoint as Transformers saves it, values large enough that what is misread shows."""
    import torch
    import transformers

    torch.manual_seed(0)
    with quiet():
        made = getattr(transformers, f"{CLASSES[kind]}Config")(**{**SIZES, **config})
        model = getattr(transformers, f"{CLASSES[kind]}ForCausalLM")(made).float().eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(torch.rand(value.shape) + 0.5 if "norm" in name else torch.randn(value.shape) * 0.2)
        model.save_pretrained(folder)
    return small_model.write_tokenizer(folder)


def change(folder: Path, **keys: Any) -> Path:
    """Other keys in config.json."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **keys}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not REMOVED}))
    return folder


def spell(folder: Path, version: int, theta: float, rope: Mapping[str, Any] | None = None, **more: Any) -> Path:
    """Rotary positions as Transformers 4 or 5 writes them into config.json."""
    if version >= 5:
        five = {"rope_theta": theta, "rope_type": "default", **(rope or {}), **more}
        return change(folder, rope_parameters=five, rope_theta=REMOVED, rope_scaling=REMOVED)
    four = {"rope_theta": theta, "rope_scaling": dict(rope) if rope else None, **more}
    return change(folder, **{"rope_parameters": REMOVED, **four})


def copied(folder: Path, to: str) -> Path:
    """The checkpoint again, beside itself."""
    return Path(shutil.copytree(folder, folder.parent / to))


def read(folder: Path) -> dict[str, np.ndarray]:
    """Its tensors."""
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def write(folder: Path, tensors: Mapping[str, Any], file: str = "model.safetensors") -> Path:
    """Its tensors in a file."""
    from safetensors.numpy import save_file

    save_file(dict(tensors), folder / file, metadata={"format": "pt"})
    return folder


HEADER: dict[str, Any] = {
    "{}.block_count": LAYERS,
    "{}.context_length": POSITIONS,
    "{}.embedding_length": HIDDEN,
    "{}.feed_forward_length": INNER,
    "{}.attention.head_count": HEADS,
    "{}.attention.head_count_kv": KV_HEADS,
    "{}.attention.layer_norm_rms_epsilon": 1e-5,
    "{}.rope.freq_base": 10000.0,
    "{}.rope.dimension_count": HEAD,
    "{}.vocab_size": small_model.VOCABULARY + 1,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": [*small_model.LETTERS, "AB"],
    "tokenizer.ggml.token_type": [1] * 96 + [3],
    "tokenizer.ggml.merges": ["A B"],
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": small_model.TEMPLATE,
}
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.": "blk.",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.": "attn_",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.": "ffn_",
    "_proj": "",
}


def write_gguf(
    folder: Path, kind: str, header: Mapping[str, Any], tensors: Mapping[str, np.ndarray], shard: int = 0
) -> Path:
    """The checkpoint of a folder as llama.cpp's converter lays it out; `header` and `tensors` are more of each.

    A `{}` in a key is the architecture; what is REMOVED is left out. shard: tensors a file, 0 for one file.
    """
    path = folder.parent / "model.gguf"
    writer = gguf.GGUFWriter(path, kind, split_max_tensors=shard)
    for name, value in {**HEADER, **header}.items():
        if value is not REMOVED:
            add(writer, name.format(kind), value)
    stored = {gguf_name(name): in_pairs(kind, name, value) for name, value in read(folder).items()}
    for name, value in {**stored, **tensors}.items():
        writer.add_tensor(name, value)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return sorted(folder.parent.glob("model*.gguf"))[0]


def add(writer: gguf.GGUFWriter, name: str, value: Any) -> None:
    """A key of the header in the type that its value has."""
    kinds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    kinds.get(type(value), writer.add_array)(name, value)


def gguf_name(name: str) -> str:
    """As GGUF spells it."""
    for ours, theirs in NAMES.items():
        name = name.replace(ours, theirs)
    return name


def in_pairs(kind: str, name: str, rows: np.ndarray) -> np.ndarray:
    """A Llama's or SmolLM3's rows of Q and K in GGUF's order, the two halves of each head interleaved."""
    if kind not in ("llama", "smollm3") or not ("q_proj" in name or "k_proj" in name):
        return rows
    pairs = rows.reshape(-1, 2, HEAD // 2, *rows.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(pairs).reshape(rows.shape)
