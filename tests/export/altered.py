"""Checkpoints that differ from what an export expects in one thing each: a key, a tensor, a file, an adapter, a header.

Each is what somebody publishes or what a tool writes. `names` are the words of which a refusal must say one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tests.export import small_transformers as small
from tests.export.beside import quiet
from tests.export.small_transformers import REMOVED, change, checkpoint, copied, is_five, read, spell, write

LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0 + i / 8 for i in range(8)],
    "long_factor": [4.0 + i for i in range(8)],
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "factor": 4.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
Q, NORM = "model.layers.0.self_attn.q_proj", "model.layers.1.input_layernorm.weight"


@dataclass(frozen=True)
class Made:
    """An alteration on disk.

    path: what is exported. adapter: a PEFT folder beside it. reference: what Transformers is given instead; None
    where there is no such model in it, so that an export must refuse.
    """

    path: Path
    reference: Path | None
    adapter: Path | None = None


@dataclass(frozen=True)
class Case:
    """An alteration. names: of which a refusal must say one. make: writes it into an empty folder."""

    kind: str
    name: str
    names: tuple[str, ...]
    make: Callable[[Path], Made]

    def __str__(self) -> str:
        """Its name in a test."""
        return f"{self.kind}-{self.name}"


# --- config.json ---


def configured(name: str, names: str, kind: str = "llama", make: dict[str, Any] | None = None, **keys: Any) -> Case:
    """A checkpoint made with some settings, so that it has their tensors, or with other keys in its config.json."""

    def write_it(folder: Path) -> Made:
        path = change(checkpoint(folder / "checkpoint", kind, **(make or {})), **keys)
        return Made(path, path)

    return Case("config", name, tuple(names.split()), write_it)


def turned(
    name: str, names: str, version: int, rope: dict[str, Any] | None, theta: float = 10000.0, kind: str = "llama",
    top: dict[str, Any] | None = None, same: dict[str, Any] | None = None, make: dict[str, Any] | None = None,
    **more: Any
) -> Case:  # fmt: skip
    """Rotary positions in one version's spelling; Transformers 4 is given those of 5 in its own.

    same: what the version that does not know the spelling is given instead, where it is not these keys.
    """

    def write_it(folder: Path) -> Made:
        made = checkpoint(folder / "checkpoint", kind, **(make or {}))
        path = change(spell(made, version, theta, rope, **more), **(top or {}))
        if same is None if is_five() else version < 5:
            return Made(path, path)
        four = dict(same or rope or {})
        if kind == "phi3":
            four = {{"rope_type": "type"}.get(key, key): value for key, value in four.items()}
        return Made(path, change(spell(copied(path, "reference"), 4, theta, four, **more), **(top or {})))

    return Case("config", name, tuple(names.split()), write_it)


def unloadable(name: str, names: str, **keys: Any) -> Case:
    """A config that no loader should be asked to read, as it stands for something of another size."""

    def write_it(folder: Path) -> Made:
        return Made(change(checkpoint(folder / "checkpoint"), **keys), None)

    return Case("config", name, tuple(names.split()), write_it)


ORIGINAL = {"original_max_position_embeddings": 64}
FACTORED = {**LONG, "attention_factor": 1.7}
SU = {"type": "su", **{name: value for name, value in LONG.items() if name != "rope_type"}}
LONG4 = {**SU, "type": "longrope"}
WIDE = {"hidden_size": 256}
"""Heads of 64."""
PARTLY = {
    "type": "longrope",
    "short_factor": [1.0 + i / 24 for i in range(24)],
    "long_factor": [4.0 + i / 3 for i in range(24)],
}
BY_LAYER = {kind: {"rope_type": "default", "rope_theta": 1e4} for kind in ("full_attention", "sliding_attention")}
CONFIGS = (
    configured("attention-bias", "attention_bias _proj.bias", make={"attention_bias": True}),
    configured("mlp-bias", "mlp_bias _proj.bias", make={"mlp_bias": True}),
    configured("gelu", "hidden_act", hidden_act="gelu"),
    configured("gelu-tanh", "hidden_act", hidden_act="gelu_pytorch_tanh"),
    configured("relu2", "hidden_act", hidden_act="relu2"),
    configured("swish", "hidden_act", hidden_act="swish"),
    configured("act-null", "hidden_act", hidden_act=None),
    configured("phi3-gelu", "hidden_act", kind="phi3", hidden_act="gelu"),
    turned("llama-partial-half", "partial_rotary_factor", 4, None, partial_rotary_factor=0.5),
    turned("phi3-partial-eighth", "partial_rotary_factor", 4, None, kind="phi3", partial_rotary_factor=0.125),
    turned("phi3-partial-half", "partial_rotary_factor", 4, None, kind="phi3", make=WIDE, partial_rotary_factor=0.5),
    turned("phi3-partial-three-quarters-5", "partial_rotary_factor", 5, None, kind="phi3", make=WIDE,
           partial_rotary_factor=0.75),
    turned("phi3-partial-longrope", "partial_rotary_factor", 4, PARTLY, kind="phi3", make=WIDE, top=ORIGINAL,
           partial_rotary_factor=0.75),
    turned("phi3-longrope", "longrope", 4, LONG4, kind="phi3", top=ORIGINAL),
    turned("phi3-longrope-5", "rope_parameters longrope", 5, LONG, kind="phi3", top=ORIGINAL),
    turned("phi3-su", "su", 4, SU, kind="phi3", top=ORIGINAL, same=LONG4),
    turned("longrope-5", "rope_parameters longrope", 5, LONG, top=ORIGINAL),
    turned("longrope-attention-factor", "attention_factor", 4, FACTORED, top=ORIGINAL),
    turned("longrope-attention-factor-5", "attention_factor rope_parameters", 5, FACTORED, top=ORIGINAL),
    turned("theta-5", "rope_parameters rope_theta", 5, None, 500000.0),
    turned("theta", "rope_theta", 4, None, 500000.0),
    turned("llama3-5", "rope_parameters llama3", 5, LLAMA3, 500000.0),
    turned("llama3", "llama3", 4, LLAMA3, 500000.0),
    turned("linear-5", "rope_parameters linear", 5, LINEAR),
    turned("linear-type", "linear", 4, {"type": "linear", "factor": 4.0}),
    turned("yarn-5", "rope_parameters yarn", 5, YARN),
    turned("yarn", "yarn", 4, {**YARN, "beta_fast": 16.0, "beta_slow": 2.0}),
    turned("yarn-attention-factor", "yarn attention_factor", 4, {**YARN, "attention_factor": 0.8}),
    turned("yarn-mscale", "yarn mscale", 4, {**YARN, "mscale": 0.7, "mscale_all_dim": 0.9}),
    turned("dynamic-5", "rope_parameters dynamic", 5, DYNAMIC),
    turned("dynamic", "dynamic", 4, DYNAMIC, top={"max_position_embeddings": 48}),
    turned("rope-type-default", "rope_scaling default", 4, {"rope_type": "default"}),
    turned("rope-unknown", "spiral", 4, {"rope_type": "spiral", "factor": 2.0}),
    unloadable("rope-by-layer", "rope_parameters", rope_parameters=BY_LAYER),
    configured("layer-types", "layer_types sliding", layer_types=["full_attention", "sliding_attention"],
               sliding_window=16),
    configured("llama-sliding-window", "sliding_window", sliding_window=16),
    configured("phi3-sliding-window", "sliding_window", kind="phi3", make={"sliding_window": 16}),
    configured("head-dim", "head_dim", make={"head_dim": 32}),
    configured("head-dim-null", "head_dim", head_dim=None),
    configured("tied", "tie_word_embeddings lm_head", make={"tie_word_embeddings": True}),
    configured("tie-flag-absent", "tie_word_embeddings", tie_word_embeddings=REMOVED),
    configured("phi3-tie-flag-absent", "tie_word_embeddings", kind="phi3", tie_word_embeddings=REMOVED),
    configured("tied-tie-flag-absent", "tie_word_embeddings lm_head", make={"tie_word_embeddings": True},
               tie_word_embeddings=REMOVED),
    configured("eps-absent", "rms_norm_eps", rms_norm_eps=REMOVED),
    configured("eps-large", "rms_norm_eps", rms_norm_eps=0.5),
    configured("theta-absent", "rope_theta", rope_theta=REMOVED, rope_parameters=REMOVED),
    configured("kv-heads-absent", "num_key_value_heads", make={"num_key_value_heads": 4}, num_key_value_heads=REMOVED),
    configured("positions-absent", "max_position_embeddings", max_position_embeddings=REMOVED),
    configured("softcap", "final_logit_softcapping", final_logit_softcapping=30.0),
    configured("attention-softcap", "attn_logit_softcapping", attn_logit_softcapping=50.0),
    configured("logit-scale", "logit_scale", logit_scale=0.25),
    configured("multipliers", "multiplier", embedding_multiplier=12.0, residual_multiplier=0.22),
    configured("unknown-key", "frobnicate", frobnicate=3),
    configured("no-rope-layers", "no_rope_layers", no_rope_layers=[1, 0]),
    configured("experts", "num_local_experts", num_local_experts=4),
    configured("dropout", "attention_dropout", attention_dropout=0.1),
    configured("quantized", "quantization_config", quantization_config={"quant_method": "gptq", "bits": 4}),
    configured("mistral", "MistralForCausalLM", kind="mistral", make={"sliding_window": None}),
    configured("mistral-window", "MistralForCausalLM sliding_window", kind="mistral", make={"sliding_window": 16}),
    configured("qwen2", "Qwen2ForCausalLM", kind="qwen2"),
    configured("other-model-type", "model_type phi3", model_type="phi3"),
    configured("architectures-absent", "architectures architecture", architectures=REMOVED),
    configured("text-tie", "tie_word_embeddings", tie_word_embeddings="false"),
    configured("text-layers", "num_hidden_layers", num_hidden_layers="2"),
    configured("text-eps", "rms_norm_eps", rms_norm_eps="1e-5"),
    configured("bool-kv-heads", "num_key_value_heads k_proj", num_key_value_heads=True),
    unloadable("text-config", "text_config hidden_size num_hidden_layers num_attention_heads",
               text_config=dict(small.SIZES), **dict.fromkeys(small.SIZES, REMOVED)),
)  # fmt: skip


# --- tensors ---


def stored(name: str, names: str, alter: Callable[[dict[str, Any]], Any], **make: Any) -> Case:
    """A checkpoint whose tensors were altered in place."""

    def write_it(folder: Path) -> Made:
        path = checkpoint(folder / "checkpoint", **make)
        tensors: dict[str, Any] = read(path)
        changed = alter(tensors)
        write(path, tensors if changed is None else changed)
        return Made(path, path)

    return Case("tensors", name, tuple(names.split()), write_it)


def noise(*shape: int) -> np.ndarray:
    """Seeded values that show."""
    return np.random.default_rng(4).standard_normal(shape).astype(np.float32) / 4


def spoilt(tensors: dict[str, Any], name: str, value: float) -> None:
    """One value of a tensor."""
    tensors[name] = tensors[name].copy()
    tensors[name].flat[7] = value


def renamed(prefix: str, by: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Names that begin otherwise."""
    return lambda tensors: {
        by + name.removeprefix(prefix) if name.startswith(prefix) else name: value for name, value in tensors.items()
    }


