"""glassllm as a Hugging Face folder: real fp16 weights that were never quantised, and text of the model's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from glassllm import GlassLM, load_pretrained
from glassllm import Tokenizer as GlassTokenizer
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

PLACES = {
    "attn.W_Q": "self_attn.q_proj",
    "attn.W_K": "self_attn.k_proj",
    "attn.W_V": "self_attn.v_proj",
    "attn.W_O": "self_attn.o_proj",
    "ffn.W1": "mlp.gate_proj",
    "ffn.W3": "mlp.up_proj",
    "ffn.W2": "mlp.down_proj",
    "norm1.gamma": "input_layernorm",
    "norm2.gamma": "post_attention_layernorm",
}


def llama_name(name: str) -> str:
    """A parameter's name as Transformers has it."""
    if name in {"E", "norm_f.gamma"}:
        return {"E": "model.embed_tokens.weight", "norm_f.gamma": "model.norm.weight"}[name]
    _, index, short = name.split(".", 2)
    return f"model.layers.{index}.{PLACES[short]}.weight"


def llama_layout(model: GlassLM, name: str, value: np.ndarray) -> np.ndarray:
    """A parameter as `[out, in]`, the pairs of a rotated head apart."""
    if name == "E" or value.ndim == 1:
        return value
    rows = value.T
    if name.endswith(("W_Q", "W_K")):
        half = model.cfg.d_model // model.cfg.n_heads // 2
        rows = rows.reshape(-1, half, 2, model.cfg.d_model).swapaxes(1, 2).reshape(rows.shape)
    return np.ascontiguousarray(rows)


def tokenizer_json(glass: GlassTokenizer) -> str:
    """The package's tokenizer in the format of `tokenizers`."""
    merges = [(first, second) for first, second in glass.merges]
    made = Tokenizer(models.BPE(glass.token_to_id, merges, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|▁*[^▁\n]+|▁+"), "isolated")
    return made.to_str()


def write_checkpoint(folder: Path, is_phi3: bool = False) -> Path:
    """The English model, hidden 128, an inner width of 341, two key heads for four; as a Llama or as a Phi-3."""
    model, tokenizer = load_pretrained("en")
    sizes = model.cfg
    parameters = {name: value.data.astype(np.float16) for name, value in model.named_parameters().items()}
    tensors = {llama_name(name): llama_layout(model, name, value) for name, value in parameters.items()}
    save_file(packed(tensors, sizes.n_layers) if is_phi3 else tensors, folder / "model.safetensors")
    config = {
        "architectures": ["Phi3ForCausalLM" if is_phi3 else "LlamaForCausalLM"],
        "hidden_size": sizes.d_model,
        "intermediate_size": parameters["blocks.0.ffn.W1"].shape[1],
        "num_attention_heads": sizes.n_heads,
        "num_key_value_heads": sizes.n_kv_heads,
        "num_hidden_layers": sizes.n_layers,
        "vocab_size": sizes.vocab_size,
        "max_position_embeddings": sizes.max_len,
        "rms_norm_eps": sizes.eps,
        "rope_theta": sizes.rope_base,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.token_to_id["<eos>"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer_json(tokenizer), encoding="utf-8")
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    return folder


def packed(tensors: dict[str, np.ndarray], layers: int) -> dict[str, np.ndarray]:
    """The same weights in Phi-3's spelling."""
    made = dict(tensors)
    for index in range(layers):
        for whole, parts in (("self_attn.qkv", "qkv"), ("mlp.gate_up", ("gate", "up"))):
            prefix = f"model.layers.{index}.{whole.partition('.')[0]}"
            rows = [made.pop(f"{prefix}.{part}_proj.weight") for part in parts]
            made[f"model.layers.{index}.{whole}_proj.weight"] = np.concatenate(rows)
    return made


def own_text(tokens: int, seed: int) -> str:
    """Text that the model says of itself, sampled in pieces of its context."""
    model, tokenizer = load_pretrained("en")
    pieces = []
    for number in range(-(-tokens // model.cfg.max_len)):
        start = tokenizer.encode("The ")[:1]
        steps = model.generate(start, model.cfg.max_len - 1, seed=seed * 10_000 + number)
        pieces.append(tokenizer.decode(start + [step.token for step in steps]))
    return "\n".join(pieces)
