"""Where weights come from: a GGUF file or a Hugging Face folder, seen the same way.

Every source speaks Transformers' names and layouts (`model.layers.0.self_attn.q_proj.weight`, `[out, in]`),
reads one tensor at a time and checks it before anything is built on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle import hash_file
from export import tokenizer
from export.errors import SourceError, UnsupportedError

Floats = NDArray[np.float32]


class Source(Protocol):
    """A checkpoint: its config, its tensors, its tokenizer and where it is from."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json, or what stands for it."""
        ...

    @property
    def chat_template(self) -> str:
        """The Jinja text; empty where there is none."""
        ...

    @property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        ...

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The tokenizer's files by name; tokenizer.json is always among them."""
        ...

    def tensor(self, name: str) -> Floats:
        """The float32 tensor of a Transformers name; SourceError where missing, truncated or not finite."""
        ...

    def checksum(self) -> str:
        """sha256 of the weights, in hex."""
        ...


def open_source(path: Path) -> Source:
    """The source at a path: a `.gguf` file or a folder with `config.json`."""
    if path.is_file() and path.suffix == ".gguf":
        return GgufSource(path)
    if (path / "config.json").is_file():
        return FolderSource(path)
    raise SourceError(f"{path} is neither a .gguf file nor a folder with a config.json")


def finite(name: str, values: NDArray[Any]) -> Floats:
    """The values as float32; SourceError where one is not a number or infinite."""
    result = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(result).all():
        raise SourceError(f"the tensor {name} has values that are not finite numbers")
    return result


GGUF_CONFIG = {
    "num_hidden_layers": "block_count",
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "rope_theta": "rope.freq_base",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "head_dim": "attention.key_length",
}
GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
INTERLEAVED = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}
"""GGUF keeps a Llama's query and key rows in the order of the original code's rotary pairs."""


class GgufSource:
    """A GGUF file with a byte-level BPE tokenizer."""

    def __init__(self, path: Path) -> None:
        import gguf

        self._path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError, OSError) as error:
            raise SourceError(f"{path} is not a whole GGUF file: {error}") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    def _field(self, name: str) -> Any:
        field = self._reader.get_field(name)
        return None if field is None else field.contents()

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The header's sizes under Transformers' names."""
        architecture = self._field("general.architecture")
        config = {ours: self._field(f"{architecture}.{theirs}") for ours, theirs in GGUF_CONFIG.items()}
        config = {name: value for name, value in config.items() if value is not None}
        if self._field(f"{architecture}.rope.scaling.type") not in (None, "none"):
            raise UnsupportedError(f"{self.path} has scaled rotary positions; export it from its Hugging Face folder")
        tokens = self._field("tokenizer.ggml.tokens") or []
        tied = "output.weight" not in self._tensors
        return config | {"architectures": [architecture], "vocab_size": len(tokens), "tie_word_embeddings": tied}

    @cached_property
    def chat_template(self) -> str:
        """The Jinja text in the header, empty where there is none."""
        return self._field("tokenizer.chat_template") or ""

    @cached_property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        names = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
        return sorted({int(value) for name in names if (value := self._field(name)) is not None})

    @cached_property
    def tokenizer_files(self) -> Mapping[str, str]:
        """tokenizer.json and tokenizer_config.json, made from the header."""
        header = {field: self._field(f"tokenizer.ggml.{field}") for field in tokenizer.HEADER}
        return tokenizer.from_gguf(header, self.chat_template)

    def tensor(self, name: str) -> Floats:
        """The dequantised tensor of a Transformers name."""
        from gguf.quants import dequantize

        module = name.removesuffix(".weight")
        layer, short = _split_layer(module)
        stored = self._tensors.get(f"{layer}{GGUF_NAMES.get(short, short)}.weight")
        if stored is None:
            raise SourceError(f"{self.path} has no tensor for {name}")
        try:
            values = dequantize(stored.data, stored.tensor_type)
        except NotImplementedError as error:
            raise UnsupportedError(f"{name} is stored as {stored.tensor_type.name}, which is not read here") from error
        values = finite(name, values)
        heads = INTERLEAVED.get(short) if self.config["architectures"] == ["llama"] else None
        return _rows_in_halves(values, self.config[heads]) if heads else values

    def checksum(self) -> str:
        """sha256 of the file."""
        return hash_file(self.path)


def _split_layer(module: str) -> tuple[str, str]:
    """`model.layers.3.mlp.up_proj` as `blk.3.` and `mlp.up_proj`."""
    if not module.startswith("model.layers."):
        return "", module
    index, _, short = module.removeprefix("model.layers.").partition(".")
    return f"blk.{index}.", short


def _rows_in_halves(values: Floats, heads: int) -> Floats:
    """Rows of rotary pairs (0, 1), (2, 3) … put back to Transformers' order: all first ones, then all second ones."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)


class FolderSource:
    """A Hugging Face folder: config.json, safetensors (one file or shards), tokenizer.json."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shards = self._index()

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json."""
        return self._json("config.json")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.path / name} cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise SourceError(f"{self.path / name} should hold a JSON object")
        return value

    def _index(self) -> dict[str, Path]:
        """Which file holds each tensor."""
        from safetensors import SafetensorError, safe_open

        files = sorted(self.path.glob("*.safetensors"))
        if (self.path / "model.safetensors.index.json").is_file():
            named = set(self._json("model.safetensors.index.json").get("weight_map", {}).values())
            files = [self.path / name for name in sorted(named)]
        if not files:
            raise SourceError(f"{self.path} has no .safetensors file; pickled weights are not read")
        index: dict[str, Path] = {}
        for file in files:
            try:
                with safe_open(file, framework="numpy") as shard:
                    index |= dict.fromkeys(shard.keys(), file)
            except (OSError, SafetensorError) as error:
                raise SourceError(f"{file} is missing or damaged: {error}") from error
        return index

    @cached_property
    def chat_template(self) -> str:
        """From chat_template.jinja or tokenizer_config.json; empty where neither has it."""
        file = self.path / "chat_template.jinja"
        if file.is_file():
            return file.read_text(encoding="utf-8")
        template = self._json("tokenizer_config.json").get("chat_template", "")
        return template if isinstance(template, str) else ""

    @cached_property
    def stop_token_ids(self) -> list[int]:
        """eos_token_id of generation_config.json, else of config.json."""
        generation = self._json("generation_config.json") if (self.path / "generation_config.json").is_file() else {}
        ids = generation.get("eos_token_id", self.config.get("eos_token_id"))
        return sorted(ids) if isinstance(ids, list) else [] if ids is None else [ids]

    @cached_property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The tokenizer's files as they lie in the folder."""
        names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
        found = {name: (self.path / name).read_text("utf-8") for name in names if (self.path / name).is_file()}
        if "tokenizer.json" not in found:
            raise SourceError(f"{self.path} has no tokenizer.json")
        return found

    def tensor(self, name: str) -> Floats:
        """A tensor as float32, whatever floating type it is stored in."""
        from safetensors import safe_open

        if name not in self._shards:
            raise SourceError(f"{self.path} has no tensor {name}")
        with safe_open(self._shards[name], framework="numpy") as shard:
            return finite(name, shard.get_tensor(name))

    def checksum(self) -> str:
        """sha256 over the shards' own, in the order of their names."""
        digests = [hash_file(file) for file in sorted(set(self._shards.values()))]
        return hashlib.sha256("".join(digests).encode()).hexdigest()