def cast(tensors: dict[str, Any], kind: Any, *parts: str) -> None:
    """Some tensors in another type."""
    for name in tensors:
        if not parts or any(part in name for part in parts):
            tensors[name] = tensors[name].astype(kind)


def fp8(tensors: dict[str, Any]) -> None:
    """A matrix as half of today's large checkpoints have it: eight bits, and a scale beside it."""
    tensors[f"{Q}.weight"] = (tensors[f"{Q}.weight"] * 8).astype(ml_dtypes.float8_e4m3fn)
    tensors[f"{Q}.weight_scale"] = np.float32([0.125])


ATTENTION = "model.layers.0.self_attn"
TENSORS = (
    stored("q-bias", "q_proj.bias", lambda t: t.update({f"{Q}.bias": noise(64)})),
    stored("q-norm", "q_norm", lambda t: t.update({f"{ATTENTION}.q_norm.weight": np.ones(16, np.float32) * 3})),
    stored("norm-bias", "layernorm.bias", lambda t: t.update({NORM.replace("weight", "bias"): noise(64)})),
    stored("sinks", "sinks", lambda t: t.update({f"{ATTENTION}.sinks": noise(4)})),
    stored("head-beside-tied", "lm_head", lambda t: t.update({"lm_head.weight": noise(96, 64)}),
           tie_word_embeddings=True),
    stored("same-head-beside-tied", "lm_head",
           lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].copy()}), tie_word_embeddings=True),
    stored("head-missing", "lm_head", lambda t: t.pop("lm_head.weight") is None or None),
    stored("inv-freq", "inv_freq", lambda t: t.update({f"{ATTENTION}.rotary_emb.inv_freq": noise(8)})),
    stored("experts", "experts", lambda t: t.update({"model.layers.0.mlp.experts.0.w1.weight": noise(80, 64)})),
    stored("a-layer-more", "layers.2", lambda t: t.update({NORM.replace("1", "2", 1): noise(64)})),
    stored("prefix-more", "language_model embed_tokens", renamed("", "language_model.")),
    stored("prefix-less", "embed_tokens", renamed("model.", "")),
    stored("prefix-compiled", "_orig_mod embed_tokens", renamed("", "_orig_mod.")),
    stored("nan", Q, lambda t: spoilt(t, f"{Q}.weight", math.nan)),
    stored("infinite-norm", NORM, lambda t: spoilt(t, NORM, math.inf)),
    stored("halves", Q, lambda t: cast(t, np.float16)),
    stored("some-bfloat16", Q, lambda t: cast(t, ml_dtypes.bfloat16, "mlp", "norm")),
    stored("doubles", Q, lambda t: cast(t, np.float64, "q_proj")),
    stored("integers", Q, lambda t: cast(t, np.int8, "layers.0.self_attn.q_proj")),
    stored("fp8", Q, fp8),
    stored("embedding-of-more-words", "embed_tokens",
           lambda t: t.update({"model.embed_tokens.weight": noise(104, 64)})),
    stored("lora-inside", "lora_A", lambda t: t.update({f"{Q}.lora_A.weight": noise(4, 64)})),
)  # fmt: skip


# --- files ---


def filed(name: str, names: str, alter: Callable[[Path], object]) -> Case:
    """A checkpoint in other files."""

    def write_it(folder: Path) -> Made:
        path = checkpoint(folder / "checkpoint")
        alter(path)
        return Made(path, path)

    return Case("files", name, tuple(names.split()), write_it)


def others(folder: Path) -> dict[str, np.ndarray]:
    """The checkpoint's tensors with other values."""
    return {name: value[::-1].copy() for name, value in read(folder).items()}


def in_shards(folder: Path, *, index: bool = True, more: dict[str, Any] | None = None, missing: bool = False) -> None:
    """Two shards in place of the file, with an index or none."""
    tensors = read(folder)
    names = sorted(tensors)
    files = {f"model-0000{number + 1}-of-00002.safetensors": names[number::2] for number in (0, 1)}
    for file, held in files.items():
        write(folder, {name: tensors[name] for name in held} | (more or {}), file)
    where = {name: file for file, held in files.items() for name in held}
    if missing:
        where = {name: file.replace("model-00002", "weights-2") for name, file in where.items()}
    if index:
        text = json.dumps({"metadata": {"total_size": 1}, "weight_map": where})
        (folder / "model.safetensors.index.json").write_text(text)
    (folder / "model.safetensors").unlink()


def stale_index(folder: Path) -> None:
    """An index of older shards with other values beside the one file."""
    tensors = read(folder)
    write(folder, others(folder))
    in_shards(folder)
    write(folder, tensors)


def pickled(folder: Path, *, alone: bool) -> None:
    """pytorch_model.bin."""
    import torch

    found = others(folder) if not alone else read(folder)
    torch.save({name: torch.from_numpy(value) for name, value in found.items()}, folder / "pytorch_model.bin")
    if alone:
        (folder / "model.safetensors").unlink()


def adapter_beside(folder: Path) -> None:
    """An adapter's two files in the base's own folder, which Transformers adds where PEFT is installed."""
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(folder), "r": 4,
        "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    pair = {"lora_A.weight": noise(4, 64), "lora_B.weight": noise(64, 4)}
    modules = (f"base_model.model.model.layers.{index}.self_attn.q_proj" for index in range(2))
    write(folder, {f"{module}.{name}": value for module in modules for name, value in pair.items()},
          "adapter_model.safetensors")  # fmt: skip


FILES = (
    filed("consolidated-beside", "consolidated", lambda f: write(f, others(f), "consolidated.safetensors")),
    filed("variant-beside", "model.fp16", lambda f: write(f, others(f), "model.fp16.safetensors")),
    filed("other-file-beside", "weights-new", lambda f: write(f, others(f), "weights-new.safetensors")),
    filed("consolidated-alone", "consolidated model.safetensors",
          lambda f: (f / "model.safetensors").rename(f / "consolidated.safetensors")),
    filed("shards", "model-00001-of-00002", in_shards),
    filed("shards-without-index", "index model-00001-of-00002", lambda f: in_shards(f, index=False)),
    filed("stale-index", "index", stale_index),
    filed("index-names-another", "weights-2", lambda f: in_shards(f, missing=True)),
    filed("shards-with-more", "extra.weight", lambda f: in_shards(f, more={"extra.weight": noise(4, 4)})),
    filed("tensor-in-two-shards", NORM, lambda f: in_shards(f, more={NORM: noise(64)})),
    filed("pickle-alone", "pytorch_model.bin safetensors", lambda f: pickled(f, alone=True)),
    filed("pickle-beside", "pytorch_model.bin", lambda f: pickled(f, alone=False)),
    filed("adapter-beside", "adapter_config adapter_model", adapter_beside),
)  # fmt: skip


# --- adapters ---


def adapted(name: str, names: str, alter: Callable[[Path], object] = str, **config: Any) -> Case:
    """An adapter that PEFT makes and saves, its values random."""

    def write_it(folder: Path) -> Made:
        import torch
        from peft import LoraConfig, get_peft_model

        path = checkpoint(folder / "checkpoint")
        torch.manual_seed(1)
        with quiet():
            settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **config}
            model = get_peft_model(loaded(path), LoraConfig(task_type="CAUSAL_LM", **settings))
            with torch.no_grad():
                for value in (each for each in model.parameters() if each.requires_grad):
                    value.add_(torch.randn(value.shape) * 0.1)
            model.save_pretrained(folder / "adapter")
        alter(folder / "adapter")
        return Made(path, path, folder / "adapter")

    return Case("adapters", name, tuple(names.split()), write_it)


def loaded(folder: Path) -> Any:
    """Transformers' model of a folder."""
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32", attn_implementation="eager")


def adapter_config(folder: Path, **keys: Any) -> None:
    """Other keys in adapter_config.json."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def extra_vector(folder: Path) -> None:
    """A tensor that is no part of a LoRA pair."""
    from safetensors.numpy import load_file

    file = "adapter_model.safetensors"
    write(
        folder, load_file(folder / file) | {"base_model.model.model.layers.0.self_attn.q_proj.scale": noise(64)}, file
    )


ADAPTERS = (
    adapted("plain", "adapter"),
    adapted("pissa", "pissa init_lora_weights", init_lora_weights="pissa"),
    adapted("olora", "olora init_lora_weights", init_lora_weights="olora"),
    adapted("gaussian", "gaussian init_lora_weights", init_lora_weights="gaussian"),
    adapted("dora", "use_dora dora", use_dora=True),
    adapted("rslora", "use_rslora", use_rslora=True),
    adapted("rank-pattern", "rank_pattern", rank_pattern={"q_proj": 2}),
    adapted("alpha-pattern", "alpha_pattern", alpha_pattern={"down_proj": 32}),
    adapted("lora-bias", "lora_bias lora_B.bias", lora_bias=True),
    adapted("modules-to-save", "modules_to_save lm_head", modules_to_save=["lm_head"]),
    adapted("embedding", "lora_embedding embed_tokens", target_modules=["q_proj", "embed_tokens"]),
    adapted("some-layers", "layers_to_transform", layers_to_transform=[1]),
    adapted("all-linear", "target_modules", target_modules="all-linear"),
    adapted("head", "lm_head", target_modules=["q_proj", "lm_head"]),
    adapted("tokens", "trainable_token_indices token_adapter", trainable_token_indices={"embed_tokens": [3, 4]}),
    adapted("unknown-key", "frobnicate", lambda f: adapter_config(f, frobnicate=True)),
    adapted("fan-in-fan-out", "fan_in_fan_out", lambda f: adapter_config(f, fan_in_fan_out=True)),
    adapted("other-method", "LOHA peft_type", lambda f: adapter_config(f, peft_type="LOHA")),
    adapted("extra-tensor", "q_proj.scale", extra_vector),
)


# --- GGUF headers ---

Alteration = Callable[[Path], tuple[dict[str, Any], dict[str, np.ndarray]]]


def headed(
    name: str, names: str, header: dict[str, Any] | None = None, tensors: dict[str, np.ndarray] | None = None,
    kind: str = "llama", make: dict[str, Any] | None = None, reads: dict[str, Any] | None = None,
    *, refused: bool = False, shard: int = 0, lost: bool = False
) -> Case:  # fmt: skip
    """A GGUF file with more keys and tensors. reads: the keys of config.json that say the same to Transformers.

    Its own reader of GGUF files leaves out what these say, so that the folder of the same weights is the reference.
    refused: there is no such model in Transformers. shard: tensors a file. lost: the last of those files is not there.
    """

    def write_it(folder: Path) -> Made:
        sizes = {"vocab_size": 97, **(make or {})}
        path = checkpoint(folder / "checkpoint", kind, **sizes)
        file = small.write_gguf(path, kind, header or {}, tensors or {}, shard)
        if lost:
            sorted(folder.glob("model*.gguf"))[-1].unlink()
        keys = dict(reads or {})
        turned = {name: keys.pop(name) for name in ("rope", "partial_rotary_factor") if name in keys}
        if turned.get("rope") == LONG and not is_five():
            turned["rope"] = LONG4
        spell(path, 5 if is_five() else 4, keys.pop("theta", 10000.0), **turned)
        return Made(file, None if refused else change(path, **keys))

    return Case("gguf", name, tuple(names.split()), write_it)


def llama3_factors() -> np.ndarray:
    """What `rope_freqs` holds for LLAMA3. Source: Llama 3.1's published scaling of frequencies (its model.py)."""
    frequencies = 500000.0 ** -(np.arange(0, small.HEAD, 2) / small.HEAD)
    wavelengths = 2 * math.pi / frequencies
    smooth = (64 / wavelengths - 1) / (4 - 1)
    between = 1 / ((1 - smooth) / 8 + smooth)
    return np.where(wavelengths < 64 / 4, 1, np.where(wavelengths > 64 / 1, 8, between)).astype(np.float32)


def per_layer(part: str, *shape: int) -> dict[str, np.ndarray]:
    """A tensor for each layer."""
    return {f"blk.{index}.{part}": noise(*shape) for index in range(small.LAYERS)}


def phi_long() -> dict[str, np.ndarray]:
    """The factors of LONG as GGUF has them."""
    return {f"rope_factors_{kind}.weight": np.float32(LONG[f"{kind}_factor"]) for kind in ("short", "long")}


PHI_LONG = {"{}.rope.scaling.original_context_length": 64, "{}.rope.scaling.attn_factor": math.sqrt(1 + 1 / 6)}
"""Twice 64 positions: sqrt(1 + ln 2 / ln 64)."""
SCALED = {"{}.rope.scaling.factor": 4.0, "{}.rope.scaling.original_context_length": 32}
HALF = {"partial_rotary_factor": 0.5}
GGUFS = (
    headed("plain", "llama"),
    headed("tied", "output token_embd", make={"tie_word_embeddings": True}),
    headed("rope-freqs", "rope_freqs", {"{}.rope.freq_base": 500000.0}, {"rope_freqs.weight": llama3_factors()},
           reads={"theta": 500000.0, "rope": LLAMA3}),
    headed("partial", "rope.dimension_count", {"{}.rope.dimension_count": 8}, kind="phi3", reads=HALF),
    headed("phi3-plain", "phi3", kind="phi3"),
    headed("linear", "rope.scaling", {"{}.rope.scaling.type": "linear", "{}.rope.scaling.factor": 4.0},
           reads={"rope": LINEAR}),
    headed("yarn", "rope.scaling", {"{}.rope.scaling.type": "yarn", **SCALED}, reads={"rope": YARN}),
    headed("scale-linear", "rope.scale_linear", {"{}.rope.scale_linear": 4.0}, reads={"rope": LINEAR}),
    headed("attention-biases", ".bias", make={"attention_bias": True}),
    headed("mlp-biases", ".bias", make={"mlp_bias": True}),
    headed("norm-bias", "attn_norm.bias", tensors=per_layer("attn_norm.bias", 64), refused=True),
    headed("q-norm", "attn_q_norm", tensors=per_layer("attn_q_norm.weight", 16), refused=True),
    headed("experts", "expert_count", {"{}.expert_count": 8, "{}.expert_used_count": 2}, refused=True),
    headed("expert-tensors", "ffn_gate_inp ffn_gate_exps", tensors=per_layer("ffn_gate_inp.weight", 8, 64),
           refused=True),
    headed("unknown-key", "attention.frobnicate", {"{}.attention.frobnicate": 3}, refused=True),
    headed("phi3-longrope", "rope_factors", PHI_LONG, phi_long(), "phi3",
           make=ORIGINAL, reads={"rope": LONG}),
    headed("phi3-window", "sliding_window", {"{}.attention.sliding_window": 16}, kind="phi3",
           make={"sliding_window": 16}),
    headed("llama-window", "sliding_window", {"{}.attention.sliding_window": 16},
           reads={"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 16}),
    headed("key-and-value-lengths", "value_length", {"{}.attention.key_length": 16, "{}.attention.value_length": 32},
           refused=True),
    headed("logit-scale", "logit_scale", {"{}.logit_scale": 0.25}, refused=True),
    headed("clamp-kqv", "clamp_kqv", {"{}.attention.clamp_kqv": 8.0}, refused=True),
    headed("not-causal", "causal", {"{}.attention.causal": False}, refused=True),
    headed("eps-absent", "layer_norm_rms_epsilon rms_norm_eps", {"{}.attention.layer_norm_rms_epsilon": REMOVED},
           refused=True),
    headed("shards", "split model-00001-of", shard=8),
    headed("a-shard-missing", "model-0000", shard=8, lost=True, refused=True),
    headed("qwen2", "qwen2", kind="qwen2"),
    headed("qwen2-yarn", "rope.scaling", {"{}.rope.scaling.type": "yarn", **SCALED}, kind="qwen2",
           reads={"rope": YARN}),
    headed("qwen3", "qwen3", {"{}.attention.key_length": 16, "{}.attention.value_length": 16}, kind="qwen3",
           make={"head_dim": 16}),
    headed("qwen3-tied", "output token_embd", kind="qwen3", make={"head_dim": 16, "tie_word_embeddings": True}),
    headed("qwen3-part", "dimension_count", {"{}.rope.dimension_count": 8}, kind="qwen3", make={"head_dim": 16},
           refused=True),
    headed("smollm3", "smollm3", kind="smollm3", make={"num_hidden_layers": 5},
           header={"{}.block_count": 5}),
    headed("smollm3-biases", ".bias", kind="smollm3", make={"attention_bias": True, "mlp_bias": True}),
    headed("control-vector", "direction", tensors={"direction.1": noise(64)}, refused=True),
)  # fmt: skip

CASES = (*CONFIGS, *TENSORS, *FILES, *ADAPTERS, *GGUFS)
